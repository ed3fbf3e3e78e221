//! [`MemoryCatalog`] against a model: maps, a counter, and one line a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tenancy_core::{
    Actor, Attributes, Catalog, CatalogError, CatalogWriter, Challenge, Change, Clock, Domain,
    Epoch, MemoryCatalog, Name, NewTenant, Placement, Proof, Tenant, TenantChange, TenantId,
    TenantKey, TenantStatus, Version, WriteError,
};

use crate::util::{Rng, env};

use model::{Model, Row, Wrote, name, text};

mod conformance;
mod model;

/// A catalog in memory, by a clock of the test's.
struct Memory {
    catalog: MemoryCatalog,
    clock: Clock,
}

impl Memory {
    fn new() -> Self {
        let clock = Clock::manual();
        let catalog = MemoryCatalog::with_clock(clock.clone());
        Self { catalog, clock }
    }
}

impl conformance::Subject for Memory {
    fn catalog(&self) -> &dyn CatalogWriter {
        &self.catalog
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

#[test]
fn names_have_the_owners_that_any_catalog_gives_them() {
    for (what, case) in conformance::CASES {
        println!("{what}");
        case(&Memory::new());
    }
}

fn word(error: &WriteError) -> &'static str {
    match error {
        WriteError::Exists { .. } => "Exists",
        WriteError::Unknown { .. } => "Unknown",
        WriteError::Conflict { .. } => "Conflict",
        WriteError::NameTaken { .. } => "NameTaken",
        WriteError::NotBound { .. } => "NotBound",
        WriteError::OwnId { .. } => "OwnId",
        WriteError::LabelNeedsNoProof { .. } => "LabelNeedsNoProof",
        WriteError::NotProven { .. } => "NotProven",
        WriteError::NoClaim { .. } => "NoClaim",
        _ => "another",
    }
}

const IDS: [&str; 4] = ["acme", "beta", "gamma", "delta"];
const NAMES: [&str; 9] = [
    "label:acme",
    "label:beta",
    "label:gamma",
    "label:shop",
    "label:acme-inc",
    "domain:shop.example.org",
    "domain:acme.example",
    "domain:acme",
    "domain:xn--bcher-kva.example",
];
const CHALLENGES: [&str; 2] = ["tenancy-verify=1", "tenancy-verify=2"];

/// One random write, to both.
fn write(rng: &mut Rng, real: &MemoryCatalog, model: &mut Model) -> (String, Wrote, Wrote) {
    let by = Actor::new("test");
    let (mut id_text, mut name_text) = (*rng.pick(&IDS), *rng.pick(&NAMES));
    if let Some(owner) = model.owner(name_text).filter(|_| rng.chance(50)) {
        // Often the owner of the name, else few writes would come through.
        id_text = IDS.iter().find(|id| **id == owner).expect("one of them");
    } else if rng.chance(10) {
        name_text = "domain:shop.example.org";
    }
    let (id, name): (TenantId, Name) = (id_text.parse().unwrap(), name(name_text));
    let status = *rng.pick(&TenantStatus::ALL);
    let row = model
        .tenants
        .get(id_text)
        .map_or(0, |(_, version)| *version);
    let seen = if rng.chance(80) {
        row
    } else {
        rng.below(model.version as usize + 2) as u64
    };
    let challenge = *rng.pick(&CHALLENGES);
    let version = |tenant: Tenant| tenant.version().0;
    let number = |version: Version| version.0;
    let (what, real, model) = match rng.below(10) {
        0 | 1 => {
            let mut new = NewTenant::new(id);
            new.status = status;
            (
                "insert",
                real.insert(new, &by).map(version),
                model.insert(id_text, status),
            )
        }
        2 => {
            let reborn = rng.chance(30);
            let mut change = TenantChange::status(status);
            change.reincarnate = reborn.then(Placement::default);
            let wrote = real.update(&id, Version(seen), change, &by).map(version);
            ("update", wrote, model.update(id_text, seen, status, reborn))
        }
        3 if rng.chance(50) => (
            "remove",
            real.remove(&id, Version(seen), &by).map(number),
            model.remove(id_text, seen),
        ),
        3 | 4 => (
            "bind",
            real.bind(&name, &id, Proof::Trusted, &by).map(number),
            model.bind(name_text, id_text, None),
        ),
        5 => {
            let proof = Proof::Pending(Challenge::from_stored(challenge));
            let wrote = real.bind(&name, &id, proof, &by).map(number);
            (
                "bind pending",
                wrote,
                model.bind(name_text, id_text, Some(challenge)),
            )
        }
        6 => {
            let domain = match &name {
                Name::Domain(domain) => domain.clone(),
                Name::Label(_) => "shop.example.org".parse::<Domain>().unwrap(),
            };
            let wrote = real.verify(&domain, &id, challenge, &by).map(number);
            let name = format!("domain:{domain}");
            ("verify", wrote, model.verify(&name, id_text, challenge))
        }
        7 => {
            let domain = match &name {
                Name::Domain(domain) => domain.clone(),
                Name::Label(_) => "shop.example.org".parse::<Domain>().unwrap(),
            };
            let wrote = real.make_primary(&domain, &id, &by).map(number);
            let name = format!("domain:{domain}");
            ("primary", wrote, model.make_primary(&name, id_text))
        }
        8 => {
            let to = *rng.pick(&IDS);
            let wrote = real.rebind(&name, &id, &to.parse().unwrap(), &by);
            let model = model.rebind(name_text, id_text, to);
            ("rebind", wrote.map(number), model)
        }
        _ => (
            "unbind",
            real.unbind(&name, &id, &by).map(number),
            model.unbind(name_text, id_text),
        ),
    };
    let what = format!("{what} {id_text} {name_text} {status} seen {seen} {challenge}");
    (what, real.map_err(|error| word(&error)), model)
}

/// Every name's answer, as the catalog gives it.
fn routes(real: &MemoryCatalog, version: u64) -> BTreeMap<String, (String, Row)> {
    let own = IDS.map(|id| format!("label:{id}"));
    let all: BTreeSet<String> = own.into_iter().chain(NAMES.map(str::to_owned)).collect();
    let mut routes = BTreeMap::new();
    for text in all {
        let found = real.lookup(name(&text).as_key()).unwrap();
        assert_eq!(found.as_of, Version(version), "{text}");
        if let Some(tenant) = found.value {
            let row = (tenant.epoch().get(), tenant.status());
            routes.insert(text, (tenant.id().to_string(), row));
        }
    }
    routes
}

#[track_caller]
fn check_lists(real: &MemoryCatalog, model: &Model, rng: &mut Rng) {
    for id in model.tenants.keys() {
        let names = real.names(&id.parse().unwrap()).unwrap();
        let primary = names.iter().find(|binding| binding.primary);
        assert_eq!(primary.map(|b| text(&b.name)).as_deref(), model.primary(id));
        let names: BTreeMap<String, Option<String>> = names
            .iter()
            .map(|b| {
                (
                    text(&b.name),
                    b.pending.as_ref().map(|c| c.as_str().to_owned()),
                )
            })
            .collect();
        assert_eq!(names, model.names_of(id), "{id}");
    }
    let max = 1 + rng.below(3);
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = real.page(after.as_ref(), max).unwrap();
        assert!(page.len() <= max);
        assert!(page.iter().all(|tenant| Some(tenant.id()) > after.as_ref()));
        let Some(last) = page.last() else { break };
        after = Some(last.id().clone());
        listed.extend(
            page.iter()
                .map(|tenant| (tenant.id().to_string(), tenant.version().0)),
        );
    }
    let want = model
        .tenants
        .iter()
        .map(|(id, (_, version))| (id.clone(), *version));
    assert_eq!(listed, want.collect::<Vec<_>>());
}

