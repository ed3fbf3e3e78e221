//! How large a database and its log become.

use rusqlite::ErrorCode;
use tenancy_core::{Provisioner, SchemaTarget, Tenant};
use tenancy_pool::TenantPools;
use tenancy_sqlite::{SqliteConnection, SqliteDriver};

use crate::util::{Root, notes};

/// Writes rows of 10 KB, at most `max`; how many fitted, and why there are no more.
fn fill(connection: &SqliteConnection, max: usize) -> (usize, Option<rusqlite::Error>) {
    let text = "x".repeat(10_000);
    for n in 0..max {
        let sql = "INSERT INTO notes (text) VALUES (?1)";
        if let Err(error) = connection.execute(sql, [&text]) {
            return (n, Some(error));
        }
    }
    (max, None)
}

fn count(connection: &SqliteConnection) -> usize {
    let sql = "SELECT count(*) FROM notes";
    let count = connection.query_row(sql, [], |row| row.get::<_, u32>(0));
    count.unwrap() as usize
}

#[test]
fn a_full_tenant_is_refused_writes_and_can_still_read_and_delete() {
    let root = Root::with(|builder| builder.migrations(notes()).max_bytes(300_000));
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    let pools = TenantPools::<SqliteDriver>::builder();
    let pools = pools.build(root.driver.clone()).unwrap();
    let connection = pools.checkout(&acme).unwrap();
    let (fitted, full) = fill(&connection, 100);
    let full = full.expect("300 KB are full").sqlite_error_code();
    assert_eq!(full, Some(ErrorCode::DiskFull));
    assert!((10..30).contains(&fitted), "{fitted}");
    assert_eq!(count(&connection), fitted);
    // SQL cannot raise it.
    assert!(
        connection
            .execute_batch("PRAGMA max_page_count = 100000")
            .is_err()
    );
    // Others go on.
    let (others, none) = fill(&pools.checkout(&beta).unwrap(), 5);
    assert!(others == 5 && none.is_none());
    connection.execute("DELETE FROM notes", []).unwrap();
    assert_eq!(fill(&connection, 5).0, 5);
    drop(connection);
    let size = std::fs::metadata(root.path(&acme)).unwrap().len();
    assert!(size <= 300_000, "{size}");
    // Each connection has it, also the next.
    drop(pools);
    let connection = root.connect(&acme).unwrap();
    assert!(fill(&connection, 100).1.is_some());
}

#[test]
fn a_tenant_may_have_a_bound_of_its_own() {
    let root = Root::with(|builder| {
        let builder = builder.migrations(notes()).max_bytes(100_000);
        builder.max_bytes_by(|tenant| match tenant.attribute("plan") {
            Some("pro") => Some(400_000),
            Some("odd") => Some(0),
            _ => None,
        })
    });
    let fitted = |id: &str, plan: &str| {
        let tenant = root.made(id).to_builder().attribute("plan", plan).build();
        let tenant: Tenant = tenant.unwrap();
        let (fitted, full) = fill(&root.connect(&tenant).unwrap(), 100);
        assert!(full.is_some(), "{plan}");
        fitted
    };
    let (none, pro, odd) = (fitted("a", "free"), fitted("b", "pro"), fitted("c", "odd"));
    assert!((1..10).contains(&none), "{none}");
    assert!((20..40).contains(&pro), "{pro}");
    // What is there is more than that: it stays, and grows no more.
    assert_eq!(odd, 0);
}

#[test]
fn a_full_tenant_can_be_migrated() {
    let root = Root::with(|builder| builder.migrations(notes()).max_bytes(4096));
    let acme = root.made("acme");
    let down = root
        .driver
        .migrate(&acme, SchemaTarget::Version(0))
        .unwrap();
    assert_eq!(down.to, 0);
    let up = root.driver.migrate(&acme, SchemaTarget::Latest).unwrap();
    assert_eq!(up.to, 2);
}

#[test]
fn a_wal_that_a_reader_holds_is_reported_and_reset_after_the_reader() {
    let root = Root::new();
    let acme = root.made("acme");
    assert_eq!(root.driver.wal_bytes(&acme).unwrap(), 0);
    let (reader, writer) = (root.connect(&acme).unwrap(), root.connect(&acme).unwrap());
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 0);
    fill(&writer, 1_000);
    let grown = root.driver.wal_bytes(&acme).unwrap();
    assert!(grown > 10_000_000, "{grown}");
    let held = root.driver.checkpoint(&acme).unwrap();
    assert!(held.busy && held.wal_bytes == grown, "{held:?}");
    assert_eq!(count(&reader), 0, "and is not disturbed");
    reader.execute_batch("COMMIT").unwrap();
    let done = root.driver.checkpoint(&acme).unwrap();
    assert_eq!((done.busy, done.wal_bytes), (false, 0));
    assert_eq!(count(&reader), 1_000);
    drop((reader, writer));
    // Nobody has it open: it is opened for this alone, and closed again.
    assert!(!root.driver.checkpoint(&acme).unwrap().busy);
    assert!(root.driver.checkpoint(&root.placed("nobody")).is_err());
}

/// The log is cut back as soon as it is used from its beginning.
#[test]
fn a_long_wal_is_truncated() {
    let root = Root::new();
    let acme = root.made("acme");
    let (reader, writer) = (root.connect(&acme).unwrap(), root.connect(&acme).unwrap());
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 0);
    fill(&writer, 1_000);
    reader.execute_batch("COMMIT").unwrap();
    fill(&writer, 2);
    let cut = root.driver.wal_bytes(&acme).unwrap();
    assert!(cut <= 4 << 20, "{cut}");
}

/// A rollback that a constraint caused, or that was asked for, is no failure of the disk.
#[test]
fn rollbacks_keep_the_connection() {
    let root = Root::new();
    let acme = root.made("acme");
    let pools = TenantPools::<SqliteDriver>::builder();
    let pools = pools.build(root.driver.clone()).unwrap();
    let same = |connection: &rusqlite::Connection| {
        // Counted by SQLite for each connection, and never set back.
        assert!(connection.total_changes() > 0, "a new connection");
    };
    let connection = pools.checkout(&acme).unwrap();
    let first = "INSERT INTO notes (id, text) VALUES (2, 'x')";
    connection.execute_batch(first).unwrap();
    drop(connection);
    let sql = "INSERT INTO notes (id, text) VALUES (1, 'x')";
    for _ in 0..3 {
        let mut connection = pools.checkout(&acme).unwrap();
        same(&connection);
        // The first commits. Prepared once, the others come without a word before.
        let _ = connection.prepare_cached(sql).unwrap().execute([]);
        connection
            .prepare_cached(sql)
            .unwrap()
            .execute([])
            .unwrap_err();
        let transaction = connection.transaction().unwrap();
        transaction.execute("DELETE FROM notes", []).unwrap();
        drop(transaction);
        connection
            .prepare_cached(sql)
            .unwrap()
            .execute([])
            .unwrap_err();
    }
    same(&pools.checkout(&acme).unwrap());
}

#[test]
fn the_wal_is_checkpointed_as_it_grows() {
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    for _ in 0..3_000 {
        let sql = "INSERT INTO notes (text) VALUES (printf('%.4096c', 'x'))";
        connection.execute(sql, []).unwrap();
    }
    let mut log = root.path(&acme).into_os_string();
    log.push("-wal");
    let bytes = std::fs::metadata(log).unwrap().len();
    assert!(bytes < 6 << 20, "{bytes} bytes of 12 MB that were written");
}
