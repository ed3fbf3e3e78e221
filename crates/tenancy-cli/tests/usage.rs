//! Help, completions, config and exit codes.

use std::fs;
use std::path::Path;

use crate::util::{command, files, project, snapshot, tenancy};

/// Every command that `--help` lists, and those below it.
fn commands(dir: &Path, above: &[String]) -> Vec<Vec<String>> {
    let mut args: Vec<_> = above.iter().map(String::as_str).collect();
    args.push("--help");
    let help = tenancy(dir, &args).ok().stdout;
    let mut all = vec![above.to_vec()];
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().expect("a word");
        // What a long description is continued with stands further right.
        if name != "help" && line.starts_with("  ") && !line.starts_with("   ") {
            all.extend(commands(dir, &[above, &[name.to_owned()]].concat()));
        }
    }
    all
}

#[test]
fn every_command_helps_with_an_example_within_80_columns() {
    let dir = tempfile::tempdir().expect("a directory");
    let commands = commands(dir.path(), &[]);
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let mut args: Vec<_> = command.iter().map(String::as_str).collect();
        args.push("--help");
        let run = tenancy(dir.path(), &args).ok();
        let example = format!("\n  tenancy {}", command.join(" "));
        assert!(
            run.stdout.contains("Example:\n  tenancy ") && run.stdout.contains(&example),
            "{command:?}: {run:?}"
        );
        for line in run.stdout.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line:?}");
        }
    }
}

#[test]
fn the_hidden_command_of_the_demo_is_not_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = tenancy(dir.path(), &["--help"]).ok();
    assert!(!run.stdout.contains("demo-rows"), "{run:?}");
}

#[test]
fn wrong_usage_ends_with_2() {
    let dir = tempfile::tempdir().expect("a directory");
    for args in [
        &["nonsense"][..],
        &["create"],
        &["resolve"],
        &["resolve", "http://a.test/", "--batch"],
        &["demo", "--tenants", "0"],
        &["demo", "--requests", "many"],
        &["demo", "--requests", "5", "--log", "x"],
        &["completions", "nosuchshell"],
    ] {
        let run = tenancy(dir.path(), args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert_eq!(run.stdout, "", "{args:?}");
    }
}

#[test]
fn completions_and_the_manual_page_name_every_command() {
    let dir = tempfile::tempdir().expect("a directory");
    for args in [
        &["completions", "bash"][..],
        &["completions", "fish"],
        &["man"],
    ] {
        let run = tenancy(dir.path(), args).ok();
        for command in commands(dir.path(), &[]) {
            let name = command.last().map_or("tenancy", String::as_str);
            assert!(run.stdout.contains(name), "{args:?} does not name {name}");
            let heading = format!("\n.SH TENANCY {}\n", command.join(" ").to_uppercase());
            let is_described = command.is_empty() || run.stdout.contains(&heading);
            assert!(args[0] != "man" || is_described, "{heading:?} is missing");
        }
    }
}

#[test]
fn a_missing_config_is_an_error_with_advice() {
    let dir = tempfile::tempdir().expect("a directory");
    for args in [
        &["list"][..],
        &["create", "acme"],
        &["show", "acme"],
        &["resolve", "http://a.test"],
    ] {
        tenancy(dir.path(), args).refused(
            2,
            "tenancy.toml: the config cannot be read; create one with `tenancy init`",
        );
    }
    assert!(files(dir.path()).is_empty(), "nothing is made");
}

#[test]
fn the_config_is_found_by_option_environment_and_place() {
    let dir = project();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tenancy.toml");
    let file = file.to_str().expect("UTF-8");
    tenancy(dir.path(), &["create", "acme"]).ok();
    let listed = |run: crate::util::Run| run.ok().stdout.contains("acme");
    assert!(listed(tenancy(
        elsewhere.path(),
        &["--config", file, "list"]
    )));
    assert!(listed(tenancy(
        elsewhere.path(),
        &["list", "--config", file]
    )));
    let mut command = crate::util::command(elsewhere.path(), &["list"]);
    let output = command
        .env("TENANCY_CONFIG", file)
        .output()
        .expect("it runs");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("acme"),
        "{output:?}"
    );
    assert!(files(elsewhere.path()).is_empty());
}

#[test]
fn a_config_that_is_wrong_is_refused_before_anything_is_made() {
    for (text, says) in [
        (
            "[resolve]\nheadr = \"x\"",
            "key resolve.headr is not known; the nearest known key is resolve.header",
        ),
        (
            "[storage]\nroot = 5",
            "tenancy.toml line 2 (root = 5): invalid type: integer `5`",
        ),
        (
            "[pool]\ncheckout_timeout = \"5\"",
            "\"5\" is not a duration; write a whole number and ms, s, m, h or d",
        ),
        (
            "[resolve]\nheader = \"x-tenant\"",
            "resolve.header is a parameter of rule \"header\", which resolve.rules does not list",
        ),
        (
            "[resolve]\nrules = [\"subdomian\"]",
            "rule \"subdomian\" is not known",
        ),
        (
            "[[path]]\nprefix = \"/login\"\nclass = \"auth\"\nmode = \"skip\"",
            "would skip class auth",
        ),
        (
            "[pool]\nmax_connections = 0",
            "line 2 (max_connections = 0): invalid value: integer `0`, expected a nonzero u32",
        ),
        ("[resolve", "tenancy.toml line 1 ([resolve)"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("tenancy.toml"), text).expect("a file");
        let before = snapshot(dir.path());
        tenancy(dir.path(), &["create", "acme"]).refused(2, says);
        assert_eq!(snapshot(dir.path()), before, "{text}");
    }
}

/// `/dev/full` answers every write with "no space left".
#[test]
fn a_stderr_that_is_full_changes_no_exit_code() {
    let dir = project();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    for (args, code) in [
        (&["show", "nobody"][..], 1),
        (&["create", "Not An Id"], 2),
        (&["create", "acme", "--domain", "shop.example.org"], 0),
        (&["--no-such-option"], 2),
    ] {
        let Ok(full) = full() else {
            return println!("left out: there is no /dev/full");
        };
        let status = command(dir.path(), args).stderr(full).status();
        assert_eq!(status.expect("it runs").code(), Some(code), "{args:?}");
    }
}
