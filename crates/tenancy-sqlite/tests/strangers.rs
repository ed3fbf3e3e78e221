//! Files of unknown origin in the place of a tenant's: nothing that reads them waits without an
//! end.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use r2d2::ManageConnection;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::Driver;
use tenancy_sqlite::{Depth, Problem, ValidateOptions};

use crate::fleet::{Bed, first_step};

/// One step of SQLite's machine that takes most of a minute.
const HEAVY: &str = "instr(hex(zeroblob(1000000 + OPEN)), hex(zeroblob(100000)) || hex(1))";

/// The longest that one operation may take: the bound is 2 s, on a machine that does much else.
const MOST: Duration = Duration::from_secs(12);

/// A name, the statements that make the file hostile, and a word of the finding.
const FILES: [(&str, &str, &str); 8] = [
    (
        "a computed column",
        "DROP TABLE _tenancy_stamp; CREATE TABLE _tenancy_stamp (one, epoch, open);
         INSERT INTO _tenancy_stamp VALUES (1, 1, 1); PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE TABLE _tenancy_stamp (one,
         tenant AS (CASE WHEN HEAVY THEN ''t00'' ELSE ''t00'' END), epoch, open)' WHERE name = '_tenancy_stamp'",
        "another stamp",
    ),
    (
        "a view without an end",
        "DROP TABLE _tenancy_stamp; CREATE VIEW _tenancy_stamp AS
         WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)
         SELECT 1 AS one, 't00' AS tenant, 1 AS epoch, max(i) AS open FROM n",
        "another stamp",
    ),
    (
        "a virtual table",
        "DROP TABLE _tenancy_stamp; CREATE VIRTUAL TABLE _tenancy_stamp USING fts5(tenant, epoch, open);
         INSERT INTO _tenancy_stamp VALUES ('t00', 1, 1)",
        "another stamp",
    ),
    (
        "a computed index on the stamp",
        "CREATE INDEX i ON _tenancy_stamp (open); PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON _Tenancy_stamp (HEAVY)', tbl_name = '_Tenancy_stamp' WHERE name = 'i'",
        "another stamp",
    ),
    (
        "a computed history",
        "DROP TABLE _tenancy_migrations; CREATE TABLE _tenancy_migrations (version INTEGER PRIMARY KEY, sha256, open);
         INSERT INTO _tenancy_migrations VALUES (1, 1, 1); PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE TABLE _tenancy_migrations (version INTEGER PRIMARY KEY, sha256, open,
         name AS (HEAVY))' WHERE name = '_tenancy_migrations'",
        "another stamp",
    ),
    (
        "a stamp of 40 MB",
        "UPDATE _tenancy_stamp SET tenant = hex(zeroblob(20000000))",
        "too big",
    ),
    (
        "very many objects",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql)
         WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 400000)
         SELECT 'view', 'v' || i, 'v' || i, 0, 'CREATE VIEW v' || i || ' AS SELECT 1' || replace(hex(zeroblob(30)), '0', ',1') FROM n",
        "longer to read than 2 s",
    ),
    ("a page that is its own child", "", "malformed"),
];

/// Puts the root page of the stamp under itself.
fn loop_pages(path: &Path) {
    let raw = Connection::open(path).unwrap();
    let number = |sql: &str| raw.query_row(sql, [], |row| row.get(0)).unwrap();
    let root: u32 = number("SELECT rootpage FROM sqlite_schema WHERE name = '_tenancy_stamp'");
    let size: u32 = number("PRAGMA page_size");
    raw.close().unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    // An inner page of a table without cells: a right-most child is all it has.
    let mut page = [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, root as u8];
    page[5..7].copy_from_slice(&(size as u16).to_be_bytes());
    file.write_all_at(&page, u64::from(root - 1) * u64::from(size))
        .unwrap();
}

fn spoil(path: &Path, sql: &str) {
    if sql.is_empty() {
        return loop_pages(path);
    }
    let raw = Connection::open(path).unwrap();
    for switch in [
        DbConfig::SQLITE_DBCONFIG_DEFENSIVE,
        DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
    ] {
        raw.set_db_config(switch, false).unwrap();
    }
    let heavy = HEAVY.replace("OPEN", "open");
    raw.execute_batch(&sql.replace("HEAVY", &heavy)).unwrap();
}

fn timed<R>(what: &str, act: impl FnOnce() -> R) -> R {
    let began = Instant::now();
    let done = act();
    assert!(began.elapsed() < MOST, "{what}: {:?}", began.elapsed());
    done
}

/// The words of the finding about a path.
fn finding(bed: &Bed, path: &Path) -> String {
    let options = ValidateOptions::new().depth(Depth::Stamps);
    let validation = bed.fleet(first_step()).validate(&options, |_| {});
    let findings = validation.unwrap().findings;
    let found = findings.iter().find(|f| f.path.as_deref() == Some(path));
    match &found.unwrap_or_else(|| panic!("{findings:?}")).problem {
        Problem::Foreign { found: what } | Problem::Unreadable { why: what } => what.to_string(),
        Problem::Damaged { says } => says.to_string(),
        other => format!("{other:?}"),
    }
}

/// A file with the name of another tenant's in the same directory.
fn beside(path: &Path) -> std::path::PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    let (locator, rest) = name.split_at(32);
    let last = if locator.ends_with('0') { "1" } else { "0" };
    path.with_file_name(format!("{}{last}{rest}", &locator[..31]))
}

#[test]
fn a_hostile_file_is_refused_in_bounded_time_by_every_operation() {
    for (name, sql, word) in FILES {
        let bed = Bed::with(1, first_step());
        let acme: Tenant = bed.tenant("t00");
        let path = bed.root.path(&acme);
        spoil(&path, sql);
        let driver = &bed.root.driver;
        let said = timed(name, || finding(&bed, &path));
        assert!(said.contains(word), "{name}: {said}");
        timed(name, || driver.manager(&acme).connect().unwrap_err());
        let closed = timed(name, || driver.retire(&acme, Duration::ZERO));
        assert!(closed.is_err(), "{name}");
        timed(name, || driver.vacuum(&acme).unwrap_err());
        assert!(path.exists(), "{name}");
        // In the place of no tenant, it claims nothing.
        let orphan = beside(&path);
        fs::rename(&path, &orphan).unwrap();
        let said = timed(name, || finding(&bed, &orphan));
        assert_eq!(said, "Orphan", "{name}");
    }
}
