//! The catalog's rules.

use std::time::Duration;

use tenancy_core::{
    Actor, Catalog, CatalogWriter, Challenge, Change, Maintenance, Name, NewTenant, Placement,
    Proof, Secret, Tenant, TenantChange, TenantId, TenantKey, TenantStatus, Version, WriteError,
};
use tenancy_sqlite::SqliteCatalog;

use crate::conformance::{CASES, Subject};
use crate::util::{age_claims, catalog, quick_dir, shared_rows};

fn by() -> Actor {
    Actor::new("test")
}

fn new(id: &str) -> NewTenant {
    NewTenant::new(id.parse().unwrap())
}

fn domain(text: &str) -> Name {
    Name::Domain(text.parse().unwrap())
}

fn label(text: &str) -> Name {
    Name::Label(text.parse().unwrap())
}

struct Dir {
    catalog: SqliteCatalog,
    dir: tempfile::TempDir,
}

fn empty() -> Dir {
    let dir = quick_dir();
    let catalog = catalog(dir.path()).unwrap();
    Dir { catalog, dir }
}

impl Dir {
    fn insert(&self, id: &str) -> Tenant {
        self.catalog.insert(new(id), &by()).unwrap()
    }

    fn owner(&self, key: TenantKey<'_>) -> Option<String> {
        let found = self.catalog.lookup(key).unwrap().value;
        found.map(|tenant| tenant.id().to_string())
    }
}

impl Subject for Dir {
    fn catalog(&self) -> &dyn CatalogWriter {
        &self.catalog
    }

    fn pass(&self, time: Duration) {
        age_claims(&self.catalog, time);
    }
}

#[test]
fn names_have_the_owners_that_any_catalog_gives_them() {
    for (what, case) in CASES {
        println!("{what}");
        case(&empty());
    }
}

/// Case C03: a domain has one owner.
#[test]
fn a_domain_of_another_tenant_cannot_be_bound() {
    let root = empty();
    let (t1, t2) = (root.insert("t1"), root.insert("t2"));
    let foo = domain("foo.localhost");
    let bind = |tenant: &Tenant, proof| root.catalog.bind(&foo, tenant.id(), proof, &by());
    bind(&t1, Proof::Trusted).unwrap();
    for proof in [Proof::Trusted, Proof::Pending(Challenge::new().unwrap())] {
        let refused = bind(&t2, proof).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "foo.localhost is taken; choose another name, or have the operator move it"
        );
    }
    let owner = root.owner(TenantKey::Domain("foo.localhost"));
    assert_eq!(owner.as_deref(), Some("t1"));
}

/// Case C15, as far as the catalog goes: it stores names as given, and whoever knows
/// the base domains gives it `foo.localhost` as the label `foo`.
#[test]
fn a_label_of_another_tenant_cannot_be_bound_or_created() {
    let root = empty();
    let (t1, t2) = (root.insert("t1"), root.insert("t2"));
    root.catalog
        .bind(&label("foo"), t1.id(), Proof::Trusted, &by())
        .unwrap();
    for taken in ["foo", "t1"] {
        let bound = root
            .catalog
            .bind(&label(taken), t2.id(), Proof::Trusted, &by());
        assert!(
            matches!(&bound, Err(WriteError::NameTaken { .. })),
            "{taken}: {bound:?}"
        );
    }
    let created = root.catalog.insert(new("foo"), &by());
    assert!(
        matches!(&created, Err(WriteError::NameTaken { .. })),
        "{created:?}"
    );
    let again = root.catalog.insert(new("t1"), &by()).unwrap_err();
    assert_eq!(
        again.to_string(),
        "tenant t1 exists already; nothing was changed"
    );
}

