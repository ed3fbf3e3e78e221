//! What a check-out can leave on its connection: SQL text, and all of rusqlite's safe API.

use std::time::Duration;

use r2d2::ManageConnection;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::trace::TraceEventCodes;
use rusqlite::{Connection, TransactionBehavior};
use tenancy_core::Tenant;
use tenancy_pool::{Driver, TenantPools};
use tenancy_sqlite::{Hardening, SqliteConnection, SqliteDriver};

use crate::util::{Root, notes};

type Leave = fn(&mut SqliteConnection);
type Look = fn(&mut SqliteConnection) -> bool;

/// What becomes of something that was left.
enum Fate {
    /// The connection is closed.
    Closed,
    /// The connection is lent again, and this does not find it.
    Cleaned(Look),
    /// Nothing tells of it: the documentation of `SqliteConnection` names it, and this finds it
    /// at the next check-out.
    Stays(Look),
    /// As `Stays`, but there is no way to look.
    Unseen,
    /// It cannot be left: the call fails.
    Refused,
}
use Fate::{Cleaned, Closed, Refused, Stays, Unseen};

fn told<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn sql(connection: &SqliteConnection, sql: &str) {
    let done = crate::harden::run(connection, sql);
    done.unwrap_or_else(|e| panic!("{sql}: {e}, {:?}", connection.refusal()));
}

/// SQL text in Strict and Trusted mode, in the order in which it runs.
const SQL: &[(&str, &[&str], Fate)] = &[
    ("a transaction", &["BEGIN"], Closed),
    ("a savepoint", &["SAVEPOINT s"], Closed),
    (
        "a temporary table over one of the file",
        &["CREATE TEMP TABLE notes (id, text, mark)"],
        Closed,
    ),
    (
        "a temporary view over one",
        &["CREATE TEMP VIEW notes AS SELECT 7 AS id"],
        Closed,
    ),
    (
        "a temporary trigger",
        &["CREATE TEMP TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END"],
        Closed,
    ),
    (
        "a trigger in temp",
        &["CREATE TRIGGER temp.t AFTER INSERT ON notes BEGIN SELECT 1; END"],
        Closed,
    ),
    (
        "a temporary index",
        &["CREATE TABLE temp.x (y)", "CREATE INDEX temp.i ON x (y)"],
        Closed,
    ),
    (
        "a temporary table of a SELECT",
        &["CREATE TEMP TABLE x AS SELECT 1"],
        Closed,
    ),
    (
        "a temporary table by its schema",
        &["CREATE TABLE temp.x (y)"],
        Closed,
    ),
    (
        "a temporary virtual table",
        &["CREATE VIRTUAL TABLE temp.x USING fts5(y)"],
        Closed,
    ),
    (
        "a temporary table, renamed",
        &[
            "CREATE TEMP TABLE x (y)",
            "ALTER TABLE temp.x RENAME TO notes",
        ],
        Closed,
    ),
    (
        "a temporary table that was dropped",
        &["CREATE TEMP TABLE x (y)", "DROP TABLE x"],
        Closed,
    ),
    ("statistics in temp", &["ANALYZE temp"], Closed),
    (
        "a pragma's value that is an action",
        &["PRAGMA optimize(2)", "PRAGMA integrity_check(1)"],
        Cleaned(|_| false),
    ),
    (
        "deferred foreign keys",
        &["PRAGMA defer_foreign_keys = ON"],
        Cleaned(|c| told(c, "PRAGMA defer_foreign_keys")),
    ),
    (
        "a table of the file, altered",
        &[
            "ALTER TABLE notes RENAME TO n",
            "ALTER TABLE n RENAME TO notes",
        ],
        Cleaned(|_| false),
    ),
    (
        "a table of the file with an index",
        &[
            "CREATE TABLE x (y)",
            "CREATE INDEX i ON x (y)",
            "DROP TABLE x",
        ],
        Cleaned(|_| false),
    ),
    (
        "the last row's id",
        &["INSERT INTO notes (id, text) VALUES (4711, 'x')"],
        Stays(|c| c.last_insert_rowid() == 4711),
    ),
    (
        "the number of changes",
        &["UPDATE notes SET text = 'y'"],
        Stays(|c| c.changes() > 0 && told::<i64>(c, "SELECT total_changes()") > 0),
    ),
];

