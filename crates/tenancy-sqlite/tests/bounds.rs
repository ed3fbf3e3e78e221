//! What one statement may cost: lengths, columns, steps, functions, time and memory.

use std::time::{Duration, Instant};

use r2d2::ManageConnection;
use rusqlite::functions::FunctionFlags;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::{Access, Driver};
use tenancy_sqlite::{
    Check, DenyRule, Hardening, Migration, Migrations, SqliteConnection, SqliteStorage,
    SqliteStorageBuilder,
};

use crate::harden::run;
use crate::util::{Root, child, notes};

fn made(options: impl FnOnce(SqliteStorageBuilder) -> SqliteStorageBuilder) -> (Root, Tenant) {
    let root = Root::with(|b| options(b.migrations(notes())));
    let acme = root.made("acme");
    (root, acme)
}

/// The rule behind the error of a statement; none if it runs.
fn rule(connection: &SqliteConnection, sql: &str) -> Option<DenyRule> {
    let error = run(connection, sql).err()?;
    let refusal = connection.refusal_of(&error);
    Some(refusal.unwrap_or_else(|| panic!("{sql:.80}: {error}")).rule)
}

fn columns(count: usize) -> String {
    vec!["1"; count].join(", ")
}

/// So many values in one statement.
fn values(count: usize) -> String {
    format!("VALUES {}", vec!["(1, 2, 3, 4)"; count / 4].join(", "))
}

