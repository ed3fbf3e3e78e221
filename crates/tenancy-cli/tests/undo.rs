//! `rollback` as a tired operator uses it: after a run that failed, was interrupted, was
//! killed, was taken back already; beside another run.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{
    Run, command, files, interrupted, project, snapshot, tenancy, tenants, wait_until_one_is_done,
    write,
};

fn migration(dir: &Path, file: &str, sql: &str) {
    write(&dir.join("migrations").join(file), sql);
}

/// A project with these tenants at version 1, each with a note.
fn fleet(ids: &[&str]) -> TempDir {
    let dir = project();
    tenants(dir.path(), ids);
    for id in ids {
        sql(dir.path(), id, "INSERT INTO notes (text) VALUES ('kept')");
    }
    dir
}

/// The second version, with a way back.
fn due(dir: &Path) {
    migration(dir, "0002_due.sql", "ALTER TABLE notes ADD COLUMN due TEXT");
    migration(
        dir,
        "0002_due.down.sql",
        "ALTER TABLE notes DROP COLUMN due",
    );
}

/// The second version, which fails where two notes are equal.
fn once(dir: &Path) {
    let up = "CREATE UNIQUE INDEX notes_text ON notes (text)";
    migration(dir, "0002_once.sql", up);
    migration(dir, "0002_once.down.sql", "DROP INDEX notes_text");
}