/// The feed after `since`, in stretches of at most `max`.
fn feed(real: &impl Catalog, since: u64, max: usize) -> (u64, Vec<Change>) {
    let (mut upto, mut items) = (Version(since), Vec::new());
    loop {
        let stretch = real.changes(upto, max).unwrap().expect("a feed");
        assert!(!stretch.reset && stretch.upto >= upto && stretch.items.len() <= max);
        upto = stretch.upto;
        items.extend(stretch.items);
        if !stretch.more {
            return (upto.0, items);
        }
    }
}

#[test]
fn a_catalog_behaves_as_maps_and_a_counter_do() {
    let seed = env("TENANCY_SEED", 1);
    println!("seed {seed}");
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..150 {
        let mut rng = Rng::new(seed ^ (round << 32));
        let Memory {
            catalog: real,
            clock,
        } = Memory::new();
        let mut model = Model::default();
        let mut history = vec![model.clone()];
        for _ in 0..60 {
            if rng.chance(10) {
                let days = 1 + rng.below(4) as u64;
                model.day += days;
                clock.advance(Duration::from_secs(days * 24 * 60 * 60));
            }
            let (what, got, want) = write(&mut rng, &real, &mut model);
            let context = format!("round {round}, seed {seed}: {what}");
            assert_eq!(got, want, "{context}");
            *answers
                .entry(want.map_or_else(str::to_owned, |_| "Ok".into()))
                .or_default() += 1;
            // A refused write keeps nothing and raises nothing.
            assert_eq!(routes(&real, model.version), model.routes(), "{context}");
            if want.is_ok() {
                history.push(model.clone());
            }
        }
        check_lists(&real, &model, &mut rng);
        for mut copy in history {
            let since = copy.version;
            let (upto, items) = feed(&real, since, 1 + rng.below(7));
            assert_eq!(upto, model.version);
            assert_eq!(items.len() as u64, upto - since, "one change a write");
            items.iter().for_each(|change| copy.replay(change));
            assert_eq!(
                copy.routes(),
                model.routes(),
                "round {round}, from version {since}"
            );
        }
    }
    println!("{answers:?}");
    let words = [
        "Ok",
        "Exists",
        "Unknown",
        "Conflict",
        "NameTaken",
        "NotBound",
        "OwnId",
        "LabelNeedsNoProof",
        "NotProven",
        "NoClaim",
    ];
    for word in words {
        assert!(
            answers.get(word).is_some_and(|n| *n > 5),
            "{word}: {answers:?}"
        );
    }
}

