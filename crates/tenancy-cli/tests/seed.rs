//! `seed` and `create --seed`.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::util::{project, tenancy, tenants, write};

/// A project whose config names a directory of seeds, with one in it.
fn seeded() -> TempDir {
    let dir = project();
    let file = dir.path().join("tenancy.toml");
    let text = std::fs::read_to_string(&file).expect("a config");
    let text = text.replace("# seeds = ", "seeds = ");
    write(&file, &text);
    seed(
        dir.path(),
        "welcome",
        "INSERT INTO notes (text) VALUES ('welcome')",
    );
    dir
}

fn seed(dir: &Path, name: &str, sql: &str) {
    write(&dir.join(format!("seeds/{name}.sql")), sql);
}

fn notes(dir: &Path, id: &str) -> u64 {
    let run = tenancy(
        dir,
        &["sql", id, "SELECT count(*) AS n FROM notes", "--json"],
    )
    .ok();
    run.json()["n"].as_u64().expect("a count")
}

#[test]
fn a_tenant_is_created_with_seeds_on_request() {
    let dir = seeded();
    tenancy(dir.path(), &["create", "with", "--seed"]).ok();
    tenancy(dir.path(), &["create", "without"]).ok();
    assert_eq!(
        (notes(dir.path(), "with"), notes(dir.path(), "without")),
        (1, 0)
    );

    // One that fails leaves a creation that can be completed.
    seed(
        dir.path(),
        "worse",
        "INSERT INTO notes (text) VALUES (NULL)",
    );
    tenancy(dir.path(), &["create", "late", "--seed"]).refused(
        1,
        "its database could not be seeded; see the cause and run it again: seed worse",
    );
    assert_eq!(
        tenancy(dir.path(), &["show", "late", "--json"]).ok().json()["status"],
        "provisioning"
    );
    std::fs::remove_file(dir.path().join("seeds/worse.sql")).expect("it was there");
    tenancy(dir.path(), &["create", "late", "--seed"]).ok();
    assert_eq!(notes(dir.path(), "late"), 1, "no seed runs twice");
}

#[test]
fn each_seed_runs_once_in_each_tenant() {
    let dir = seeded();
    tenants(dir.path(), &["a", "b", "c"]);
    let run = |args: &[&str]| tenancy(dir.path(), &[&["seed", "--json"], args].concat());
    let done = |id, from, to| json!({"tenant": id, "from": from, "to": to});
    assert_eq!(
        run(&["--tenant", "b"]).ok().json()["done"],
        json!([done("b", 0, 1)])
    );
    let all = run(&["--skip", "c"]).ok().json();
    assert_eq!(all["done"], json!([done("a", 0, 1), done("b", 1, 1)]));
    assert_eq!(
        all["left_out"],
        json!([{"tenant": "c", "why": "skipped on request"}])
    );
    let counts = ["a", "b", "c"].map(|id| notes(dir.path(), id));
    assert_eq!(counts, [1, 1, 0]);

    seed(
        dir.path(),
        "zeal",
        "CREATE UNIQUE INDEX seeded ON notes (text)",
    );
    let twice = "INSERT INTO notes (text) VALUES ('x'), ('x')";
    tenancy(dir.path(), &["sql", "b", twice]).ok();
    let some = run(&["--keep-going"]);
    assert_eq!(
        (some.code, &some.json()["failed"][0]["tenant"]),
        (3, &json!("b")),
        "{some:?}"
    );
    assert!(
        some.stdout.contains("seed zeal failed in statement 1"),
        "{some:?}"
    );
    assert!(some.stderr.contains("1 of 3 tenants failed"), "{some:?}");
    let shown = tenancy(dir.path(), &["seed", "--tenant", "a"]).ok().stdout;
    assert!(shown.ends_with("end          through\n"), "{shown}");
}

#[test]
fn without_seeds_the_error_names_their_config_key() {
    let dir = project();
    for args in [&["seed"][..], &["create", "acme", "--seed"]] {
        tenancy(dir.path(), args).refused(
            2,
            "the config names no seeds; set their directory in tenancy.toml",
        );
    }
    assert_eq!(tenancy(dir.path(), &["list", "--json"]).ok().stdout, "");
    let dir = seeded();
    for (args, code, says) in [
        (&["--tenant", "nobody"][..], 1, "there is no tenant nobody"),
        (&["--tenant", "No"], 2, "tenant id \"No\""),
    ] {
        tenancy(dir.path(), &[&["seed"], args].concat()).refused(code, says);
    }
    seed(dir.path(), "empty", " \n");
    tenancy(dir.path(), &["seed"]).refused(2, "empty");
}
