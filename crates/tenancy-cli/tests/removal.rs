//! `destroy`.

use serde_json::json;

use crate::util::{files, project, tenancy};

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