#[test]
fn an_update_of_a_row_that_moved_on_is_a_conflict() {
    let root = empty();
    let acme = root.insert("acme");
    let suspend = || TenantChange::status(TenantStatus::Suspended);
    let update = |seen| root.catalog.update(acme.id(), seen, suspend(), &by());
    let now = update(acme.version()).unwrap();
    let before = root.catalog.version().unwrap();
    let conflict = update(acme.version()).unwrap_err();
    assert_eq!(
        conflict.to_string(),
        "tenant acme was changed by another writer (read at version 1, now 2); read it again and retry"
    );
    let removed = root.catalog.remove(acme.id(), acme.version(), &by());
    assert!(matches!(removed, Err(WriteError::Conflict { .. })));
    assert_eq!(root.catalog.version().unwrap(), before);
    update(now.version()).unwrap();
}

#[test]
fn a_destroyed_id_is_created_again_with_the_next_epoch() {
    let root = empty();
    for epoch in [1, 3, 5] {
        let acme = root.insert("acme");
        assert_eq!(acme.epoch().get(), epoch);
        let mut next = TenantChange::default();
        next.reincarnate = Some(Placement::new("sqlite", "6f1c"));
        let acme = root
            .catalog
            .update(acme.id(), acme.version(), next, &by())
            .unwrap();
        assert_eq!(acme.epoch().get(), epoch + 1);
        root.catalog
            .remove(acme.id(), acme.version(), &by())
            .unwrap();
    }
    let feed = root.catalog.changes(Version::ZERO, 10).unwrap().unwrap();
    assert!(
        matches!(&feed.items[..], [Change::Removed { epoch, .. }] if epoch.get() == 6),
        "{feed:?}"
    );
}

#[test]
fn a_pending_domain_routes_once_its_last_challenge_is_met() {
    let root = empty();
    let acme = root.insert("acme");
    let shop = domain("shop.test");
    let Name::Domain(plain) = &shop else {
        unreachable!()
    };
    let (first, second) = (Challenge::new().unwrap(), Challenge::new().unwrap());
    let pend = |challenge: &Challenge| {
        let proof = Proof::Pending(challenge.clone());
        root.catalog.bind(&shop, acme.id(), proof, &by()).unwrap()
    };
    let verify = |txt: &str| root.catalog.verify(plain, acme.id(), txt, &by());
    let routes = || root.owner(TenantKey::Domain("shop.test")).is_some();
    pend(&first);
    pend(&second);
    let stored = root.catalog.names(acme.id()).unwrap();
    assert_eq!(stored[0].pending.as_ref(), Some(&second));
    for wrong in ["", first.as_str(), "tenancy-verify="] {
        let refused = verify(wrong);
        assert!(
            matches!(refused, Err(WriteError::NotProven { .. })),
            "{wrong:?}"
        );
        assert!(!routes());
    }
    verify(second.as_str()).unwrap();
    assert!(routes());
    // A new attempt ends the old one's right.
    pend(&first);
    assert!(!routes());
}

/// What the file holds of a tenant is what was given, byte for byte.
#[test]
fn every_part_of_a_tenant_survives_the_file() {
    let root = empty();
    let mut insert = new("acme");
    insert.status = TenantStatus::Suspended;
    insert.placement = Placement::new("sqlite", "6f1c");
    insert.placement.shard = "s1".into();
    insert.placement.owner = "node-2".into();
    insert.placement.region = "eu".into();
    let acme = root.catalog.insert(insert, &by()).unwrap();
    let mut down = Maintenance::default();
    down.retry_after = Some(Duration::from_millis(1500));
    down.message = Some("back soon".into());
    down.secret = Some(Secret::new("let me in"));
    let mut change = TenantChange::default();
    change.maintenance = Some(Some(down.clone()));
    let told = root
        .catalog
        .update(acme.id(), acme.version(), change, &by())
        .unwrap();
    let again = catalog(root.dir.path()).unwrap();
    let read = again.lookup(TenantKey::Label("acme")).unwrap();
    assert_eq!(read.as_of, Version(2));
    let read = read.value.unwrap();
    assert_eq!(read.version(), told.version());
    assert_eq!(read.placement(), acme.placement());
    assert_eq!(read.maintenance(), Some(&down));
    // The secret is in no event.
    let events = again.events(Version::ZERO, 10).unwrap();
    assert_eq!(events.len(), 2);
    assert!(!format!("{events:?}").contains("let me in"));
}