#[test]
fn a_destroyed_id_never_comes_back_with_an_older_epoch() {
    let (catalog, by) = (MemoryCatalog::new(), Actor::new("test"));
    let at = |epoch| Tenant::builder("acme".parse().unwrap()).epoch(Epoch::new(epoch).unwrap());
    let acme = catalog.put(&at(5).build().unwrap()).unwrap();
    catalog.remove(acme.id(), acme.version(), &by).unwrap();
    let again = catalog.put(&at(2).build().unwrap()).unwrap();
    assert_eq!(again.epoch().get(), 6);
    catalog.remove(again.id(), again.version(), &by).unwrap();
    assert_eq!(
        catalog.put(&at(9).build().unwrap()).unwrap().epoch().get(),
        9
    );
}

#[test]
fn of_two_writers_that_saw_the_same_row_one_wins() {
    let catalog = std::sync::Arc::new(MemoryCatalog::new());
    let by = Actor::new("test");
    let acme = catalog
        .insert(NewTenant::new("acme".parse().unwrap()), &by)
        .unwrap();
    let id = acme.id().clone();
    let count = |tenant: &Tenant| {
        tenant
            .attribute("n")
            .map_or(0, |n| n.parse::<u64>().unwrap())
    };
    let add = || loop {
        let seen = catalog.lookup(TenantKey::Label("acme")).unwrap();
        let row = seen.value.unwrap();
        assert!(seen.as_of >= row.version());
        let mut attributes = Attributes::default();
        attributes.insert("n", (count(&row) + 1).to_string());
        let mut change = TenantChange::default();
        change.attributes = Some(attributes);
        match catalog.update(&id, row.version(), change, &by) {
            Ok(updated) => return assert!(updated.version() > row.version()),
            Err(WriteError::Conflict { seen, current, .. }) => assert!(current > seen),
            Err(other) => panic!("{other}"),
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| (0..250).for_each(|_| add()));
        }
    });
    let last = catalog.lookup(TenantKey::Label("acme")).unwrap();
    assert_eq!(last.value.as_ref().map(count), Some(1_000));
    assert_eq!(last.as_of, Version(1_001));
    // The feed shows every step once and in the order of the commits.
    let (_, items) = feed(&catalog, 1, 100);
    for (step, change) in items.iter().enumerate() {
        let Change::Tenant(tenant) = change else {
            panic!("{change:?}")
        };
        assert_eq!(
            (count(tenant), tenant.version().0),
            (step as u64 + 1, step as u64 + 2)
        );
    }
}