/// SQL text that only Trusted mode allows.
const TRUSTED: &[(&str, &[&str], Fate)] = &[
    ("no syncs", &["PRAGMA synchronous = 0"], Closed),
    ("reading only", &["PRAGMA query_only = 1"], Closed),
    (
        "an exclusive lock",
        &["PRAGMA locking_mode = EXCLUSIVE"],
        Closed,
    ),
    ("no foreign keys", &["PRAGMA foreign_keys = OFF"], Closed),
    (
        "a large cache",
        &["PRAGMA main.cache_size(-900000)"],
        Closed,
    ),
    ("a short wait", &["PRAGMA busy_timeout = 0"], Closed),
    ("another LIKE", &["PRAGMA case_sensitive_like = ON"], Closed),
    (
        "unchecked constraints",
        &["PRAGMA ignore_check_constraints = ON"],
        Closed,
    ),
    (
        "a checkpoint",
        &[
            "PRAGMA wal_checkpoint(PASSIVE)",
            "PRAGMA incremental_vacuum(1)",
            "PRAGMA shrink_memory",
        ],
        Cleaned(|_| false),
    ),
    ("no checkpoints", &["PRAGMA wal_autocheckpoint = 0"], Closed),
    (
        "another mode of the journal",
        &["PRAGMA journal_mode = DELETE"],
        Refused,
    ),
    (
        "another schema version",
        &["PRAGMA user_version = 9"],
        Refused,
    ),
    (
        "another application",
        &["PRAGMA application_id = 9"],
        Refused,
    ),
    ("a stale schema", &["PRAGMA schema_version = 9"], Refused),
    (
        "the heap of the process",
        &["PRAGMA hard_heap_limit = 1000000"],
        Refused,
    ),
    (
        "the heap of the process, softly",
        &["PRAGMA soft_heap_limit = 1000000"],
        Refused,
    ),
    (
        "the process's directory",
        &["PRAGMA temp_store_directory = '/'"],
        Refused,
    ),
];

