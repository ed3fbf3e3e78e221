//! `suspend`, `resume`, `down` and `up`.

use serde_json::json;

use crate::util::{project, tenancy};

#[test]
fn a_suspended_tenant_is_refused_until_it_is_resumed() {
    let dir = project();
    let run = |args: &[&str]| tenancy(dir.path(), args);
    run(&["create", "acme"]).ok();
    let outcome = || run(&["resolve", "http://acme.localhost/", "--json"]).json()["reason"].clone();
    run(&["resume", "acme"]).refused(1, "tenant acme has status active; this needs suspended");
    assert_eq!(
        run(&["suspend", "acme", "--json"]).ok().json()["status"],
        "suspended"
    );
    assert_eq!(outcome(), "suspended");
    run(&["suspend", "acme"]).refused(1, "tenant acme has status suspended; this needs active");
    run(&["down", "acme"]).refused(1, "tenant acme has status suspended; this needs active");
    assert_eq!(
        run(&["resume", "acme", "--json"]).ok().json()["status"],
        "active"
    );
    assert_eq!(outcome(), json!(null));
    for command in ["suspend", "resume", "up", "down"] {
        run(&[command, "nobody"]).refused(1, "there is no tenant nobody");
        run(&[command, "No Id"]).refused(2, "tenant id \"No Id\"");
    }
}

#[test]
fn a_tenant_that_is_down_says_for_how_long_and_never_its_secret() {
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
    assert_eq!(down.json()["status"], "maintenance");
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
        (&json!("active"), &json!(null))
    );
    run(&["up", "acme"]).refused(1, "tenant acme has status active; this needs maintenance");
    assert_eq!(run(&["down", "acme", "--retry-after", "soon"]).code, 2);
}
