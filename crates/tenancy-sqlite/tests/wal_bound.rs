//! A log that a reader keeps long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use tenancy_core::Tenant;
use tenancy_pool::TenantPools;
use tenancy_sqlite::{DenyRule, SqliteConnection, SqliteDriver, StorageError};

use crate::util::{Root, at, child, notes};

/// Small pages, so that little has to be written.
const MAX: u64 = 2_000 * 512;
/// What one commit of [`write`] adds, and the log's own headers.
const ONE: u64 = 20_000;

fn root() -> Root {
    Root::with(|builder| {
        let builder = builder.migrations(notes()).page_size(512);
        builder.max_wal_bytes(MAX)
    })
}

fn write(connection: &SqliteConnection) -> rusqlite::Result<usize> {
    let text = "x".repeat(10_000);
    connection.execute("INSERT INTO notes (text) VALUES (?1)", [text])
}

fn count(connection: &SqliteConnection) -> u32 {
    let sql = "SELECT count(*) FROM notes";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn begin_to_read(connection: &SqliteConnection) {
    connection.execute_batch("BEGIN").unwrap();
    assert_eq!(count(connection), 0);
}

/// Writes until that is refused; how much was written.
#[track_caller]
fn fill(root: &Root, connection: &SqliteConnection, acme: &Tenant) -> u32 {
    for n in 0..1_000 {
        let bytes = root.driver.wal_bytes(acme).unwrap();
        assert!(bytes <= MAX + ONE, "{bytes} bytes after {n} writes");
        if let Err(error) = write(connection) {
            let code = error.sqlite_error_code();
            assert_eq!(code, Some(ErrorCode::ConstraintViolation), "{error}");
            let refusal = connection.refusal().unwrap();
            assert_eq!(refusal.rule, DenyRule::Wal);
            let text = refusal.to_string();
            let says = "a commit is refused: the log is longer than `max_wal_bytes`";
            assert!(text.starts_with(says), "{text}");
            assert!(bytes > MAX, "refused at {bytes} bytes");
            return n;
        }
    }
    panic!("it was never refused");
}

#[track_caller]
fn assert_short(root: &Root, acme: &Tenant) {
    let bytes = root.driver.wal_bytes(acme).unwrap();
    assert!(bytes < MAX, "it is still {bytes} bytes long");
}

#[test]
fn a_long_reader_stops_the_writers_before_the_wal_fills_the_disk() {
    let root = root();
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    let pools = TenantPools::<SqliteDriver>::builder();
    let pools = pools.build(root.driver.clone()).unwrap();
    let reader = pools.checkout(&acme).unwrap();
    begin_to_read(&reader);
    let writer = pools.checkout(&acme).unwrap();
    let written = fill(&root, &writer, &acme);
    // Nothing of what was refused is there, and it may be tried on any connection.
    assert!(writer.is_autocommit());
    assert_eq!((count(&writer), count(&reader)), (written, 0));
    drop(writer);
    let writer = pools.checkout(&acme).unwrap();
    assert!(writer.refusal().is_none());
    assert!(write(&writer).is_err());
    let began = Instant::now();
    write(&pools.checkout(&beta).unwrap()).unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "others wait");
    reader.execute_batch("COMMIT").unwrap();
    write(&writer).unwrap();
    assert_eq!((count(&writer), count(&reader)), (written + 1, written + 1));
    assert_short(&root, &acme);
    drop((reader, writer));
    // Refused commits cost no connection.
    assert_eq!((pools.stats().idle, pools.stats().counters.closed), (3, 0));
}

#[test]
fn a_transaction_that_is_refused_is_rolled_back_as_a_whole() {
    let root = root();
    let acme = root.made("acme");
    let reader = root.connect(&acme).unwrap();
    begin_to_read(&reader);
    let mut writer = root.connect(&acme).unwrap();
    let written = fill(&root, &writer, &acme);
    let transaction = writer.transaction().unwrap();
    transaction.execute("DELETE FROM notes", []).unwrap();
    assert!(transaction.commit().is_err());
    assert_eq!(count(&writer), written);
    assert!(writer.is_autocommit());
}

