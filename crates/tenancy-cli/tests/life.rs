//! `init`, `create`, `list` and `show`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::util::{files, project, snapshot, tenancy};

#[test]
fn init_writes_a_project_that_works_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = tenancy(dir.path(), &["init", "shop", "--json"]).ok();
    let shop = dir.path().join("shop");
    for name in [
        "tenancy.toml",
        "migrations/0001_init.sql",
        "migrations/0001_init.down.sql",
        ".gitignore",
    ] {
        assert!(shop.join(name).is_file(), "{name} is missing");
    }
    let root = std::fs::metadata(shop.join("data")).expect("the storage root");
    assert_eq!(
        root.permissions().mode() & 0o777,
        0o700,
        "others look into the storage root"
    );
    assert_eq!(run.json()["storage_root"], "shop/data");
    tenancy(&shop, &["create", "acme"]).ok();
    let run = tenancy(&shop, &["resolve", "http://acme.localhost/", "--json"]).ok();
    assert_eq!(run.json()["tenant"], "acme");
}

#[test]
fn init_never_overwrites() {
    let dir = project();
    let before = snapshot(dir.path());
    tenancy(dir.path(), &["init"]).refused(1, "exists already; nothing was changed");
    assert_eq!(snapshot(dir.path()), before);

    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(".gitignore"), "/target\n").expect("a file");
    let run = tenancy(dir.path(), &["init"]).ok();
    assert!(run.stderr.contains("add the line /data/"), "{run:?}");
    let kept = fs::read_to_string(dir.path().join(".gitignore")).expect("a file");
    assert_eq!(kept, "/target\n");
}

#[test]
fn a_created_tenant_is_listed_shown_and_resolved() {
    let dir = project();
    let args = [
        "create",
        "acme",
        "--name",
        "Acme Inc.",
        "--domain",
        "Shop.Acme.example",
    ];
    let more = [
        "--domain",
        "acme-inc.localhost",
        "--attribute",
        "plan=pro",
        "--json",
    ];
    let run = tenancy(dir.path(), &[&args[..], &more[..]].concat()).ok();
    let acme = json!({
        "id": "acme", "status": "active", "epoch": 1, "name": "Acme Inc.",
        "attributes": {"plan": "pro"},
        "domains": ["shop.acme.example"], "labels": ["acme-inc"], "pending": [],
        "maintenance": false,
    });
    assert_eq!(run.json(), acme);
    assert_eq!(
        tenancy(dir.path(), &["show", "acme", "--json"]).ok().json(),
        acme
    );
    tenancy(dir.path(), &["create", "beta"]).ok();
    let listed = tenancy(dir.path(), &["list", "--json"]).ok().json_lines();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["id"], "acme");
    assert_eq!(
        listed[1],
        json!({"id": "beta", "status": "active", "epoch": 1, "attributes": {}, "maintenance": false})
    );
    for (url, rule) in [
        ("http://acme.localhost/", "subdomain"),
        ("http://acme-inc.localhost:8080/", "subdomain"),
        ("http://SHOP.acme.example/", "domain"),
    ] {
        let run = tenancy(dir.path(), &["resolve", url, "--json"]).ok();
        let want = json!({"outcome": "tenant", "tenant": "acme", "rule": rule,
            "class": "page", "mode": "universal", "path": "/"});
        assert_eq!(run.json(), want, "{url}");
    }
}

#[test]
fn text_output_has_tables_and_fields() {
    let dir = project();
    let long = "x".repeat(200);
    tenancy(dir.path(), &["create", "acme", "--name", &long]).ok();
    tenancy(dir.path(), &["create", "beta", "--name", "Beta\u{1b}[31m"]).ok();
    let list = tenancy(dir.path(), &["list"]).ok().stdout;
    assert!(
        list.starts_with(
            "ID    STATUS  MAINTENANCE  EPOCH  NAME\nacme  active  false        1      xxx"
        ),
        "{list}"
    );
    assert!(
        list.contains("beta  active  false        1      Beta\\u{1b}[31m"),
        "{list}"
    );
    assert!(list.contains(&long), "a pipe gets the whole of it: {list}");
    let show = tenancy(dir.path(), &["show", "beta"]).ok().stdout;
    assert!(
        show.starts_with("id           beta\nstatus       active\nepoch        1\n"),
        "{show}"
    );
}

