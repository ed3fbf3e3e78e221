//! The cases that other projects' test suites hold, through the binary.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::util::{tenancy, tenancy_with};

/// The shared cases, or nothing where a clone stands alone; with
/// `TENANCY_CORPORA=required` they must be there.
fn cases() -> Vec<Value> {
    let files = ["cases.jsonl", "cases2.jsonl"];
    files.into_iter().flat_map(cases_of).collect()
}

fn cases_of(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let path = path.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect(),
        Err(error) => {
            let required = std::env::var("TENANCY_CORPORA").is_ok_and(|word| word == "required");
            assert!(!required, "{}: {error}", path.display());
            println!("left out: {}: {error}", path.display());
            Vec::new()
        }
    }
}

/// A directory with the case's config and tenants.
fn directory_of(case: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let config = toml::to_string(&case["config"]).expect("a config is TOML");
    fs::write(dir.path().join("tenancy.toml"), config).expect("a file");
    let tenants =
        serde_json::json!({"tenants": case.get("tenants").unwrap_or(&Value::Array(Vec::new()))});
    fs::write(dir.path().join("tenants.json"), tenants.to_string()).expect("a file");
    dir
}

const BATCH: [&str; 4] = ["resolve", "--batch", "--tenants", "tenants.json"];

#[test]
fn requests_get_the_answers_of_the_cases() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case["kind"] == "request") {
        let dir = directory_of(case);
        let run = tenancy_with(dir.path(), &BATCH, &format!("{}\n", case["request"]));
        let answers = if run.code == 0 {
            run.json_lines()
        } else {
            Vec::new()
        };
        let want = case["want"].as_object().expect("a want is an object");
        let right = match answers.as_slice() {
            [answer] => want
                .iter()
                .all(|(key, value)| answer.get(key) == Some(value)),
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "{}\n  want {}\n  got {run:?}",
                case["id"], case["want"]
            ));
        }
        checked += 1;
    }
    println!("request: {checked} rows checked");
    assert!(
        wrong.is_empty(),
        "{} of {checked}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What a refusal has to say, by the words that stand in the case.
fn says(want: &str, error: &str) -> bool {
    let of_want: &[(&str, &[&str])] = &[
        ("a template has an empty label", &["{tenant}", "label"]),
        ("cannot stand in a template", &["{tenant}"]),
        ("a template is empty", &["template"]),
        ("a template has no {tenant}", &["{tenant}"]),
        ("no leading slash", &["slash"]),
        ("ends with a slash", &["slash"]),
        ("a byte that no path may have", &["byte"]),
        ("a prefix with ;", &["\"/a;b\"", "';'"]),
        ("the header may not be host", &["header \"host\""]),
        ("the header may not be cookie", &["header \"cookie\""]),
    ];
    let words = of_want.iter().find(|(part, _)| want.contains(part));
    words.is_some_and(|(_, words)| words.iter().all(|word| error.contains(word)))
}

#[test]
fn invalid_configs_of_the_cases_are_refused() {
    let mut checked = 0;
    for case in cases().iter().filter(|case| case["kind"] == "config_error") {
        let dir = directory_of(case);
        let run = tenancy(dir.path(), &BATCH).refused(2, "tenancy.toml: ");
        let want = case["want"].as_str().expect("a want is a sentence");
        assert!(
            says(want, &run.stderr),
            "{}: want {want}, got {}",
            case["id"],
            run.stderr
        );
        checked += 1;
    }
    println!("config_error: {checked} rows checked");
}
