//! What SQL text cannot do on a tenant's connection.

use std::time::Duration;

use r2d2::ManageConnection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use tenancy_pool::Driver;
use tenancy_sqlite::{DenyRule, Hardening, SqliteConnection};

use crate::util::Root;

pub fn run(connection: &SqliteConnection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

#[test]
fn a_trigger_cannot_write_what_its_writer_could_not() {
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    // The body is only compiled when it fires.
    let sql =
        "CREATE TRIGGER t AFTER INSERT ON notes BEGIN UPDATE _tenancy_stamp SET open = 0; END";
    connection.execute_batch(sql).unwrap();
    let fired = connection.execute("INSERT INTO notes (text) VALUES ('x')", []);
    assert!(fired.is_err());
    assert_eq!(connection.refusal().unwrap().rule, DenyRule::Reserved);
    drop(connection);
    root.connect(&acme).unwrap();
}

#[test]
fn a_refusal_says_what_and_why() {
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    assert_eq!(connection.refusal(), None);
    let _ = connection.execute_batch("PRAGMA hard_heap_limit = 1");
    assert_eq!(
        connection.refusal().unwrap().to_string(),
        "PRAGMA hard_heap_limit is refused: it is not on the list of harmless pragmas; \
         set it in the driver's options"
    );
}

#[test]
fn everyday_sql_is_allowed() {
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    for sql in [
        "CREATE TABLE parts (id INTEGER PRIMARY KEY, of REFERENCES notes (id))",
        "CREATE INDEX parts_of ON parts (of)",
        "CREATE VIEW both AS SELECT * FROM notes JOIN parts ON parts.of = notes.id",
        "CREATE TEMP TABLE scratch AS SELECT 1 AS x",
        "INSERT INTO notes (text) VALUES ('a'), ('b')",
        "SELECT * FROM both",
        "BEGIN IMMEDIATE",
        "SAVEPOINT s",
        "PRAGMA defer_foreign_keys = ON",
        "ROLLBACK TO s",
        "COMMIT",
        "PRAGMA table_info(notes)",
        "SELECT * FROM pragma_table_info('notes')",
        "PRAGMA foreign_key_list(parts)",
        "PRAGMA foreign_key_check",
        "PRAGMA integrity_check",
        "PRAGMA quick_check(1)",
        "PRAGMA journal_mode",
        "PRAGMA user_version",
        "PRAGMA optimize",
        "ANALYZE",
        "REINDEX",
        "EXPLAIN QUERY PLAN SELECT * FROM notes",
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT * FROM n",
        "SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]')",
        "CREATE VIRTUAL TABLE search USING fts5(text)",
        "CREATE VIRTUAL TABLE terms USING fts5vocab(search, row)",
        "INSERT INTO search VALUES ('hello world')",
        "SELECT * FROM search WHERE search MATCH 'hello'",
        "SELECT * FROM terms",
        "CREATE VIRTUAL TABLE area USING rtree(id, x0, x1)",
        "INSERT INTO area VALUES (1, 0, 2)",
        "SELECT * FROM area WHERE x0 < 1",
        "CREATE VIRTUAL TABLE old USING fts4(text)",
        "INSERT INTO old VALUES ('hello')",
        "DROP TABLE search",
        "DROP TABLE area",
        "ALTER TABLE parts RENAME COLUMN of TO note",
        "ALTER TABLE parts RENAME TO pieces",
        "DROP TABLE pieces",
    ] {
        let done = run(&connection, sql);
        assert!(done.is_ok(), "{sql}: {done:?}, {:?}", connection.refusal());
    }
}

#[test]
fn trusted_sql_may_set_pragmas_and_nothing_more() {
    let root = Root::with(|builder| builder.hardening(Hardening::Trusted));
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    run(&connection, "PRAGMA cache_size = -1000").unwrap();
    for sql in [
        "ATTACH ':memory:' AS v",
        "DELETE FROM _tenancy_stamp",
        "VACUUM",
    ] {
        assert!(run(&connection, sql).is_err(), "{sql} was allowed");
    }
}

/// What Rust code may do to a connection, and must not reach the next one.
#[test]
fn a_connection_that_was_changed_is_broken() {
    let root = Root::new();
    let acme = root.made("acme");
    let manager = root.driver.manager(&acme);
    type Change = fn(&mut SqliteConnection);
    let changes: [(&str, Change); 11] = [
        ("in a transaction", |c| c.execute_batch("BEGIN").unwrap()),
        ("in a savepoint", |c| {
            c.execute_batch("SAVEPOINT s").unwrap()
        }),
        ("may attach", |c| {
            c.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1).unwrap();
        }),
        ("long values", |c| {
            c.set_limit(Limit::SQLITE_LIMIT_LENGTH, 100_000_000)
                .unwrap();
        }),
        ("not defensive", |c| {
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)
                .unwrap();
        }),
        ("trusts its schema", |c| {
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, true)
                .unwrap();
        }),
        ("no foreign keys", |c| {
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)
                .unwrap();
        }),
        ("another authorizer", |c| {
            c.authorizer(Some(|_: AuthContext<'_>| Authorization::Allow))
                .unwrap();
        }),
        ("another progress handler", |c| {
            c.progress_handler(1, Some(|| false)).unwrap();
        }),
        ("no progress handler", |c| {
            c.progress_handler(0, None::<fn() -> bool>).unwrap();
        }),
        ("with a deadline", |c| {
            std::mem::forget(c.deadline(Duration::from_secs(1)).unwrap());
        }),
    ];
    for (what, change) in changes {
        let mut connection = manager.connect().unwrap();
        assert!(!manager.has_broken(&mut connection), "before: {what}");
        change(&mut connection);
        assert!(manager.has_broken(&mut connection), "{what}");
    }
}

