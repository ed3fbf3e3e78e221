//! Migrations: exactly once, up and down, and never half.

use std::error::Error;
use std::fs;

use tenancy_core::{Migrated, Placement, Provisioner, SchemaTarget, Tenant};
use tenancy_sqlite::{
    Behind, DenyRule, FileError, MigrateError, Migration, Migrations, MigrationsError, OpenError,
    SqliteDriver,
};

use crate::util::{Root, at, child, notes};

const LATEST: SchemaTarget = SchemaTarget::Latest;

fn set(steps: impl IntoIterator<Item = Migration>) -> Migrations {
    Migrations::new(steps).unwrap()
}

/// The same root with other migrations.
fn again(root: &Root, migrations: Migrations) -> SqliteDriver {
    let builder = at(root.dir.path()).migrations(migrations);
    builder.open_driver().unwrap()
}

/// Which rule refused which statement of which migration.
#[track_caller]
fn refusal_of(driver: &SqliteDriver, tenant: &Tenant) -> (u32, usize, DenyRule) {
    let error = driver.migrate(tenant, LATEST).unwrap_err();
    match error.source().unwrap().downcast_ref() {
        Some(FileError::Migrate(MigrateError::Refused {
            version,
            statement,
            refusal,
            ..
        })) => (*version, *statement, refusal.rule),
        other => panic!("{other:?}"),
    }
}

/// What a failed migration says.
#[track_caller]
fn text_of(driver: &SqliteDriver, tenant: &Tenant, target: SchemaTarget) -> String {
    let error = driver.migrate(tenant, target).unwrap_err();
    error.source().unwrap().to_string()
}

/// Schema and version of a tenant's file, by a connection that is nobody's.
fn state(root: &Root, tenant: &Tenant) -> (i64, Vec<String>) {
    let connection = rusqlite::Connection::open(root.path(tenant)).unwrap();
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let sql = "SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name";
    let mut schema = connection.prepare(sql).unwrap();
    let schema = schema.query_map([], |row| row.get(0)).unwrap();
    (version.unwrap(), schema.collect::<Result<_, _>>().unwrap())
}

#[test]
fn a_tenant_goes_up_down_and_up_again() {
    let root = Root::new();
    let acme = root.made("acme");
    let driver = &root.driver;
    let (_, full) = state(&root, &acme);
    let steps = [
        (SchemaTarget::Version(1), 2, 1),
        (SchemaTarget::Version(1), 1, 1),
        (SchemaTarget::Version(0), 1, 0),
        (LATEST, 0, 2),
        (LATEST, 2, 2),
        (SchemaTarget::Version(0), 2, 0),
        (SchemaTarget::Version(2), 0, 2),
    ];
    for (target, from, to) in steps {
        let migrated = driver.migrate(&acme, target).unwrap();
        assert_eq!(migrated, Migrated { from, to }, "{target:?}");
        assert_eq!(state(&root, &acme).0, i64::from(to));
    }
    assert_eq!(state(&root, &acme).1.len(), full.len());
    assert_eq!(
        text_of(driver, &acme, SchemaTarget::Version(3)),
        "there is no schema version 3; the newest migration is 2"
    );
}

#[test]
fn a_tenant_that_is_behind_is_refused_or_migrated_as_chosen() {
    let root = Root::with(|builder| builder.migrations(set(notes().iter().take(1).cloned())));
    let root = root.listed();
    let acme = root.made("acme");
    let elsewhere = || tempfile::tempdir().unwrap();
    let storage = at(root.dir.path()).migrations(notes()).open();
    let refusing = Root::of(storage.unwrap(), elsewhere());
    let opened = refusing.connect(&acme).unwrap_err();
    assert_eq!(
        opened.to_string(),
        "tenant acme@1: schema version 1, the program needs 2; migrate it"
    );
    let builder = at(root.dir.path()).migrations(notes());
    let storage = builder.behind(Behind::Migrate).open().unwrap();
    let migrating = Root::of(storage, elsewhere());
    let connection = migrating.connect(&acme).unwrap();
    connection
        .execute("INSERT INTO notes (text, mark) VALUES ('x', 1)", [])
        .unwrap();
    refusing.connect(&acme).unwrap();
    // Now the first program is the old one.
    let opened = root.connect(&acme).unwrap_err();
    assert!(
        matches!(
            opened,
            OpenError::TooNew {
                found: 2,
                newest: 1,
                ..
            }
        ),
        "{opened:?}"
    );
    assert_eq!(
        text_of(&root.driver, &acme, LATEST),
        "schema version 2 is newer than 1, the newest migration; use a newer program"
    );
}

