//! The list of escapes: what SQL text tries to leave its file with, and is refused.

use std::path::Path;

use r2d2::ManageConnection;
use rusqlite::functions::FunctionFlags;
use tenancy_core::Provisioner;
use tenancy_pool::Driver;
use tenancy_sqlite::{DenyRule, Seeds};

use crate::harden::run;
use crate::util::{Root, notes};

/// Every row is refused by this rule; `{victim}` is another tenant's file, `{new}` a
/// path that does not exist.
const ESCAPES: &[(DenyRule, &str)] = &[
    (DenyRule::Attach, "ATTACH '{victim}' AS v"),
    (DenyRule::Attach, "ATTACH 'file:{victim}?mode=rw' AS v"),
    (DenyRule::Attach, "ATTACH ':memory:' AS v"),
    (DenyRule::Attach, "ATTACH '' AS v"),
    (DenyRule::Unknown, "ATTACH '{vic' || 'tim}' AS v"),
    (DenyRule::Attach, "DETACH main"),
    (DenyRule::Attach, "VACUUM INTO '{new}'"),
    (DenyRule::Attach, "VACUUM"),
    (DenyRule::Pragma, "PRAGMA hard_heap_limit = 1000"),
    (DenyRule::Pragma, "PRAGMA soft_heap_limit = 1000"),
    (DenyRule::Pragma, "PRAGMA writable_schema = ON"),
    (DenyRule::Pragma, "PRAGMA Writable_Schema = RESET"),
    (DenyRule::Pragma, "PRAGMA main.writable_schema"),
    (DenyRule::Pragma, "PRAGMA temp_store_directory = '/tmp'"),
    (DenyRule::Pragma, "PRAGMA data_store_directory = '/tmp'"),
    (DenyRule::Pragma, "PRAGMA journal_mode = OFF"),
    (DenyRule::Pragma, "PRAGMA journal_mode(delete)"),
    (DenyRule::Pragma, "PRAGMA synchronous = OFF"),
    (DenyRule::Pragma, "PRAGMA locking_mode = EXCLUSIVE"),
    (DenyRule::Pragma, "PRAGMA trusted_schema = ON"),
    (DenyRule::Pragma, "PRAGMA foreign_keys = OFF"),
    (DenyRule::Pragma, "PRAGMA user_version = 9"),
    (DenyRule::Pragma, "PRAGMA application_id = 9"),
    (DenyRule::Pragma, "PRAGMA schema_version = 9"),
    (DenyRule::Pragma, "PRAGMA ignore_check_constraints = ON"),
    (DenyRule::Pragma, "PRAGMA query_only = ON"),
    (DenyRule::Pragma, "PRAGMA read_uncommitted = ON"),
    (DenyRule::Pragma, "PRAGMA recursive_triggers = ON"),
    (DenyRule::Pragma, "PRAGMA wal_checkpoint(TRUNCATE)"),
    (DenyRule::Pragma, "PRAGMA wal_autocheckpoint = 0"),
    (DenyRule::Pragma, "PRAGMA mmap_size = 1000000000"),
    (DenyRule::Pragma, "PRAGMA cache_size = 1000000000"),
    (DenyRule::Pragma, "PRAGMA busy_timeout = 1000000000"),
    (DenyRule::Pragma, "PRAGMA max_page_count = 1"),
    (DenyRule::Pragma, "PRAGMA journal_size_limit = 1"),
    (DenyRule::Pragma, "PRAGMA temp_store = FILE"),
    (DenyRule::Pragma, "PRAGMA secure_delete = OFF"),
    (DenyRule::Pragma, "PRAGMA threads = 8"),
    (DenyRule::Pragma, "PRAGMA encoding = 'UTF-16'"),
    (DenyRule::Pragma, "PRAGMA page_size = 512"),
    (DenyRule::Pragma, "PRAGMA auto_vacuum = 2"),
    (DenyRule::Pragma, "PRAGMA database_list"),
    (DenyRule::Pragma, "SELECT * FROM pragma_database_list"),
    (DenyRule::Pragma, "SELECT * FROM pragma_hard_heap_limit"),
    (DenyRule::Pragma, "SELECT * FROM pragma_journal_size_limit"),
    (DenyRule::Pragma, "PRAGMA no_such_pragma = 1"),
    (DenyRule::Function, "SELECT load_extension('{new}')"),
    (DenyRule::Function, "SELECT Load_Extension('{new}', 'init')"),
    (DenyRule::Function, "SELECT fts3_tokenizer('simple')"),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING dbstat",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING csv(filename='{victim}')",
    ),
    (
        DenyRule::Reserved,
        "UPDATE _tenancy_stamp SET tenant = 'beta'",
    ),
    (
        DenyRule::Reserved,
        "UPDATE main._TENANCY_STAMP SET open = 0",
    ),
    (DenyRule::Reserved, "DELETE FROM _tenancy_stamp"),
    (
        DenyRule::Reserved,
        "INSERT INTO _tenancy_migrations VALUES (9, 'x', x'00', 0, 0)",
    ),
    (DenyRule::Reserved, "DELETE FROM _tenancy_migrations"),
    (DenyRule::Reserved, "DROP TABLE _tenancy_stamp"),
    (
        DenyRule::Reserved,
        "ALTER TABLE _tenancy_stamp RENAME TO other",
    ),
    (
        DenyRule::Reserved,
        "ALTER TABLE _tenancy_stamp ADD COLUMN x",
    ),
    (
        DenyRule::Reserved,
        "CREATE INDEX i ON _tenancy_migrations (name)",
    ),
    (
        DenyRule::Reserved,
        "CREATE TRIGGER t AFTER UPDATE ON _tenancy_stamp BEGIN SELECT 1; END",
    ),
    (
        DenyRule::Reserved,
        "CREATE TEMP TRIGGER t AFTER UPDATE ON _tenancy_stamp BEGIN SELECT 1; END",
    ),
    (DenyRule::Reserved, "CREATE TABLE _tenancy_other (x)"),
    (DenyRule::Reserved, "CREATE TABLE _Tenancy_Other (x)"),
    (DenyRule::Reserved, "CREATE TEMP TABLE _tenancy_stamp (x)"),
    (DenyRule::Reserved, "CREATE VIEW _tenancy_view AS SELECT 1"),
    (
        DenyRule::Reserved,
        "CREATE TEMP VIEW _tenancy_stamp AS SELECT 1",
    ),
    (
        DenyRule::Reserved,
        "CREATE VIRTUAL TABLE _tenancy_fts USING fts5(x)",
    ),
    (
        DenyRule::Reserved,
        "WITH x AS (SELECT 1) UPDATE _tenancy_stamp SET epoch = 7",
    ),
    (
        DenyRule::Reserved,
        "INSERT INTO _tenancy_stamp VALUES (1, '', 0, 1) ON CONFLICT DO UPDATE SET open = 0",
    ),
    (DenyRule::Attach, "EXPLAIN ATTACH '{victim}' AS v"),
    (DenyRule::Pragma, "EXPLAIN PRAGMA hard_heap_limit = 1"),
    (DenyRule::Pragma, "PRAGMA temp.hard_heap_limit = 1"),
    (DenyRule::Pragma, "PRAGMA hard_heap_limit"),
    (DenyRule::Pragma, "PRAGMA journal_mode = MEMORY"),
    (DenyRule::Pragma, "PRAGMA temp.journal_mode = OFF"),
    (DenyRule::Pragma, "PRAGMA locking_mode"),
    (DenyRule::Pragma, "PRAGMA wal_checkpoint"),
    (DenyRule::Pragma, "PRAGMA wal_autocheckpoint"),
    (DenyRule::Pragma, "PRAGMA mmap_size"),
    (DenyRule::Pragma, "PRAGMA cache_spill = OFF"),
    (DenyRule::Pragma, "PRAGMA cell_size_check = OFF"),
    (DenyRule::Pragma, "PRAGMA fullfsync = ON"),
    (DenyRule::Pragma, "PRAGMA checkpoint_fullfsync = ON"),
    (DenyRule::Pragma, "PRAGMA case_sensitive_like = ON"),
    (DenyRule::Pragma, "PRAGMA legacy_alter_table = ON"),
    (DenyRule::Pragma, "PRAGMA reverse_unordered_selects = ON"),
    (DenyRule::Pragma, "PRAGMA automatic_index = OFF"),
    (DenyRule::Pragma, "PRAGMA analysis_limit = 1"),
    (DenyRule::Pragma, "PRAGMA default_cache_size = 1000000"),
    (DenyRule::Pragma, "PRAGMA incremental_vacuum"),
    (DenyRule::Pragma, "PRAGMA shrink_memory"),
    (DenyRule::Pragma, "PRAGMA compile_options"),
    (DenyRule::Pragma, "SELECT * FROM pragma_compile_options"),
    (DenyRule::Pragma, "PRAGMA stats"),
    (DenyRule::Pragma, "PRAGMA vdbe_trace = ON"),
    (DenyRule::Pragma, "PRAGMA key = 'x'"),
    (DenyRule::Pragma, "PRAGMA rekey = 'x'"),
    (DenyRule::Pragma, "PRAGMA data_version = 1"),
    (
        DenyRule::Function,
        "SELECT fts3_tokenizer('simple', x'4141414141414141')",
    ),
    (
        DenyRule::Function,
        "SELECT sqlite_log(1, 'a line in the log of the process')",
    ),
    (DenyRule::Function, "EXPLAIN SELECT load_extension('{new}')"),
    (
        DenyRule::Function,
        "CREATE TABLE x (y CHECK (load_extension('{new}')))",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE temp.x USING dbstat(main)",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING sqlite_dbpage",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING sqlite_stmt",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING json_each",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING pragma_cache_size",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING fts3tokenize",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING fts4aux(notes)",
    ),
    (
        DenyRule::VirtualTable,
        "CREATE VIRTUAL TABLE x USING geopoly(a)",
    ),
    // Its shadow tables would have the names of ours.
    (
        DenyRule::Reserved,
        "CREATE VIRTUAL TABLE _tenancy USING fts5(x)",
    ),
    (
        DenyRule::Reserved,
        "ALTER TABLE _tenancy_migrations RENAME COLUMN name TO x",
    ),
    (
        DenyRule::Reserved,
        "ALTER TABLE _tenancy_migrations DROP COLUMN name",
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
    "SELECT 'x' GLOB printf('%.2000c', '*')",
    "SELECT edit('x')",
    "SELECT * FROM sqlite_dbpage",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM bytecode('SELECT 1')",
    "SELECT * FROM tables_used('SELECT 1')",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT * FROM pragma_wal_checkpoint",
    "SELECT * FROM pragma_mmap_size",
    "SELECT * FROM pragma_temp_store_directory",
    "SELECT * FROM pragma_data_store_directory",
    "SELECT printf('%.1000000000c', 'x')",
    "SELECT printf('%.*c', 2000000000, 'x')",
    "SELECT printf('%1000000000d', 1)",
    "SELECT format('%.500000000f', 1.5)",
    "SELECT hex(zeroblob(60000000))",
    "SELECT quote(zeroblob(60000000))",
    "SELECT printf('%.30000000c', 'x') || printf('%.60000000c', 'y')",
    "SELECT replace(printf('%.60000c', 'x'), 'x', printf('%.60000c', 'y'))",
    "SELECT json(printf('%.1000000c', '['))",
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 100) \
     SELECT json_group_array(printf('%.1000000c', 'x')) FROM n",
    "SELECT ?100000",
    "SELECT sqlite_rename_table('main', 'x', 'x', 'x', 'x', 'x', 'x')",
    "ALTER TABLE notes RENAME TO _tenancy_stamp",
    "ALTER TABLE notes RENAME TO _TENANCY_MIGRATIONS",
    "CREATE TABLE sqlite_x (y)",
];

