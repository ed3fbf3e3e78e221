//! `validate`: the catalog against the files, by hand-made damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::util::{
    command, files, interrupted, project, snapshot, tenancy, tenants, wait_until, write,
};

fn fleet() -> TempDir {
    let dir = project();
    tenants(dir.path(), &["a", "b", "c"]);
    dir
}

/// What is found, as `code tenant`, and the exit code.
fn found(dir: &Path, args: &[&str]) -> (Vec<String>, i32, Value) {
    let run = tenancy(dir, &[&["validate", "--json"], args].concat());
    let report = run.json();
    let rows = report["findings"].as_array().expect("a list").iter();
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let rows = rows.map(|row| format!("{} {}", word(row, "code"), word(row, "tenant")));
    (rows.collect(), run.code, report)
}

/// The file that says it is this tenant's.
fn file_of(dir: &Path, id: &str) -> PathBuf {
    let is_own = |path: &PathBuf| {
        let connection = Connection::open(path).expect("a database");
        let sql = "SELECT tenant = ?1 FROM _tenancy_stamp";
        connection
            .query_row(sql, [id], |row| row.get(0))
            .expect("a stamp")
    };
    let mut all = files(&dir.join("data/tenants")).into_iter();
    all.find(|path| path.extension().is_some_and(|e| e == "db") && is_own(path))
        .expect("its file")
}

#[test]
fn a_consistent_storage_has_no_findings() {
    let dir = fleet();
    for depth in ["names", "stamps", "quick", "full"] {
        let (rows, code, report) = found(dir.path(), &["--depth", depth]);
        assert_eq!((rows.len(), code), (0, 0), "{depth}: {report}");
        let opened = if depth == "names" { 0 } else { 3 };
        let counts = [
            &report["tenants"],
            &report["files"],
            &report["warm_pool"],
            &report["opened"],
            &report["left"],
        ];
        assert_eq!(
            counts,
            [&json!(3), &json!(3), &json!(0), &json!(opened), &json!(0)],
            "{depth}"
        );
    }
    let shown = tenancy(dir.path(), &["validate"]).ok().stdout;
    let counts = "tenants          3\nfiles            3\nwarm pool        0\nother warm pool  0\n";
    assert!(shown.starts_with(counts), "{shown}");
    assert!(
        shown.ends_with("findings         0\nwarnings         0\nleft             0\n"),
        "{shown}"
    );
    assert_eq!(
        tenancy(dir.path(), &["validate", "--depth", "deep"]).code,
        2
    );
}

#[test]
fn missing_foreign_and_orphaned_files_are_named() {
    let dir = fleet();
    let tenants_dir = dir.path().join("data/tenants");
    let (a, b) = (file_of(dir.path(), "a"), file_of(dir.path(), "b"));
    // b's file becomes a copy of a's, a's own goes away, and strangers come.
    fs::copy(&a, &b).expect("a copy");
    fs::remove_file(&a).expect("it is gone");
    write(&tenants_dir.join("note.txt"), "hello");
    let orphan = tenants_dir.join(format!("00/{}.1.db", "0".repeat(32)));
    fs::create_dir_all(orphan.parent().expect("a directory")).expect("a directory");
    fs::copy(file_of(dir.path(), "c"), &orphan).expect("a copy");
    let (rows, code, report) = found(dir.path(), &[]);
    assert_eq!(code, 1, "{report}");
    for want in ["missing a", "foreign b", "stray -", "duplicate c"] {
        assert!(rows.contains(&want.to_owned()), "{want} is not in {rows:?}");
    }
    let shown = tenancy(dir.path(), &["validate"]);
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(shown.stdout.starts_with("FINDINGS\n"), "{shown:?}");
    assert!(
        shown
            .stdout
            .contains("is missing; restore it, or destroy the"),
        "{shown:?}"
    );
    assert!(
        shown.stderr.contains(&format!(
            "findings: {}; follow their advice, or repair",
            rows.len()
        )),
        "{shown:?}"
    );

    // What needs no decision is mended, and nothing is lost by it.
    let before: Vec<_> = snapshot(dir.path())
        .into_iter()
        .map(|(_, hash)| hash)
        .collect();
    let (_, code, report) = found(dir.path(), &["--fix"]);
    assert_eq!((code, &report["left"]), (1, &json!(2)), "{report}");
    let after: Vec<_> = snapshot(dir.path())
        .into_iter()
        .map(|(_, hash)| hash)
        .collect();
    let kept = |hash: &&u64| !after.contains(hash);
    assert!(
        before.iter().filter(kept).count() <= 3,
        "more than the catalog changed"
    );
    assert!(!orphan.exists() && !tenants_dir.join("note.txt").exists());
    let (rows, _, _) = found(dir.path(), &[]);
    assert_eq!(rows, ["missing a", "foreign b"]);
    // As the advice says.
    tenancy(dir.path(), &["destroy", "a", "--yes"]).ok();
}

