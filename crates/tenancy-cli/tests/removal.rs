//! `retire`, `revive` and `destroy`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::util::{command, files, interrupted, project, tenancy, wait_until};

#[test]
fn a_destroyed_tenant_leaves_no_file_and_comes_back_as_another() {
    let dir = project();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["create", "acme", "--domain", "shop.example"]).ok();
    run(&["sql", "acme", "INSERT INTO notes (text) VALUES ('old')"]).ok();
    run(&["create", "beta"]).ok();
    let beta = files(&dir.path().join("data/tenants"));
    assert!(beta.len() >= 2, "{beta:?}");
    let gone = run(&["destroy", "acme", "--yes", "--json"]).ok().json();
    assert_eq!(
        gone,
        json!({"id": "acme", "status": "destroyed", "epoch": 1})
    );
    assert_eq!(
        files(&dir.path().join("data/tenants")).len(),
        1,
        "only beta's is left"
    );
    run(&["destroy", "acme", "--yes"]).refused(1, "there is no tenant acme");
    run(&["sql", "acme", "SELECT 1"]).refused(1, "there is no tenant acme");
    // Its names are free, its id is another incarnation, its rows are gone.
    run(&["domain", "add", "beta", "shop.example", "--verified"]).ok();
    assert_eq!(run(&["create", "acme", "--json"]).ok().json()["epoch"], 2);
    let rows = run(&["sql", "acme", "SELECT * FROM notes", "--json"]).ok();
    assert_eq!(rows.stdout, "");
    run(&["destroy", "No", "--yes"]).refused(2, "tenant id \"No\"");
}

/// Replaces the only file of a tenant, and returns where it is.
fn spoil(dir: &Path, with: &str) -> PathBuf {
    let tenants = dir.join("data/tenants");
    let main = files(&tenants)
        .into_iter()
        .find(|f| f.extension().is_some_and(|end| end == "db"));
    let path = tenants.join(main.expect("a file"));
    let pristine = dir.join("pristine.db");
    fs::rename(&path, &pristine).expect("a file");
    match with {
        "a foreign stamp" => {
            fs::copy(&pristine, &path).expect("a file");
            let sql = "UPDATE _tenancy_stamp SET tenant = 'another'";
            Connection::open(&path)
                .expect("a file")
                .execute(sql, [])
                .expect("a file");
        }
        "damage" => {
            let mut bytes = fs::read(&pristine).expect("a file");
            bytes[100..].fill(0xa5);
            fs::write(&path, bytes).expect("a file");
        }
        "text" => fs::write(&path, "no database at all").expect("a file"),
        "a link" => std::os::unix::fs::symlink(&pristine, &path).expect("a file"),
        "a directory" => fs::create_dir(&path).expect("a file"),
        "nothing" => {}
        other => panic!("{other}"),
    }
    path
}

#[test]
fn a_tenant_whose_file_is_damaged_or_anothers_can_be_destroyed_by_force() {
    let kinds = [
        ("a foreign stamp", true),
        ("damage", true),
        ("text", true),
        ("a link", true),
        ("a directory", true),
        ("nothing", false),
    ];
    for (with, is_kept) in kinds {
        let dir = project();
        let run = |args: &[&str]| tenancy(dir.path(), args);
        run(&["create", "acme"]).ok();
        let path = spoil(dir.path(), with);
        if is_kept {
            let said = "`tenancy destroy acme --force` removes it";
            run(&["retire", "acme"]).refused(1, said);
            run(&["destroy", "acme", "--yes"]).refused(1, said);
            let row = run(&["show", "acme", "--json"]).ok().json();
            assert_eq!(row["status"], "retiring", "{with}");
        }
        let gone = run(&["destroy", "acme", "--yes", "--force", "--json"]).ok();
        let gone = gone.json();
        assert_eq!(gone["status"], "destroyed", "{with}");
        assert!(!path.is_symlink() && !path.exists(), "{with}");
        match is_kept {
            true => {
                let kept = Path::new(gone["quarantined"].as_str().expect(with));
                assert!(kept.is_symlink() || kept.exists(), "{with}");
                assert_eq!(kept.file_name(), path.file_name(), "{with}");
            }
            false => assert_eq!(gone["quarantined"], Value::Null),
        }
        run(&["show", "acme"]).refused(1, "there is no tenant acme");
        run(&["validate", "--depth", "full"]).ok();
        assert_eq!(run(&["create", "acme", "--json"]).ok().json()["epoch"], 2);
    }
}