#[test]
fn a_refusal_names_the_tenant_the_fact_and_the_remedy() {
    let (catalog, by) = (MemoryCatalog::new(), Actor::new("test"));
    let id = |text: &str| text.parse::<TenantId>().unwrap();
    let domain = |text: &str| text.parse::<Domain>().unwrap();
    let shop = Name::Domain(domain("shop.example.org"));
    let label = |text: &str| Name::Label(id(text));
    catalog.insert(NewTenant::new(id("acme")), &by).unwrap();
    catalog.insert(NewTenant::new(id("beta")), &by).unwrap();
    let pending = || Proof::Pending(Challenge::from_stored("tenancy-verify=1"));
    let soon = Name::Domain(domain("soon.example.org"));
    catalog
        .bind(&shop, &id("acme"), Proof::Trusted, &by)
        .unwrap();
    catalog.bind(&soon, &id("acme"), pending(), &by).unwrap();
    catalog
        .bind(&label("acme-inc"), &id("acme"), Proof::Trusted, &by)
        .unwrap();
    let mut many = NewTenant::new(id("many"));
    (0..65).for_each(|i| many.attributes.insert(i.to_string(), ""));
    let suspend = || TenantChange::status(TenantStatus::Suspended);
    let cause = CatalogError::new("disk on fire");
    let refused: [(WriteError, &str); 13] = [
        (
            catalog.insert(NewTenant::new(id("acme")), &by).unwrap_err(),
            "tenant acme exists already; nothing was changed",
        ),
        (
            catalog
                .insert(NewTenant::new(id("acme-inc")), &by)
                .unwrap_err(),
            "acme-inc is taken; choose another name, or have the operator move it",
        ),
        (
            catalog
                .update(&id("nobody"), Version(1), suspend(), &by)
                .unwrap_err(),
            "there is no tenant nobody; `list` shows those there are",
        ),
        (
            catalog
                .update(&id("acme"), Version(9), suspend(), &by)
                .unwrap_err(),
            "tenant acme was changed by another writer (read at version 9, now 1); read it again and retry",
        ),
        (
            catalog
                .bind(&shop, &id("beta"), Proof::Trusted, &by)
                .unwrap_err(),
            "shop.example.org is taken; choose another name, or have the operator move it",
        ),
        (
            catalog
                .bind(&label("acme"), &id("beta"), Proof::Trusted, &by)
                .unwrap_err(),
            "acme is taken; choose another name, or have the operator move it",
        ),
        (
            catalog.unbind(&shop, &id("beta"), &by).unwrap_err(),
            "shop.example.org is not bound to tenant beta; nothing was changed",
        ),
        (
            catalog
                .unbind(&label("acme"), &id("acme"), &by)
                .unwrap_err(),
            "acme is the id of the tenant and stays bound; destroy the tenant instead",
        ),
        (
            catalog
                .bind(&label("new"), &id("acme"), pending(), &by)
                .unwrap_err(),
            "label new needs no proof; bind it as trusted",
        ),
        (
            catalog
                .verify(&domain("soon.example.org"), &id("acme"), "x", &by)
                .unwrap_err(),
            "soon.example.org is not proven for tenant acme; publish the TXT record of the last attempt",
        ),
        (
            catalog
                .verify(&domain("soon.example.org"), &id("beta"), "x", &by)
                .unwrap_err(),
            "tenant beta has no claim of soon.example.org: a claim ends after 7 days, or when another tenant proves its own; add the domain again",
        ),
        (
            catalog.insert(many, &by).unwrap_err(),
            "tenant many has 65 attributes of 120 bytes; keep to 64 of 4096 bytes in all",
        ),
        (
            cause.into(),
            "the catalog cannot be read; see the cause and try again",
        ),
    ];
    for (error, want) in &refused {
        assert_eq!(error.to_string(), *want);
    }
    let (down, _) = &refused[12];
    let source = std::error::Error::source(down).expect("the cause");
    assert_eq!(source.to_string(), "disk on fire");
    // Nothing of all this was kept: two tenants, two names.
    assert_eq!(
        catalog.lookup(TenantKey::Label("acme")).unwrap().as_of,
        Version(5)
    );
}
