//! The catalog against the one in memory, and its feed against its rows.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tenancy_core::{
    Actor, Catalog, CatalogWriter, Challenge, Change, Changes, Clock, MemoryCatalog, Name,
    NewTenant, Placement, Proof, TenantChange, TenantId, TenantKey, TenantStatus, Version,
    WriteError,
};
use tenancy_sqlite::SqliteCatalog;

use crate::util::{age_claims, catalog, quick_dir};

/// Few names, so that they meet.
const IDS: [&str; 4] = ["a", "b", "c", "d"];
const DOMAINS: [&str; 3] = ["x.test", "y.test", "a.test"];

#[derive(Debug, Clone)]
enum Op {
    Insert(usize),
    /// With a version that is right, or one that is not.
    Update(usize, bool, TenantStatus),
    Reincarnate(usize),
    Remove(usize, bool),
    Bind(usize, usize, bool),
    Verify(usize, usize, bool),
    Unbind(usize, usize),
    Rebind(usize, usize, usize),
    /// So many days go by.
    Pass(u64),
    Primary(usize, usize),
    /// One of the readers reads a page of this size.
    Read(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0..IDS.len();
    let name = 0..IDS.len() + DOMAINS.len();
    let status = prop::sample::select(&TenantStatus::ALL[..]);
    prop_oneof![
        4 => id.clone().prop_map(Op::Insert),
        2 => (id.clone(), any::<bool>(), status).prop_map(|(a, b, c)| Op::Update(a, b, c)),
        1 => id.clone().prop_map(Op::Reincarnate),
        3 => (id.clone(), prop::bool::weighted(0.8)).prop_map(|(a, b)| Op::Remove(a, b)),
        6 => (id.clone(), name.clone(), any::<bool>()).prop_map(|(a, b, c)| Op::Bind(a, b, c)),
        3 => (id.clone(), 0..DOMAINS.len(), any::<bool>()).prop_map(|(a, b, c)| Op::Verify(a, b, c)),
        3 => (id.clone(), name).prop_map(|(a, b)| Op::Unbind(a, b)),
        3 => (id.clone(), id.clone(), 0..IDS.len() + DOMAINS.len())
            .prop_map(|(a, b, c)| Op::Rebind(a, b, c)),
        1 => (1..4u64).prop_map(Op::Pass),
        3 => (id, 0..DOMAINS.len()).prop_map(|(a, b)| Op::Primary(a, b)),
        5 => (0..READERS, 1..4usize).prop_map(|(a, b)| Op::Read(a, b)),
    ]
}

fn id(index: usize) -> TenantId {
    IDS[index].parse().unwrap()
}

fn name(index: usize) -> Name {
    match index.checked_sub(IDS.len()) {
        None => Name::Label(id(index)),
        Some(index) => Name::Domain(DOMAINS[index].parse().unwrap()),
    }
}

/// The same write on either catalog; what came of it, without its numbers.
fn write(catalog: &dyn CatalogWriter, op: &Op, step: usize) -> Result<(), String> {
    let by = Actor::new("test");
    let seen = |index: usize, right: bool| {
        let page = catalog.page(None, 100).unwrap();
        let row = page.iter().find(|t| *t.id() == id(index));
        let version = row.map_or(Version::ZERO, |row| row.version());
        if right {
            version
        } else {
            Version(version.0 + 1)
        }
    };
    let challenge = |tenant: usize, index: usize| {
        Challenge::from_stored(format!("proof of {index} for {tenant}"))
    };
    let done = match *op {
        Op::Insert(tenant) => {
            let mut new = NewTenant::new(id(tenant));
            new.placement = Placement::new("test", format!("{step}"));
            new.attributes.insert("step", format!("{step}"));
            catalog.insert(new, &by).map(drop)
        }
        Op::Update(tenant, right, status) => {
            let change = TenantChange::status(status);
            let seen = seen(tenant, right);
            catalog.update(&id(tenant), seen, change, &by).map(drop)
        }
        Op::Reincarnate(tenant) => {
            let mut change = TenantChange::default();
            change.reincarnate = Some(Placement::new("test", format!("{step}")));
            let seen = seen(tenant, true);
            catalog.update(&id(tenant), seen, change, &by).map(drop)
        }
        Op::Remove(tenant, right) => {
            let seen = seen(tenant, right);
            catalog.remove(&id(tenant), seen, &by).map(drop)
        }
        Op::Bind(tenant, index, trusted) => {
            let proof = match trusted {
                true => Proof::Trusted,
                false => Proof::Pending(challenge(tenant, index)),
            };
            catalog
                .bind(&name(index), &id(tenant), proof, &by)
                .map(drop)
        }
        Op::Verify(tenant, index, right) => {
            let Name::Domain(domain) = name(IDS.len() + index) else {
                unreachable!()
            };
            let proof = challenge(tenant, if right { IDS.len() + index } else { 99 });
            let txt = proof.as_str();
            catalog.verify(&domain, &id(tenant), txt, &by).map(drop)
        }
        Op::Unbind(tenant, index) => catalog.unbind(&name(index), &id(tenant), &by).map(drop),
        Op::Primary(tenant, index) => {
            let domain = DOMAINS[index].parse().unwrap();
            catalog.make_primary(&domain, &id(tenant), &by).map(drop)
        }
        Op::Rebind(from, to, index) => {
            let (from, to) = (id(from), id(to));
            catalog.rebind(&name(index), &from, &to, &by).map(drop)
        }
        Op::Read(..) | Op::Pass(_) => Ok(()),
    };
    done.map_err(|error| match error {
        WriteError::Conflict { id, .. } => format!("conflict of {id}"),
        other => other.to_string(),
    })
}

/// All that a catalog says, without versions.
fn state(catalog: &dyn CatalogWriter) -> Vec<String> {
    let mut lines = Vec::new();
    for tenant in catalog.page(None, 100).unwrap() {
        let names = catalog.names(tenant.id()).unwrap();
        let (place, step) = (tenant.placement(), tenant.attribute("step"));
        lines.push(format!("{tenant:?} {place:?} {step:?} {names:?}"));
    }
    let keys = IDS.map(TenantKey::Label).into_iter();
    for key in keys.chain(DOMAINS.map(TenantKey::Domain)) {
        let owner = catalog.lookup(key).unwrap().value;
        lines.push(format!("{key} -> {:?}", owner.map(|t| t.id().clone())));
    }
    lines
}

const READERS: usize = 3;

/// What a reader of the feed knows.
#[derive(Debug, Default, PartialEq)]
struct Replica {
    upto: Version,
    tenants: BTreeMap<TenantId, String>,
    /// Every name, ids too, and its owner.
    names: BTreeMap<Name, TenantId>,
}

impl Replica {
    fn apply(&mut self, changes: Changes) {
        assert!(!changes.reset);
        for change in changes.items {
            match change {
                Change::Tenant(tenant) => {
                    let row = format!("{tenant:?} {}", tenant.version());
                    self.own(Name::Label(tenant.id().clone()), tenant.id());
                    self.tenants.insert(tenant.id().clone(), row);
                }
                Change::Removed { id, .. } => {
                    self.tenants.remove(&id);
                    self.names.retain(|_, owner| *owner != id);
                }
                Change::Moved { name, id } => drop(self.names.insert(name, id)),
                Change::Unbound { name } => drop(self.names.remove(&name)),
                other => panic!("{other:?}"),
            }
        }
        self.upto = changes.upto;
    }

