//! `rollback`: back by steps, to a version, or to a copy.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{project, tenancy, tenancy_with, tenants, write};

/// Tenants a, b and c at version 2.
fn fleet() -> TempDir {
    let dir = project();
    tenants(dir.path(), &["a", "b", "c"]);
    let file = |name: &str, sql: &str| write(&dir.path().join("migrations").join(name), sql);
    file("0002_due.sql", "ALTER TABLE notes ADD COLUMN due TEXT");
    file("0002_due.down.sql", "ALTER TABLE notes DROP COLUMN due");
    tenancy(dir.path(), &["migrate"]).ok();
    dir
}

fn versions(dir: &Path) -> Vec<Option<u64>> {
    let rows = tenancy(dir, &["status", "--json"]).ok().json_lines();
    rows.iter().map(|row| row["version"].as_u64()).collect()
}

fn done(report: &Value) -> Vec<(&str, u64, u64)> {
    let items = report["done"].as_array().expect("a list").iter();
    items
        .map(|item| {
            let number = |key: &str| item[key].as_u64().expect("a version");
            (
                item["tenant"].as_str().expect("a tenant"),
                number("from"),
                number("to"),
            )
        })
        .collect()
}

#[test]
fn tenants_go_back_by_steps_or_to_a_version() {
    let dir = fleet();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    let report = run(&["rollback", "--tenant", "b", "--yes", "--json"])
        .ok()
        .json();
    assert_eq!(done(&report), [("b", 2, 1)]);
    assert_eq!(versions(dir.path()), [Some(2), Some(1), Some(2)]);
    let behind = run(&["sql", "b", "SELECT 1"]).ok();
    let says = "note: tenant b is at schema version 1, behind 2";
    assert!(behind.stderr.contains(says), "{behind:?}");

    let report = run(&["rollback", "--to", "1", "--skip", "c", "--yes", "--json"])
        .ok()
        .json();
    assert_eq!(
        (done(&report), &report["current"]),
        (vec![("a", 2, 1)], &json!(1))
    );
    let left_out = json!([{"tenant": "c", "why": "skipped on request"}]);
    assert_eq!(report["left_out"], left_out);

    let shown = run(&["rollback", "--tenant", "c", "--steps", "2", "--yes"])
        .ok()
        .stdout;
    assert!(
        shown.contains("\ndone         1\n") && shown.ends_with("end          through\n"),
        "{shown}"
    );
    assert_eq!(versions(dir.path()), [Some(1), Some(1), Some(0)]);
    run(&["migrate"]).ok();
    assert_eq!(versions(dir.path()), [Some(2); 3]);
}

#[test]
fn a_step_without_a_down_script_is_refused_or_its_snapshot_restored() {
    let dir = fleet();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["sql", "a", "INSERT INTO notes (text) VALUES ('before')"]).ok();
    write(
        &dir.path().join("migrations/0003_drop.sql"),
        "DELETE FROM notes",
    );
    run(&["migrate"]).ok();
    run(&["sql", "a", "INSERT INTO notes (text) VALUES ('after')"]).ok();

    let refused = run(&["rollback", "--tenant", "a", "--yes", "--json"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    let why = refused.json()["failed"][0]["why"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(why.contains("migration 3 drop has no down script"), "{why}");
    assert_eq!(versions(dir.path()), [Some(3); 3]);

    let args = [
        "rollback",
        "--tenant",
        "a",
        "--restore-copies",
        "--yes",
        "--json",
    ];
    let restored = run(&args).ok().json();
    assert_eq!(
        restored["done"],
        json!([{"tenant": "a", "from": 3, "to": 2, "restored": true}])
    );
    assert_eq!(
        run(&["show", "a", "--json"]).ok().json()["epoch"],
        2,
        "another incarnation"
    );
    std::fs::remove_file(dir.path().join("migrations/0003_drop.sql")).expect("it was there");
    let rows = run(&["sql", "a", "SELECT text FROM notes", "--json"]).ok();
    assert_eq!(rows.json(), json!({"text": "before"}));
}

#[test]
fn a_rollback_needs_a_confirmation() {
    let dir = fleet();
    tenancy_with(dir.path(), &["rollback"], "y\n").refused(
        1,
        "undoing run 1 for 3 tenants, which deletes the data that only newer",
    );
    tenancy_with(
        dir.path(),
        &["rollback", "--tenant", "a", "--to", "1"],
        "y\n",
    )
    .refused(1, "rolling back for 1 tenants, which deletes");
    assert_eq!(versions(dir.path()), [Some(2); 3]);
    for (args, code, says) in [
        (&["--tenant", "nobody"][..], 1, "there is no tenant nobody"),
        (&["--tenant", "No"], 2, "tenant id \"No\""),
    ] {
        tenancy(dir.path(), &[&["rollback", "--yes"], args].concat()).refused(code, says);
    }
    for args in [
        &["--steps", "0"][..],
        &["--steps", "1", "--to", "1"],
        &["--to", "x"],
    ] {
        assert_eq!(
            tenancy(dir.path(), &[&["rollback", "--yes"], args].concat()).code,
            2,
            "{args:?}"
        );
    }
}
