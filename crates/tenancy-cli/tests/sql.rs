//! `sql`: a statement, as the application would run it.

use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;

use crate::util::{command, files, interrupted, project, tenancy, wait_until};

/// A project with a tenant acme.
fn acme() -> TempDir {
    let dir = project();
    tenancy(dir.path(), &["create", "acme"]).ok();
    dir
}

#[test]
fn rows_are_a_table_or_json_lines() {
    let dir = acme();
    let sql = |args: &[&str]| tenancy(dir.path(), &[&["sql", "acme"], args].concat()).ok();
    let insert = "INSERT INTO notes (text) VALUES ('one'), ('two')";
    assert_eq!(
        sql(&[insert, "--json"]).json(),
        json!({"tenant": "acme", "changes": 2})
    );
    let select = "SELECT id, text, NULL AS n, 1.5 AS r, x'00ff' AS b, 1e999 AS i, 12345 AS id
        FROM notes ORDER BY id; -- all of them";
    assert_eq!(
        sql(&[select]).stdout,
        "id  text  n     r    b        i    id:2\n\
         1   one   NULL  1.5  x'00ff'  Inf  12345\n\
         2   two   NULL  1.5  x'00ff'  Inf  12345\n"
    );
    let lines = sql(&[select, "--json"]).json_lines();
    let first = json!({"id": 1, "text": "one", "n": null, "r": 1.5, "b": "x'00ff'",
        "i": "Inf", "id:2": 12345});
    assert_eq!((lines.len(), &lines[0]), (2, &first));
    assert_eq!(
        sql(&["SELECT * FROM notes WHERE false", "--json"]).stdout,
        ""
    );
    let returning = "DELETE FROM notes RETURNING text";
    assert_eq!(sql(&[returning]).stdout, "text\none\ntwo\n");
    assert_eq!(sql(&["SELECT count(*) AS n FROM notes"]).stdout, "n\n0\n");
}

#[test]
fn nothing_is_cut_where_there_is_no_terminal() {
    let dir = acme();
    let long = format!("SELECT '{}' AS long, 7 AS short", "x".repeat(200));
    let run = tenancy(dir.path(), &["sql", "acme", &long]).ok();
    assert_eq!(
        run.stdout,
        format!("{:200}  short\n{}  7\n", "long", "x".repeat(200))
    );
    assert_eq!(run.stderr, "");
    let columns: Vec<_> = (0..60).map(|n| format!("{n} AS c{n}")).collect();
    let many = format!(
        "SELECT {} UNION ALL SELECT {}",
        columns.join(","),
        columns.join(",")
    );
    let run = tenancy(dir.path(), &["sql", "acme", &many]).ok();
    assert!(run.stdout.starts_with("c0   0\nc1   1\n"), "{run:?}");
    assert_eq!(
        run.stdout.lines().count(),
        121,
        "two records, apart: {run:?}"
    );
}

/// Rows come as they are found: the first ones are there long before the last, and the
/// process never holds them all.
#[test]
fn rows_stream_and_memory_stays_bounded() {
    let dir = acme();
    let rows = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 80000)
        SELECT i, printf('%0500d', i) AS text FROM n";
    // 40 MB of rows, which a process that collects them would hold more than once.
    for format in [&[][..], &["--json"]] {
        let args = [&["sql", "acme", rows, "--timeout", "10m"][..], format].concat();
        let mut peak = command(dir.path(), &args);
        let child = peak.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().expect("it starts");
        let out = child.stdout.take().expect("a pipe");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(out));
        let count = lines.by_ref().take(79_999).count();
        assert_eq!(count, 79_999);
        let status = format!("/proc/{}/status", child.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        // It may have ended already: then the other half of the runs is looked at.
        assert!(kib.is_none_or(|kib| kib < 40 << 10), "{kib:?} KiB");
        assert!(lines.count() <= 2);
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn a_statement_ends_at_its_time_out_and_prints_no_more_rows_than_its_limit() {
    let dir = acme();
    let run = |args: &[&str]| tenancy(dir.path(), &[&["sql", "acme"], args].concat());
    let endless = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)
        SELECT max(i) FROM n";
    let said = "tenant acme: the statement was stopped by its time-out; nothing was changed";
    run(&[endless, "--timeout", "200ms"]).refused(1, said);
    let wrong = run(&["SELECT 1", "--timeout", "5x"]);
    assert!(
        wrong.code == 2 && wrong.stderr.contains("write a whole number"),
        "{wrong:?}"
    );

    let rows = "SELECT value FROM json_each('[1, 2, 3]')";
    let some = run(&[rows, "--limit", "2"]).ok();
    assert_eq!(some.stdout, "value\n1\n2\n");
    assert!(
        some.stderr
            .contains("the query has more rows; --limit is 2"),
        "{some:?}"
    );
    assert_eq!(run(&[rows, "--limit", "3"]).ok().stderr, "");
    assert_eq!(run(&[rows, "--limit", "0"]).ok().stdout, "value\n");
}

#[test]
fn a_refused_statement_names_the_rule() {
    let dir = acme();
    tenancy(dir.path(), &["create", "beta"]).ok();
    for (sql, code, says) in [
        (
            "ATTACH 'beta.db' AS b",
            1,
            "tenant acme: ATTACH is refused: a tenant's connection sees one",
        ),
        ("VACUUM INTO 'copy.db'", 1, "tenant acme: ATTACH is refused"),
        (
            "PRAGMA hard_heap_limit = 1",
            1,
            "PRAGMA hard_heap_limit is refused: it is not on the list",
        ),
        (
            "SELECT load_extension('x')",
            1,
            "load_extension() is refused: it reaches out of the database",
        ),
        ("DELETE FROM _tenancy_stamp", 1, "belong to the library"),
        (
            "CREATE VIRTUAL TABLE d USING dbstat",
            1,
            "only fts3, fts4, fts5",
        ),
        ("SELEC 1", 1, "tenant acme: near \"SELEC\": syntax error"),
        ("SELECT * FROM nowhere", 1, "no such table: nowhere"),
        (
            "INSERT INTO notes (text) VALUES (NULL)",
            1,
            "NOT NULL constraint failed: notes.text",
        ),
        ("SELECT 1; DROP TABLE notes", 2, "more than one statement"),
        (" -- nothing", 2, "no statement"),
    ] {
        tenancy(dir.path(), &["sql", "acme", sql]).refused(code, says);
    }
    tenancy(dir.path(), &["sql", "nobody", "SELECT 1"]).refused(1, "there is no tenant nobody");
    tenancy(dir.path(), &["sql", "acme", "SELECT count(*) FROM notes"]).ok();
}

#[test]
fn ctrl_c_ends_an_endless_statement() {
    let dir = acme();
    let endless = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)
        SELECT max(i) FROM n";
    let mut command = command(dir.path(), &["sql", "acme", endless]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it runs");
    // It is listening from before it opens the file, which this index tells.
    let is_open = |path: &std::path::PathBuf| path.to_string_lossy().ends_with("-shm");
    let tenants = dir.path().join("data/tenants");
    wait_until(|| files(&tenants).iter().any(is_open));
    interrupted(child).refused(
        1,
        "tenant acme: the statement was interrupted; nothing was changed",
    );
}
