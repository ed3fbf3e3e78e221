//! [`Migrations`]: the numbered scripts that create a tenant's schema.

mod run;
mod script;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{IoError, MigrationsError};

pub(crate) use run::{Request, check_history, run, run_request};
pub(crate) use script::{Fault, run_script};

/// A step of the schema: the script that applies it, and optionally a script that undoes it.
///
/// ```
/// use tenancy_sqlite::Migration;
/// let step = Migration::new("orders", "CREATE TABLE orders (id INTEGER PRIMARY KEY) STRICT")
///     .down("DROP TABLE orders");
/// assert_eq!(step.name(), "orders");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    name: Box<str>,
    up: Box<str>,
    down: Option<Box<str>>,
    foreign_keys: ForeignKeys,
}

/// The treatment of foreign keys while a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignKeys {
    On,
    /// Not enforced while the script runs, but checked before the commit.
    CheckedAtTheEnd,
}

impl Migration {
    /// Creates a step from the script that applies it.
    pub fn new(name: impl Into<Box<str>>, up: impl Into<Box<str>>) -> Self {
        let up = up.into();
        let first = up.lines().next().unwrap_or_default();
        let foreign_keys = if first.trim() == NO_FOREIGN_KEYS {
            ForeignKeys::CheckedAtTheEnd
        } else {
            ForeignKeys::On
        };
        Self {
            name: name.into(),
            up,
            down: None,
            foreign_keys,
        }
    }

    /// Adds the script that undoes the step.
    pub fn down(mut self, sql: impl Into<Box<str>>) -> Self {
        self.down = Some(sql.into());
        self
    }

    /// Lets the scripts run without enforced foreign keys, as a rebuild of a table requires. All
    /// foreign keys are checked before the commit. The first line `-- tenancy: foreign_keys off` of
    /// the script that applies the step has the same effect. A `PRAGMA foreign_keys` in a script is
    /// refused, as SQLite ignores it inside a transaction.
    pub fn without_foreign_keys(mut self) -> Self {
        self.foreign_keys = ForeignKeys::CheckedAtTheEnd;
        self
    }

    /// Returns the name of the step.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the script that applies the step.
    pub fn sql(&self) -> &str {
        &self.up
    }

    /// Returns the script that undoes the step, if there is one.
    pub fn down_sql(&self) -> Option<&str> {
        self.down.as_deref()
    }

    /// Returns whether there is a script that undoes the step.
    pub fn is_reversible(&self) -> bool {
        self.down.is_some()
    }

    /// Returns the checksum of the script that applies the step, which the history records.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.up.as_bytes()).into()
    }
}

/// Returns whether a file has the extension of a script, in upper or lower case. If `.SQL` were
/// skipped, only the missing tables would show it.
pub(crate) fn is_sql(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("sql"))
}

/// The first line of a script that runs without foreign keys.
const NO_FOREIGN_KEYS: &str = "-- tenancy: foreign_keys off";

/// All steps of the schema, numbered from 1 without gaps. Cloning is cheap.
///
/// ```
/// use tenancy_sqlite::{Migration, Migrations};
/// let migrations = Migrations::new([
///     Migration::new("orders", "CREATE TABLE orders (id INTEGER PRIMARY KEY) STRICT"),
///     Migration::new("total", "ALTER TABLE orders ADD COLUMN total INTEGER NOT NULL DEFAULT 0"),
/// ])?;
/// assert_eq!(migrations.newest(), 2);
/// # Ok::<(), tenancy_sqlite::MigrationsError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Migrations(Arc<[Migration]>);

impl Migrations {
    /// Creates a set of steps in this order: the first step leads to version 1.
    ///
    /// # Errors
    /// Returns an error if a script is empty.
    pub fn new(steps: impl IntoIterator<Item = Migration>) -> Result<Self, MigrationsError> {
        let steps: Arc<[Migration]> = steps.into_iter().collect();
        let empty = |sql: &str| sql.trim().is_empty();
        match steps.iter().find(|step| empty(&step.up)) {
            Some(step) => Err(MigrationsError::Empty {
                name: step.name.clone(),
            }),
            None => Ok(Self(steps)),
        }
    }

