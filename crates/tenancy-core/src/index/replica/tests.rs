//! Tests of the replica against a model, which holds the claims to each name.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::*;
use crate::catalog::TenantKey;
use crate::domain::Domain;
use crate::id::{Epoch, Version};

/// A simple model: the state after all changes that were applied.
#[derive(Default)]
struct Model {
    tenants: BTreeMap<TenantId, Tenant>,
    bound: BTreeSet<(Name, TenantId)>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Tenant(tenant) => {
                self.tenants.insert(tenant.id().clone(), tenant.clone());
            }
            Change::Removed { id, .. } => {
                self.tenants.remove(id);
                self.bound.retain(|(_, owner)| owner != id);
            }
            Change::Bound { name, id } if *name == Name::Label(id.clone()) => {}
            Change::Bound { name, id } => {
                self.bound.insert((name.clone(), id.clone()));
            }
            Change::Moved { name, id } => {
                self.apply(&Change::Unbound { name: name.clone() });
                let (name, id) = (name.clone(), id.clone());
                self.apply(&Change::Bound { name, id });
            }
            Change::Unbound { name } => self.bound.retain(|(bound, _)| bound != name),
        }
    }

    fn find(&self, name: &Name) -> Found {
        let own = self
            .tenants
            .values()
            .filter(|t| *name == Name::Label(t.id().clone()));
        let bound = self.bound.iter().filter(|(bound, _)| bound == name);
        let bound = bound.filter_map(|(_, id)| self.tenants.get(id));
        let all: Vec<_> = own.chain(bound).collect();
        match &all[..] {
            _ if *name == Name::Label(id("reserved")) => Found::NoTenant,
            [] => Found::NoTenant,
            [only] => Found::Tenant((*only).clone()),
            _ => Found::Contested,
        }
    }
}

fn id(text: &str) -> TenantId {
    text.parse().expect("an id")
}

fn reserved(label: &TenantId) -> bool {
    label.as_str() == "reserved"
}

const LABELS: [&str; 6] = [
    "a",
    "b",
    "c",
    "reserved",
    "d",
    "a-name-of-more-than-thirty-bytes-here",
];

fn names() -> Vec<Name> {
    let domain = |text: &str| Name::Domain(text.parse::<Domain>().expect("a domain"));
    let mut names: Vec<_> = LABELS.iter().map(|label| Name::Label(id(label))).collect();
    names.extend(["a", "x.test", "a-long-name.of-more-than.thirty-bytes.test"].map(domain));
    names
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }

    fn change(&mut self, version: u64) -> Change {
        let names = names();
        let name = names[self.below(names.len())].clone();
        let id = id(LABELS[self.below(LABELS.len())]);
        match self.below(7) {
            0..2 => {
                let tenant = Tenant::builder(id).version(Version(version));
                Change::Tenant(tenant.build().expect("few attributes"))
            }
            2 => Change::Removed {
                id,
                epoch: Epoch::FIRST,
            },
            3..5 => Change::Bound { name, id },
            5 => Change::Moved { name, id },
            _ => Change::Unbound { name },
        }
    }
}

/// Returns whether two answers are equal, including the versions of the rows.
fn same(a: &Found, b: &Found) -> bool {
    match (a, b) {
        (Found::Tenant(a), Found::Tenant(b)) => a == b && a.version() == b.version(),
        (Found::NoTenant, Found::NoTenant) | (Found::Contested, Found::Contested) => true,
        _ => false,
    }
}

#[test]
fn a_replica_finds_changes_fed_in_any_order() {
    for seed in 0..300 {
        let (mut random, mut model) = (Random(seed), Model::default());
        let replica = Replica::new();
        let mut log = Vec::new();
        for step in 0..60 {
            let some = random.below(4) as u64;
            let batch: Vec<_> = (0..some).map(|n| random.change(step * 4 + n)).collect();
            replica.apply(&batch, &reserved);
            batch.iter().for_each(|change| model.apply(change));
            log.push(batch);
            for name in names() {
                let (found, want) = (replica.find(Probe::of(name.as_key())), model.find(&name));
                assert!(
                    same(&found, &want),
                    "seed {seed}, {name:?}: found {found:?}, not {want:?} after {log:#?}"
                );
            }
        }
    }
}

#[test]
fn retaining_a_snapshot_leaves_nothing_else() {
    for seed in 0..100 {
        let (mut random, mut model) = (Random(seed), Model::default());
        let replica = Replica::new();
        for step in 0..40 {
            let change = random.change(step);
            replica.apply([&change], &reserved);
            model.apply(&change);
        }
        let stays = |id: &TenantId| id.as_str() != "a";
        let ids: HashSet<_> = model
            .tenants
            .keys()
            .filter(|id| stays(id))
            .cloned()
            .collect();
        let mut kept = HashMap::<Name, Vec<TenantId>>::new();
        for (name, id) in &model.bound {
            if name.to_string() != "x.test" && random.below(4) > 0 {
                kept.entry(name.clone()).or_default().push(id.clone());
            }
        }
        replica.retain(&ids, &kept);
        model.tenants.retain(|id, _| ids.contains(id));
        model.bound.retain(|(name, id)| {
            ids.contains(id) && kept.get(name).is_some_and(|k| k.contains(id))
        });
        for name in names() {
            let (found, want) = (replica.find(Probe::of(name.as_key())), model.find(&name));
            assert!(
                same(&found, &want),
                "seed {seed}, {name:?}: {found:?}, not {want:?}"
            );
        }
    }
}

#[test]
fn a_name_with_two_owners_is_observed_once() {
    let replica = Replica::new();
    let tenant = |text| Change::Tenant(Tenant::builder(id(text)).build().expect("a tenant"));
    let name = names()[7].clone();
    let bound = |to| Change::Bound {
        name: name.clone(),
        id: id(to),
    };
    for change in [tenant("a"), tenant("b"), bound("a")] {
        assert_eq!(replica.apply([&change], &reserved), []);
    }
    let conflict = Conflict {
        name: name.clone(),
        owner: id("a"),
        other: id("b"),
    };
    assert_eq!(replica.apply([&bound("b")], &reserved), [conflict]);
    assert_eq!(replica.apply([&bound("b")], &reserved), []);
    // After one of the two tenants is removed, the other has the name.
    let gone = Change::Removed {
        id: id("a"),
        epoch: Epoch::FIRST,
    };
    assert_eq!(replica.apply([&gone], &reserved), []);
    assert!(
        matches!(replica.find(Probe::of(name.as_key())), Found::Tenant(t) if *t.id() == id("b"))
    );
}

#[test]
fn a_mass_removal_gives_memory_back() {
    let replica = Replica::new();
    let capacity = || {
        replica
            .shards
            .iter()
            .map(|s| s.read().capacity())
            .sum::<usize>()
    };
    let name = |number: usize| id(&format!("t{number}"));
    for number in 0..100_000 {
        let tenant = Tenant::builder(name(number)).build().expect("a tenant");
        replica.apply([&Change::Tenant(tenant)], &reserved);
    }
    let (full, before) = (
        capacity(),
        replica.find(Probe::of(TenantKey::Label("t99999"))),
    );
    assert!(matches!(before, Found::Tenant(_)));
    for number in 0..99_000 {
        let gone = Change::Removed {
            id: name(number),
            epoch: Epoch::FIRST,
        };
        replica.apply([&gone], &reserved);
    }
    assert!(capacity() * 8 < full, "{} of {full}", capacity());
    assert!(matches!(
        replica.find(Probe::of(TenantKey::Label("t99999"))),
        Found::Tenant(_)
    ));
}
