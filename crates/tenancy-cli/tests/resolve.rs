//! `resolve`: one URL, and line by line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::util::{command, project, tenancy, tenancy_with};

const CONFIG: &str = r#"
[resolve]
central_domains = ["app.test"]
rules = ["domain", "subdomain", "path", "header"]
subdomains_of = ["app.test"]
path_prefix = "/t"
header = "x-tenant"
reserved = ["www"]
trusted_proxies = ["10.0.0.0/8"]

[[path]]
prefix = "/console"
class = "page"
mode = "central"
"#;

const TENANTS: &str = r#"{"tenants":[
    {"id":"acme","domains":["shop.example.org"],"labels":["acme-inc"]},
    {"id":"beta","status":"suspended"},
    {"id":"gone","status":"retiring","domains":["gone.app.test"]}
]}"#;

fn tenants() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("tenancy.toml"), CONFIG).expect("a file");
    fs::write(dir.path().join("tenants.json"), TENANTS).expect("a file");
    dir
}

#[test]
fn one_url_gets_its_answer_and_the_exit_code_says_whether_it_is_served() {
    let dir = tenants();
    for (args, code, want) in [
        (
            &["http://acme.app.test:8080/orders//9?x=1"][..],
            0,
            json!({"outcome": "tenant", "tenant": "acme",
            "rule": "subdomain", "class": "page", "mode": "universal", "path": "/orders/9"}),
        ),
        (
            &["https://shop.example.org/"],
            0,
            json!({"outcome": "tenant", "tenant": "acme",
            "rule": "domain", "class": "page", "mode": "universal", "path": "/"}),
        ),
        (
            &["acme-inc.app.test/api/orders"],
            0,
            json!({"outcome": "tenant", "tenant": "acme",
            "rule": "subdomain", "class": "api", "mode": "universal", "path": "/api/orders"}),
        ),
        (
            &["http://app.test/t/acme/orders"],
            0,
            json!({"outcome": "tenant", "tenant": "acme",
            "rule": "path", "class": "page", "mode": "universal", "path": "/orders"}),
        ),
        (
            &["http://app.test/", "--header", "X-Tenant: acme"],
            0,
            json!({"outcome": "tenant",
            "tenant": "acme", "rule": "header", "class": "page", "mode": "universal", "path": "/"}),
        ),
        (
            &["http://app.test/login"],
            0,
            json!({"outcome": "central", "class": "auth",
            "mode": "universal", "path": "/login"}),
        ),
        (
            &["http://beta.app.test/css/app.css"],
            0,
            json!({"outcome": "skip", "class": "asset", "path": "/css/app.css"}),
        ),
        (
            &["http://acme.app.test/css/app.css", "--method", "POST"],
            0,
            json!({"outcome": "tenant",
            "tenant": "acme", "rule": "subdomain", "class": "page", "mode": "universal", "path": "/css/app.css"}),
        ),
        (
            &["http://beta.app.test/"],
            1,
            json!({"outcome": "refused", "reason": "suspended", "status": 403,
            "message": "tenant beta is suspended; resume it to let requests in"}),
        ),
        (
            &["http://acme.app.test/console"],
            1,
            json!({"outcome": "refused", "reason": "wrong_side",
            "status": 404, "message": "this page route is central; ask for it on a central host, without a tenant"}),
        ),
    ] {
        let args = [&["resolve", "--tenants", "tenants.json", "--json"], args].concat();
        let run = tenancy(dir.path(), &args);
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        assert_eq!(run.json(), want, "{args:?}");
        assert_eq!(run.stderr, "", "{args:?}");
    }
}

