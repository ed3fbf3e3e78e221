//! The README's commands, as they stand there.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::util::Run;

/// What stands in the README's shell blocks, less what builds the binary.
fn commands() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(file).expect("a README");
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("a block"));
    let lines = blocks
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("cargo "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_readmes_commands_work_one_after_the_other() {
    let commands = commands();
    assert!(commands.lines().count() > 10, "{commands}");
    let dir = tempfile::tempdir().expect("a directory");
    let bin = Path::new(env!("CARGO_BIN_EXE_tenancy"))
        .parent()
        .expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.current_dir(dir.path()).args(["-euxc", &commands]);
    shell.env("PATH", format!("{}:{path}", bin.display()));
    shell.env_remove("TENANCY_CONFIG").stdin(Stdio::null());
    Run::of(shell.output().expect("there is a shell")).ok();
}
