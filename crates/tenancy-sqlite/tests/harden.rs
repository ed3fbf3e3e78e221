//! What SQL text cannot do on a tenant's connection.

use std::path::Path;
use std::time::Duration;

use r2d2::ManageConnection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use tenancy_pool::Driver;
use tenancy_sqlite::{Hardening, Rule, SqliteConnection};

use crate::util::Root;

/// Every row is refused by this rule; `{victim}` is another tenant's file, `{new}` a
/// path that does not exist.
const ESCAPES: &[(Rule, &str)] = &[
    (Rule::Attach, "ATTACH '{victim}' AS v"),
    (Rule::Attach, "ATTACH 'file:{victim}?mode=rw' AS v"),
    (Rule::Attach, "ATTACH ':memory:' AS v"),
    (Rule::Attach, "ATTACH '' AS v"),
    (Rule::Unknown, "ATTACH '{vic' || 'tim}' AS v"),
    (Rule::Attach, "DETACH main"),
    (Rule::Attach, "VACUUM INTO '{new}'"),
    (Rule::Attach, "VACUUM"),
    (Rule::Pragma, "PRAGMA hard_heap_limit = 1000"),
    (Rule::Pragma, "PRAGMA soft_heap_limit = 1000"),
    (Rule::Pragma, "PRAGMA writable_schema = ON"),
    (Rule::Pragma, "PRAGMA Writable_Schema = RESET"),
    (Rule::Pragma, "PRAGMA main.writable_schema"),
    (Rule::Pragma, "PRAGMA temp_store_directory = '/tmp'"),
    (Rule::Pragma, "PRAGMA data_store_directory = '/tmp'"),
    (Rule::Pragma, "PRAGMA journal_mode = OFF"),
    (Rule::Pragma, "PRAGMA journal_mode(delete)"),
    (Rule::Pragma, "PRAGMA synchronous = OFF"),
    (Rule::Pragma, "PRAGMA locking_mode = EXCLUSIVE"),
    (Rule::Pragma, "PRAGMA trusted_schema = ON"),
    (Rule::Pragma, "PRAGMA foreign_keys = OFF"),
    (Rule::Pragma, "PRAGMA user_version = 9"),
    (Rule::Pragma, "PRAGMA application_id = 9"),
    (Rule::Pragma, "PRAGMA schema_version = 9"),
    (Rule::Pragma, "PRAGMA ignore_check_constraints = ON"),
    (Rule::Pragma, "PRAGMA query_only = ON"),
    (Rule::Pragma, "PRAGMA read_uncommitted = ON"),
    (Rule::Pragma, "PRAGMA recursive_triggers = ON"),
    (Rule::Pragma, "PRAGMA wal_checkpoint(TRUNCATE)"),
    (Rule::Pragma, "PRAGMA wal_autocheckpoint = 0"),
    (Rule::Pragma, "PRAGMA mmap_size = 1000000000"),
    (Rule::Pragma, "PRAGMA cache_size = 1000000000"),
    (Rule::Pragma, "PRAGMA busy_timeout = 1000000000"),
    (Rule::Pragma, "PRAGMA max_page_count = 1"),
    (Rule::Pragma, "PRAGMA journal_size_limit = 1"),
    (Rule::Pragma, "PRAGMA temp_store = FILE"),
    (Rule::Pragma, "PRAGMA secure_delete = OFF"),
    (Rule::Pragma, "PRAGMA threads = 8"),
    (Rule::Pragma, "PRAGMA encoding = 'UTF-16'"),
    (Rule::Pragma, "PRAGMA page_size = 512"),
    (Rule::Pragma, "PRAGMA auto_vacuum = 2"),
    (Rule::Pragma, "PRAGMA database_list"),
    (Rule::Pragma, "SELECT * FROM pragma_database_list"),
    (Rule::Pragma, "SELECT * FROM pragma_hard_heap_limit"),
    (Rule::Pragma, "SELECT * FROM pragma_journal_size_limit"),
    (Rule::Pragma, "PRAGMA no_such_pragma = 1"),
    (Rule::Function, "SELECT load_extension('{new}')"),
    (Rule::Function, "SELECT Load_Extension('{new}', 'init')"),
    (Rule::Function, "SELECT fts3_tokenizer('simple')"),
    (Rule::VirtualTable, "CREATE VIRTUAL TABLE x USING dbstat"),
    (
        Rule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING csv(filename='{victim}')",
    ),
    (Rule::Reserved, "UPDATE _tenancy_stamp SET tenant = 'beta'"),
    (Rule::Reserved, "UPDATE main._TENANCY_STAMP SET open = 0"),
    (Rule::Reserved, "DELETE FROM _tenancy_stamp"),
    (
        Rule::Reserved,
        "INSERT INTO _tenancy_migrations VALUES (9, 'x', x'00', 0, 0)",
    ),
    (Rule::Reserved, "DELETE FROM _tenancy_migrations"),
    (Rule::Reserved, "DROP TABLE _tenancy_stamp"),
    (Rule::Reserved, "ALTER TABLE _tenancy_stamp RENAME TO other"),
    (Rule::Reserved, "ALTER TABLE _tenancy_stamp ADD COLUMN x"),
    (
        Rule::Reserved,
        "CREATE INDEX i ON _tenancy_migrations (name)",
    ),
    (
        Rule::Reserved,
        "CREATE TRIGGER t AFTER UPDATE ON _tenancy_stamp BEGIN SELECT 1; END",
    ),
    (
        Rule::Reserved,
        "CREATE TEMP TRIGGER t AFTER UPDATE ON _tenancy_stamp BEGIN SELECT 1; END",
    ),
    (Rule::Reserved, "CREATE TABLE _tenancy_other (x)"),
    (Rule::Reserved, "CREATE TABLE _Tenancy_Other (x)"),
    (Rule::Reserved, "CREATE TEMP TABLE _tenancy_stamp (x)"),
    (Rule::Reserved, "CREATE VIEW _tenancy_view AS SELECT 1"),
    (
        Rule::Reserved,
        "CREATE TEMP VIEW _tenancy_stamp AS SELECT 1",
    ),
    (
        Rule::Reserved,
        "CREATE VIRTUAL TABLE _tenancy_fts USING fts5(x)",
    ),
    (
        Rule::Reserved,
        "WITH x AS (SELECT 1) UPDATE _tenancy_stamp SET epoch = 7",
    ),
    (
        Rule::Reserved,
        "INSERT INTO _tenancy_stamp VALUES (1, '', 0, 1) ON CONFLICT DO UPDATE SET open = 0",
    ),
];

