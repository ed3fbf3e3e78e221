//! Seeds: each runs once in a tenant's life.

use std::fs;

use tenancy_core::{Provisioner, SchemaTarget, Tenant};
use tenancy_sqlite::{DenyRule, FileError, OpenError, SeedError, Seeds, SeedsError, SqliteFleet};

use crate::fleet::{Bed, file_error, first_step, options};
use crate::util::{at, notes};

fn fleet(bed: &Bed, seeds: &[(&str, &str)]) -> SqliteFleet {
    let seeds = Seeds::new(seeds.iter().copied()).unwrap();
    let driver = at(bed.root.dir.path()).migrations(notes());
    driver.seeds(seeds).open().unwrap().fleet()
}

fn texts(bed: &Bed, tenant: &Tenant) -> String {
    let sql = "SELECT coalesce(group_concat(text, ' '), '') FROM notes";
    bed.raw(tenant)
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

const HELLO: (&str, &str) = ("20-hello", "INSERT INTO notes (text) VALUES ('hello')");
const FIRST: (&str, &str) = ("10-first", "INSERT INTO notes (text) VALUES ('a'), ('b')");

#[test]
fn each_seed_runs_once_in_a_tenants_life() {
    let bed = Bed::with(3, notes());
    let none = fleet(&bed, &[]).seed(&options(), |_| {}).unwrap();
    assert_eq!((none.run, none.done.len()), (None, 0));
    let report = fleet(&bed, &[HELLO, FIRST])
        .seed(&options(), |_| {})
        .unwrap();
    assert_eq!((report.done.len(), report.steps()), (3, 6));
    let again = fleet(&bed, &[HELLO, FIRST])
        .seed(&options(), |_| {})
        .unwrap();
    assert_eq!((again.done.len(), again.steps()), (3, 0));
    let edited = (HELLO.0, "INSERT INTO notes (text) VALUES ('edited')");
    let new = (
        "30-new",
        "INSERT INTO notes (text) VALUES ('new'); DELETE FROM notes WHERE text = 'a'",
    );
    let only = options().only(["t01".parse().unwrap()]);
    let report = fleet(&bed, &[edited, FIRST, new])
        .seed(&only, |_| {})
        .unwrap();
    assert_eq!((report.done[0].from, report.done[0].to), (2, 3));
    let found = bed
        .tenants()
        .iter()
        .map(|t| texts(&bed, t))
        .collect::<Vec<_>>();
    assert_eq!(found, ["a b hello", "b hello new", "a b hello"]);
    // Seeds change no schema.
    assert!(fleet(&bed, &[]).check().unwrap().all_current());
}

#[test]
fn a_seed_that_fails_leaves_nothing_and_the_next_call_runs_the_others() {
    let bed = Bed::with(1, notes());
    let tenant = bed.tenant("t00");
    let seed = |sql: &str| {
        let seeds = [FIRST, ("15-bad", sql), HELLO];
        let report = fleet(&bed, &seeds).seed(&options(), |_| {});
        let mut report = report.unwrap();
        report.failed.pop().map(|failed| failed.error)
    };
    let half = "INSERT INTO notes (text) VALUES ('half');";
    let refused = [
        ("COMMIT", DenyRule::Transaction),
        ("SAVEPOINT x", DenyRule::Transaction),
        ("ATTACH ':memory:' AS m", DenyRule::Attach),
        ("DELETE FROM _tenancy_seeds", DenyRule::Reserved),
        ("PRAGMA journal_mode = DELETE", DenyRule::Pragma),
    ];
    for (sql, rule) in refused {
        let error = seed(&format!("{half} {sql}")).unwrap();
        let FileError::Seed(SeedError::Refused {
            statement: 2,
            refusal,
            ..
        }) = file_error(&error)
        else {
            panic!("{sql}: {error:?}")
        };
        assert_eq!(refusal.rule, rule, "{sql}");
        assert_eq!(texts(&bed, &tenant), "a b", "{sql}");
    }
    let error = seed("INSERT INTO notes (text) VALUES ('half'); INSERT INTO nowhere VALUES (1)");
    assert_eq!(
        error.unwrap().to_string(),
        "seed 15-bad failed in statement 2; see the cause"
    );
    assert_eq!(texts(&bed, &tenant), "a b");
    assert!(seed("INSERT INTO notes (text) VALUES ('good')").is_none());
    assert_eq!(texts(&bed, &tenant), "a b good hello");
}

#[test]
fn a_tenant_behind_is_migrated_before_it_is_seeded() {
    let bed = Bed::with(1, first_step());
    let fleet = fleet(&bed, &[HELLO]);
    let report = fleet.seed(&options(), |_| {}).unwrap();
    let error = &report.failed[0].error;
    let behind = matches!(
        file_error(error),
        FileError::Open(OpenError::Behind {
            found: 1,
            newest: 2,
            ..
        })
    );
    assert!(behind, "{error:?}");
    fleet
        .driver()
        .migrate(&bed.tenant("t00"), SchemaTarget::Latest)
        .unwrap();
    assert!(fleet.seed(&options(), |_| {}).unwrap().is_complete());
}

#[test]
fn eight_threads_run_every_seed_once() {
    let bed = Bed::with(5, notes());
    for tenant in bed.tenants() {
        let fleet = fleet(&bed, &[HELLO, FIRST]);
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    fleet.driver().seed(&tenant).unwrap();
                });
            }
        });
        assert_eq!(texts(&bed, &tenant), "a b hello");
    }
}

#[test]
fn a_directory_of_seeds_is_read_by_the_rules_of_its_names() {
    let load = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        for (name, sql) in files {
            fs::write(dir.path().join(name), sql).unwrap();
        }
        Seeds::from_dir(dir.path())
    };
    let seeds = load(&[
        ("b.sql", "SELECT 1"),
        ("a_1.sql", "SELECT 1"),
        ("c.txt", "no"),
    ])
    .unwrap();
    assert_eq!(
        (seeds.names().collect::<Vec<_>>(), seeds.len()),
        (vec!["a_1", "b"], 2)
    );
    assert!(load(&[]).unwrap().is_empty());
    for (name, text) in [
        (
            "a b.sql",
            "\"a b\" is not the name of a seed; use letters, digits, - and _",
        ),
        (
            "a.down.sql",
            "\"a.down\" is not the name of a seed; use letters, digits, - and _",
        ),
        (
            "\u{e9}.sql",
            "\"\u{e9}\" is not the name of a seed; use letters, digits, - and _",
        ),
    ] {
        assert_eq!(load(&[(name, "SELECT 1")]).unwrap_err().to_string(), text);
    }
    let empty = load(&[("a.sql", " \n")]).unwrap_err();
    assert_eq!(
        empty.to_string(),
        "seed a is empty; write its statements or delete it"
    );
    let twice = Seeds::new([("a", "SELECT 1"), ("a", "SELECT 2")]).unwrap_err();
    assert_eq!(twice.to_string(), "seed a is there twice; rename one");
    assert!(matches!(
        Seeds::from_dir("/nonexistent"),
        Err(SeedsError::Io(_))
    ));
}
