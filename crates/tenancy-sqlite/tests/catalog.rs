//! The catalog's rules.

use tenancy_core::{
    Actor, Catalog, CatalogWriter, Name, NewTenant, Proof, TenantChange, TenantKey, TenantStatus,
    Version, WriteError,
};
use tenancy_sqlite::SqliteCatalog;

fn by() -> Actor {
    Actor::new("test")
}

fn new(id: &str) -> NewTenant {
    NewTenant::new(id.parse().unwrap())
}

/// Case C03: a domain has one owner.
#[test]
fn a_domain_of_another_tenant_cannot_be_bound() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = SqliteCatalog::open(dir.path()).unwrap();
    let t1 = catalog.insert(new("t1"), &by()).unwrap();
    let t2 = catalog.insert(new("t2"), &by()).unwrap();
    let domain = Name::Domain("foo.localhost".parse().unwrap());
    catalog
        .bind(&domain, t1.id(), Proof::Trusted, &by())
        .unwrap();
    let refused = catalog.bind(&domain, t2.id(), Proof::Trusted, &by());
    assert!(
        matches!(&refused, Err(WriteError::NameTaken { owner, .. }) if owner == t1.id()),
        "{refused:?}"
    );
    let found = catalog.lookup(TenantKey::Domain("foo.localhost")).unwrap();
    assert_eq!(found.value, Some(t1));
}

#[test]
fn an_update_of_a_row_that_moved_on_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = SqliteCatalog::open(dir.path()).unwrap();
    let acme = catalog.insert(new("acme"), &by()).unwrap();
    let suspend = || TenantChange::status(TenantStatus::Suspended);
    let now = catalog
        .update(acme.id(), acme.version(), suspend(), &by())
        .unwrap();
    let again = catalog.update(acme.id(), acme.version(), suspend(), &by());
    assert!(
        matches!(&again, Err(WriteError::Conflict { current, .. }) if *current == now.version()),
        "{again:?}"
    );
}

#[test]
fn a_destroyed_id_comes_back_with_the_next_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = SqliteCatalog::open(dir.path()).unwrap();
    for epoch in 1..4 {
        let acme = catalog.insert(new("acme"), &by()).unwrap();
        assert_eq!(acme.epoch().get(), epoch);
        catalog.remove(acme.id(), acme.version(), &by()).unwrap();
    }
    assert_eq!(catalog.check_events().unwrap(), Ok(6));
    let feed = catalog.changes(Version::ZERO, 10).unwrap().unwrap();
    assert_eq!(feed.items.len(), 1, "{feed:?}");
}
