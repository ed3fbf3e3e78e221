//! What the tests share.

use std::path::Path;
use std::time::Duration;

use r2d2::ManageConnection;
use tempfile::TempDir;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::Driver;
use tenancy_sqlite::{
    Migration, Migrations, OpenError, SqliteCatalog, SqliteConnection, SqliteDriver, SqliteStorage,
    SqliteStorageBuilder, StorageError,
};

/// Two steps with their ways back.
pub fn notes() -> Migrations {
    Migrations::new([
        Migration::new(
            "notes",
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;",
        )
        .down("DROP TABLE notes"),
        Migration::new("marks", "ALTER TABLE notes ADD COLUMN mark INTEGER")
            .down("ALTER TABLE notes DROP COLUMN mark"),
    ])
    .expect("the scripts are not empty")
}

/// The options of a storage root, to open it with; a new one is made first.
pub fn at(root: impl AsRef<Path>) -> SqliteStorageBuilder {
    let root = root.as_ref();
    if !root.join("tenancy.root").exists() {
        // Another process may be faster.
        let made = SqliteStorage::builder(root).create_driver();
        let there = matches!(made, Ok(_) | Err(StorageError::RootExists { .. }));
        assert!(there, "{made:?}");
    }
    SqliteStorage::builder(root)
}

/// The catalog of a storage root; a new root is made first.
pub fn catalog(root: impl AsRef<Path>) -> Result<SqliteCatalog, StorageError> {
    Ok(at(root).open()?.catalog().clone())
}

/// Makes a directory as the library makes its own.
pub fn make_dir(path: &Path) {
    let mut new = std::fs::DirBuilder::new();
    let new = std::os::unix::fs::DirBuilderExt::mode(&mut new, 0o700);
    new.recursive(true).create(path).expect("a directory");
}

/// A directory that goes away, in memory where that is possible: what is tested here
/// is not the disk. What is about durable steps uses the disk.
pub fn quick_dir() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
    dir.expect("a temporary directory")
}

/// Makes every claim of a domain older.
pub fn age_claims(catalog: &SqliteCatalog, by: Duration) {
    let connection = rusqlite::Connection::open(catalog.path()).expect("the catalog");
    connection
        .execute(
            "UPDATE claims SET at_ms = at_ms - ?1",
            [by.as_millis() as i64],
        )
        .expect("claims");
}

/// A storage root that goes away, and its driver.
pub struct Root {
    pub storage: SqliteStorage,
    pub driver: SqliteDriver,
    pub dir: TempDir,
}

impl Root {
    pub fn new() -> Self {
        Self::with(|builder| builder.migrations(notes()))
    }

    /// On the disk.
    pub fn durable() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self::in_dir(dir, |builder| builder.migrations(notes()))
    }

    pub fn with(options: impl FnOnce(SqliteStorageBuilder) -> SqliteStorageBuilder) -> Self {
        Self::in_dir(quick_dir(), options)
    }

    fn in_dir(
        dir: TempDir,
        options: impl FnOnce(SqliteStorageBuilder) -> SqliteStorageBuilder,
    ) -> Self {
        let storage = options(SqliteStorage::builder(dir.path())).create();
        Self::of(storage.expect("a root"), dir)
    }

    /// A root that is open already.
    pub fn of(storage: SqliteStorage, dir: TempDir) -> Self {
        let driver = storage.driver().clone();
        Self {
            storage,
            driver,
            dir,
        }
    }

    /// Closes it, as its shared lock keeps the next process from clearing up.
    pub fn close(self) -> TempDir {
        self.dir
    }

    /// A tenant that has a place, and no file yet.
    #[track_caller]
    pub fn placed(&self, id: &str) -> Tenant {
        let id = id.parse().expect("an id");
        let place = self.driver.place(&id).expect("a place");
        let tenant = Tenant::builder(id).placement(place).build();
        tenant.expect("a tenant")
    }

    /// Writes a row, as a catalog without one beside files counts as lost.
    pub fn listed(self) -> Self {
        let new = tenancy_core::NewTenant::new("listed".parse().expect("an id"));
        let by = tenancy_core::Actor::new("test");
        let row = tenancy_core::CatalogWriter::insert(self.storage.catalog(), new, &by);
        row.expect("a row");
        self
    }

    /// A tenant that has its file.
    #[track_caller]
    pub fn made(&self, id: &str) -> Tenant {
        let tenant = self.placed(id);
        self.driver.provision(&tenant).expect("a file");
        tenant
    }

    /// What is below the root, without its marker, its lock and its catalog.
    pub fn files(&self) -> Vec<String> {
        let mut all = files_below(self.dir.path());
        all.retain(|name| !name.starts_with("catalog.db") && !name.starts_with("tenancy."));
        all
    }

    pub fn connect(&self, tenant: &Tenant) -> Result<SqliteConnection, OpenError> {
        self.driver.manager(tenant).connect()
    }

    /// Where a tenant's file is, by the layout that is documented; its directory is made.
    pub fn path(&self, tenant: &Tenant) -> std::path::PathBuf {
        let locator = &*tenant.placement().locator;
        let mut path = self.driver.root().join("tenants");
        path.push(&locator[..2]);
        make_dir(&path);
        path.push(format!("{locator}.{}.db", tenant.epoch()));
        path
    }
}