#[test]
fn text_output_has_fields_and_the_rules_that_were_tried() {
    let dir = tenants();
    let args = [
        "resolve",
        "http://acme.app.test/a",
        "--tenants",
        "tenants.json",
        "--explain",
    ];
    let run = tenancy(dir.path(), &args).ok();
    assert!(
        run.stdout
            .starts_with("outcome      tenant\ntenant       acme\n"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("named acme by subdomain"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        run.stdout
    );

    let refused = [
        "resolve",
        "http://no.app.test/a",
        "--tenants",
        "tenants.json",
        "--explain",
        "--json",
    ];
    let run = tenancy(dir.path(), &refused);
    assert_eq!(
        (run.code, &run.json()["reason"]),
        (1, &json!("unknown_tenant")),
        "{run:?}"
    );
    assert!(run.json()["explanation"].is_array(), "{run:?}");
}

#[test]
fn without_a_file_the_catalog_answers() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme"]).ok();
    for (url, code, outcome) in [
        ("http://acme.localhost/", 0, "tenant"),
        ("http://localhost/", 0, "central"),
        ("http://beta.localhost/", 1, "refused"),
    ] {
        let run = tenancy(dir.path(), &["resolve", url, "--json"]);
        assert_eq!(
            (run.code, &run.json()["outcome"]),
            (code, &json!(outcome)),
            "{url}: {run:?}"
        );
    }
}

#[test]
fn a_batch_is_answered_line_by_line_in_order() {
    let dir = tenants();
    let requests = [
        r#"{"host":"acme.app.test","path":"/a"}"#,
        r#"{"path":"/a"}"#,
        "",
        r#"{"host":null,"path":"/a"}"#,
        r#"{"host":["acme.app.test","acme.app.test"],"path":"/a"}"#,
        r#"{"host_base64":"YWNtZQBhcHAudGVzdA==","path":"/a"}"#,
        r#"{"host":"acme.app.test","path_base64":"L/8="}"#,
        r#"{"host":"acme.app.test","authority":"beta.app.test","path":"/"}"#,
        r#"{"authority":"acme.app.test","path":"/"}"#,
        r#"{"host":"x.test","peer":"10.1.2.3","headers":{"x-forwarded-host":"acme.app.test"},"path":"/"}"#,
        r#"{"host":"x.test","peer":"11.1.2.3","headers":{"x-forwarded-host":"acme.app.test"},"path":"/"}"#,
        r#"{"host":"app.test","headers":{"X-Tenant":["acme","beta"]},"path":"/"}"#,
        r#"{"host":"gone.app.test","path":"/"}"#,
    ];
    let args = ["resolve", "--batch", "--tenants", "tenants.json"];
    let run = tenancy_with(dir.path(), &args, &requests.join("\n")).ok();
    let got: Vec<String> = run
        .json_lines()
        .iter()
        .map(|answer| {
            let of = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
            of("outcome") + " " + &of("tenant") + &of("reason")
        })
        .collect();
    let want = [
        "tenant acme",
        "refused bad_host",
        "refused bad_host",
        "refused ambiguous_host",
        "refused bad_host",
        "refused bad_path",
        "refused ambiguous_host",
        "tenant acme",
        "tenant acme",
        "refused no_tenant",
        "refused ambiguous_tenant",
        "refused not_ready",
    ];
    assert_eq!(got, want);
}

#[test]
fn a_bad_line_ends_the_batch_with_its_number_after_the_answers_before_it() {
    let dir = tenants();
    for (line, says) in [
        ("nonsense", "stdin line 2: expected"),
        (
            r#"{"host":"a.test"}"#,
            "stdin line 2: a request must have either path or path_base64",
        ),
        (
            r#"{"path":"/","hots":"a"}"#,
            "stdin line 2: unknown field `hots`",
        ),
    ] {
        let input = format!("{{\"host\":\"app.test\",\"path\":\"/\"}}\n{line}\n{{}}\n");
        let args = ["resolve", "--batch", "--tenants", "tenants.json"];
        let run = tenancy_with(dir.path(), &args, &input);
        assert_eq!(run.code, 2, "{run:?}");
        assert_eq!(run.json_lines().len(), 1, "{run:?}");
        assert!(run.stderr.contains(says), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }
}

#[test]
fn each_line_is_answered_before_the_next_is_read() {
    let dir = tenants();
    let mut command = command(
        dir.path(),
        &["resolve", "--batch", "--tenants", "tenants.json"],
    );
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut ask = child.stdin.take().expect("it was asked for");
    let answers = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
    let (send, answered) = mpsc::channel();
    let reader = std::thread::spawn(move || answers.for_each(|line| drop(send.send(line))));
    for host in ["acme.app.test", "shop.example.org"] {
        writeln!(ask, "{{\"host\":\"{host}\",\"path\":\"/\"}}").expect("it listens");
        let answer = answered.recv_timeout(Duration::from_secs(10));
        let answer = answer.expect("an answer in time").expect("UTF-8");
        assert!(answer.contains("\"tenant\":\"acme\""), "{answer}");
    }
    drop(ask);
    assert!(child.wait().expect("it ends").success());
    reader.join().expect("the reader ends");
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let dir = tenants();
    let refused = |args: &[&str], says: &str| {
        let args = [&["resolve"], args].concat();
        tenancy(dir.path(), &args).refused(2, says);
    };
    let with = ["--tenants", "tenants.json"];
    refused(
        &[&["/orders"], &with[..]].concat(),
        "URL \"/orders\" has no host; write it as http://",
    );
    refused(
        &[&["ftp://a.test/"], &with[..]].concat(),
        "is neither http nor https",
    );
    refused(
        &[&["http://a.test/", "--header", "acme"], &with[..]].concat(),
        "header \"acme\" has no name; write it as 'Name: value'",
    );
    refused(
        &["http://a.test/", "--tenants", "none.json"],
        "none.json: the tenants cannot be read",
    );
    for (text, says) in [
        ("[]", "bad.json: invalid"),
        (
            r#"{"tenants":[{"id":"Acme"}]}"#,
            "tenant id \"Acme\" has 'A' at byte 0",
        ),
        (
            r#"{"tenants":[{"id":"a"},{"id":"a"}]}"#,
            "tenant a exists already",
        ),
        (
            r#"{"tenants":[{"id":"a","status":"off"}]}"#,
            "status \"off\" is not known",
        ),
        (
            r#"{"tenants":[{"id":"a","domain":[]}]}"#,
            "unknown field `domain`",
        ),
        (
            r#"{"tenants":[{"id":"a","labels":["b"]},{"id":"b"}]}"#,
            "b is taken",
        ),
    ] {
        fs::write(dir.path().join("bad.json"), text).expect("a file");
        refused(&["http://a.test/", "--tenants", "bad.json"], says);
    }
}

#[test]
fn resolving_against_a_file_makes_no_storage() {
    let dir = tenants();
    tenancy(
        dir.path(),
        &["resolve", "http://app.test/", "--tenants", "tenants.json"],
    )
    .ok();
    assert!(!Path::new(&dir.path().join("data")).exists());
}