#[test]
fn an_edited_migration_differs_from_the_applied_one() {
    let root = Root::new();
    let acme = root.made("acme");
    let edits = [
        set([
            Migration::new("notes", "CREATE TABLE notes (other)"),
            notes().iter().nth(1).unwrap().clone(),
        ]),
        set([
            Migration::new(
                "renamed",
                "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;",
            ),
            notes().iter().nth(1).unwrap().clone(),
        ]),
    ];
    for edited in edits {
        let driver = again(&root, edited);
        for target in [LATEST, SchemaTarget::Version(0)] {
            let text = text_of(&driver, &acme, target);
            assert!(
                text.starts_with("migration 1 was applied as \"notes "),
                "{text}"
            );
        }
    }
}

#[test]
fn a_failed_migration_leaves_the_one_before_it() {
    let root = Root::with(|builder| builder);
    let acme = root.made("acme");
    let driver = again(
        &root,
        set([
            Migration::new("good", "CREATE TABLE good (x)"),
            Migration::new(
                "bad",
                "CREATE TABLE half (x); INSERT INTO half VALUES (1);\n-- now\nINSERT INTO nowhere VALUES (1);",
            ),
        ]),
    );
    assert_eq!(
        text_of(&driver, &acme, LATEST),
        "migration 2 bad failed in statement 3; see the cause"
    );
    let (version, schema) = state(&root, &acme);
    assert_eq!(version, 1);
    assert!(schema.iter().any(|sql| sql.contains("good")));
    assert!(!schema.iter().any(|sql| sql.contains("half")));
    // A template that cannot be built makes no file.
    let beta = root.placed("beta");
    let failed = driver.provision(&beta).unwrap_err();
    assert!(
        failed
            .source()
            .unwrap()
            .to_string()
            .contains("migration 2 bad")
    );
    assert!(!driver.exists(&beta).unwrap());
}

/// Each script is refused whole: the table before its bad statement is not there.
#[test]
fn scripts_cannot_leave_their_transaction_or_their_file() {
    let root = Root::with(|builder| builder);
    let acme = root.made("acme");
    for (rule, sql) in [
        (DenyRule::Transaction, "COMMIT"),
        (DenyRule::Transaction, "END"),
        (DenyRule::Transaction, "ROLLBACK"),
        (DenyRule::Transaction, "BEGIN"),
        (DenyRule::Transaction, "SAVEPOINT x"),
        (DenyRule::Transaction, "RELEASE x"),
        (DenyRule::Transaction, "ROLLBACK TO x"),
        (DenyRule::Pragma, "PRAGMA user_version = 7"),
        (DenyRule::Pragma, "PRAGMA foreign_keys = OFF"),
        (DenyRule::Pragma, "PRAGMA journal_mode = DELETE"),
        (DenyRule::Attach, "ATTACH ':memory:' AS m"),
        (DenyRule::Reserved, "DELETE FROM _tenancy_migrations"),
        (DenyRule::Reserved, "UPDATE _tenancy_stamp SET tenant = 'x'"),
    ] {
        let script = format!("CREATE TABLE half (x); {sql}; CREATE TABLE other (x)");
        let driver = again(&root, set([Migration::new("bad", script)]));
        assert_eq!(refusal_of(&driver, &acme), (1, 2, rule), "{sql}");
        let (version, schema) = state(&root, &acme);
        assert_eq!((version, schema.len()), (0, 2), "{sql}: {schema:?}");
    }
}

const REBUILD: &str = "
    CREATE TABLE parent_new (id INTEGER PRIMARY KEY, name TEXT) STRICT;
    INSERT INTO parent_new SELECT id, 'x' FROM parent;
    DROP TABLE parent;
    ALTER TABLE parent_new RENAME TO parent;";