/// SQLite itself refuses these, with its switches and limits set.
const REFUSED_BY_SQLITE: &[&str] = &[
    "DELETE FROM sqlite_schema",
    "UPDATE sqlite_schema SET sql = 'x'",
    "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x (y)')",
    "SELECT randomblob(500000000)",
    "SELECT zeroblob(100000000)",
    "SELECT readfile('{victim}')",
    "SELECT writefile('{new}', 'x')",
    "SELECT 'x' LIKE printf('%.2000c', '%')",
];

fn run(connection: &SqliteConnection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// All files of a root and their bytes. Only for roots without an open connection.
fn bytes_of(path: &Path) -> Vec<u8> {
    assert!(!path.with_extension("db-wal").exists(), "still open");
    std::fs::read(path).unwrap()
}

#[test]
fn every_escape_is_refused_by_its_rule_and_the_victim_is_untouched() {
    let root = Root::new();
    let (acme, victim) = (root.made("acme"), root.made("victim"));
    let connection = root.connect(&victim).unwrap();
    let sql = "INSERT INTO notes (text) VALUES ('secret')";
    connection.execute(sql, []).unwrap();
    drop(connection);
    let (victims, new) = (root.path(&victim), root.dir.path().join("new.db"));
    let before = bytes_of(&victims);
    let fill = |sql: &str| {
        sql.replace("{victim}", victims.to_str().unwrap())
            .replace("{new}", new.to_str().unwrap())
    };

    let connection = root.connect(&acme).unwrap();
    for (rule, sql) in ESCAPES {
        let done = run(&connection, &fill(sql));
        assert!(done.is_err(), "{sql} was allowed");
        let refusal = connection.refusal();
        assert_eq!(refusal.map(|r| r.rule), Some(*rule), "{sql}: {done:?}");
        assert!(connection.is_autocommit(), "{sql}");
    }
    for sql in REFUSED_BY_SQLITE {
        let done = run(&connection, &fill(sql));
        assert!(done.is_err(), "{sql} was allowed");
    }
    // Bound, the file's name reaches the authorizer as nothing at all.
    let bound = connection.execute("ATTACH ?1 AS v", [victims.to_str().unwrap()]);
    assert!(bound.is_err(), "{bound:?}");
    let into = connection.execute("VACUUM INTO ?1", [new.to_str().unwrap()]);
    assert!(into.is_err(), "{into:?}");
    let manager = root.driver.manager(&acme);
    let mut connection = connection;
    assert!(!manager.has_broken(&mut connection));
    drop(connection);

    assert_eq!(bytes_of(&victims), before);
    assert!(!new.exists());
    // The process's heap limit is as it was: neighbours go on.
    let connection = root.connect(&victim).unwrap();
    let secret: String = connection
        .query_row("SELECT text FROM notes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(secret, "secret");
    let other = rusqlite::Connection::open_in_memory().unwrap();
    let limit: i64 = other
        .query_row("PRAGMA hard_heap_limit", [], |row| row.get(0))
        .unwrap();
    assert_eq!(limit, 0);
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
    assert_eq!(connection.refusal().unwrap().rule, Rule::Reserved);
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
        "SELECT * FROM _tenancy_migrations",
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
