//! `domain add`, `list`, `primary`, `verify` and `remove`.

use std::path::Path;

use serde_json::json;

use crate::util::{project, tenancy};

/// Does a request for this host reach acme?
fn routes(dir: &Path, host: &str) -> bool {
    let run = tenancy(dir, &["resolve", &format!("http://{host}/"), "--json"]);
    run.json()["tenant"] == "acme"
}

#[test]
fn a_domain_routes_after_its_txt_record_is_verified() {
    let dir = project();
    let domain = |args: &[&str]| tenancy(dir.path(), &[&["domain"], args].concat());
    tenancy(dir.path(), &["create", "acme"]).ok();

    let added = domain(&["add", "acme", "Shop.Acme.example", "--json"]).ok();
    let txt = added.json()["txt"].as_str().expect("a value").to_owned();
    let row = json!({"tenant": "acme", "domain": "shop.acme.example", "kind": "domain",
        "status": "pending", "primary": false, "txt": txt});
    assert_eq!(added.json(), row);
    assert_eq!(domain(&["list", "acme", "--json"]).ok().json_lines(), [row]);
    let list = domain(&["list", "acme"]).ok();
    assert_eq!(
        list.stdout,
        "DOMAIN             KIND    STATUS   PRIMARY\n\
         shop.acme.example  domain  pending  false\n"
    );
    assert!(list.stderr.contains(&txt), "what to publish: {list:?}");
    assert!(added.stderr.is_empty(), "notes are for people: {added:?}");
    // Another tenant may claim it too, and has its own value to show.
    tenancy(dir.path(), &["create", "beta"]).ok();
    let beta = domain(&["add", "beta", "shop.acme.example", "--json"]).ok();
    assert_ne!(beta.json()["txt"], txt);
    assert!(!routes(dir.path(), "shop.acme.example"));

    domain(&["primary", "acme", "shop.acme.example"]).refused(1, "is not proven for tenant acme");
    let verify = |txt: &str| domain(&["verify", "acme", "shop.acme.example", "--txt", txt]);
    for wrong in ["", "tenancy-verify=00", "\"v=spf1 -all\"\n\"x\""] {
        verify(wrong).refused(
            1,
            "shop.acme.example is not proven for tenant acme; publish",
        );
    }
    assert!(!routes(dir.path(), "shop.acme.example"));
    verify(&format!("\"v=spf1 -all\"\n\"{txt}\"\n")).ok();
    assert!(routes(dir.path(), "shop.acme.example"));
    let late = beta.json()["txt"].as_str().expect("a value").to_owned();
    domain(&["verify", "beta", "shop.acme.example", "--txt", &late])
        .refused(1, "tenant beta has no claim of shop.acme.example");
    domain(&["add", "beta", "shop.acme.example"]).refused(1, "belongs to tenant acme");
    domain(&["primary", "acme", "shop.acme.example"]).ok();
    let listed = domain(&["list", "acme", "--json"]).ok().json_lines();
    assert_eq!(listed[0]["primary"], true);
    domain(&["add", "acme", "shop.acme.example"]).refused(1, "is already verified for tenant acme");

    let removed = domain(&["remove", "acme", "shop.acme.example", "--json"]).ok();
    assert_eq!(removed.json()["status"], "removed");
    assert!(!routes(dir.path(), "shop.acme.example"));
    assert_eq!(domain(&["list", "acme", "--json"]).ok().stdout, "");
}

#[test]
fn trusted_domains_and_labels_need_no_proof() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme"]).ok();
    for (name, args, kind, bound) in [
        ("a.example", &["--verified"][..], "domain", "a.example"),
        ("acme-inc.localhost", &["--verified"], "label", "acme-inc"),
        ("acme-ltd.localhost", &[], "label", "acme-ltd"),
    ] {
        let args = [&["domain", "add", "acme", name, "--json"], args].concat();
        let row = tenancy(dir.path(), &args).ok().json();
        let want = json!({"tenant": "acme", "domain": bound, "kind": kind, "status": "verified", "primary": false});
        assert_eq!(row, want, "{name}");
        assert!(routes(dir.path(), name), "{name}");
        tenancy(dir.path(), &["domain", "remove", "acme", name]).ok();
        assert!(!routes(dir.path(), name), "{name}");
    }
}

/// Since a name was bound, `subdomains_of` may have come to cover it.
#[test]
fn a_name_is_removed_as_it_was_bound_after_a_change_of_the_config() {
    let dir = project();
    tenancy(
        dir.path(),
        &["create", "acme", "--domain", "shop.late.example"],
    )
    .ok();
    let file = dir.path().join("tenancy.toml");
    let text = std::fs::read_to_string(&file).expect("a config");
    let bases = "subdomains_of = [\"localhost\", \"late.example\"]";
    let text = text.replace("subdomains_of = [\"localhost\"]", bases);
    assert!(text.contains(bases), "{text}");
    std::fs::write(&file, text).expect("a file");
    tenancy(
        dir.path(),
        &["domain", "remove", "acme", "shop.late.example"],
    )
    .ok();
    assert_eq!(
        tenancy(dir.path(), &["domain", "list", "acme"])
            .ok()
            .stdout
            .lines()
            .count(),
        1
    );
}

#[test]
fn names_of_another_tenant_are_neither_added_nor_removed() {
    let dir = project();
    tenancy(dir.path(), &["create", "acme", "--domain", "shop.example"]).ok();
    tenancy(dir.path(), &["create", "beta"]).ok();
    for (args, code, says) in [
        (
            &["add", "beta", "shop.example"][..],
            1,
            "shop.example belongs to tenant acme",
        ),
        (
            &["add", "beta", "shop.example", "--verified"],
            1,
            "belongs to tenant acme",
        ),
        (
            &["add", "beta", "acme.localhost"],
            1,
            "acme belongs to tenant acme",
        ),
        (
            &["add", "beta", "www.localhost"],
            1,
            "label www is reserved",
        ),
        (
            &["add", "beta", "localhost"],
            1,
            "localhost is a central domain",
        ),
        (
            &["add", "beta", "http://x.example"],
            2,
            "without scheme, port and final dot",
        ),
        (&["add", "none", "x.example"], 1, "there is no tenant none"),
        (
            &["remove", "beta", "shop.example"],
            1,
            "shop.example is not bound to tenant beta",
        ),
        (
            &["remove", "acme", "acme.localhost"],
            1,
            "acme is not bound to tenant acme",
        ),
        (
            &["remove", "none", "shop.example"],
            1,
            "there is no tenant none",
        ),
        (&["list", "none"], 1, "there is no tenant none"),
        (
            &["verify", "beta", "shop.example", "--txt", "x"],
            1,
            "tenant beta has no claim of shop.example",
        ),
        (
            &["verify", "none", "shop.example", "--txt", "x"],
            1,
            "there is no tenant none",
        ),
    ] {
        let args = [&["domain"], args].concat();
        tenancy(dir.path(), &args).refused(code, says);
    }
    let listed = tenancy(dir.path(), &["domain", "list", "acme", "--json"])
        .ok()
        .json_lines();
    assert_eq!(listed.len(), 1);
}
