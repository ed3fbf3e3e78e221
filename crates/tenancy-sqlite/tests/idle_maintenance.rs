//! The idle maintenance of SQLite connections.

use std::time::{Duration, Instant};

use tenancy_core::Tenant;
use tenancy_pool::TenantPools;
use tenancy_sqlite::{SqliteConnection, SqliteDriver};

use crate::util::{Root, notes};

const WRITE: &str = "INSERT INTO notes (text) VALUES ('a note')";

fn pools(root: &Root) -> TenantPools<SqliteDriver> {
    let builder = TenantPools::<SqliteDriver>::builder().idle_maintenance_after(Duration::ZERO);
    builder.build(root.driver.clone()).unwrap()
}

fn write(pools: &TenantPools<SqliteDriver>, tenant: &Tenant) {
    let connection = pools.checkout(tenant).unwrap();
    connection.execute(WRITE, []).unwrap();
}

fn count(connection: &SqliteConnection) -> usize {
    let sql = "SELECT count(*) FROM notes";
    let count = connection.query_row(sql, [], |row| row.get::<_, u32>(0));
    count.unwrap() as usize
}

#[test]
fn the_wal_of_an_idle_tenant_is_checkpointed() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let acme = root.made("acme");
    let pools = pools(&root);
    write(&pools, &acme);
    assert!(root.driver.wal_bytes(&acme).unwrap() > 0);
    pools.reap();
    assert_eq!(root.driver.wal_bytes(&acme).unwrap(), 0);
    assert_eq!((pools.stats().idle, pools.stats().counters.closed), (1, 0));
    // It can be used as before.
    write(&pools, &acme);
    let connection = pools.checkout(&acme).unwrap();
    assert_eq!(count(&connection), 2);
}

#[test]
fn a_reader_of_an_older_state_delays_the_checkpoint_and_keeps_its_state() {
    let root = Root::with(|builder| builder.migrations(notes()));
    let acme = root.made("acme");
    let pools = pools(&root);
    let reader = pools.checkout(&acme).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 0);
    write(&pools, &acme);
    let began = Instant::now();
    pools.reap();
    // The busy timeout is 5 s.
    assert!(began.elapsed() < Duration::from_secs(2), "it waited");
    assert!(root.driver.wal_bytes(&acme).unwrap() > 0);
    assert_eq!((count(&reader), pools.stats().idle), (0, 1));
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(count(&reader), 1);
    drop(reader);
    pools.reap();
    assert_eq!(root.driver.wal_bytes(&acme).unwrap(), 0);
}

#[test]
fn idle_maintenance_keeps_the_busy_timeout() {
    let root = Root::with(|builder| {
        let builder = builder.migrations(notes());
        builder.busy_timeout(Duration::from_millis(1234))
    });
    let acme = root.made("acme");
    let pools = pools(&root);
    write(&pools, &acme);
    pools.reap();
    let connection = pools.checkout(&acme).unwrap();
    let waits = connection.query_row("PRAGMA busy_timeout", [], |row| row.get::<_, u32>(0));
    assert_eq!(waits.unwrap(), 1234);
    assert_eq!(pools.stats().counters.opened, 1);
}