    /// Reads the steps in a directory. The script of a step is named like `0001_orders.sql`; the
    /// optional script that undoes it has the name `0001_orders.down.sql`. Files with other
    /// extensions are ignored.
    ///
    /// # Errors
    /// Returns an error if the directory or a file cannot be read, a file that ends in `.sql` or
    /// `.SQL` has another form of name, a number is missing or occurs twice, a down script has no
    /// step of its number and name, or a script is empty.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, MigrationsError> {
        let dir = dir.as_ref();
        let mut ups: BTreeMap<u32, Migration> = BTreeMap::new();
        let mut downs = Vec::new();
        for entry in fs::read_dir(dir).map_err(IoError::at(dir, "listed"))? {
            let path = entry.map_err(IoError::at(dir, "listed"))?.path();
            if !is_sql(&path) {
                continue;
            }
            let Some(name) = FileName::parse(&path) else {
                return Err(MigrationsError::FileName { path });
            };
            let sql = fs::read_to_string(&path).map_err(IoError::at(&path, "read"))?;
            if name.is_down {
                downs.push((name.version, name.name.to_owned(), sql, path));
                continue;
            }
            let step = Migration::new(name.name, sql);
            if let Some(other) = ups.insert(name.version, step) {
                let (first, second) = (other.name, name.name.into());
                let version = name.version;
                return Err(MigrationsError::Twice {
                    version,
                    first,
                    second,
                });
            }
        }
        for (version, name, sql, path) in downs {
            match ups.get_mut(&version).filter(|up| *up.name == *name) {
                Some(up) => up.down = Some(sql.into()),
                None => return Err(MigrationsError::DownAlone { path }),
            }
        }
        if let Some((missing, _)) = (1..).zip(ups.keys()).find(|(n, version)| n != *version) {
            return Err(MigrationsError::Gap { missing });
        }
        Self::new(ups.into_values())
    }

    /// Returns the version that the last step leads to; 0 if there are no steps.
    pub fn newest(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Returns the steps, from the first to the last.
    pub fn iter(&self) -> impl Iterator<Item = &Migration> {
        self.0.iter()
    }

    /// Returns the last irreversible step between two versions, with the version that it leads to.
    /// A step that the program does not know is irreversible.
    pub(crate) fn irreversible(&self, after: u32, upto: u32) -> Option<(u32, Option<&Migration>)> {
        let steps = (after.saturating_add(1)..=upto).rev();
        let mut steps = steps.map(|version| (version, self.step(version)));
        steps.find(|(_, step)| step.is_none_or(|step| step.down.is_none()))
    }

    /// Returns the step that leads to `version`, from 1.
    pub(crate) fn step(&self, version: u32) -> Option<&Migration> {
        let index = usize::try_from(version).ok()?.checked_sub(1)?;
        self.0.get(index)
    }
}

struct FileName<'p> {
    version: u32,
    name: &'p str,
    is_down: bool,
}

impl<'p> FileName<'p> {
    fn parse(path: &'p Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".sql")?;
        let (stem, is_down) = match stem.strip_suffix(".down") {
            Some(stem) => (stem, true),
            None => (stem, false),
        };
        let (number, name) = stem.split_once('_')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let digits = number.len() >= 4 && number.bytes().all(|b| b.is_ascii_digit());
        if !digits || name.is_empty() || !name.bytes().all(plain) {
            return None;
        }
        // SQLite keeps it in `user_version`, which is signed.
        let version = number
            .parse()
            .ok()
            .filter(|v| (1..=i32::MAX as u32).contains(v))?;
        Some(Self {
            version,
            name,
            is_down,
        })
    }
}
