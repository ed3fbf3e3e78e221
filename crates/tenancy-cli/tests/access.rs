//! `suspend`, `resume`, `down` and `up`.

use serde_json::json;

use crate::util::{project, tenancy};

#[test]
fn a_suspended_tenant_is_refused_until_it_is_resumed() {
    let dir = project();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["create", "acme"]).ok();
    let outcome = || run(&["resolve", "http://acme.localhost/", "--json"]).json()["reason"].clone();
    let listed = || {
        let row = run(&["list", "--json"]).ok().json();
        (row["status"].clone(), row["maintenance"].clone())
    };
    // Each may be repeated.
    for _ in 0..2 {
        let suspended = run(&["suspend", "acme", "--json"]).ok().json();
        assert_eq!(suspended["status"], "suspended");
    }
    assert_eq!(outcome(), "suspended");
    run(&["down", "acme"]).ok();
    assert_eq!(outcome(), "suspended");
    assert_eq!(listed(), (json!("suspended"), json!(true)));
    assert!(run(&["list"]).ok().stdout.contains("MAINTENANCE"));
    for _ in 0..2 {
        let resumed = run(&["resume", "acme", "--json"]).ok().json();
        assert_eq!(resumed["status"], "active");
    }
    assert_eq!(outcome(), "maintenance");
    for _ in 0..2 {
        run(&["up", "acme"]).ok();
    }
    assert_eq!(outcome(), json!(null));
    assert_eq!(listed(), (json!("active"), json!(false)));
    for command in ["suspend", "resume", "up", "down"] {
        run(&[command, "nobody"]).refused(1, "there is no tenant nobody");
        run(&[command, "No Id"]).refused(2, "tenant id \"No Id\"");
    }
}

#[test]
fn maintenance_shows_its_retry_time_and_never_its_secret() {
    let dir = project();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["create", "acme"]).ok();
    let told = [
        "--retry-after",
        "600",
        "--message",
        "Back at noon.",
        "--secret",
        "sesame",
    ];
    let down = run(&[&["down", "acme", "--json"], &told[..]].concat()).ok();
    let want = json!({"retry_after_s": 600, "message": "Back at noon.", "secret": "set"});
    assert_eq!(down.json()["status"], "active");
    assert_eq!(down.json()["maintenance"], want);
    let show = run(&["show", "acme"]).ok().stdout;
    assert!(show.contains("message=Back at noon."), "{show}");
    assert!(!show.contains("sesame"), "{show}");
    let refused = run(&["resolve", "http://acme.localhost/", "--json"]);
    assert_eq!(refused.json()["reason"], "maintenance");
    assert_eq!(refused.json()["status"], 503);
    let up = run(&["up", "acme", "--json"]).ok().json();
    assert_eq!(
        (&up["status"], &up["maintenance"]),
        (&json!("active"), &json!(false))
    );
    assert_eq!(run(&["down", "acme", "--retry-after", "soon"]).code, 2);
}
