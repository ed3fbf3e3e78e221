//! [`Seeds`]: the first rows of a new tenant.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::error::{IoError, SeedError, SeedsError};
use crate::guard::references::{Planted, SEEDS_TABLE, planted};
use crate::guard::side_effects::TABLES;
use crate::guard::state::Guard;
use crate::schema::migrate::{Fault, is_sql, run_script};

/// A set of scripts that add the first rows of a tenant, in the order of their names. Each script
/// runs in its own transaction, and once for each tenant: a script whose name was run before is not
/// run again, even if its text has changed. Cloning is cheap.
///
/// ```
/// use tenancy_sqlite::Seeds;
/// let seeds = Seeds::new([("roles", "INSERT INTO roles VALUES ('admin'), ('member')")])?;
/// assert_eq!(seeds.names().collect::<Vec<_>>(), ["roles"]);
/// # Ok::<(), tenancy_sqlite::SeedsError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Seeds(Arc<BTreeMap<Box<str>, Box<str>>>);

impl Seeds {
    /// Creates a set from pairs of a name and a script.
    ///
    /// # Errors
    /// Returns an error if a name is empty, occurs twice or has other characters than letters,
    /// digits, `-` and `_`, or if a script is empty.
    pub fn new(
        seeds: impl IntoIterator<Item = (impl Into<Box<str>>, impl Into<Box<str>>)>,
    ) -> Result<Self, SeedsError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let mut all = BTreeMap::new();
        for (name, sql) in seeds {
            let (name, sql): (Box<str>, Box<str>) = (name.into(), sql.into());
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(SeedsError::Name { name });
            }
            if sql.trim().is_empty() {
                return Err(SeedsError::Empty { name });
            }
            if all.insert(name.clone(), sql).is_some() {
                return Err(SeedsError::Twice { name });
            }
        }
        Ok(Self(Arc::new(all)))
    }

    /// Reads the `.sql` files of a directory. The name of a seed is the file's name without `.sql`.
    /// Files with other extensions are ignored.
    ///
    /// # Errors
    /// Returns an error if the directory or a file cannot be read, or a file name ends in `.SQL`.
    /// Returns the errors of [`new`](Self::new), too.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, SeedsError> {
        let dir = dir.as_ref();
        let mut seeds = Vec::new();
        for entry in fs::read_dir(dir).map_err(IoError::at(dir, "listed"))? {
            let path = entry.map_err(IoError::at(dir, "listed"))?.path();
            if !is_sql(&path) {
                continue;
            }
            if path.extension().is_none_or(|end| end != "sql") {
                return Err(SeedsError::FileName { path });
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let sql = fs::read_to_string(&path).map_err(IoError::at(&path, "read"))?;
            seeds.push((name.into_owned(), sql));
        }
        Self::new(seeds)
    }

    /// Returns the names of the scripts, in the order in which they run.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Returns the names and the scripts, in the order in which they run.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, sql)| (&**name, &**sql))
    }

    /// Returns the number of scripts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no script.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a digest of the names in the set. The texts do not count, as a seed whose text has
    /// changed is not run again.
    pub(crate) fn sum(&self) -> String {
        let mut sum = Sha256::new();
        for name in self.names() {
            sum.update(name.as_bytes());
            sum.update([0]);
        }
        crate::disk::hex::hex(&sum.finalize()[..6])
    }
}

/// The state of a file's table of seeds.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    Nothing,
    Ours,
    /// Another table was renamed to this name; SQLite does not ask the authorizer about new names.
    /// The triggers of that table would run like the library's own statements.
    Theirs,
}

pub(crate) struct Seeding<'s> {
    pub(crate) connection: &'s Connection,
    pub(crate) guard: &'s Guard,
    pub(crate) name: &'s str,
}