    /// A reader takes a name with two owners for a conflict, and refuses it.
    fn own(&mut self, name: Name, id: &TenantId) {
        let before = self.names.insert(name.clone(), id.clone());
        assert!(
            before.as_ref().is_none_or(|b| b == id),
            "{name} had {before:?}, now {id}"
        );
    }

    fn of_rows(catalog: &SqliteCatalog) -> Self {
        let mut replica = Self {
            upto: catalog.version().unwrap(),
            ..Self::default()
        };
        for tenant in catalog.page(None, 100).unwrap() {
            let id = tenant.id().clone();
            let row = format!("{tenant:?} {}", tenant.version());
            replica.own(Name::Label(id.clone()), &id);
            let names = catalog.names(&id).unwrap().into_iter();
            for binding in names.filter(|binding| binding.pending.is_none()) {
                replica.own(binding.name, &id);
            }
            replica.tenants.insert(id, row);
        }
        replica
    }
}

fn check(ops: &[Op]) {
    let dir = quick_dir();
    let sqlite = catalog(dir.path()).unwrap();
    let clock = Clock::manual();
    let memory = MemoryCatalog::with_clock(clock.clone());
    let mut readers: [Replica; READERS] = Default::default();
    let mut before = sqlite.version().unwrap();
    for (step, op) in ops.iter().enumerate() {
        if let Op::Read(reader, max) = *op {
            let reader = &mut readers[reader];
            let changes = sqlite.changes(reader.upto, max).unwrap().unwrap();
            assert!(changes.items.len() <= max && changes.upto >= reader.upto);
            reader.apply(changes);
            continue;
        }
        if let Op::Pass(days) = *op {
            let time = Duration::from_secs(days * 24 * 60 * 60);
            clock.advance(time);
            age_claims(&sqlite, time);
            continue;
        }
        let (ours, theirs) = (write(&sqlite, op, step), write(&memory, op, step));
        assert_eq!(ours, theirs, "step {step}, {op:?} of {ops:?}");
        assert_eq!(
            state(&sqlite),
            state(&memory),
            "step {step}, {op:?} of {ops:?}"
        );
        let now = sqlite.version().unwrap();
        assert_eq!(
            now > before,
            ours.is_ok(),
            "step {step}: a write raises the version"
        );
        before = now;
    }
    let rows = Replica::of_rows(&sqlite);
    for mut reader in readers {
        loop {
            let changes = sqlite.changes(reader.upto, 2).unwrap().unwrap();
            let more = changes.more;
            reader.apply(changes);
            if !more {
                break;
            }
        }
        assert_eq!(reader, rows, "{ops:?}");
    }
    sqlite.check_events().unwrap().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_catalog_does_what_the_one_in_memory_does_and_its_feed_equals_its_rows(
        ops in prop::collection::vec(op(), 1..120)
    ) {
        check(&ops);
    }
}

/// What random writes seldom find: `a` is removed twice, and a reader that was away
/// since before sees only the last removal. It must still learn that `a` had let go
/// of `x.test` before `b` took it.
#[test]
fn a_reader_that_was_away_sees_no_name_with_two_owners() {
    let x = IDS.len();
    check(&[
        Op::Insert(0),
        Op::Insert(1),
        Op::Bind(0, x, true),
        Op::Read(0, 9),
        Op::Remove(0, true),
        Op::Bind(1, x, true),
        Op::Insert(0),
        Op::Remove(0, true),
    ]);
}