#[test]
fn naughty_strings_are_attributes_like_any_other() {
    let Some(rows) = shared_rows("corpora/tenant_names_blns.jsonl") else {
        return;
    };
    let root = empty();
    let strings: Vec<_> = rows.iter().filter_map(|row| row["s"].as_str()).collect();
    assert!(strings.len() > 400, "{}", strings.len());
    let mut checked = 0;
    for (n, chunk) in strings.chunks(8).enumerate() {
        let mut insert = new(&format!("t{n}"));
        for text in chunk {
            insert.attributes.insert(*text, format!("{text}\0{text}"));
        }
        let expected = insert.attributes.clone();
        match root.catalog.insert(insert, &by()) {
            Ok(_) => checked += chunk.len(),
            // Some of the list are longer than all attributes may be together.
            Err(WriteError::Attributes(_)) => continue,
            Err(error) => panic!("{chunk:?}: {error}"),
        }
        let read = root.catalog.lookup(TenantKey::Label(&format!("t{n}")));
        assert_eq!(read.unwrap().value.unwrap().attributes(), &expected);
    }
    println!("{checked} of {} strings", strings.len());
    assert!(checked > 400);
}

#[test]
fn two_tenants_never_share_a_place() {
    let root = empty();
    let placed = |id: &str| {
        let mut new = new(id);
        new.placement = Placement::new("sqlite", "6f1c");
        root.catalog.insert(new, &by())
    };
    placed("acme").unwrap();
    let refused = placed("beta").unwrap_err();
    assert!(matches!(refused, WriteError::Unavailable(_)), "{refused:?}");
    assert_eq!(root.owner(TenantKey::Label("beta")), None);
}

#[test]
fn of_many_that_are_written_at_once_each_has_its_own_answer() {
    let root = empty();
    let many = |ids: std::ops::Range<usize>| {
        let new = ids.map(|n| {
            let mut new = new(&format!("t{n}"));
            new.names = vec![Name::Label(format!("l{n}").parse().unwrap())];
            new
        });
        root.catalog.insert_many(new.collect(), &by())
    };
    let tenants = many(0..100).into_iter().collect::<Result<Vec<_>, _>>();
    let tenants = tenants.unwrap();
    let again = many(90..110);
    for (n, (answer, id)) in again.iter().zip(90..).enumerate() {
        let refused = matches!(answer, Err(WriteError::Exists { .. }));
        assert_eq!(refused, id < 100, "{n}: {answer:?}");
    }
    let mut taken = new("late");
    let free = Name::Label("free".parse().unwrap());
    taken.names = vec![free, Name::Label("l7".parse().unwrap())];
    let mut placed = ["p1", "p2"].map(new);
    placed
        .iter_mut()
        .for_each(|new| new.placement = Placement::new("sqlite", "6f1c"));
    let [p1, p2] = placed;
    let answers = root
        .catalog
        .insert_many(vec![taken, p1, p2, new("last")], &by());
    assert!(
        matches!(answers[0], Err(WriteError::NameTaken { .. })),
        "{answers:?}"
    );
    assert!(
        matches!(answers[2], Err(WriteError::Unavailable(_))),
        "{answers:?}"
    );
    assert!(answers[1].is_ok() && answers[3].is_ok(), "{answers:?}");
    assert_eq!(root.owner(TenantKey::Label("free")), None);
    assert_eq!(
        root.owner(TenantKey::Label("l109")).as_deref(),
        Some("t109")
    );
    assert_eq!(root.catalog.page(None, 1000).unwrap().len(), 112);
    let suspend = |tenant: &Tenant| {
        let change = TenantChange::status(TenantStatus::Suspended);
        (tenant.clone(), change)
    };
    let changes = tenants.iter().map(suspend).collect();
    let changed = root.catalog.update_many(changes, &by());
    assert!(changed.iter().all(Result::is_ok));
    let changes = vec![suspend(&tenants[1]), suspend(changed[0].as_ref().unwrap())];
    let stale = root.catalog.update_many(changes, &by());
    assert!(
        matches!(stale[0], Err(WriteError::Conflict { .. })),
        "{stale:?}"
    );
    assert!(stale[1].is_ok(), "{stale:?}");
    let suspended = TenantStatus::Suspended;
    let suspended = root.catalog.page_of_status(suspended, None, 1000);
    assert_eq!(suspended.unwrap().len(), 100);
    // One for each row and name.
    assert_eq!(root.catalog.check_events().unwrap(), Ok(110 * 2 + 2 + 101));
}