/// The second version, which takes some 100 ms a tenant.
fn slow(dir: &Path) {
    let up = "CREATE TABLE sums AS WITH RECURSIVE n (i) AS
        (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT sum(i) AS s FROM n";
    migration(dir, "0002_slow.sql", up);
    migration(dir, "0002_slow.down.sql", "DROP TABLE sums");
}

fn many() -> Vec<String> {
    (0..24).map(|n| format!("t{n:02}")).collect()
}

fn many_of_them(ids: &[String]) -> TempDir {
    let dir = project();
    tenants(
        dir.path(),
        &ids.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    dir
}

#[track_caller]
fn sql(dir: &Path, id: &str, sql: &str) -> Run {
    tenancy(dir, &["sql", id, sql, "--json"]).ok()
}

fn versions(dir: &Path) -> Vec<Option<u64>> {
    let rows = tenancy(dir, &["status", "--json"]).ok().json_lines();
    rows.iter().map(|row| row["version"].as_u64()).collect()
}

#[track_caller]
fn names(report: &Value, list: &str) -> Vec<String> {
    let items = report[list].as_array().expect("a list").iter();
    let name = |item: &Value| item["tenant"].as_str().expect("a tenant").to_owned();
    items.map(name).collect()
}

fn spawned(dir: &Path, args: &[&str]) -> Child {
    let mut command = command(dir, args);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

#[test]
fn a_rollback_skips_tenants_that_failed_in_the_run() {
    let dir = fleet(&["c1", "c2", "c3"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    sql(
        dir.path(),
        "c3",
        "INSERT INTO notes (text) VALUES ('x'), ('x')",
    );
    once(dir.path());
    let migrated = run(&["migrate", "--keep-going", "--json"]);
    assert_eq!(
        (migrated.code, names(&migrated.json(), "failed")),
        (3, vec!["c3".into()])
    );

    let report = run(&["rollback", "--yes", "--json"]).ok().json();
    assert_eq!(names(&report, "done"), ["c1", "c2"]);
    let left_out = json!([{"tenant": "c3", "why": "it failed in run 1, so it was not changed"}]);
    assert_eq!(report["left_out"], left_out);
    assert_eq!(versions(dir.path()), [Some(1); 3]);
    let count = sql(dir.path(), "c3", "SELECT count(*) AS n FROM notes").json();
    assert_eq!(count, json!({"n": 3}));
    assert_eq!(
        files(&dir.path().join("data/snapshots")).len(),
        2,
        "a copy of each that went back"
    );

    // Said again it goes no further, however often.
    let before = snapshot(&dir.path().join("data/tenants"));
    for _ in 0..2 {
        run(&["rollback", "--yes"]).refused(1, "run 1 is already undone by run 2");
    }
    assert_eq!(snapshot(&dir.path().join("data/tenants")), before);

    // The next migration is another run, and so is what takes it back.
    sql(dir.path(), "c3", "DELETE FROM notes WHERE text = 'x'");
    run(&["migrate"]).ok();
    assert_eq!(versions(dir.path()), [Some(2); 3]);
    let report = run(&["rollback", "--yes", "--json"]).ok().json();
    assert_eq!(names(&report, "done"), ["c1", "c2", "c3"]);
    assert_eq!(versions(dir.path()), [Some(1); 3]);
}

#[test]
fn a_resumed_run_is_one_run() {
    let dir = fleet(&["c1", "c2", "c3"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    sql(
        dir.path(),
        "c3",
        "INSERT INTO notes (text) VALUES ('x'), ('x')",
    );
    once(dir.path());
    assert_eq!(run(&["migrate", "--keep-going"]).code, 3);
    sql(dir.path(), "c3", "DELETE FROM notes WHERE text = 'x'");
    let report = run(&["migrate", "--json"]).ok().json();
    assert_eq!(
        (&report["run"], names(&report, "done")),
        (&json!(1), vec!["c3".into()])
    );
    let report = run(&["rollback", "--yes", "--json"]).ok().json();
    assert_eq!(names(&report, "done"), ["c1", "c2", "c3"]);
}

#[test]
fn a_run_without_work_is_not_undone_and_neither_is_the_one_before() {
    let dir = fleet(&["a"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["rollback", "--yes"]).refused(1, "there is no run of migrations to undo");
    due(dir.path());
    run(&["migrate"]).ok();
    sql(
        dir.path(),
        "a",
        "INSERT INTO notes (text) VALUES ('x'), ('x')",
    );
    let up = "CREATE UNIQUE INDEX notes_text ON notes (text)";
    migration(dir.path(), "0003_once.sql", up);
    assert_eq!(run(&["migrate"]).code, 3);
    run(&["rollback", "--yes"]).refused(1, "run 2 has changed none");
    assert_eq!(versions(dir.path()), [Some(2)]);
    let report = run(&["rollback", "--run", "1", "--yes", "--json"]).ok();
    assert_eq!(names(&report.json(), "done"), ["a"]);
    assert_eq!(versions(dir.path()), [Some(1)]);
    for (number, says) in [
        ("3", "run 3 is a rollback, but only migrations"),
        ("9", "there is no run 9"),
    ] {
        run(&["rollback", "--run", number, "--yes"]).refused(1, says);
    }
}

#[test]
fn an_interrupted_run_is_undone_for_its_finished_tenants() {
    let ids = many();
    let dir = many_of_them(&ids);
    slow(dir.path());
    let child = spawned(dir.path(), &["migrate", "--jobs", "2", "--json"]);
    wait_until_one_is_done(dir.path());
    let run = interrupted(child);
    assert_eq!(run.code, 1, "{run:?}");
    let done = names(&run.json(), "done");
    assert!(!done.is_empty() && done.len() < 24, "{run:?}");
    let report = tenancy(dir.path(), &["rollback", "--yes", "--json"]).ok();
    assert_eq!(names(&report.json(), "done"), done);
    assert_eq!(versions(dir.path()), [Some(1); 24]);
    tenancy(dir.path(), &["rollback", "--yes"]).refused(1, "is already undone");
}

#[test]
fn a_killed_run_is_reported_and_undone() {
    let ids = many();
    let dir = many_of_them(&ids);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    slow(dir.path());
    let mut child = spawned(dir.path(), &["migrate", "--jobs", "2"]);
    wait_until_one_is_done(dir.path());
    std::thread::sleep(Duration::from_millis(300));
    child.kill().expect("it is there");
    child.wait().expect("it ends");
    let found: Vec<_> = ids
        .iter()
        .map(|id| {
            let version = sql(
                dir.path(),
                id,
                "SELECT count(*) + 1 AS v FROM sqlite_schema WHERE name = 'sums'",
            );
            version.json()["v"].as_u64()
        })
        .collect();
    assert_eq!(versions(dir.path()), found, "`status` looks at the files");
    let there = found.iter().filter(|version| **version == Some(2)).count();
    let check = run(&["migrate", "--check", "--json"]);
    let counts = check.json();
    assert_eq!(
        (check.code, &counts["current"], &counts["unknown"]),
        (1, &json!(there), &json!(0))
    );
    let report = run(&["rollback", "--yes", "--json"]).ok().json();
    assert_eq!(names(&report, "done").len(), there, "{report}");
    assert_eq!(versions(dir.path()), [Some(1); 24]);
    run(&["migrate"]).ok();
    assert_eq!(versions(dir.path()), [Some(2); 24]);
}

#[test]
fn changes_after_a_run_are_not_undone_with_it() {
    let dir = fleet(&["a", "b", "c", "d"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    due(dir.path());
    run(&["migrate"]).ok();
    // A new tenant, one that moved, one that left, one that is another by now.
    run(&["create", "e"]).ok();
    migration(dir.path(), "0003_tags.sql", "CREATE TABLE tags (tag TEXT)");
    migration(dir.path(), "0003_tags.down.sql", "DROP TABLE tags");
    run(&["migrate", "--tenant", "b"]).ok();
    run(&["retire", "c"]).ok();
    run(&["destroy", "d", "--yes"]).ok();
    run(&["create", "d"]).ok();

    let report = run(&["rollback", "--run", "1", "--yes", "--json"]);
    assert_eq!(report.code, 3, "{report:?}");
    let report = report.json();
    assert_eq!(names(&report, "done"), ["a"]);
    assert_eq!(names(&report, "failed"), ["b"]);
    let why = report["failed"][0]["why"].as_str().expect("a reason");
    assert!(
        why.contains("conflict: tenant b@1 is at schema version 3, but run 1 has left it at 2"),
        "{why}"
    );
    assert_eq!(names(&report, "left_out"), ["c", "d"]);
    // e is newer than that run, and d is another one.
    let versions = versions(dir.path());
    assert_eq!(
        (versions[0], versions[1], versions[3], versions[4]),
        (Some(1), Some(3), Some(3), Some(2))
    );
}

#[test]
fn steps_and_versions_that_would_lead_to_different_places_are_refused() {
    let dir = fleet(&["a", "b", "c"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    due(dir.path());
    run(&["migrate", "--tenant", "a", "--tenant", "c"]).ok();
    let before = snapshot(&dir.path().join("data/tenants"));
    run(&["rollback", "--steps", "1", "--yes"]).refused(
        1,
        "the tenants are at different schema versions: 2 at 2 (a, …), 1 at 1 (b)",
    );
    run(&["rollback", "--steps", "3", "--tenant", "a", "--yes"])
        .refused(1, "3 migrations cannot be undone");
    run(&["rollback", "--to", "5", "--yes"])
        .refused(1, "there is no schema version 5; the newest migration is 2");
    assert_eq!(snapshot(&dir.path().join("data/tenants")), before);
    let report = run(&["rollback", "--steps", "1", "--skip", "b", "--yes", "--json"]);
    assert_eq!(names(&report.ok().json(), "done"), ["a", "c"]);
    assert_eq!(versions(dir.path()), [Some(1); 3]);
}

#[test]
fn each_rollback_keeps_its_own_snapshots() {
    let dir = fleet(&["a"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    due(dir.path());
    let kept = || files(&dir.path().join("data/snapshots"));
    for round in 1..=2 {
        run(&["migrate"]).ok();
        sql(
            dir.path(),
            "a",
            &format!("UPDATE notes SET due = 'round {round}'"),
        );
        run(&["rollback", "--yes"]).ok();
    }
    let mut found: Vec<String> = kept()
        .iter()
        .map(|path| {
            let copy = rusqlite::Connection::open(path).expect("a database");
            let sql = "SELECT due FROM notes";
            copy.query_row(sql, [], |row| row.get(0)).expect("a row")
        })
        .collect();
    found.sort();
    assert_eq!(found, ["round 1", "round 2"]);
    run(&["migrate"]).ok();
    run(&["rollback", "--no-copy", "--yes"]).ok();
    assert_eq!(kept().len(), 2);
}

#[test]
fn pretend_shows_versions_and_scripts_and_changes_nothing() {
    let dir = fleet(&["a", "b"]);
    let run = |args: &[&str]| tenancy(dir.path(), args);
    due(dir.path());
    run(&["migrate"]).ok();
    let before = snapshot(&dir.path().join("data"));
    let plan = run(&["rollback", "--pretend", "--json"]).ok().json();
    let row = |id| json!({"tenant": id, "from": 2, "to": 1, "way": "2 -> 1", "steps": ["2 due"]});
    assert_eq!(
        plan,
        json!({"undoes": 1, "current": 0, "tenants": [row("a"), row("b")], "failed": [],
            "left_out": [], "scripts": [{"version": 2, "name": "due",
                "down": "ALTER TABLE notes DROP COLUMN due"}]})
    );
    let shown = run(&["rollback", "--pretend", "--yes"]).ok().stdout;
    assert!(
        shown.starts_with("TENANTS\na  2 -> 1: 2 due\nb  2 -> 1: 2 due\n"),
        "{shown}"
    );
    assert!(
        shown.contains("ALTER TABLE notes DROP COLUMN due"),
        "{shown}"
    );
    std::fs::remove_file(dir.path().join("migrations/0002_due.down.sql")).expect("it is there");
    let plan = run(&["rollback", "--pretend", "--json"]);
    assert_eq!(
        (plan.code, names(&plan.json(), "failed")),
        (3, vec!["a".into(), "b".into()])
    );
    assert!(plan.stdout.contains("migration 2 due has no down script"));
    assert_eq!(snapshot(&dir.path().join("data")), before);
}

#[test]
fn a_second_run_is_refused_and_names_the_first() {
    let ids = many();
    let dir = many_of_them(&ids);
    slow(dir.path());
    let mut child = spawned(dir.path(), &["migrate", "--jobs", "2"]);
    wait_until_one_is_done(dir.path());
    let config = dir.path().join("tenancy.toml");
    let text = std::fs::read_to_string(&config).expect("a config");
    write(&config, &text.replace("# seeds = ", "seeds = "));
    let seed = "INSERT INTO notes (text) VALUES ('welcome')";
    write(&dir.path().join("seeds/welcome.sql"), seed);
    for args in [
        &["migrate"][..],
        &["rollback", "--yes"],
        &["rollback", "--to", "0", "--yes"],
        &["seed"],
    ] {
        let refused = tenancy(dir.path(), args).refused(1, "conflict: run 1 (migrate) by cli:");
        let process = format!(", process {}, is in progress", child.id());
        assert!(refused.stderr.contains(&process), "{refused:?}");
    }
    // To look is nobody's harm.
    assert_eq!(tenancy(dir.path(), &["migrate", "--check"]).code, 1);
    tenancy(dir.path(), &["status"]).ok();
    child.kill().expect("it is there");
    child.wait().expect("it ends");
    tenancy(dir.path(), &["migrate"]).ok();
    assert_eq!(versions(dir.path()), [Some(2); 24]);
}
