//! File systems without a journal: a warning, and nothing that changes an answer.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::util::{Run, command};

/// An ext4 in a file, mounted until it is dropped.
struct Mounted {
    dir: TempDir,
}

impl Mounted {
    /// `None`, with a word about it, where this user cannot mount.
    fn new(journal: &str) -> Option<Self> {
        let this = Self {
            dir: tempfile::tempdir().expect("a directory"),
        };
        let image = this.dir.path().join("image");
        let file = std::fs::File::create(&image).expect("a file");
        file.set_len(32 << 20).expect("room");
        std::fs::create_dir(this.path()).expect("a directory");
        let run = |program: &str, args: &[&str], paths: &[&Path]| {
            let done = Command::new(program).args(args).args(paths).output();
            done.is_ok_and(|done| done.status.success())
        };
        let mounted = run("mkfs.ext4", &["-q", "-O", journal], &[&image])
            && run("mount", &["-o", "loop"], &[&image, &this.path()]);
        if !mounted {
            println!("left out: only root mounts a file, with mkfs.ext4 and a loop device");
        }
        mounted.then_some(this)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// Runs the binary there, with another directory for temporary files.
    fn tenancy(&self, args: &[&str]) -> Run {
        let mut command = command(&self.path(), args);
        command.env("TMPDIR", "/nowhere");
        Run::of(command.output().expect("the binary runs"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).output();
        drop(unmounted);
    }
}

#[test]
fn a_root_on_ext4_without_a_journal_is_warned_of_once_by_each_process() {
    let Some(mounted) = Mounted::new("^has_journal") else {
        return;
    };
    let commands: [&[&str]; 4] = [&["init"], &["create", "acme"], &["list"], &["validate"]];
    for args in commands {
        let run = mounted.tenancy(args).ok();
        let warnings = run.stderr.matches("warning: ").count();
        assert_eq!(warnings, 1, "{args:?}: {run:?}");
        assert!(
            run.stderr.contains("without a journal"),
            "{args:?}: {run:?}"
        );
        let quiet = mounted.tenancy(&["--quiet", "list"]).ok();
        assert_eq!(quiet.stderr, "");
    }
    let run = mounted.tenancy(&["--json", "validate"]).ok();
    assert_eq!(run.stderr, "");
    let report = run.json();
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(report["warnings"][0]["code"], "no_journal", "{report}");
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(1));
    // A directory for temporary files outlives no power cut.
    let mut temporary = command(&mounted.path(), &["list"]);
    temporary.env("TMPDIR", mounted.dir.path());
    assert_eq!(
        Run::of(temporary.output().expect("the binary runs"))
            .ok()
            .stderr,
        ""
    );
}

#[test]
fn a_root_on_ext4_with_a_journal_is_not_warned_of() {
    let Some(mounted) = Mounted::new("has_journal") else {
        return;
    };
    for args in [&["init"][..], &["validate"]] {
        let run = mounted.tenancy(args).ok();
        assert!(!run.stderr.contains("warning: "), "{args:?}: {run:?}");
    }
    let report = mounted.tenancy(&["--json", "validate"]).ok().json();
    assert_eq!(report["warnings"], serde_json::json!([]));
}