/// Hazard: switching foreign keys off inside a transaction does nothing, and dropping
/// the old table then deletes its children.
#[test]
fn a_table_is_rebuilt_without_foreign_keys_and_checked_after() {
    let first = Migration::new(
        "first",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
         CREATE TABLE child (of INTEGER REFERENCES parent (id) ON DELETE CASCADE) STRICT;
         INSERT INTO parent VALUES (1), (2);
         INSERT INTO child VALUES (1), (2);",
    );
    let in_script = format!("-- tenancy: foreign_keys off\n{REBUILD}");
    let loses = format!("{REBUILD} DELETE FROM parent WHERE id = 2;");
    let rows = |root: &Root, acme: &Tenant| -> i64 {
        let connection = rusqlite::Connection::open(root.path(acme)).unwrap();
        let sql = "SELECT count(*) FROM child";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let cases = [
        (
            "in code",
            Migration::new("rebuild", REBUILD).without_foreign_keys(),
            2,
            None,
        ),
        (
            "in the script",
            Migration::new("rebuild", in_script),
            2,
            None,
        ),
        ("not said", Migration::new("rebuild", REBUILD), 0, None),
        (
            "loses a row",
            Migration::new("rebuild", loses).without_foreign_keys(),
            2,
            Some(
                "migration 2 rebuild leaves 1 rows of child without the row they refer to; repair them in the script",
            ),
        ),
    ];
    for (case, rebuild, left, error) in cases {
        let root = Root::with(|builder| builder.migrations(set([first.clone()])));
        let acme = root.made("acme");
        let driver = again(&root, set([first.clone(), rebuild]));
        match (driver.migrate(&acme, LATEST), error) {
            (Ok(_), None) => {}
            (Err(found), Some(text)) => {
                assert_eq!(found.source().unwrap().to_string(), text, "{case}");
            }
            (found, _) => panic!("{case}: {found:?}"),
        }
        assert_eq!(rows(&root, &acme), left, "{case}");
    }
}

#[test]
fn a_step_without_a_down_script_stops_the_rollback() {
    let steps = set([
        Migration::new("a", "CREATE TABLE a (x)").down("DROP TABLE a"),
        Migration::new("b", "CREATE TABLE b (x)"),
        Migration::new("c", "CREATE TABLE c (x)").down("DROP TABLE c"),
    ]);
    let root = Root::with(|builder| builder.migrations(steps));
    let acme = root.made("acme");
    assert_eq!(
        text_of(&root.driver, &acme, SchemaTarget::Version(0)),
        "migration 2 b has no down script; write 0002_b.down.sql"
    );
    assert_eq!(state(&root, &acme).0, 2);
}

#[test]
fn a_directory_is_read_by_the_rules_of_its_names() {
    let load = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        for (name, sql) in files {
            fs::write(dir.path().join(name), sql).unwrap();
        }
        Migrations::from_dir(dir.path())
    };
    let loaded = load(&[
        ("0002_second.sql", "SELECT 2"),
        ("0001_first.sql", "SELECT 1"),
        ("0001_first.down.sql", "SELECT -1"),
        ("README.md", "not looked at"),
        ("0001_first.sql.orig", "not looked at"),
    ])
    .unwrap();
    let names: Vec<_> = loaded.iter().map(Migration::name).collect();
    assert_eq!((names, loaded.newest()), (vec!["first", "second"], 2));
    assert_eq!(load(&[]).unwrap().newest(), 0);
    for name in [
        "first.sql",
        "1_first.sql",
        "0001.sql",
        "0001_.sql",
        "0001_a b.sql",
        "0000_zero.sql",
        "0001_a.up.sql",
        "99999999999_a.sql",
        "-001_a.sql",
        "0001_\u{e9}.sql",
        ".sql",
    ] {
        let loaded = load(&[(name, "SELECT 1")]);
        let refused = matches!(loaded, Err(MigrationsError::FileName { .. }));
        // Rust says that ".sql" has no extension: it is not looked at.
        assert!(refused || name == ".sql", "{name}: {loaded:?}");
    }
    type Case = (&'static [(&'static str, &'static str)], &'static str);
    let cases: [Case; 5] = [
        (
            &[("0001_a.sql", "SELECT 1"), ("0003_c.sql", "SELECT 1")],
            "migration 2 is missing; number them from 1 without gaps",
        ),
        (
            &[("0002_b.sql", "SELECT 1")],
            "migration 1 is missing; number them from 1 without gaps",
        ),
        (
            &[("0001_a.sql", "SELECT 1"), ("00001_b.sql", "SELECT 1")],
            "migration 1 is there twice",
        ),
        (
            &[("0001_a.sql", "SELECT 1"), ("0001_b.down.sql", "SELECT 1")],
            "0001_b.down.sql has no 0001_name.sql of the same number and name beside it",
        ),
        (
            &[("0001_a.sql", " \n")],
            "migration a is empty; write its statements or delete it",
        ),
    ];
    for (files, text) in cases {
        let error = load(files).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let missing = Migrations::from_dir("/nonexistent").unwrap_err();
    assert_eq!(
        missing.to_string(),
        "/nonexistent could not be listed; see the cause"
    );
}

/// Each step would show that it ran twice.
pub fn counting() -> Migrations {
    set((1..=6).map(|step| {
        let sql = match step {
            1 => "CREATE TABLE runs (step INTEGER NOT NULL) STRICT; INSERT INTO runs VALUES (1)"
                .to_owned(),
            _ => format!("INSERT INTO runs VALUES ({step})"),
        };
        Migration::new(format!("step{step}"), sql)
    }))
}

#[track_caller]
fn assert_once(root: &Root, tenant: &Tenant) {
    assert_counted_once(&rusqlite::Connection::open(root.path(tenant)).unwrap());
}

#[track_caller]
pub fn assert_counted_once(connection: &rusqlite::Connection) {
    let sql = "SELECT group_concat(step) FROM runs";
    let steps: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(steps, "1,2,3,4,5,6", "{:?}", connection.path());
}

fn raced(index: usize, locator: &str) -> Tenant {
    let id = format!("t{index}").parse().unwrap();
    let place = Placement::new("sqlite", locator);
    Tenant::builder(id).placement(place).build().unwrap()
}

/// The child: migrates all tenants of a list, as fast as it can, and says how many
/// steps were its own.
pub fn race(arguments: &[String]) {
    let [root, locators @ ..] = arguments else {
        panic!("root, locators")
    };
    let driver = at(root).migrations(counting()).open_driver();
    let driver = driver.unwrap();
    child::wait_for_the_other(root);
    let mut own = 0;
    for (index, locator) in locators.iter().enumerate() {
        let migrated = driver.migrate(&raced(index, locator), LATEST).unwrap();
        own += u32::from(migrated.from == 0);
    }
    println!("own={own}");
}

/// `TENANCY_RACES` tenants, 100 unless said: both processes come to each at about the
/// same time, as who was slower at one is faster at the next.
#[test]
fn two_processes_apply_every_migration_once() {
    let races = std::env::var("TENANCY_RACES").map_or(100, |n| n.parse().unwrap());
    let root = Root::with(|builder| builder);
    let tenants: Vec<_> = (0..races).map(|n| root.made(&format!("t{n}"))).collect();
    let locators = tenants.iter().map(|t| &*t.placement().locator);
    let arguments: Vec<_> = std::iter::once(root.dir.path().to_str().unwrap())
        .chain(locators)
        .collect();
    let children = [(); 2].map(|()| child::start("migrate", &arguments));
    let began = children.map(|child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let own = text
            .lines()
            .find_map(|line| line.split_once("own="))
            .unwrap()
            .1;
        own.parse::<u32>().unwrap()
    });
    for tenant in &tenants {
        assert_once(&root, tenant);
    }
    println!("{races} tenants; began at the bottom by each: {began:?}");
    // They did meet: each was the first at some.
    assert!(began.iter().all(|n| *n > 0), "{began:?}");
}

#[test]
fn eight_threads_apply_every_migration_once() {
    let root = Root::with(|builder| builder);
    for n in 0..8 {
        let tenant = root.made(&format!("t{n}"));
        let driver = again(&root, counting());
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let migrated = driver.migrate(&tenant, LATEST).unwrap();
                    assert_eq!(migrated.to, 6);
                });
            }
        });
        assert_once(&root, &tenant);
    }
}

#[test]
fn a_template_and_a_migrated_file_have_the_same_schema() {
    let root = Root::with(|builder| builder);
    let migrated = root.made("migrated");
    let driver = again(&root, notes());
    driver.migrate(&migrated, LATEST).unwrap();
    let copied = root.placed("copied");
    driver.provision(&copied).unwrap();
    assert_eq!(state(&root, &migrated), state(&root, &copied));
}
