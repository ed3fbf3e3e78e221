//! Connections that are lent for reading only.

use rusqlite::ErrorCode;
use tenancy_pool::{Access, Driver, TenantPools};
use tenancy_sqlite::{DenyRule, Hardening, SqliteConnection, SqliteDriver};

use crate::util::{Root, notes};

fn run(connection: &SqliteConnection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// What would change something, or lift the restriction; which rule refuses it, or none
/// where SQLite does.
const WRITES: &[(Option<DenyRule>, &str)] = &[
    (None, "INSERT INTO notes (text) VALUES ('x')"),
    (None, "INSERT INTO notes (text) VALUES ('x') RETURNING id"),
    (None, "REPLACE INTO notes (id, text) VALUES (1, 'x')"),
    (None, "UPDATE notes SET text = 'x'"),
    (None, "DELETE FROM notes"),
    (
        None,
        "WITH n(t) AS (SELECT 'x') INSERT INTO notes (text) SELECT t FROM n",
    ),
    (None, "WITH n AS (SELECT 1) DELETE FROM notes WHERE id IN n"),
    (None, "CREATE TABLE more (x)"),
    (None, "CREATE TEMP TABLE more (x)"),
    (None, "CREATE TEMP TABLE more AS SELECT * FROM notes"),
    (None, "CREATE VIEW more AS SELECT 1"),
    (
        None,
        "CREATE TEMP TRIGGER more AFTER INSERT ON notes BEGIN SELECT 1; END",
    ),
    (None, "CREATE INDEX more ON notes (text)"),
    (None, "CREATE VIRTUAL TABLE more USING fts5(text)"),
    (None, "INSERT INTO search VALUES ('x')"),
    (None, "DROP TABLE notes"),
    (None, "ALTER TABLE notes RENAME TO gone"),
    (None, "ANALYZE"),
    (None, "REINDEX"),
    (Some(DenyRule::Attach), "VACUUM"),
    (Some(DenyRule::Pragma), "PRAGMA query_only = OFF"),
    (Some(DenyRule::Pragma), "PRAGMA query_only(0)"),
    (Some(DenyRule::Pragma), "PRAGMA main.query_only = 0"),
    (Some(DenyRule::Pragma), "PRAGMA Query_Only = FALSE"),
    (Some(DenyRule::Pragma), "PRAGMA writable_schema = ON"),
    (Some(DenyRule::Pragma), "PRAGMA journal_mode = DELETE"),
    (Some(DenyRule::Pragma), "PRAGMA user_version = 7"),
    (Some(DenyRule::Pragma), "PRAGMA wal_checkpoint(TRUNCATE)"),
    (Some(DenyRule::Pragma), "PRAGMA incremental_vacuum"),
    (None, "BEGIN IMMEDIATE"),
    (None, "BEGIN EXCLUSIVE"),
];

const READS: &[&str] = &[
    "SELECT * FROM notes",
    "SELECT * FROM search WHERE search MATCH 'hello'",
    "SELECT * FROM area WHERE x0 < 1",
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT * FROM n",
    "SELECT text, count(*) FROM notes GROUP BY text ORDER BY random()",
    "PRAGMA query_only",
    "PRAGMA integrity_check",
    "PRAGMA table_info(notes)",
    "BEGIN",
    "SELECT 1 FROM notes",
    "COMMIT",
];

fn made(hardening: Hardening) -> (Root, TenantPools<SqliteDriver>, tenancy_core::Tenant) {
    let root = Root::with(|builder| builder.migrations(notes()).hardening(hardening));
    let acme = root.made("acme");
    let pools = TenantPools::<SqliteDriver>::builder().max_per_tenant(1);
    let pools = pools.build(root.driver.clone()).unwrap();
    let writing = pools.checkout(&acme).unwrap();
    for sql in [
        "INSERT INTO notes (text) VALUES ('first')",
        "CREATE VIRTUAL TABLE search USING fts5(text)",
        "INSERT INTO search VALUES ('hello world')",
        "CREATE VIRTUAL TABLE area USING rtree(id, x0, x1)",
        "INSERT INTO area VALUES (1, 0, 2)",
    ] {
        run(&writing, sql).unwrap();
    }
    drop(writing);
    (root, pools, acme)
}

#[test]
fn a_connection_for_reading_reads_and_nothing_else() {
    for hardening in [Hardening::Strict, Hardening::Trusted] {
        let (_root, pools, acme) = made(hardening);
        let reading = pools.handle(&acme).read_only().checkout().unwrap();
        for (rule, sql) in WRITES {
            let done = run(&reading, sql);
            let error = done.as_ref().expect_err(sql);
            if rule.is_none() {
                let code = error.sqlite_error_code();
                assert_eq!(
                    code,
                    Some(ErrorCode::ReadOnly),
                    "{hardening:?}: {sql}: {error}"
                );
            }
            if let Some(rule) = rule {
                let refusal = reading.refusal().map(|refusal| refusal.rule);
                assert_eq!(refusal, Some(*rule), "{hardening:?}: {sql}: {done:?}");
            }
            assert!(reading.is_autocommit(), "{sql}");
        }
        for sql in READS {
            run(&reading, sql).unwrap_or_else(|e| panic!("{hardening:?}: {sql}: {e}"));
        }
        let text = reading.refusal().unwrap();
        assert_eq!(text.what.as_ref(), "PRAGMA incremental_vacuum");
    }
}

/// One connection, lent in turns.
#[test]
fn the_restriction_ends_with_the_check_out_and_statements_from_before_keep_to_it() {
    for hardening in [Hardening::Strict, Hardening::Trusted] {
        let (_root, pools, acme) = made(hardening);
        let all = pools.handle(&acme);
        let insert = "INSERT INTO notes (text) VALUES ('again')";
        let lift = "PRAGMA query_only = OFF";
        for round in 0..3 {
            let writing = all.checkout().unwrap();
            run(&writing, insert).unwrap();
            // In the cache of this connection.
            let lifted = run(&writing, lift);
            assert_eq!(
                lifted.is_ok(),
                hardening == Hardening::Trusted,
                "{lifted:?}"
            );
            drop(writing);
            let reading = all.read_only().checkout().unwrap();
            assert!(run(&reading, lift).is_err(), "{hardening:?} {round}");
            assert!(run(&reading, insert).is_err(), "{hardening:?} {round}");
            let count = "SELECT count(*) FROM notes";
            let count: i64 = reading.query_row(count, [], |row| row.get(0)).unwrap();
            assert_eq!(count, 2 + round, "{hardening:?}");
        }
        assert_eq!(pools.stats().open, 1);
    }
}

/// By SQLite when it runs, not by the authorizer, which is not asked again.
#[test]
fn a_statement_that_was_prepared_before_is_refused_when_it_runs() {
    let (root, _pools, acme) = made(Hardening::Strict);
    let mut connection = root.connect(&acme).unwrap();
    let access = root.driver.restrict(&mut connection, Access::ReadOnly);
    assert_eq!(access.unwrap(), Access::ReadOnly);
    let mut insert = connection.prepare("INSERT INTO notes (text) VALUES ('x')");
    let refused = insert.as_mut().unwrap().execute([]).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    drop(insert);
    let access = root.driver.restrict(&mut connection, Access::ReadWrite);
    assert_eq!(access.unwrap(), Access::ReadWrite);
    run(&connection, "INSERT INTO notes (text) VALUES ('x')").unwrap();
}