#[test]
fn force_destroys_a_sound_tenant_as_without_it_and_leaves_one_in_use_alone() {
    let dir = project();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    for id in ["acme", "beta"] {
        run(&["create", id]).ok();
    }
    let gone = run(&["destroy", "acme", "--yes", "--force", "--json"]).ok();
    assert_eq!(
        gone.json(),
        json!({"id": "acme", "status": "destroyed", "epoch": 1})
    );
    let tenants = dir.path().join("data/tenants");
    let [beta] = &files(&tenants)[..] else {
        panic!("{:?}", files(&tenants))
    };
    let user = Connection::open(tenants.join(beta)).expect("a file");
    let count = "SELECT count(*) FROM notes";
    let rows: i64 = user.query_row(count, [], |row| row.get(0)).expect("rows");
    let args = ["destroy", "beta", "--yes", "--force", "--timeout", "0"];
    run(&args).refused(1, "is still in use");
    assert!(tenants.join(beta).exists() && rows == 0);
    drop(user);
    run(&["revive", "beta"]).ok();
}

#[test]
fn a_retired_tenant_is_in_the_trash_until_it_is_revived() {
    let dir = project();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["create", "acme", "--domain", "shop.example"]).ok();
    run(&["sql", "acme", "INSERT INTO notes (text) VALUES ('kept')"]).ok();
    run(&["revive", "acme"]).refused(
        1,
        "tenant acme has status active, but this operation needs status retiring",
    );

    let retired = run(&["retire", "acme", "--json"]).ok();
    assert_eq!(retired.json()["status"], "retiring");
    assert_eq!(files(&dir.path().join("data/tenants")).len(), 0);
    assert_eq!(files(&dir.path().join("data/trash")).len(), 1);
    let reason = run(&["resolve", "http://shop.example/", "--json"]).json()["reason"].clone();
    assert_eq!(reason, "not_ready");
    assert_eq!(run(&["sql", "acme", "SELECT 1"]).code, 1);
    run(&["create", "acme"]).refused(1, "tenant acme exists already");
    let listed = run(&["list", "--status", "retiring", "--json"])
        .ok()
        .json_lines();
    assert_eq!(listed.len(), 1);

    assert_eq!(
        run(&["revive", "acme", "--json"]).ok().json()["status"],
        "active"
    );
    let rows = run(&["sql", "acme", "SELECT text FROM notes", "--json"]).ok();
    assert_eq!(rows.json(), json!({"text": "kept"}));

    // From the trash it can be destroyed, too.
    let note = run(&["retire", "acme"]).ok();
    assert!(
        note.stderr
            .contains("`tenancy revive acme` brings the tenant back"),
        "{note:?}"
    );
    run(&["destroy", "acme", "--yes"]).ok();
    assert_eq!(files(&dir.path().join("data/trash")).len(), 0);
    for command in ["retire", "revive"] {
        run(&[command, "acme"]).refused(1, "there is no tenant acme");
        run(&[command, "No"]).refused(2, "tenant id \"No\"");
    }
}

#[test]
fn processes_with_the_file_open_are_waited_for_and_named() {
    let dir = project();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["create", "acme"]).ok();
    let file = files(&dir.path().join("data/tenants")).remove(0);
    let connection = Connection::open(&file).expect("a database");
    let count =
        || connection.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0));
    count().expect("a count");
    let me = format!("by process {}", std::process::id());
    for command in [
        &["retire", "acme", "--timeout", "0"][..],
        &["destroy", "acme", "--yes", "--timeout", "0"],
    ] {
        let refused = run(command);
        assert!(refused.stderr.contains(&me), "{command:?}: {refused:?}");
        refused.refused(1, "is still in use");
        count().expect("it is all there");
    }
    // Nobody waits in vain.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&["retire", "acme", "--timeout", "30"]));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!waiting.is_finished());
        connection.close().expect("it closes");
        waiting.join().expect("it ends").ok();
    });
}

#[test]
fn ctrl_c_while_waiting_reports_the_state_of_the_tenant() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme"]).ok();
    let file = files(&dir.path().join("data/tenants")).remove(0);
    let connection = Connection::open(&file).expect("a database");
    let count =
        || connection.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0));
    count().expect("a count");
    let status = || tenancy(dir.path(), &["show", "acme", "--json"]).json()["status"].clone();
    for (args, says) in [
        (
            &["retire", "acme"][..],
            "stopped while tenant acme was being retired; retire it again to complete this, or revive it",
        ),
        (
            &["destroy", "acme", "--yes"],
            "stopped while tenant acme was being destroyed; destroy it again to complete this",
        ),
    ] {
        let mut command = command(dir.path(), &[args, &["--timeout", "600"]].concat());
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.expect("it runs");
        wait_until(|| status() == "retiring");
        interrupted(child).refused(1, says);
        tenancy(dir.path(), &["revive", "acme"]).ok();
        count().expect("it is all there");
    }
}
