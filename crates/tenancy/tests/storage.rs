//! A driver and the catalog that belongs to it.

use tenancy::catalog::{CatalogWriter, MemoryCatalog, Provisioner, WriteError};
use tenancy::sqlite::SqliteStorage;
use tenancy::{Error, Tenancy, Upkeep};

use crate::util::{id, rules};

fn root() -> (tempfile::TempDir, SqliteStorage) {
    let dir = tempfile::tempdir().expect("a directory");
    let storage = SqliteStorage::create(dir.path()).expect("a root");
    (dir, storage)
}

/// Mixed, a validation would take every file of the one for an orphan and put it away.
#[test]
fn a_driver_and_a_catalog_of_two_roots_are_refused() {
    let ((_a, a), (_b, b)) = (root(), root());
    let builder = Tenancy::builder((a.driver().clone(), b.catalog().clone()));
    let error = builder.build().expect_err("two roots");
    let other = matches!(error, Error::Write(WriteError::OtherStorage { .. }));
    assert!(other, "{error:?}");
    let builder = Tenancy::builder((a.driver().clone(), a.catalog().clone()));
    let builder = builder.resolver(rules).upkeep(Upkeep::Manual);
    builder.build().expect("one root");
}

#[test]
fn a_catalog_that_is_kept_elsewhere_belongs_to_the_root_it_was_first_used_with() {
    let ((_a, a), (_b, b)) = (root(), root());
    let catalog = |first: &SqliteStorage| {
        let catalog = MemoryCatalog::new();
        let used = Tenancy::builder((first.driver().clone(), MemoryCatalog::new()));
        used.resolver(rules)
            .upkeep(Upkeep::Manual)
            .build()
            .expect("a new catalog");
        let first = first.driver().storage_id().expect("it has one");
        catalog.record_storage(&first).expect("nothing is recorded");
        catalog
    };
    let build = |catalog| {
        let builder = Tenancy::builder((a.driver().clone(), catalog));
        builder.resolver(rules).upkeep(Upkeep::Manual).build()
    };
    let tenancy = build(catalog(&a)).expect("the same root");
    tenancy.create(id("acme")).expect("a tenant");
    let error = build(catalog(&b)).expect_err("another root");
    let other = matches!(error, Error::Write(WriteError::OtherStorage { .. }));
    assert!(other, "{error:?}");
}