impl Seeding<'_> {
    pub(crate) fn was_run(&self) -> Result<bool, SeedError> {
        if self.table()? == Found::Nothing {
            return Ok(false);
        }
        let run = || {
            let sql = "SELECT 1 FROM main._tenancy_seeds WHERE name = ?1";
            self.connection.prepare(sql)?.exists([self.name])
        };
        self.guard.ours(run).map_err(|source| self.failed(source))
    }

    /// Returns the state of the table, or an error for another table. In the SQL of a renamed table
    /// the name is quoted, so that it differs.
    fn table(&self) -> Result<Found, SeedError> {
        let found = || {
            let sql = "SELECT sql FROM main.sqlite_schema WHERE tbl_name = '_tenancy_seeds' \
                       COLLATE NOCASE AND sql NOT NULL";
            let mut read = self.connection.prepare(sql)?;
            let rows = read.query_map([], |row| row.get::<_, String>(0))?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(match &rows[..] {
                [] => Found::Nothing,
                [sql] if sql == SEEDS_TABLE => Found::Ours,
                _ => Found::Theirs,
            })
        };
        match self.guard.ours(found) {
            Ok(Found::Theirs) => Err(SeedError::NotOurs {
                name: self.name.into(),
            }),
            found => found.map_err(|source| self.failed(source)),
        }
    }

    /// Runs the seed, and returns `false` if another process has run it first.
    pub(crate) fn run(&self, sql: &str) -> Result<bool, SeedError> {
        let ran = self.transact(sql);
        if !self.connection.is_autocommit() {
            self.ours("ROLLBACK")
                .map_err(|source| self.failed(source))?;
        }
        ran
    }

    fn transact(&self, sql: &str) -> Result<bool, SeedError> {
        let failed = |source| self.failed(source);
        self.ours("BEGIN IMMEDIATE").map_err(failed)?;
        if self.table()? == Found::Nothing {
            self.writes(|| self.connection.execute_batch(SEEDS_TABLE))
                .map_err(failed)?;
        }
        if self.was_run()? {
            return Ok(false);
        }
        let known = self.planted()?;
        run_script(self.connection, self.guard, sql).map_err(|fault| self.error(fault))?;
        if self.guard.side_effects.take(TABLES) {
            let mut found = self.planted()?.into_iter();
            if let Some(planted) = found.find(|planted| !known.contains(planted)) {
                let (name, what) = (self.name.into(), planted.to_string().into());
                return Err(SeedError::Reserved { name, what });
            }
        }
        self.record(sql).map_err(failed)?;
        self.ours("COMMIT").map_err(failed)?;
        Ok(true)
    }

    fn record(&self, sql: &str) -> rusqlite::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        let sum: [u8; 32] = Sha256::digest(sql.as_bytes()).into();
        self.writes(|| {
            let sql = "INSERT INTO main._tenancy_seeds VALUES (?1, ?2, ?3)";
            self.connection.execute(sql, params![self.name, sum, now])
        })?;
        Ok(())
    }

    fn planted(&self) -> Result<Vec<Planted>, SeedError> {
        let planted = self.guard.ours(|| planted(self.connection));
        planted.map_err(|source| self.failed(source))
    }

    fn writes<R>(&self, f: impl FnOnce() -> rusqlite::Result<R>) -> rusqlite::Result<R> {
        self.guard.writes(self.connection, f)
    }

    fn ours(&self, sql: &str) -> rusqlite::Result<()> {
        self.guard.ours(|| self.connection.execute_batch(sql))
    }

    fn failed(&self, source: rusqlite::Error) -> SeedError {
        let name = self.name.into();
        SeedError::Sqlite { name, source }
    }

    fn error(&self, fault: Fault) -> SeedError {
        let name = self.name.into();
        match fault {
            Fault::Statement(statement, source) => SeedError::Statement {
                name,
                statement,
                source,
            },
            Fault::Refused(statement, refusal) => SeedError::Refused {
                name,
                statement,
                refusal,
            },
            Fault::LeftTransaction(statement) => SeedError::LeftTransaction { name, statement },
        }
    }
}
