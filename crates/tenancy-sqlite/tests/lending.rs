//! What a driver does to a connection that is evicted, and to one that is lent again.

use std::time::{Duration, Instant};

use tenancy_core::{Provisioner, SchemaTarget, Tenant};
use tenancy_pool::{CheckoutError, TenantPools};
use tenancy_sqlite::{Behind, Migration, Migrations, OpenError, SqliteConnection, SqliteDriver};

use crate::util::{Root, at, notes};

fn pools(driver: &SqliteDriver) -> TenantPools<SqliteDriver> {
    let builder = TenantPools::<SqliteDriver>::builder().max_connections(1);
    builder.build(driver.clone()).unwrap()
}

fn write(connection: &SqliteConnection) {
    let sql = "INSERT INTO notes (text) VALUES ('a note')";
    connection.execute(sql, []).unwrap();
}

fn count(connection: &SqliteConnection) -> u32 {
    let sql = "SELECT count(*) FROM notes";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn an_eviction_leaves_the_wal_and_upkeep_checkpoints_it() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    let pools = pools(&root.driver);
    let wal = || root.driver.wal_bytes(&acme).unwrap();
    write(&pools.checkout(&acme).unwrap());
    let before = wal();
    assert!(before > 0);
    drop(pools.checkout(&beta).unwrap());
    assert_eq!(wal(), before, "it was checkpointed by who evicted it");
    // The next connection recovers it, and leaves the same.
    assert_eq!(count(&pools.checkout(&acme).unwrap()), 1);
    drop(pools.checkout(&beta).unwrap());
    assert_eq!(wal(), before);
    pools.reap();
    assert_eq!(wal(), 0);
    assert_eq!(count(&pools.checkout(&acme).unwrap()), 1);
}

#[test]
fn evicted_tenants_are_checkpointed_when_the_pools_are_dropped() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    let pools = pools(&root.driver);
    write(&pools.checkout(&acme).unwrap());
    drop(pools.checkout(&beta).unwrap());
    drop(pools);
    assert_eq!(root.driver.wal_bytes(&acme).unwrap(), 0);
}

#[test]
fn closing_a_tenant_also_checkpoints_connections_returned_later() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let acme = root.made("acme");
    let pools = pools(&root.driver);
    let out = pools.checkout(&acme).unwrap();
    write(&out);
    pools.close(acme.id(), Duration::ZERO).unwrap_err();
    drop(out);
    pools.close(acme.id(), Duration::ZERO).unwrap();
    assert_eq!(root.driver.wal_bytes(&acme).unwrap(), 0);
}

/// A driver of a program that knows one migration more.
fn newer(root: &Root) -> SqliteDriver {
    let more =
        Migration::new("tags", "CREATE TABLE tags (text TEXT) STRICT").down("DROP TABLE tags");
    let known = notes();
    let known = known.iter().cloned().chain([more]);
    let builder = at(root.driver.root());
    builder
        .migrations(Migrations::new(known).unwrap())
        .open_driver()
        .unwrap()
}

/// Checks out until that is refused, for 10 s at most.
#[track_caller]
fn refused(pools: &TenantPools<SqliteDriver>, tenant: &Tenant) -> String {
    let began = Instant::now();
    loop {
        match pools.checkout(tenant) {
            Err(CheckoutError::Rejected { source, .. } | CheckoutError::Connect { source, .. }) => {
                return source.to_string();
            }
            other => drop(other.unwrap()),
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it is served");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_tenant_is_refused_alike_whether_its_connection_is_open_or_not() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let acme = root.made("acme");
    let newer = newer(&root);
    let old = pools(&root.driver);
    drop(old.checkout(&acme).unwrap());
    // Another program migrates it.
    newer.migrate(&acme, SchemaTarget::Latest).unwrap();
    let (open, anew) = (refused(&old, &acme), refused(&pools(&root.driver), &acme));
    assert_eq!(open, anew);
    assert!(
        open.contains("schema version 3, the program knows 2"),
        "{open}"
    );
    // And takes that back, while it has a connection itself.
    let new = pools(&newer);
    drop(new.checkout(&acme).unwrap());
    newer.migrate(&acme, SchemaTarget::Version(2)).unwrap();
    let (open, anew) = (refused(&new, &acme), refused(&pools(&newer), &acme));
    assert_eq!(open, anew);
    assert!(
        open.contains("schema version 2, the program needs 3; migrate it"),
        "{open}"
    );
    drop(old.checkout(&acme).unwrap());
}

#[test]
fn a_tenant_is_migrated_alike_whether_its_connection_is_open_or_not() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let acme = root.made("acme");
    let newer = newer(&root);
    newer.migrate(&acme, SchemaTarget::Latest).unwrap();
    let builder = at(root.driver.root()).behind(Behind::Migrate);
    let migrating = builder
        .migrations(newer.migrations().clone())
        .open_driver()
        .unwrap();
    let pools = pools(&migrating);
    let has_tags = || {
        let connection = pools.checkout(&acme).unwrap();
        connection.prepare("SELECT text FROM tags").is_ok()
    };
    assert!(has_tags());
    newer.migrate(&acme, SchemaTarget::Version(2)).unwrap();
    let began = Instant::now();
    while !has_tags() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "it is not migrated"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(pools.stats().counters.opened, 1);
}

#[test]
fn a_tenant_that_is_behind_says_so_also_when_that_is_remembered() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let acme = root.made("acme");
    let pools = pools(&newer(&root));
    let told = "tenant acme@1: schema version 2, the program needs 3; migrate it";
    let first = pools.checkout(&acme).unwrap_err();
    let CheckoutError::Connect {
        source: OpenError::Behind { .. },
        ..
    } = &first
    else {
        panic!("{first}");
    };
    assert!(first.to_string().ends_with(told), "{first}");
    let second = pools.checkout(&acme).unwrap_err();
    assert!(matches!(second, CheckoutError::Backoff { .. }), "{second}");
    assert!(second.to_string().contains(told), "{second}");
}
