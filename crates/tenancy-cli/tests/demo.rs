//! `demo`: the whole job, its report and its proof.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::util::{command, files, interrupted, tenancy, wait_until};

const KEYS: [&str; 14] = [
    "tenants",
    "requests",
    "tenant",
    "skip",
    "central",
    "refused",
    "wrong_tenant_rows",
    "peak_connections",
    "create_per_s",
    "resolve_ns_p50",
    "checkout_us_p50",
    "request_us_p50",
    "request_us_p99",
    "requests_per_s",
];

#[track_caller]
fn count(report: &Value, key: &str) -> u64 {
    report[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} is no count in {report}"))
}

#[track_caller]
fn adds_up(report: &Value, requests: u64) {
    let keys: Vec<_> = report.as_object().expect("an object").keys().collect();
    assert_eq!(keys, KEYS, "{report}");
    let parts = ["tenant", "skip", "central", "refused"];
    let sum: u64 = parts.iter().map(|key| count(report, key)).sum();
    assert_eq!(
        (count(report, "requests"), sum),
        (requests, requests),
        "{report}"
    );
    assert_eq!(count(report, "wrong_tenant_rows"), 0, "{report}");
    assert!(
        (1..=64).contains(&count(report, "peak_connections")),
        "{report}"
    );
}

#[test]
fn every_request_is_accounted_for_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let temp = dir.path().join("temp");
    fs::create_dir(&temp).expect("a directory");
    let mut command = command(
        dir.path(),
        &["demo", "--tenants", "12", "--requests", "600", "--json"],
    );
    let output = command.env("TMPDIR", &temp).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stderr.is_empty(),
        "no progress without a terminal: {output:?}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("one document");
    adds_up(&report, 600);
    assert_eq!(count(&report, "tenants"), 12);
    for key in ["tenant", "skip", "central", "refused"] {
        assert!(count(&report, key) > 0, "{key}: {report}");
    }
    assert_eq!(files(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_demo_is_kept_only_in_an_empty_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = [
        "demo",
        "--tenants",
        "3",
        "--requests",
        "60",
        "--dir",
        "kept",
    ];
    let run = tenancy(dir.path(), &args).ok();
    assert!(
        run.stderr
            .contains("tenancy --config kept/tenancy.toml list"),
        "{run:?}"
    );
    assert!(run.stdout.contains("wrong tenant rows  0\n"), "{run:?}");
    let list = tenancy(
        dir.path(),
        &["--config", "kept/tenancy.toml", "list", "--json"],
    )
    .ok();
    assert_eq!(list.json_lines().len(), 3);
    tenancy(dir.path(), &args).refused(
        2,
        "kept is not an empty directory; name an empty or a new one",
    );
}

#[test]
fn an_access_log_is_replayed_with_its_malformed_lines() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = b"GET /\nGET /images/a.png\n\xff\xfe\n\nPOST /login\nGET /a/../b\nGET\nGET /x y\n"
        .repeat(20);
    fs::write(dir.path().join("log"), &log).expect("a file");
    let run = tenancy(
        dir.path(),
        &["demo", "--tenants", "5", "--log", "log", "--json"],
    )
    .ok();
    adds_up(&run.json(), 160);
    fs::write(dir.path().join("log"), "").expect("a file");
    tenancy(dir.path(), &["demo", "--log", "log"]).refused(2, "log: the access log is empty");
    tenancy(dir.path(), &["demo", "--log", "none"])
        .refused(2, "none: the access log cannot be read");
}

/// A row that a demo did not write, in a tenant's file, is found by the second process.
#[test]
fn the_second_process_prints_the_rows_of_the_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = [
        "demo",
        "--tenants",
        "3",
        "--requests",
        "90",
        "--dir",
        "kept",
        "--json",
    ];
    let report = tenancy(dir.path(), &args).ok().json();
    let rows = tenancy(dir.path(), &["demo-rows", "kept"]).ok().stdout;
    assert_eq!(rows.lines().count() as u64, count(&report, "tenant"));
    assert!(
        rows.lines().all(|row| row.split('\t').count() == 3),
        "{rows}"
    );
    let own = |row: &str| {
        let parts: Vec<_> = row.split('\t').collect();
        parts[0] == parts[1]
    };
    assert!(rows.lines().all(own), "{rows}");

    let file = files(&dir.path().join("kept/data/tenants")).remove(0);
    assert!(file.extension().is_some_and(|e| e == "db"), "{file:?}");
    plant(&file);
    let rows = tenancy(dir.path(), &["demo-rows", "kept"]).ok().stdout;
    assert!(
        rows.lines()
            .any(|row| row.ends_with("\tstranger\t7") && !own(row)),
        "{rows}"
    );
}

/// Starts a demo without an end, does something while it is at work, and sends it
/// Ctrl-C: its report, and the one line that it complains with.
fn disturbed(meanwhile: impl FnOnce(&Path)) -> (Value, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let endless = ["--tenants", "4", "--requests", "100000000"];
    let args = [&["demo", "--dir", "kept", "--json"], &endless[..]].concat();
    let mut command = command(dir.path(), &args);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it runs");
    // It is at work once a tenant's file has rows, and so a write-ahead log.
    let tenants = dir.path().join("kept/data/tenants");
    let is_log = |path: &std::path::PathBuf| path.to_string_lossy().ends_with("-wal");
    wait_until(|| files(&tenants).iter().any(is_log));
    meanwhile(&tenants);
    std::thread::sleep(Duration::from_millis(300));
    let run = interrupted(child);
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    (run.json(), run.stderr)
}

#[test]
fn ctrl_c_stops_a_demo_and_reports_its_progress() {
    let (report, stderr) = disturbed(|_| ());
    let done = count(&report, "requests");
    adds_up(&report, done);
    assert!(done > 0 && done < 100_000_000, "{report}");
    assert!(stderr.starts_with("error: stopped after "), "{stderr}");
    assert!(stderr.contains(" of 100,000,000 requests"), "{stderr}");
}

#[test]
fn a_row_that_the_demo_did_not_write_fails_it() {
    let (report, stderr) = disturbed(|tenants| plant(&files(tenants)[0]));
    // The requests that read it after it was planted count, too.
    assert!(count(&report, "wrong_tenant_rows") >= 1, "{report}");
    assert!(
        stderr.contains(
            "rows in another tenant's database or written by no request: 1; the first: tenant-000"
        ),
        "{stderr}"
    );
    assert!(stderr.contains(" holds request 7 of stranger"), "{stderr}");
}

/// Writes a stranger's row, as another process may.
fn plant(file: &Path) {
    let connection = rusqlite::Connection::open(file).expect("a database");
    connection
        .busy_timeout(Duration::from_secs(10))
        .expect("a time-out");
    connection
        .execute_batch(
            "BEGIN IMMEDIATE;
             INSERT OR IGNORE INTO pages VALUES ('/planted', 1);
             INSERT INTO visits (id, tenant, number, method, path)
             VALUES (-1, 'stranger', 7, 'GET', '/planted');
             COMMIT",
        )
        .expect("a row");
}

#[test]
fn a_real_access_log_is_replayed() {
    let log = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/corpora/access_apache_elastic_requests.txt");
    if !log.is_file() {
        let required = std::env::var("TENANCY_CORPORA").is_ok_and(|word| word == "required");
        assert!(!required, "{} is missing", log.display());
        println!("left out: {} is missing", log.display());
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let log = log.to_str().expect("UTF-8");
    let run = tenancy(
        dir.path(),
        &["demo", "--tenants", "40", "--log", log, "--json"],
    )
    .ok();
    adds_up(&run.json(), 10_000);
}