/// Texts that would need much stack, memory or time to be read at all.
fn endless_texts() -> Vec<String> {
    let columns: Vec<_> = (0..3_000).map(|n| format!("c{n}")).collect();
    vec![
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT {}1", "1 + ".repeat(5_000)),
        format!("SELECT {}1", "NOT ".repeat(5_000)),
        format!("SELECT {}1", "1, ".repeat(3_000)),
        format!("SELECT max({}1)", "1, ".repeat(2_000)),
        format!("{}SELECT 1", "SELECT 1 UNION ALL ".repeat(600)),
        format!("CREATE TABLE w ({})", columns.join(", ")),
        format!("SELECT '{}'", "x".repeat(2 << 20)),
        format!("SELECT 1 FROM notes AS a{}", ", notes".repeat(70)),
    ]
}

/// All files of a root and their bytes. Only for roots without an open connection.
fn bytes_of(path: &Path) -> Vec<u8> {
    assert!(!path.with_extension("db-wal").exists(), "still open");
    std::fs::read(path).unwrap()
}

#[test]
fn every_escape_is_refused_by_its_rule_and_the_other_tenant_is_unchanged() {
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
        // What is tried in `temp` costs the connection, refused or not.
        let own = root.connect(&acme).unwrap();
        let in_temp = sql.contains(" temp.") || sql.contains("CREATE TEMP");
        let connection = if in_temp { &own } else { &connection };
        let done = run(connection, &fill(sql));
        assert!(done.is_err(), "{sql} was allowed");
        let refusal = connection.refusal();
        assert_eq!(refusal.map(|r| r.rule), Some(*rule), "{sql}: {done:?}");
        assert!(connection.is_autocommit(), "{sql}");
    }
    for sql in REFUSED_BY_SQLITE {
        let done = run(&connection, &fill(sql));
        assert!(done.is_err(), "{sql} was allowed");
    }
    for sql in endless_texts() {
        let done = run(&connection, &sql);
        assert!(done.is_err(), "{:.60}… was allowed", sql);
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

/// SQLite asks nobody about the new name of a table. What is planted there for the library
/// to write into later, with a trigger that then runs as the library, is looked at first.
#[test]
fn a_table_renamed_to_one_of_the_librarys_is_recognised() {
    for name in ["_tenancy_seeds", "_Tenancy_SEEDS"] {
        let seeds = Seeds::new([("s", "INSERT INTO notes (text) VALUES ('seed')")]).unwrap();
        let root = Root::with(|b| b.migrations(notes()).seeds(seeds));
        let acme = root.made("acme");
        let connection = root.connect(&acme).unwrap();
        let plant = "CREATE TABLE q (name, sha256, applied_at); \
                     CREATE TRIGGER t AFTER INSERT ON q BEGIN \
                       UPDATE _tenancy_stamp SET tenant = 'victim'; END;";
        connection.execute_batch(plant).unwrap();
        run(&connection, &format!("ALTER TABLE q RENAME TO {name}")).unwrap();
        // In the temporary database it would be found first.
        let hide = "CREATE TEMP TABLE h (tenant, epoch, open); ALTER TABLE temp.h RENAME TO _tenancy_stamp";
        connection.execute_batch(hide).unwrap();
        let mut connection = connection;
        root.driver
            .manager(&acme)
            .is_valid(&mut connection)
            .unwrap();
        drop(connection);
        let error = root.driver.seed(&acme).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("seed s cannot be recorded"), "{cause}");
        let connection = root.connect(&acme).unwrap();
        let rows = "SELECT count(*) FROM notes";
        let rows: i64 = connection.query_row(rows, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{name}");
    }
}

/// Views, triggers and defaults that a stranger's file brings, when an operator reads it: no
/// function that was not declared harmless runs.
#[test]
fn objects_planted_in_a_schema_call_no_harmful_function() {
    let harm = |connection: &mut rusqlite::Connection| {
        let flags = FunctionFlags::SQLITE_UTF8;
        connection.create_scalar_function("harm", 0, flags, |_| Ok("harm was done"))
    };
    let root = Root::with(|b| b.migrations(notes()).on_connect(harm));
    let acme = root.made("acme");
    let raw = rusqlite::Connection::open(root.path(&acme)).unwrap();
    raw.execute_batch(
        "CREATE VIEW of_harm AS SELECT harm();
         CREATE VIEW of_code AS SELECT load_extension('x');
         CREATE VIEW of_files AS SELECT * FROM pragma_database_list;
         CREATE TABLE by_default (x DEFAULT (harm()), y);
         CREATE TRIGGER on_write AFTER INSERT ON notes BEGIN SELECT harm(); END;",
    )
    .unwrap();
    drop(raw);
    let connection = root.connect(&acme).unwrap();
    run(&connection, "SELECT harm()").unwrap();
    for sql in [
        "SELECT * FROM of_harm",
        "SELECT * FROM of_code",
        "SELECT * FROM of_files",
        "INSERT INTO by_default (y) VALUES (1)",
        "INSERT INTO notes (text) VALUES ('x')",
    ] {
        let done = run(&connection, sql);
        assert!(done.is_err(), "{sql} was allowed");
    }
    let faults = root.driver.check(&acme, tenancy_sqlite::Check::Full);
    assert!(faults.unwrap().is_empty());
}