#[test]
fn list_pages_and_filters() {
    let dir = project();
    for id in ["a", "b", "c", "d"] {
        tenancy(dir.path(), &["create", id]).ok();
    }
    let ids = |args: &[&str]| {
        let run = tenancy(dir.path(), &[&["list", "--json"], args].concat()).ok();
        let ids = run
            .json_lines()
            .into_iter()
            .map(|row| row["id"].as_str().map(str::to_owned));
        ids.collect::<Option<Vec<_>>>()
            .expect("every row has an id")
            .join("")
    };
    assert_eq!(ids(&[]), "abcd");
    assert_eq!(ids(&["--limit", "2"]), "ab");
    assert_eq!(ids(&["--limit", "2", "--after", "b"]), "cd");
    assert_eq!(ids(&["--after", "d"]), "");
    assert_eq!(ids(&["--status", "active"]), "abcd");
    assert_eq!(ids(&["--status", "suspended"]), "");
    tenancy(dir.path(), &["list", "--status", "gone"]).refused(2, "status \"gone\" is not known");
}

#[test]
fn a_bad_creation_is_refused_in_one_line_and_leaves_nothing() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme", "--domain", "shop.example"]).ok();
    let rows = |dir: &std::path::Path| tenancy(dir, &["list", "--json"]).ok().stdout;
    let before = rows(dir.path());
    let made = files(&dir.path().join("data/tenants"));
    for (args, code, says) in [
        (
            &["acme"][..],
            1,
            "tenant acme exists already; nothing was changed",
        ),
        (
            &["Acme"],
            2,
            "tenant id \"Acme\" has 'A' at byte 0; use lowercase letters",
        ),
        (&["../x"], 2, "tenant id \"../x\" has '.' at byte 0"),
        (&[""], 2, "tenant id \"\" is empty"),
        (&["www"], 1, "label www is reserved"),
        (
            &["beta", "--domain", "shop.example"],
            1,
            "shop.example belongs to tenant acme",
        ),
        (
            &["beta", "--domain", "acme.localhost"],
            1,
            "acme belongs to tenant acme",
        ),
        (
            &["beta", "--domain", "admin.localhost"],
            1,
            "label admin is reserved",
        ),
        (
            &["beta", "--domain", "localhost"],
            1,
            "localhost is a central domain",
        ),
        (
            &["beta", "--domain", "good.example", "--domain", "b@d"],
            2,
            "domain \"b@d\"",
        ),
        (
            &["beta", "--domain", "shop.example:80"],
            2,
            "without scheme, port and final dot",
        ),
        (
            &["beta", "--attribute", "plan"],
            2,
            "attribute \"plan\" is not of the form KEY=VALUE",
        ),
        (
            &["beta", "--attribute", &format!("k={}", "v".repeat(5000))],
            2,
            "keep to 64 of 4096 bytes",
        ),
        (
            &["beta", "--name", "x", "--attribute", "name=y"],
            2,
            "remove one of them",
        ),
    ] {
        let args = [&["create"], args].concat();
        tenancy(dir.path(), &args).refused(code, says);
        assert_eq!(rows(dir.path()), before, "{args:?}");
        assert_eq!(files(&dir.path().join("data/tenants")), made, "{args:?}");
    }
    tenancy(dir.path(), &["create", "beta", "--domain", "good.example"]).ok();
}

#[test]
fn an_unknown_tenant_is_an_error_that_names_it() {
    let dir = project();
    tenancy(dir.path(), &["show", "acme"])
        .refused(1, "there is no tenant acme; `list` shows those there are");
    let list = tenancy(dir.path(), &["list"]).ok();
    assert_eq!(list.stdout, "ID  STATUS  MAINTENANCE  EPOCH  NAME\n");
    assert_eq!(tenancy(dir.path(), &["list", "--json"]).ok().stdout, "");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let dir = project();
    for id in ["a", "b", "c"] {
        tenancy(dir.path(), &["create", id]).ok();
    }
    let mut command = crate::util::command(dir.path(), &["list"]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