#[test]
fn values_and_statements_that_are_too_long_are_refused_by_their_rules() {
    let (root, acme) = made(|b| b);
    let connection = root.connect(&acme).unwrap();
    for (sql, expected) in [
        ("SELECT zeroblob(16777216)".to_owned(), None),
        (
            "SELECT zeroblob(16777217)".to_owned(),
            Some(DenyRule::Length),
        ),
        (
            "SELECT hex(zeroblob(9000000))".to_owned(),
            Some(DenyRule::Length),
        ),
        (
            "SELECT replace(zeroblob(65536), x'00', 'x')".to_owned(),
            None,
        ),
        (
            "SELECT replace(printf('%.65536c', 'a'), 'a', printf('%.65536c', 'b'))".to_owned(),
            Some(DenyRule::Length),
        ),
        (
            format!("SELECT '{}'", "x".repeat(2 << 20)),
            Some(DenyRule::Length),
        ),
        (format!("SELECT {}", columns(200)), None),
        (values(8_000), None),
        (values(40_000), Some(DenyRule::Steps)),
    ] {
        assert_eq!(rule(&connection, &sql), expected, "{sql:.80}");
    }
    let wide = run(&connection, &format!("SELECT {}", columns(201))).unwrap_err();
    assert!(wide.to_string().contains("too many columns"), "{wide}");
    for (sql, text) in [
        (
            format!("SELECT max({})", columns(128)),
            "too many arguments",
        ),
        (
            format!("SELECT 'a' LIKE '{}'", "a".repeat(257)),
            "pattern too complex",
        ),
        (
            format!("SELECT {}1", "1 + ".repeat(1_000)),
            "maximum depth 1000",
        ),
    ] {
        let error = run(&connection, &sql).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    run(&connection, &format!("SELECT max({})", columns(127))).unwrap();
    run(
        &connection,
        &format!("SELECT 'a' LIKE '{}'", "a".repeat(256)),
    )
    .unwrap();
    // None of it costs the connection.
    let mut connection = connection;
    assert!(!root.driver.manager(&acme).has_broken(&mut connection));
    let error = run(&connection, &values(40_000)).unwrap_err();
    let text = connection.refusal_of(&error).unwrap().to_string();
    assert!(
        text.starts_with("a statement of more than 25000 steps is refused"),
        "{text}"
    );
}

#[test]
fn the_bounds_are_options() {
    let (root, acme) = made(|b| {
        b.max_value_bytes(1 << 20)
            .max_columns(300)
            .max_statement_steps(100_000)
    });
    let connection = root.connect(&acme).unwrap();
    assert_eq!(
        rule(&connection, "SELECT zeroblob(1048577)"),
        Some(DenyRule::Length)
    );
    assert_eq!(rule(&connection, &format!("SELECT {}", columns(300))), None);
    assert!(run(&connection, &format!("SELECT {}", columns(301))).is_err());
    assert_eq!(rule(&connection, &values(40_000)), None);
    // A table that lent connections could not read is refused to the migration that makes it.
    let names: Vec<_> = (0..250).map(|n| format!("c{n}")).collect();
    let wide = Migration::new("wide", format!("CREATE TABLE wide ({})", names.join(", ")));
    let steps = || Migrations::new([wide.clone()]).unwrap();
    let narrow = Root::with(|b| b.migrations(steps()));
    let error = narrow.driver.provision(&narrow.placed("acme")).unwrap_err();
    let cause = format!("{:?}", std::error::Error::source(&error));
    assert!(cause.contains("too many columns"), "{cause}");
    let root = Root::with(|b| b.migrations(steps()).max_columns(250));
    let acme = root.made("acme");
    assert_eq!(
        rule(&root.connect(&acme).unwrap(), "SELECT * FROM wide"),
        None
    );
}

#[test]
fn bounds_that_are_none_are_refused_before_anything_is_made() {
    type Set = fn(SqliteStorageBuilder) -> SqliteStorageBuilder;
    let cases: [(Set, &str); 7] = [
        (
            |b| b.max_value_bytes(65_535),
            "max_value_bytes 65535 is out of bounds; use 65536 to 1000000000",
        ),
        (
            |b| b.max_value_bytes(1_000_000_001),
            "max_value_bytes 1000000001 is out of bounds; use 65536 to 1000000000",
        ),
        (
            |b| b.max_columns(15),
            "max_columns 15 is out of bounds; use 16 to 2000",
        ),
        (
            |b| b.max_columns(2_001),
            "max_columns 2001 is out of bounds; use 16 to 2000",
        ),
        (
            |b| b.max_statement_steps(999),
            "max_statement_steps 999 is out of bounds; use 1000 to 250000000",
        ),
        (
            |b| b.max_statement_steps(u32::MAX),
            "max_statement_steps 4294967295 is out of bounds; use 1000 to 250000000",
        ),
        (
            |b| b.max_memory(1 << 20),
            "max_memory 1048576 is out of bounds; use 67108864 to 9223372036854775807",
        ),
    ];
    let dir = crate::util::quick_dir();
    let never_made = dir.path().join("root");
    for (set, text) in cases {
        let error = set(SqliteStorage::builder(&never_made))
            .create()
            .unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    assert!(!never_made.exists());
}

const COSTLY: [&str; 6] = [
    "SELECT json_patch('{}', '{}')",
    "SELECT jsonb_patch('{}', '{}')",
    "SELECT highlight(f, 0, '<', '>') FROM f WHERE f MATCH 'a'",
    "SELECT snippet(f, 0, '<', '>', '', 9) FROM f WHERE f MATCH 'a'",
    "SELECT Offsets(g) FROM g WHERE g MATCH 'a'",
    "SELECT matchinfo(g) FROM g WHERE g MATCH 'a'",
];

#[test]
fn functions_without_a_bound_are_for_trusted_sql() {
    for hardening in [Hardening::Strict, Hardening::Trusted] {
        let (root, acme) = made(|b| b.hardening(hardening));
        let mut connection = root.connect(&acme).unwrap();
        for sql in [
            "CREATE VIRTUAL TABLE f USING fts5(t)",
            "CREATE VIRTUAL TABLE g USING fts4(t)",
        ] {
            run(&connection, sql).unwrap();
        }
        let expected = (hardening == Hardening::Strict).then_some(DenyRule::Cost);
        for access in [Access::ReadWrite, Access::ReadOnly] {
            root.driver.restrict(&mut connection, access).unwrap();
            for sql in COSTLY {
                assert_eq!(
                    rule(&connection, sql),
                    expected,
                    "{hardening:?} {access:?}: {sql}"
                );
            }
            assert_eq!(
                rule(
                    &connection,
                    "SELECT bm25(f) FROM f WHERE f MATCH 'a' ORDER BY rank"
                ),
                None
            );
        }
    }
}

/// By hostile statements that took minutes, or for ever. The time is that of a machine that does
/// much else.
#[test]
fn a_deadline_ends_what_took_minutes() {
    let (root, acme) = made(|b| b);
    let connection = root.connect(&acme).unwrap();
    let doubling: Vec<_> = (1..=12)
        .map(|n| {
            format!(
                "c{n}(x) AS (SELECT x FROM c{0} UNION ALL SELECT x FROM c{0})",
                n - 1
            )
        })
        .collect();
    let long = |n: usize, c: char| format!("printf('%.*c', {n}, '{c}')");
    let (hay, needle) = (
        long(15_000_000, 'a'),
        format!("{} || 'b'", long(1_000_000, 'a')),
    );
    for sql in [
        format!("SELECT instr({hay}, {needle})"),
        format!("SELECT length(replace({hay}, {needle}, 'c'))"),
        format!("SELECT length(trim({hay}, {needle}))"),
        format!(
            "SELECT length(trim({hay}, {} || 'a'))",
            long(1_000_000, 'b')
        ),
        format!(
            "WITH c0(x) AS (SELECT 1), {} SELECT count(*) FROM c12",
            doubling.join(", ")
        ),
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
            .to_owned(),
    ] {
        let began = Instant::now();
        let deadline = connection.deadline(Duration::from_millis(50)).unwrap();
        let done = run(&connection, &sql);
        drop(deadline);
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{sql:.60}: {:?}",
            began.elapsed()
        );
        if let Err(error) = done {
            let rule = connection.refusal_of(&error).map(|refusal| refusal.rule);
            assert!(
                matches!(rule, Some(DenyRule::Deadline | DenyRule::Steps)),
                "{sql:.60}: {error}"
            );
        }
    }
}

/// Nothing is prepared once the deadline has passed.
#[test]
fn the_deadline_is_asked_before_the_first_step() {
    let (root, acme) = made(|b| b);
    let connection = root.connect(&acme).unwrap();
    let deadline = connection.deadline(Duration::ZERO).unwrap();
    let error = connection
        .prepare("SELECT text FROM notes")
        .map(drop)
        .unwrap_err();
    assert_eq!(
        connection.refusal_of(&error).unwrap().rule,
        DenyRule::Deadline
    );
    drop(deadline);
    run(&connection, "SELECT text FROM notes").unwrap();
}

/// Views, indexes, triggers and generated columns that a file has call SQLite's functions; ours take
/// their place without a word.
#[test]
fn schemas_go_on_calling_the_functions_that_are_ours_now() {
    let (root, acme) = made(|b| b);
    let raw = rusqlite::Connection::open(root.path(&acme)).unwrap();
    raw.execute_batch(
        "INSERT INTO notes (text) VALUES ('xay'), ('  b ');
         CREATE INDEX i ON notes (replace(text, 'a', 'b'), instr(text, 'a'));
         CREATE VIEW v AS SELECT trim(text, ' x') AS t FROM notes;
         CREATE TABLE g (a, b AS (rtrim(a, 'z')) STORED, CHECK (ltrim(a, 'q') <> ''));
         CREATE TRIGGER t AFTER INSERT ON notes BEGIN INSERT INTO g (a) VALUES (new.text); END;",
    )
    .unwrap();
    drop(raw);
    let connection = root.connect(&acme).unwrap();
    run(&connection, "INSERT INTO notes (text) VALUES ('qz')").unwrap();
    let told = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(told("SELECT group_concat(t) FROM v"), "ay,b,qz");
    assert_eq!(told("SELECT b FROM g"), "q");
    assert_eq!(
        told("SELECT text FROM notes INDEXED BY i WHERE replace(text, 'a', 'b') = 'xby'"),
        "xay"
    );
    drop(connection);
    assert!(root.driver.check(&acme, Check::Full).unwrap().is_empty());
    root.driver.vacuum(&acme).unwrap();
}

#[test]
fn a_function_of_on_connect_comes_before_ours() {
    let own = |connection: &mut rusqlite::Connection| {
        let flags = FunctionFlags::SQLITE_UTF8;
        connection.create_scalar_function("instr", 2, flags, |_| Ok(7))
    };
    let (root, acme) = made(|b| b.on_connect(own));
    let mut connection = root.connect(&acme).unwrap();
    let told: i64 = connection
        .query_row("SELECT instr('a', 'b')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(told, 7);
    assert!(!root.driver.manager(&acme).has_broken(&mut connection));
}

/// In a process of its own: the bound is the process's.
#[test]
fn the_memory_of_the_process_has_a_bound_if_it_is_asked_for() {
    let mut child = child::start("max_memory", &[]);
    assert!(child.wait().unwrap().success());
}

/// What the child does.
pub fn fill_the_memory() {
    let (root, acme) = made(|b| b.max_memory(64 << 20));
    let beta = root.made("beta");
    let (connection, neighbour) = (root.connect(&acme).unwrap(), root.connect(&beta).unwrap());
    let sql = format!("SELECT {}", vec!["randomblob(9000000)"; 20].join(", "));
    assert_eq!(rule(&connection, &sql), Some(DenyRule::Steps));
    // The memory is given back with the statement.
    assert_eq!(rule(&neighbour, "SELECT randomblob(9000000)"), None);
    // A driver with a larger one does not raise it.
    let (other, acme) = made(|b| b.max_memory(1 << 30));
    assert_eq!(
        rule(&other.connect(&acme).unwrap(), &sql),
        Some(DenyRule::Steps)
    );
}