#[test]
fn swapped_connections_are_broken_for_both() {
    let root = Root::new();
    let (acme, beta) = (root.made("acme"), root.made("beta"));
    let managers = [&acme, &beta].map(|tenant| root.driver.manager(tenant));
    let connect = || managers.each_ref().map(|m| m.connect().unwrap());
    let check = |[a, b]: &mut [SqliteConnection; 2]| {
        assert!(managers[0].has_broken(a));
        assert!(managers[1].has_broken(b));
    };
    let mut guards = connect();
    guards.swap(0, 1);
    check(&mut guards);
    // The rusqlite connections inside, by way of DerefMut.
    let [mut a, mut b] = connect();
    std::mem::swap::<rusqlite::Connection>(&mut a, &mut b);
    check(&mut [a, b]);
}

#[test]
fn a_deadline_stops_endless_statements_and_ends_with_its_guard() {
    let root = Root::new();
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    let endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) \
                   SELECT count(*) FROM n";
    let started = std::time::Instant::now();
    let deadline = connection.deadline(Duration::from_millis(30)).unwrap();
    let later = connection.deadline(Duration::from_secs(3600)).unwrap();
    let stopped = run(&connection, endless);
    assert_eq!(
        stopped.unwrap_err().sqlite_error_code(),
        Some(rusqlite::ErrorCode::OperationInterrupted)
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(later);
    assert!(run(&connection, endless).is_err(), "the first one stays");
    drop(deadline);
    let long = endless.replace("FROM n)", "FROM n LIMIT 100000)");
    run(&connection, &long).unwrap();
}

#[test]
fn on_connect_runs_before_the_connection_is_hardened() {
    let root = Root::with(|builder| {
        let migrations = crate::util::notes();
        let builder = builder.migrations(migrations);
        builder.on_connect(|c| c.execute_batch("PRAGMA recursive_triggers = ON"))
    });
    let acme = root.made("acme");
    let connection = root.connect(&acme).unwrap();
    assert!(run(&connection, "PRAGMA recursive_triggers = OFF").is_err());
    let flag = DbConfig::SQLITE_DBCONFIG_DEFENSIVE;
    assert!(connection.db_config(flag).unwrap());
}