/// The JSON lines of a file of `../shared/`, or `None` with a word about it. A clone
/// of the project alone has none; with `TENANCY_CORPORA=required` that is a failure.
#[track_caller]
pub fn shared_rows(file: &str) -> Option<Vec<serde_json::Value>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let text = match std::fs::read_to_string(root.join(file)) {
        Ok(text) => text,
        Err(error) if std::env::var("TENANCY_CORPORA").as_deref() == Ok("required") => {
            panic!("../shared/{file} is required and cannot be read: {error}")
        }
        Err(_) => {
            println!("left out: ../shared/{file} is not there");
            return None;
        }
    };
    let row = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    Some(text.lines().map(row).collect())
}

/// Every file below a directory, with its path from there.
pub fn files_below(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else {
                let path = path.strip_prefix(dir).expect("below it");
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// The children of tests: this test binary again, in a role.
pub mod child {
    use std::process::{Child, Command, Stdio};

    const ROLE: &str = "TENANCY_TEST_ROLE";
    const ARGUMENTS: &str = "TENANCY_TEST_ARGUMENTS";

    /// Starts this binary again with nothing but the test `child::plays_its_role`.
    pub fn start(role: &str, arguments: &[&str]) -> Child {
        start_under(&[], role, arguments)
    }

    /// The same as the last arguments of another command.
    pub fn start_under(outer: &[&str], role: &str, arguments: &[&str]) -> Child {
        let child = command(outer, role, arguments).spawn();
        child.expect("a child process")
    }

    /// The same, not started yet.
    pub fn command(outer: &[&str], role: &str, arguments: &[&str]) -> Command {
        let this = std::env::current_exe().expect("this binary");
        let this = this.to_str().expect("a plain name");
        let own = [this, "--exact", "child::plays_its_role", "--nocapture"];
        let mut words = outer.iter().chain(&own);
        let mut command = Command::new(words.next().expect("one at least"));
        command
            .args(words)
            .env(ROLE, role)
            .env(ARGUMENTS, arguments.join("\n"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// In a child: returns when two of them are here, in about the same moment.
    pub fn wait_for_the_other(root: &str) {
        let dir = std::path::Path::new(root);
        let ready = |id| dir.join(format!("ready.{id}"));
        std::fs::write(ready(std::process::id()), "").expect("a file");
        let here = || {
            let names = std::fs::read_dir(dir).expect("a directory").flatten();
            names
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("ready."))
                .count()
        };
        while here() < 2 {
            std::hint::spin_loop();
        }
    }

    /// The role of this process, if it is a child.
    pub fn role() -> Option<(String, Vec<String>)> {
        let role = std::env::var(ROLE).ok()?;
        let arguments = std::env::var(ARGUMENTS).ok()?;
        Some((role, arguments.lines().map(str::to_owned).collect()))
    }
}