#[test]
fn pages_are_by_id_and_end() {
    let root = empty();
    for id in ["b", "a-b", "ab", "a", "c1", "c"] {
        root.insert(id);
    }
    let (mut seen, mut after) = (Vec::new(), None::<TenantId>);
    loop {
        let page = root.catalog.page(after.as_ref(), 2).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id().clone());
        seen.extend(page.iter().map(|t| t.id().to_string()));
    }
    assert_eq!(seen, ["a", "a-b", "ab", "b", "c", "c1"]);
}

#[test]
fn other_connections_and_processes_are_noticed() {
    let root = empty();
    let other = catalog(root.dir.path()).unwrap();
    root.insert("acme");
    let upto = |catalog: &SqliteCatalog, since| {
        let changes = catalog.changes(since, 100).unwrap().unwrap();
        (changes.upto, changes.items.len())
    };
    assert_eq!(upto(&other, Version(0)), (Version(1), 1));
    assert_eq!(upto(&other, Version(1)), (Version(1), 0));
    assert_eq!(upto(&other, Version(1)), (Version(1), 0));
    root.insert("beta");
    assert_eq!(upto(&other, Version(1)), (Version(2), 1));
    assert_eq!(upto(&root.catalog, Version(1)), (Version(2), 1));
    other.insert(new("gamma"), &by()).unwrap();
    assert_eq!(upto(&root.catalog, Version(2)), (Version(3), 1));
    assert_eq!(upto(&other, Version(2)), (Version(3), 1));
}

/// A catalog that was put back to an older copy counts from a lower version again.
#[test]
fn a_version_from_the_future_starts_the_feed_over() {
    let root = empty();
    root.insert("acme");
    root.insert("beta");
    let changes = root.catalog.changes(Version(99), 1).unwrap().unwrap();
    assert!(changes.reset && changes.more, "{changes:?}");
    assert_eq!((changes.upto, changes.items.len()), (Version(1), 1));
    let rest = root.catalog.changes(changes.upto, 9).unwrap().unwrap();
    assert!(!rest.reset && !rest.more);
    let none = empty().catalog.changes(Version(99), 9).unwrap().unwrap();
    assert!(none.reset && none.items.is_empty() && none.upto == Version::ZERO);
}

#[test]
fn threads_and_connections_write_one_after_the_other() {
    let root = empty();
    std::thread::scope(|scope| {
        for worker in 0..6 {
            let shared = root.catalog.clone();
            let path = root.dir.path();
            scope.spawn(move || {
                let catalog = match worker % 2 {
                    0 => shared,
                    _ => catalog(path).unwrap(),
                };
                for n in 0..15 {
                    catalog
                        .insert(new(&format!("t{worker}-{n}")), &by())
                        .unwrap();
                    catalog.lookup(TenantKey::Label("t0-0")).unwrap();
                }
            });
        }
    });
    assert_eq!(root.catalog.version().unwrap(), Version(90));
    assert_eq!(root.catalog.check_events().unwrap(), Ok(90));
    let changes = root.catalog.changes(Version::ZERO, 1000).unwrap().unwrap();
    let versions: Vec<_> = changes
        .items
        .iter()
        .map(|change| match change {
            Change::Tenant(tenant) => tenant.version().0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(versions, (1..=90).collect::<Vec<_>>());
}