/// What Rust code can do with the public API of rusqlite 0.40 without `unsafe`. Not here, as it
/// needs `unsafe`: `handle`, `load_extension_enable`, `config_log`. Not here, as they hold for the
/// process: `reset_auto_extension`, `trace::log`.
const RUST: &[(&str, Leave, Fate)] = &[
    (
        "a transaction that is forgotten",
        |c| std::mem::forget(c.transaction().unwrap()),
        Closed,
    ),
    (
        "a savepoint that is forgotten",
        |c| std::mem::forget(c.savepoint().unwrap()),
        Closed,
    ),
    ("rows in mid-step", |c| leave_rows(c), Closed),
    (
        "a statement that is forgotten",
        |c| std::mem::forget(c.prepare("SELECT 1").unwrap()),
        Unseen,
    ),
    (
        "a blob that is open",
        |c| {
            sql(c, "INSERT INTO notes (id, text) VALUES (1, 'x')");
            std::mem::forget(c.blob_open("main", "notes", "text", 1, true).unwrap());
        },
        Closed,
    ),
    (
        "a bound value",
        |c| {
            let mut cached = c.prepare_cached("SELECT ?1").unwrap();
            cached.raw_bind_parameter(1, 7).unwrap();
        },
        Cleaned(|c| {
            let mut cached = c.prepare_cached("SELECT ?1").unwrap();
            let mut rows = cached.raw_query();
            rows.next()
                .unwrap()
                .unwrap()
                .get::<_, Option<i64>>(0)
                .unwrap()
                .is_some()
        }),
    ),
    (
        "a deadline",
        |c| std::mem::forget(c.deadline(Duration::from_secs(9)).unwrap()),
        Closed,
    ),
    (
        "another authorizer",
        |c| {
            c.authorizer(Some(|_: AuthContext<'_>| Authorization::Allow))
                .unwrap()
        },
        Closed,
    ),
    (
        "no authorizer",
        |c| {
            c.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
                .unwrap()
        },
        Closed,
    ),
    (
        "another progress handler",
        |c| c.progress_handler(1, Some(|| false)).unwrap(),
        Closed,
    ),
    (
        "a commit hook",
        |c| c.commit_hook(Some(|| true)).unwrap(),
        Closed,
    ),
    (
        "no commit hook",
        |c| c.commit_hook(None::<fn() -> bool>).unwrap(),
        Closed,
    ),
    (
        "a rollback hook",
        |c| c.rollback_hook(Some(|| ())).unwrap(),
        Closed,
    ),
    (
        "an update hook",
        |c| {
            c.update_hook(Some(|_, _: &str, _: &str, _| called()))
                .unwrap()
        },
        Cleaned(|c| was_called(|| sql(c, "INSERT INTO notes (text) VALUES ('x')"))),
    ),
    (
        "a WAL hook",
        |c| {
            c.wal_hook(Some(|_, _| {
                called();
                Ok(())
            }))
        },
        Cleaned(|c| was_called(|| sql(c, "INSERT INTO notes (text) VALUES ('x')"))),
    ),
    (
        "a trace",
        |c| c.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(|_| called())),
        Cleaned(|c| was_called(|| sql(c, "SELECT 1"))),
    ),
    (
        "a profile",
        |c| {
            #[allow(deprecated)]
            c.profile(Some(|_, _| called()));
        },
        Cleaned(|c| was_called(|| sql(c, "SELECT 1"))),
    ),
    (
        "a busy handler",
        |c| {
            c.busy_handler(Some(|_| {
                called();
                false
            }))
            .unwrap()
        },
        Cleaned(|c| told::<i64>(c, "PRAGMA busy_timeout") != 5_000),
    ),
    (
        "no wait for locks",
        |c| c.busy_timeout(Duration::ZERO).unwrap(),
        Cleaned(|c| told::<i64>(c, "PRAGMA busy_timeout") != 5_000),
    ),
    (
        "transactions that begin with a read",
        |c| c.set_transaction_behavior(TransactionBehavior::Deferred),
        Cleaned(|c| {
            let begun = c.transaction().unwrap();
            begun.transaction_state(None::<&str>).unwrap() != rusqlite::TransactionState::Write
        }),
    ),
    (
        "another connection",
        |c| **c = Connection::open_in_memory().unwrap(),
        Closed,
    ),
    (
        "another connection to the same file",
        |c| {
            let path = c.path().unwrap().to_owned();
            **c = Connection::open(path).unwrap();
        },
        Closed,
    ),
    (
        "another database in its place",
        |c| {
            let other = Connection::open_in_memory().unwrap();
            other.execute_batch("CREATE TABLE x (y)").unwrap();
            let bytes = other.serialize("main").unwrap();
            let bytes: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
            let _ = c.deserialize_bytes("main", bytes);
        },
        Cleaned(|c| told::<i64>(c, "SELECT count(*) FROM sqlite_schema WHERE name = 'x'") == 1),
    ),
    (
        "a function over SQLite's",
        |c| shout(c, "lower"),
        Stays(|c| told::<String>(c, "SELECT lower('a')") == "A!"),
    ),
    (
        "a new function",
        |c| shout(c, "shout"),
        Stays(|c| told::<String>(c, "SELECT shout('a')") == "A!"),
    ),
    (
        "a function that is gone",
        |c| c.remove_function("upper", 1).unwrap(),
        Unseen,
    ),
    (
        "a collation over SQLite's",
        |c| c.create_collation("NOCASE", |a, b| b.cmp(a)).unwrap(),
        Stays(|c| told(c, "SELECT 'b' < 'a' COLLATE NOCASE")),
    ),
    (
        "a collation that is asked for",
        |c| {
            c.collation_needed(|c, name| c.create_collation(name, |a, b| b.cmp(a)))
                .unwrap()
        },
        Stays(|c| told(c, "SELECT 'b' < 'a' COLLATE other")),
    ),
    (
        "a module of virtual tables",
        |c| rusqlite::vtab::series::load_module(c).unwrap(),
        Stays(|c| told::<i64>(c, "SELECT count(*) FROM generate_series(1, 3)") == 3),
    ),
    (
        "a handle that interrupts",
        |c| std::mem::forget(c.get_interrupt_handle()),
        Unseen,
    ),
    (
        "a backup that is forgotten",
        |c| {
            let to = Box::leak(Box::new(Connection::open_in_memory().unwrap()));
            let backup = rusqlite::backup::Backup::new(c, to).unwrap();
            backup.step(1).unwrap();
            std::mem::forget(backup);
        },
        Unseen,
    ),
    (
        "a small cache of statements",
        |c| c.set_prepared_statement_cache_capacity(0),
        Unseen,
    ),
    (
        "an error",
        |c| c.set_errmsg(1, Some(c"mine")).unwrap(),
        Unseen,
    ),
];

/// A flag that callbacks without a state set.
fn called() {
    CALLED.set(true);
}

thread_local! {
    static CALLED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn was_called(run: impl FnOnce()) -> bool {
    CALLED.set(false);
    run();
    CALLED.get()
}

fn shout(connection: &Connection, name: &str) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let shout = |c: &rusqlite::functions::Context<'_>| Ok(c.get::<String>(0)?.to_uppercase() + "!");
    let made = connection.create_scalar_function(name, 1, flags, shout);
    made.unwrap();
}

fn leave_rows(connection: &SqliteConnection) {
    let mut statement = connection.prepare("VALUES (1), (2)").unwrap();
    let mut rows = statement.query([]).unwrap();
    rows.next().unwrap().unwrap();
    std::mem::forget(rows);
    std::mem::forget(statement);
}

/// A tenant with one row, for each thing that is left.
fn tenant(hardening: Hardening) -> (Root, Tenant) {
    let root = Root::with(|b| b.migrations(notes()).hardening(hardening));
    let acme = root.made("acme");
    let first = root.connect(&acme).unwrap();
    sql(&first, "INSERT INTO notes (id, text) VALUES (9, 'first')");
    drop(first);
    (root, acme)
}

/// Leaves something on a connection, gives that back, and looks what became of it.
fn check(what: &str, hardening: Hardening, leave: impl FnOnce(&mut SqliteConnection), fate: &Fate) {
    let (root, acme) = tenant(hardening);
    let manager = root.driver.manager(&acme);
    let mut connection = manager.connect().unwrap();
    assert!(!manager.has_broken(&mut connection), "before: {what}");
    leave(&mut connection);
    let closed = manager.has_broken(&mut connection);
    assert_eq!(closed, matches!(fate, Closed), "{hardening:?}: {what}");
    match fate {
        Cleaned(found) => assert!(!found(&mut connection), "{hardening:?}: {what} is found"),
        Stays(found) => assert!(found(&mut connection), "{hardening:?}: {what} is gone"),
        Closed | Unseen | Refused => {}
    }
}

fn check_sql(rows: &[(&str, &[&str], Fate)], hardening: Hardening) {
    for (what, texts, fate) in rows {
        let leave = |connection: &mut SqliteConnection| {
            for text in *texts {
                match fate {
                    Refused => {
                        let done = crate::harden::run(connection, text);
                        assert!(done.is_err() && connection.refusal().is_some(), "{text}");
                    }
                    _ => sql(connection, text),
                }
            }
        };
        check(what, hardening, leave, fate);
    }
}

#[test]
fn sql_text_leaves_nothing_but_what_is_documented() {
    check_sql(SQL, Hardening::Strict);
    check_sql(SQL, Hardening::Trusted);
    check_sql(TRUSTED, Hardening::Trusted);
}

/// What `on_connect` puts into `temp` is for every check-out, so none may change it.
#[test]
fn a_temporary_table_of_on_connect_is_the_same_for_every_check_out() {
    let root = Root::with(|b| {
        let make = "CREATE TEMP TABLE context (x); INSERT INTO context VALUES (1)";
        b.migrations(notes()).on_connect(|c| c.execute_batch(make))
    });
    let acme = root.made("acme");
    let manager = root.driver.manager(&acme);
    for (text, closed) in [
        ("SELECT * FROM context", false),
        ("ALTER TABLE notes RENAME COLUMN mark TO m", false),
        ("INSERT INTO context VALUES (2)", true),
        ("UPDATE temp.context SET x = 2", true),
        ("DELETE FROM context", true),
        ("DROP TABLE context", true),
        ("ALTER TABLE context ADD COLUMN y", true),
    ] {
        let mut connection = manager.connect().unwrap();
        sql(&connection, text);
        assert_eq!(manager.has_broken(&mut connection), closed, "{text}");
    }
}

#[test]
fn rust_code_leaves_nothing_but_what_is_documented() {
    for (what, leave, fate) in RUST {
        check(what, Hardening::Strict, leave, fate);
    }
}

#[test]
fn every_limit_and_switch_that_was_changed_closes_the_connection() {
    for limit in LIMITS {
        let change = |c: &mut SqliteConnection| {
            let was = c.limit(limit).unwrap();
            c.set_limit(limit, if was == 0 { 1 } else { was - 1 })
                .unwrap();
        };
        check(&format!("{limit:?}"), Hardening::Trusted, change, &Closed);
    }
    for switch in SWITCHES {
        let change = |c: &mut SqliteConnection| {
            let was = c.db_config(switch).unwrap();
            c.set_db_config(switch, !was).unwrap();
        };
        check(&format!("{switch:?}"), Hardening::Trusted, change, &Closed);
    }
}

/// Two of one tenant, which have the same path.
#[test]
fn connections_of_one_tenant_that_were_swapped_are_closed() {
    let (root, acme) = tenant(Hardening::Strict);
    let manager = root.driver.manager(&acme);
    let (mut a, mut b) = (manager.connect().unwrap(), manager.connect().unwrap());
    std::mem::swap::<Connection>(&mut a, &mut b);
    assert!(manager.has_broken(&mut a) && manager.has_broken(&mut b));
}

/// As it was found: an acknowledged insert of the next check-out went into the temporary table.
#[test]
fn the_next_check_out_writes_into_the_file() {
    for hardening in [Hardening::Strict, Hardening::Trusted] {
        let (root, acme) = tenant(hardening);
        let pools = TenantPools::<SqliteDriver>::builder().max_per_tenant(1);
        let pools = pools.build(root.driver.clone()).unwrap();
        let first = pools.checkout(&acme).unwrap();
        sql(
            &first,
            "CREATE TEMP TABLE notes (id INTEGER PRIMARY KEY, text, mark)",
        );
        drop(first);
        let second = pools.checkout(&acme).unwrap();
        sql(&second, "INSERT INTO notes (text) VALUES ('acknowledged')");
        drop(second);
        let raw = Connection::open(root.path(&acme)).unwrap();
        assert_eq!(
            told::<i64>(&raw, "SELECT count(*) FROM notes"),
            2,
            "{hardening:?}"
        );
    }
}

const LIMITS: [Limit; 13] = [
    Limit::SQLITE_LIMIT_LENGTH,
    Limit::SQLITE_LIMIT_SQL_LENGTH,
    Limit::SQLITE_LIMIT_COLUMN,
    Limit::SQLITE_LIMIT_EXPR_DEPTH,
    Limit::SQLITE_LIMIT_COMPOUND_SELECT,
    Limit::SQLITE_LIMIT_VDBE_OP,
    Limit::SQLITE_LIMIT_FUNCTION_ARG,
    Limit::SQLITE_LIMIT_ATTACHED,
    Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
    Limit::SQLITE_LIMIT_VARIABLE_NUMBER,
    Limit::SQLITE_LIMIT_TRIGGER_DEPTH,
    Limit::SQLITE_LIMIT_WORKER_THREADS,
    Limit::SQLITE_LIMIT_PARSER_DEPTH,
];

const SWITCHES: [DbConfig; 20] = [
    DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY,
    DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
    DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
    DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER,
    DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
    DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
    DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP,
    DbConfig::SQLITE_DBCONFIG_RESET_DATABASE,
    DbConfig::SQLITE_DBCONFIG_DEFENSIVE,
    DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA,
    DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE,
    DbConfig::SQLITE_DBCONFIG_DQS_DDL,
    DbConfig::SQLITE_DBCONFIG_DQS_DML,
    DbConfig::SQLITE_DBCONFIG_LEGACY_FILE_FORMAT,
    DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    DbConfig::SQLITE_DBCONFIG_STMT_SCANSTATUS,
    DbConfig::SQLITE_DBCONFIG_REVERSE_SCANORDER,
    DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE,
    DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE,
    DbConfig::SQLITE_DBCONFIG_ENABLE_COMMENTS,
];