#[test]
fn half_done_retirements_and_a_lost_chain_are_found() {
    let dir = fleet();
    tenancy(dir.path(), &["retire", "a"]).ok();
    let catalog = Connection::open(dir.path().join("data/catalog.db")).expect("a catalog");
    let update = "UPDATE tenants SET status = 'active' WHERE id = 'a'";
    catalog.execute(update, []).expect("as by hand");
    assert_eq!(found(dir.path(), &[]).0, ["in_trash a", "closed a"]);
    let (_, code, report) = found(dir.path(), &["--fix"]);
    assert_eq!((code, &report["left"]), (0, &json!(0)), "{report}");
    assert_eq!(report["findings"][0]["fixed"], "the file is in use again");
    tenancy(dir.path(), &["sql", "a", "SELECT 1"]).ok();

    let triggers = "SELECT group_concat('DROP TRIGGER ' || name, ';') FROM sqlite_schema
        WHERE type = 'trigger' AND tbl_name = 'events'";
    let drop: Option<String> = catalog
        .query_row(triggers, [], |row| row.get(0))
        .expect("a row");
    catalog
        .execute_batch(&drop.unwrap_or_default())
        .expect("as by hand");
    let forged = "UPDATE events SET actor = 'nobody' \
        WHERE version = (SELECT min(version) FROM events)";
    catalog.execute(forged, []).expect("as by hand");
    let (rows, code, _) = found(dir.path(), &["--fix"]);
    assert_eq!((rows, code), (vec!["broken_chain -".to_owned()], 1));
}

#[test]
fn schemas_and_names_that_a_changed_project_left_behind_are_found() {
    let dir = fleet();
    tenancy(
        dir.path(),
        &["domain", "add", "b", "shop.late.example", "--verified"],
    )
    .ok();
    write(
        &dir.path().join("migrations/0002_due.sql"),
        "ALTER TABLE notes ADD COLUMN due TEXT",
    );
    let file = dir.path().join("tenancy.toml");
    let text = fs::read_to_string(&file).expect("a config");
    let bases = "subdomains_of = [\"localhost\", \"late.example\"]";
    let text = text.replace("subdomains_of = [\"localhost\"]", bases);
    write(&file, &text.replace("\"mail\"]", "\"mail\", \"c\"]"));
    let (rows, code, report) = found(dir.path(), &[]);
    assert_eq!(code, 1);
    let mut want = [
        "behind a",
        "behind b",
        "behind c",
        "reserved c",
        "shadowed b",
    ]
    .map(str::to_owned);
    want.sort();
    let mut rows = rows;
    rows.sort();
    assert_eq!(rows, want, "{report}");
}

#[test]
fn a_lost_catalog_is_recreated_only_on_request() {
    let dir = fleet();
    tenancy(dir.path(), &["retire", "c"]).ok();
    tenancy(dir.path(), &["validate", "--rebuild"]).refused(1, "is a sound catalog of 3 tenants");
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = fs::remove_file(dir.path().join("data").join(name));
    }
    let before = snapshot(dir.path());
    for args in [
        &["list"][..],
        &["create", "d"],
        &["validate", "--fix"],
        &["migrate"],
    ] {
        tenancy(dir.path(), args).refused(
            1,
            "catalog.db is missing or empty, but there are tenants' files",
        );
    }
    assert_eq!(snapshot(dir.path()), before);
    let run = tenancy(dir.path(), &["validate", "--rebuild", "--json"]).ok();
    let want = json!({"tenants": ["a", "b"], "retired": ["c"], "quarantined": [], "silent": []});
    assert_eq!(run.json(), want);
    tenancy(dir.path(), &["up", "a"]).ok();
    tenancy(dir.path(), &["revive", "c"]).ok();
    tenancy(dir.path(), &["validate"]).ok();

    write(&dir.path().join("data/catalog.db"), "no catalog");
    tenancy(dir.path(), &["list"]).refused(1, "not a catalog");
    let shown = tenancy(dir.path(), &["validate", "--rebuild"]).ok();
    assert!(shown.stdout.starts_with("TENANTS\na\nb\nc\n"), "{shown:?}");
    assert!(
        shown.stderr.contains("every tenant is in maintenance"),
        "{shown:?}"
    );
}

/// A file that somebody has for himself alone is waited for; meanwhile somebody loses
/// patience. Other files may be mended already.
#[test]
fn ctrl_c_ends_a_validation_and_reports_the_state() {
    for (args, says) in [
        (&["validate"][..], "nothing was changed"),
        (
            &["validate", "--fix"],
            "repairs made until then are kept; run the command again to see the remaining findings",
        ),
    ] {
        let dir = fleet();
        let path = file_of(dir.path(), "b");
        let alone = Connection::open(&path).expect("a database");
        let alone_sql = "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE;
                         UPDATE _tenancy_stamp SET open = 1; COMMIT";
        alone.execute_batch(alone_sql).expect("nobody else has it");
        let mut command = command(dir.path(), args);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("it runs");
        let open = format!("/proc/{}/fd", child.id());
        wait_until(|| {
            let mut links = fs::read_dir(&open).into_iter().flatten().flatten();
            links.any(|link| fs::read_link(link.path()).is_ok_and(|to| to == path))
        });
        let run = interrupted(child);
        assert_eq!((run.code, &*run.stdout), (1, ""), "{run:?}");
        assert_eq!(run.stderr, format!("error: stopped; {says}\n"));
        drop(alone);
        let (rows, code, report) = found(dir.path(), &[]);
        assert_eq!((rows.len(), code), (0, 0), "{report}");
    }
}