#[test]
fn a_commit_waits_a_moment_for_a_reader_that_is_about_to_end() {
    let root = root();
    let acme = root.made("acme");
    let reader = root.connect(&acme).unwrap();
    begin_to_read(&reader);
    let writer = root.connect(&acme).unwrap();
    fill(&root, &writer, &acme);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            reader.execute_batch("COMMIT").unwrap();
        });
        write(&writer).unwrap();
    });
    assert_short(&root, &acme);
}

#[test]
fn short_readers_stop_no_writer_and_the_wal_stays_short() {
    let root = root();
    let acme = root.made("acme");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for n in 0..3_u64 {
            let (root, acme, done) = (&root, &acme, &done);
            scope.spawn(move || {
                let reader = root.connect(acme).unwrap();
                while !done.load(Ordering::Relaxed) {
                    reader.execute_batch("BEGIN").unwrap();
                    count(&reader);
                    // They overlap: hardly ever nobody reads.
                    std::thread::sleep(Duration::from_millis(5 + n));
                    reader.execute_batch("COMMIT").unwrap();
                }
            });
        }
        let writer = root.connect(&acme).unwrap();
        let wrong = (0..400).find_map(|n| {
            let written = write(&writer);
            let bytes = root.driver.wal_bytes(&acme).unwrap();
            let fine = written.is_ok() && bytes <= MAX + ONE;
            (!fine).then(|| format!("write {n}: {written:?}, {bytes} bytes"))
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(wrong, None);
    });
}

#[test]
fn a_transaction_larger_than_the_bound_on_the_wal_passes_without_a_reader() {
    let root = root();
    let acme = root.made("acme");
    let mut writer = root.connect(&acme).unwrap();
    let transaction = writer.transaction().unwrap();
    let insert = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
                  INSERT INTO notes (text) SELECT hex(zeroblob(5000)) FROM n";
    transaction.execute(insert, []).unwrap();
    transaction.commit().unwrap();
    assert_eq!(count(&writer), 300);
    assert_short(&root, &acme);
}

#[test]
fn without_a_bound_the_wal_grows_while_a_reader_stays() {
    let root = Root::with(|builder| {
        let builder = builder.migrations(notes()).page_size(512);
        builder.max_wal_bytes(u64::MAX)
    });
    let acme = root.made("acme");
    let reader = root.connect(&acme).unwrap();
    begin_to_read(&reader);
    let writer = root.connect(&acme).unwrap();
    for _ in 0..200 {
        write(&writer).unwrap();
    }
    assert!(root.driver.wal_bytes(&acme).unwrap() > 2 * MAX);
}

#[test]
fn a_bound_that_every_busy_tenant_would_reach_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (page_size, max, taken) in [
        (512, MAX - 1, false),
        (512, MAX, true),
        (4096, MAX, false),
        (4096, 8_192_000, true),
        (65536, u64::MAX, true),
    ] {
        let builder = at(dir.path()).page_size(page_size);
        let built = builder.max_wal_bytes(max).open_driver();
        let row = (page_size, max, taken);
        assert_eq!(built.is_ok(), taken, "{row:?}");
        let refused = matches!(built, Err(StorageError::MaxWalBytes { .. }));
        assert_eq!(refused, !taken, "{row:?}");
    }
}

/// The child: reads until it is killed.
pub fn read(arguments: &[String]) {
    let [root, locator] = arguments else {
        panic!("root, locator")
    };
    let root = std::path::Path::new(root);
    let driver = at(root).migrations(notes());
    let place = tenancy_core::Placement::new("sqlite", locator.as_str());
    let acme = Tenant::builder("acme".parse().unwrap()).placement(place);
    let driver = driver.page_size(512).open_driver().unwrap();
    let manager = tenancy_pool::Driver::manager(&driver, &acme.build().unwrap());
    let connection = r2d2::ManageConnection::connect(&manager).unwrap();
    begin_to_read(&connection);
    std::fs::write(root.join("reads"), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_reader_of_another_process_counts_until_it_ends() {
    let root = root();
    let acme = root.made("acme");
    let path = root.dir.path().to_str().unwrap();
    let mut reader = child::start("read", &[path, &acme.placement().locator]);
    let began = Instant::now();
    while !root.dir.path().join("reads").exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "never started");
        std::thread::sleep(Duration::from_millis(2));
    }
    let writer = root.connect(&acme).unwrap();
    fill(&root, &writer, &acme);
    reader.kill().unwrap();
    reader.wait().unwrap();
    write(&writer).unwrap();
    assert_short(&root, &acme);
}
