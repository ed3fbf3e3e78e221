//! What is opened, and what is refused.

use r2d2::ManageConnection;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::Driver;
use tenancy_sqlite::{OpenError, SqliteCatalog};

use crate::util::Root;

#[test]
fn a_missing_file_stays_missing() {
    let root = Root::new();
    let acme = root.placed("acme");
    let opened = root.connect(&acme);
    assert!(
        matches!(opened, Err(OpenError::Missing { .. })),
        "{opened:?}"
    );
    assert!(!root.driver.exists(&acme).unwrap());
}

/// Case N17.
#[test]
fn a_symbolic_link_is_not_followed() {
    let root = Root::new();
    let acme = root.made("acme");
    let outside = root.dir.path().join("outside.db");
    std::fs::rename(root.path(&acme), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.path(&acme)).unwrap();
    let opened = root.connect(&acme);
    assert!(
        matches!(opened, Err(OpenError::NotAFile { .. })),
        "{opened:?}"
    );
}

/// Case L13.
#[test]
fn the_catalog_is_no_tenants_file() {
    let root = Root::new();
    let catalog = SqliteCatalog::open(root.dir.path()).unwrap();
    let acme = root.placed("acme");
    drop(catalog);
    std::fs::rename(root.dir.path().join("catalog.db"), root.path(&acme)).unwrap();
    let opened = root.connect(&acme);
    assert!(
        matches!(&opened, Err(OpenError::WrongDatabase { found, .. }) if &**found == "a catalog"),
        "{opened:?}"
    );
}

#[test]
fn another_tenants_file_is_refused() {
    let root = Root::new();
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    let crossed = Tenant::builder(beta.id().clone())
        .placement(acme.placement().clone())
        .build()
        .unwrap();
    let opened = root.connect(&crossed);
    assert!(
        matches!(&opened, Err(OpenError::WrongDatabase { found, .. }) if &**found == "stamped acme@1"),
        "{opened:?}"
    );
}

#[test]
fn a_connection_given_back_in_a_transaction_is_broken() {
    let root = Root::new();
    let acme = root.made("acme");
    let manager = root.driver.manager(&acme);
    let mut connection = manager.connect().unwrap();
    assert!(!manager.has_broken(&mut connection));
    connection.execute_batch("BEGIN").unwrap();
    assert!(manager.has_broken(&mut connection));
}
