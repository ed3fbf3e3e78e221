//! What is asked, and only on a terminal: through a real one, if there is `script`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::util::{Run, project, snapshot, tenancy, tenancy_with, tenants, write};

/// Runs the binary on a pseudo-terminal and types this; what it showed there, echo and
/// all, is the run's stdout. `None` where there is no `script` of util-linux.
fn typed(dir: &Path, args: &[&str], input: &str) -> Option<Run> {
    typed_at(dir, args, input, 0)
}

/// The same on a terminal of this width; with 0 it does not tell it.
fn typed_at(dir: &Path, args: &[&str], input: &str, columns: u16) -> Option<Run> {
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("util-linux")) {
        println!("left out: there is no `script` of util-linux");
        return None;
    }
    let words = [&[env!("CARGO_BIN_EXE_tenancy")], args].concat();
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("stty cols {columns}; {}", quoted.join(" "));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(dir);
    command.env("NO_COLOR", "1").env("TERM", "xterm");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Some(Run::with_stdin(&mut command, input))
}

#[test]
fn a_table_is_as_wide_as_the_terminal() {
    let dir = project();
    let long = "x".repeat(200);
    tenancy(dir.path(), &["create", "acme", "--name", &long]).ok();
    for (columns, widest) in [(0, 80), (60, 60), (120, 120)] {
        let Some(run) = typed_at(dir.path(), &["list"], "", columns) else {
            return;
        };
        let run = run.ok();
        let width = run.stdout.lines().map(|line| line.chars().count()).max();
        assert_eq!(width, Some(widest), "{columns} columns: {run:?}");
        assert!(run.stdout.contains("xxx…"), "{columns} columns: {run:?}");
    }
}

/// A command that waits for a lock says for which, and ends with an answer.
#[test]
fn a_lock_that_is_waited_for_is_named() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme"]).ok();
    let shard = crate::util::files(&dir.path().join("data/tenants"));
    let shard = shard[0].parent().expect("a directory").to_owned();
    let locked = std::fs::File::open(&shard).expect("it is there");
    locked.lock().expect("nobody has it");
    let args = ["retire", "acme", "--timeout", "2"];
    let refused = tenancy(dir.path(), &args);
    assert_eq!(refused.code, 1, "{refused:?}");
    let holder = format!("still locked by process {}", std::process::id());
    assert!(refused.stderr.contains(&holder), "{refused:?}");
    assert!(!refused.stderr.contains("waiting for"), "{refused:?}");
    let Some(run) = typed(dir.path(), &args, "") else {
        return;
    };
    let said = format!("waiting for process {}, which has ", std::process::id());
    assert!(run.stdout.contains(&said), "{run:?}");
    drop(locked);
    tenancy(dir.path(), &["revive", "acme"]).ok();
}

#[test]
fn the_wizard_asks_for_all_values_and_repeats_invalid_answers() {
    let dir = project();
    tenancy(dir.path(), &["create", "taken"]).ok();
    let file = dir.path().join("tenancy.toml");
    let text = std::fs::read_to_string(&file).expect("a config");
    write(&file, &text.replace("# seeds = ", "seeds = "));
    let seed = "INSERT INTO notes (text) VALUES ('welcome')";
    write(&dir.path().join("seeds/welcome.sql"), seed);
    let answers = "Acme\nwww\ntaken\nacme\nAcme Inc.\nb@d\nshop.acme.example\n\ny\n";
    let Some(run) = typed(dir.path(), &["create"], answers) else {
        return;
    };
    let run = run.ok();
    for said in [
        "tenant id (1 to 63",
        "error: tenant id \"Acme\" has 'A' at byte 0",
        "error: label www is reserved",
        "error: tenant taken exists already; choose another id",
        "display name",
        "error: domain \"b@d\"",
        "empty to continue",
        "status       active",
    ] {
        assert!(run.stdout.contains(said), "{said:?} is not in {run:?}");
    }
    let acme = tenancy(dir.path(), &["show", "acme", "--json"]).ok().json();
    assert_eq!(acme["name"], "Acme Inc.");
    let notes = tenancy(dir.path(), &["sql", "acme", "SELECT text FROM notes"]).ok();
    assert_eq!(notes.stdout, "text\nwelcome\n");
    assert_eq!(acme["domains"], serde_json::json!(["shop.acme.example"]));
}

