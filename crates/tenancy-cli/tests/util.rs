//! Runs the binary in a directory of its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the process was not killed"),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Runs a command to its end with this on its stdin.
    #[track_caller]
    pub fn with_stdin(command: &mut Command, stdin: &str) -> Self {
        let command = command.stdin(Stdio::piped());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut pipe = child.stdin.take().expect("it was asked for");
        let text = stdin.to_owned();
        // A binary that refuses closes the pipe early: that is no failure of ours.
        let writer = std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
        let output = child.wait_with_output().expect("the binary ends");
        writer.join().expect("the writer ends");
        Self::of(output)
    }

    /// All good, and nothing to complain about.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Refused with this code, in one line on stderr that says this, and nothing on
    /// stdout.
    #[track_caller]
    pub fn refused(self, code: i32, says: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(self.stderr.contains(says), "{says:?} is not in {self:?}");
        self
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON lines on stdout.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let lines = self.stdout.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The binary, to be run in this directory, without the caller's environment.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenancy"));
    command.current_dir(dir).args(args);
    command.env_remove("TENANCY_CONFIG").stdin(Stdio::null());
    command
}

/// Runs it to its end.
#[track_caller]
pub fn tenancy(dir: &Path, args: &[&str]) -> Run {
    Run::of(command(dir, args).output().expect("the binary runs"))
}

/// Runs it with this on stdin.
#[track_caller]
pub fn tenancy_with(dir: &Path, args: &[&str], stdin: &str) -> Run {
    Run::with_stdin(&mut command(dir, args), stdin)
}

/// Waits for something that another process does.
#[track_caller]
pub fn wait_until(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(60), "it never came to that");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a run that makes files larger is through with the first.
#[track_caller]
pub fn wait_until_one_is_done(dir: &Path) {
    wait_until(|| {
        let all = files(&dir.join("data/tenants")).into_iter();
        let all = all.filter(|path| path.extension().is_some_and(|end| end == "db"));
        let sizes: Vec<_> = all
            .filter_map(|path| Some(path.metadata().ok()?.len()))
            .collect();
        sizes.iter().min() != sizes.iter().max()
    });
}

/// Sends it Ctrl-C; what it came to then.
#[track_caller]
pub fn interrupted(mut child: Child) -> Run {
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status();
    assert!(kill.expect("there is a kill").success());
    let started = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if started.elapsed() > Duration::from_secs(60) {
            child.kill().expect("it is there");
            panic!("Ctrl-C does not end it");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Run::of(child.wait_with_output().expect("it has ended"))
}

/// A directory after `tenancy init`.
#[track_caller]
pub fn project() -> TempDir {
    // In memory where that is possible: a root has 256 directories, and none is about the disk.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let dir = dir.expect("a directory");
    tenancy(dir.path(), &["init"]).ok();
    dir
}

/// Creates these tenants, faster than by a process each.
#[track_caller]
pub fn tenants(dir: &Path, ids: &[&str]) {
    let config = tenancy::Config::load(dir.join("tenancy.toml")).expect("a config");
    let builder = tenancy::TenancyBuilder::from_config(&config).expect("a builder");
    let all = builder
        .upkeep(tenancy::Upkeep::Manual)
        .build()
        .expect("a tenancy");
    let specs = ids
        .iter()
        .map(|id| tenancy::TenantSpec::new(id.parse().expect("an id")));
    for created in all.create_many(&specs.collect::<Vec<_>>()) {
        created.expect("a tenant");
    }
}

/// Writes a file, and the directory that it is in.
#[track_caller]
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, text).expect("a file");
}

/// Every file below a directory, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

/// Every file and the hash of what it holds, to show that nothing was changed.
pub fn snapshot(dir: &Path) -> Vec<(PathBuf, u64)> {
    let read = |path: PathBuf| {
        let mut hash = DefaultHasher::new();
        std::fs::read(&path).expect("a file").hash(&mut hash);
        (path, hash.finish())
    };
    files(dir).into_iter().map(read).collect()
}
