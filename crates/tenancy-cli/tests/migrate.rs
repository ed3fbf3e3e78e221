//! `migrate` and `status`: all tenants at once.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{command, interrupted, project, tenancy, tenants, wait_until_one_is_done, write};

/// A project with these tenants, at version 1.
fn fleet(ids: &[&str]) -> TempDir {
    let dir = project();
    tenants(dir.path(), ids);
    dir
}

fn migration(dir: &Path, file: &str, sql: &str) {
    write(&dir.join("migrations").join(file), sql);
}

/// The schema versions, by tenant.
fn versions(dir: &Path) -> Vec<Option<u64>> {
    let rows = tenancy(dir, &["status", "--json"]).ok().json_lines();
    rows.iter().map(|row| row["version"].as_u64()).collect()
}

#[track_caller]
fn names(report: &Value, list: &str) -> Vec<String> {
    let items = report[list].as_array().expect("a list").iter();
    items
        .map(|item| item["tenant"].as_str().expect("a tenant").to_owned())
        .collect()
}

#[test]
fn tenants_behind_are_reported_migrated_and_then_current() {
    let dir = fleet(&["a", "b", "c"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    let counts = |current, behind, newest| json!({"newest": newest, "current": current, "behind": behind, "ahead": 0, "unknown": 0});
    assert_eq!(
        run(&["migrate", "--check", "--json"]).ok().json(),
        counts(3, 0, 1)
    );
    migration(
        dir.path(),
        "0002_due.sql",
        "ALTER TABLE notes ADD COLUMN due TEXT",
    );
    migration(
        dir.path(),
        "0003_idx.sql",
        "CREATE INDEX notes_due ON notes (due)",
    );

    let check = run(&["migrate", "--check", "--json"]);
    assert_eq!((check.code, check.json()), (1, counts(0, 3, 3)));
    assert!(
        check
            .stderr
            .contains("3 tenants are not at schema version 3"),
        "{check:?}"
    );
    let check = run(&["migrate", "--check", "--tenant", "b", "--json"]);
    assert_eq!(
        (check.code, names(&check.json(), "tenants")),
        (1, vec!["b".to_owned()])
    );
    let behind = run(&["sql", "a", "SELECT 1"]).ok();
    let says = "note: tenant a is at schema version 1, behind 3";
    assert!(behind.stderr.contains(says), "{behind:?}");

    let plan = run(&["migrate", "--pretend", "--json"]).ok().json();
    let row = |id| json!({"tenant": id, "from": 1, "steps": ["2 due", "3 idx"]});
    assert_eq!(
        plan,
        json!({"newest": 3, "tenants": [row("a"), row("b"), row("c")], "failed": []})
    );
    let shown = run(&["migrate", "--pretend"]).ok().stdout;
    assert!(
        shown.starts_with("TENANTS\na  1: 2 due, 3 idx\n"),
        "{shown}"
    );
    assert_eq!(versions(dir.path()), [Some(1); 3], "nothing was done");

    let one = run(&["migrate", "--tenant", "b", "--json"]).ok().json();
    assert_eq!(one["done"], json!([{"tenant": "b", "from": 1, "to": 3}]));
    let rest = run(&["migrate", "--skip", "c", "--json"]).ok().json();
    assert_eq!(
        (names(&rest, "done"), &rest["current"]),
        (vec!["a".to_owned()], &json!(1))
    );
    assert_eq!(
        rest["left_out"],
        json!([{"tenant": "c", "why": "skipped on request"}])
    );
    let last = run(&["migrate"]).ok().stdout;
    assert!(last.ends_with("current      2\ndone         1\nfailed       0\nleft out     0\nnot reached  0\nend          through\n"), "{last}");
    let none = run(&["migrate", "--json"]).ok().json();
    assert_eq!(
        (&none["current"], names(&none, "done").len()),
        (&json!(3), 0)
    );
    run(&["sql", "a", "SELECT due FROM notes"]).ok();
}

#[test]
fn a_failed_tenant_is_named_and_the_next_run_continues() {
    let dir = fleet(&["a", "b", "c", "d"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    for id in ["b", "d"] {
        run(&["sql", id, "INSERT INTO notes (text) VALUES ('x'), ('x')"]).ok();
    }
    migration(
        dir.path(),
        "0002_once.sql",
        "CREATE UNIQUE INDEX notes_text ON notes (text)",
    );

    let stopped = run(&["migrate", "--jobs", "1", "--json"]);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    let report = stopped.json();
    assert_eq!(
        (names(&report, "done"), names(&report, "failed")),
        (vec!["a".into()], vec!["b".into()])
    );
    assert_eq!(
        (&report["not_reached"], &report["end"]),
        (&json!(2), &json!("failures"))
    );
    let why = report["failed"][0]["why"].as_str().expect("a reason");
    assert!(
        why.contains("migration 2 once failed in statement 1"),
        "{why}"
    );
    assert!(
        why.contains("UNIQUE constraint failed: notes.text"),
        "{why}"
    );
    assert!(
        stopped
            .stderr
            .contains("1 of 4 tenants failed, not begun: 2"),
        "{stopped:?}"
    );

    let shown = run(&["migrate", "--keep-going"]);
    assert_eq!(shown.code, 3, "{shown:?}");
    assert!(shown.stdout.starts_with("FAILED\nb  "), "{shown:?}");
    assert!(shown.stdout.contains("\nd  "), "each is named: {shown:?}");
    assert!(
        shown.stdout.contains("\ndone         1\nfailed       2\n"),
        "{shown:?}"
    );
    assert!(
        shown
            .stderr
            .contains("2 of 3 tenants failed; correct what is named above"),
        "{shown:?}"
    );

    let rows = run(&["status", "--behind", "--json"]).ok().json_lines();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["tenant"], &rows[0]["version"], &rows[0]["pending"]),
        (&json!("b"), &json!(1), &json!(1))
    );
    assert!(
        rows[0]["failed"]
            .as_str()
            .is_some_and(|why| why.contains("UNIQUE")),
        "{rows:?}"
    );
    let shown = run(&["status"]).ok().stdout;
    assert!(
        shown.starts_with("TENANT  STATUS  VERSION  PENDING\na       active  2        0\n"),
        "{shown}"
    );
    assert!(shown.contains("\nFAILED\nb  "), "{shown}");
    assert!(
        shown.ends_with("newest   2\ncurrent  2\nbehind   2\nahead    0\nunknown  0\n"),
        "{shown}"
    );

    // Once it is mended, the next run does what is left.
    for id in ["b", "d"] {
        let mended = run(&["sql", id, "DELETE FROM notes WHERE id > 1", "--json"]).ok();
        assert!(mended.stderr.contains("is at schema version 1, behind 2"));
        assert_eq!(mended.json()["changes"], 1);
    }
    let report = run(&["migrate", "--json"]).ok().json();
    assert_eq!(
        (names(&report, "done").len(), &report["current"]),
        (2, &json!(2))
    );
    assert_eq!(run(&["status", "--behind", "--json"]).ok().stdout, "");
}

#[test]
fn canaries_are_migrated_first_and_alone() {
    let dir = fleet(&["a", "b", "c"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["sql", "a", "INSERT INTO notes (text) VALUES ('x'), ('x')"]).ok();
    migration(
        dir.path(),
        "0002_once.sql",
        "CREATE UNIQUE INDEX notes_text ON notes (text)",
    );
    let bad = run(&["migrate", "--canary", "1", "--keep-going", "--json"]);
    assert_eq!(
        (bad.code, &bad.json()["end"], &bad.json()["not_reached"]),
        (3, &json!("canary"), &json!(2))
    );
    assert_eq!(versions(dir.path()), [Some(1); 3]);
    let good = run(&["migrate", "--canary", "1", "--skip", "a", "--json"])
        .ok()
        .json();
    assert_eq!(names(&good, "done"), ["b", "c"]);
}

#[test]
fn migrations_that_fail_on_an_empty_database_change_no_tenant() {
    let dir = fleet(&["a", "b"]);
    migration(dir.path(), "0002_typo.sql", "CREATE TABEL x (y)");
    tenancy(dir.path(), &["migrate"]).refused(1, "so no tenant was changed");
    tenancy(dir.path(), &["migrate", "--pretend"]).refused(1, "so no tenant was changed");
    assert_eq!(versions(dir.path()), [Some(1); 2]);
    migration(dir.path(), "nonsense.sql", "SELECT 1");
    tenancy(dir.path(), &["migrate"]).refused(2, "is not the name of a migration");
    fs::remove_file(dir.path().join("migrations/nonsense.sql")).expect("it is there");
    fs::remove_file(dir.path().join("migrations/0002_typo.sql")).expect("it is there");
    // Passed over, it would be missed when its tables are.
    for name in ["0002_due.SQL", "0002_due.down.SQL", "0002_due.Sql"] {
        migration(dir.path(), name, "SELECT 1");
        for args in [&["migrate"][..], &["create", "c"]] {
            tenancy(dir.path(), args).refused(2, "is not the name of a migration");
        }
        fs::remove_file(dir.path().join("migrations").join(name)).expect("it is there");
    }
}

#[test]
fn tenants_ahead_are_counted_separately() {
    let dir = fleet(&["a", "b"]);
    migration(
        dir.path(),
        "0002_due.sql",
        "ALTER TABLE notes ADD COLUMN due TEXT",
    );
    tenancy(dir.path(), &["migrate", "--tenant", "a"]).ok();
    fs::remove_file(dir.path().join("migrations/0002_due.sql")).expect("it was there");
    let check = tenancy(dir.path(), &["migrate", "--check", "--json"]);
    assert_eq!((check.code, &check.json()["ahead"]), (1, &json!(1)));
    assert!(
        check
            .stderr
            .contains("1 tenants are ahead of schema version 1"),
        "{check:?}"
    );
    let run = tenancy(dir.path(), &["migrate", "--json"]);
    assert_eq!(
        (run.code, names(&run.json(), "failed")),
        (3, vec!["a".to_owned()])
    );
    assert!(
        run.stdout.contains("schema version 2 is newer than 1"),
        "{run:?}"
    );
}

#[test]
fn wrong_choices_are_refused() {
    let dir = fleet(&["a"]);
    for (args, code, says) in [
        (&["--tenant", "nobody"][..], 1, "there is no tenant nobody"),
        (&["--tenant", "No"], 2, "tenant id \"No\""),
        (&["--skip", "No"], 2, "tenant id \"No\""),
    ] {
        let args = [&["migrate"], args].concat();
        tenancy(dir.path(), &args).refused(code, says);
    }
    for args in [
        &["migrate", "--jobs", "0"][..],
        &["migrate", "--check", "--pretend"],
        &["migrate", "--check", "--canary", "1"],
        &["migrate", "--canary", "-1"],
    ] {
        assert_eq!(tenancy(dir.path(), args).code, 2, "{args:?}");
    }
}

/// The files are not even there: the catalog knows.
#[test]
fn a_run_without_work_opens_no_tenants_file() {
    let ids: Vec<_> = (0..200).map(|n| format!("t{n:03}")).collect();
    let dir = fleet(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let (there, away) = (dir.path().join("data/tenants"), dir.path().join("away"));
    fs::rename(&there, &away).expect("they are away");
    fs::create_dir(&there).expect("an empty directory");
    for args in [
        &["migrate", "--check", "--json"][..],
        &["migrate", "--json"],
    ] {
        assert_eq!(
            tenancy(dir.path(), args).ok().json()["current"],
            200,
            "{args:?}"
        );
    }
}

#[test]
fn ctrl_c_finishes_begun_tenants_and_the_next_run_continues() {
    let ids: Vec<_> = (0..24).map(|n| format!("t{n:02}")).collect();
    let dir = fleet(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    // Some 100 ms each.
    let slow = "CREATE TABLE sums AS WITH RECURSIVE n (i) AS
        (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT sum(i) AS s FROM n";
    migration(dir.path(), "0002_slow.sql", slow);
    let mut command = command(dir.path(), &["migrate", "--jobs", "2", "--json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    wait_until_one_is_done(dir.path());
    let run = interrupted(child);
    assert_eq!(run.code, 1, "{run:?}");
    let report = run.json();
    let done = names(&report, "done").len();
    let left = report["not_reached"].as_u64().expect("a count");
    assert!(
        done >= 1 && left >= 1 && done as u64 + left == 24,
        "{report}"
    );
    assert_eq!(report["end"], "stopped");
    let says =
        format!("error: stopped after {done} of 24 tenants; run the command again to continue\n");
    assert_eq!(run.stderr, says);
    let reached = versions(dir.path())
        .iter()
        .filter(|version| **version == Some(2))
        .count();
    assert_eq!(reached, done, "what was said is so");

    let report = tenancy(dir.path(), &["migrate", "--json"]).ok().json();
    assert_eq!(report["current"], done);
    assert_eq!(names(&report, "done").len() as u64, left);
    assert_eq!(versions(dir.path()), [Some(2); 24]);
}

/// Where there is nothing to do, and where a new tenant would get another schema of the
/// same version.
#[test]
fn an_edited_migration_is_refused_before_anything_is_begun() {
    let dir = fleet(&["a", "b"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    let file = dir.path().join("migrations/0001_init.sql");
    let text = fs::read_to_string(&file).expect("a migration");
    write(&file, &format!("{text}\nCREATE TABLE more (x);"));
    for args in [
        &["migrate"][..],
        &["migrate", "--check"],
        &["migrate", "--pretend"],
        &["migrate", "--tenant", "a"],
        &["create", "c"],
    ] {
        run(args).refused(1, "migration 1 was applied as \"init ");
    }
    assert_eq!(versions(dir.path()), [Some(1); 2]);
    write(&file, &text);
    run(&["migrate"]).ok();
    run(&["create", "c"]).ok();
}

#[test]
fn a_retired_tenant_is_not_behind_and_is_migrated_when_it_is_revived() {
    let dir = fleet(&["a", "b", "c"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["sql", "c", "INSERT INTO notes (text) VALUES ('x'), ('x')"]).ok();
    run(&["retire", "b"]).ok();
    run(&["retire", "c"]).ok();
    migration(
        dir.path(),
        "0002_once.sql",
        "CREATE UNIQUE INDEX notes_text ON notes (text)",
    );
    run(&["migrate"]).ok();
    run(&["migrate", "--check"]).ok();
    assert_eq!(run(&["status", "--behind", "--json"]).ok().stdout, "");
    run(&["revive", "b"]).ok();
    assert_eq!(versions(dir.path()), [Some(2), Some(2), Some(1)]);
    run(&["migrate", "--check"]).ok();
    // One that cannot be migrated is back all the same, and says what to do.
    run(&["revive", "c"]).refused(1, "tenant c is active again, but its database could not");
    assert_eq!(run(&["migrate", "--check"]).code, 1);
    run(&["sql", "c", "DELETE FROM notes WHERE id > 1"]).ok();
    run(&["migrate", "--tenant", "c"]).ok();
    run(&["migrate", "--check"]).ok();
}