#[test]
fn an_end_of_input_creates_nothing() {
    let dir = project();
    let Some(run) = typed(dir.path(), &["create"], "acme\n\u{4}") else {
        return;
    };
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout.contains("no answer; nothing was changed"),
        "{run:?}"
    );
    assert_eq!(tenancy(dir.path(), &["list", "--json"]).ok().stdout, "");
}

#[test]
fn the_wizard_asks_only_on_a_terminal() {
    let dir = project();
    tenancy_with(dir.path(), &["create"], "acme\n\n\n").refused(
        2,
        "the tenant's ID is missing; give it, as in: tenancy create acme",
    );
    assert_eq!(tenancy(dir.path(), &["create", "--name", "x"]).code, 2);
}

#[test]
fn a_destruction_needs_a_confirmation() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme"]).ok();
    let before = snapshot(&dir.path().join("data/tenants"));
    tenancy_with(dir.path(), &["destroy", "acme"], "y\n").refused(
        1,
        "give --yes to confirm this without a terminal; nothing was changed",
    );
    for answer in ["\n", "n\n", "ye\n", "acme\n"] {
        let Some(run) = typed(dir.path(), &["destroy", "acme"], answer) else {
            return;
        };
        assert_eq!(run.code, 1, "{answer:?}: {run:?}");
        assert!(run.stdout.contains("[y/N]"), "{run:?}");
        assert!(
            run.stdout.contains("not confirmed; nothing was changed"),
            "{run:?}"
        );
        assert_eq!(
            snapshot(&dir.path().join("data/tenants")),
            before,
            "{answer:?}"
        );
    }
    let run = typed(dir.path(), &["destroy", "acme"], "Yes\n").expect("it was there");
    assert!(run.ok().stdout.contains("status  destroyed"));
    tenancy(dir.path(), &["show", "acme"]).refused(1, "there is no tenant acme");
}

#[test]
fn a_rollback_asks_and_names_the_loss() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme"]).ok();
    let file = |name: &str, sql: &str| write(&dir.path().join("migrations").join(name), sql);
    file("0002_due.sql", "ALTER TABLE notes ADD COLUMN due TEXT");
    file("0002_due.down.sql", "ALTER TABLE notes DROP COLUMN due");
    tenancy(dir.path(), &["migrate"]).ok();
    let Some(run) = typed(dir.path(), &["rollback"], "n\n") else {
        return;
    };
    assert_eq!(run.code, 1, "{run:?}");
    for says in [
        "2 -> 1: 1 tenants (acme)",
        "-- 2 due\r\nALTER TABLE notes DROP COLUMN due",
        "undoing run 1 for 1 tenants, which deletes",
        "not confirmed; nothing was changed",
    ] {
        assert!(run.stdout.contains(says), "{says}: {run:?}");
    }
    let run = typed(dir.path(), &["rollback"], "y\n").expect("it was there");
    assert!(run.ok().stdout.contains("done         1"));
    let status = tenancy(dir.path(), &["status", "--json"]).ok().json();
    assert_eq!(status["version"], 1);
}

#[test]
fn progress_bars_are_shown_only_on_a_terminal() {
    let dir = project();
    tenants(dir.path(), &["a", "b", "c"]);
    // Some 100 ms each.
    let slow = "CREATE TABLE sums AS WITH RECURSIVE n (i) AS
        (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500000) SELECT sum(i) AS s FROM n";
    write(&dir.path().join("migrations/0002_slow.sql"), slow);
    let one = |id: &'static str| ["migrate", "--tenant", id];
    assert_eq!(tenancy(dir.path(), &one("a")).ok().stderr, "");
    let Some(run) = typed(dir.path(), &one("b"), "") else {
        return;
    };
    assert!(run.ok().stdout.contains("migrating"));
    let quiet = ["migrate", "--tenant", "c", "--quiet"];
    let run = typed(dir.path(), &quiet, "").expect("it was there");
    assert!(!run.ok().stdout.contains("migrating"));
}

#[test]
fn help_lists_and_errors_have_no_escape_sequences() {
    let dir = project();
    for args in [&["--help"][..], &["list"], &["show", "nobody"]] {
        let Some(run) = typed(dir.path(), args, "") else {
            return;
        };
        assert!(!run.stdout.contains('\u{1b}'), "{args:?}: {run:?}");
    }
}
