//! The application of migrations: each exactly once, even if several processes migrate a file at
//! the same time.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use tenancy_core::{Migrated, SchemaTarget};

use crate::disk::hex::hex;
use crate::error::{FileError, IoError, MigrateError};
use crate::guard::references::{Planted, planted};
use crate::guard::side_effects::TABLES;
use crate::guard::state::Guard;
use crate::schema::migrate::script::{Fault, run_script};
use crate::schema::migrate::{ForeignKeys, Migration, Migrations};

/// The hook before a named step.
pub(crate) type OnStep<'r> = dyn Fn(&'static str) -> Result<(), IoError> + 'r;

/// The time for which a transaction takes further steps, which then share its fsync. It bounds the
/// wait of other writers and the growth of the WAL.
const MAX_SHARED: Duration = Duration::from_millis(250);

/// The hook before the first step. It runs under the write lock of the step's transaction.
pub(crate) type BeforeFirstStep<'r> = dyn Fn() -> Result<(), FileError> + 'r;

/// Brings the schema to `target` on a connection that is guarded for migrations.
pub(crate) fn run(
    connection: &Connection,
    guard: &Guard,
    migrations: &Migrations,
    target: SchemaTarget,
    on_step: &OnStep<'_>,
) -> Result<Migrated, MigrateError> {
    let surveyed = None;
    let request = Request {
        target,
        surveyed,
        before_first_step: &|| Ok(()),
    };
    run_request(connection, guard, migrations, &request, on_step)
}

/// A requested migration.
pub(crate) struct Request<'r> {
    pub(crate) target: SchemaTarget,
    /// The required version of the database; `None` if the target fits any version.
    pub(crate) surveyed: Option<u32>,
    pub(crate) before_first_step: &'r BeforeFirstStep<'r>,
}

/// Carries out a request on a connection that is guarded for migrations.
pub(crate) fn run_request(
    connection: &Connection,
    guard: &Guard,
    migrations: &Migrations,
    request: &Request<'_>,
    on_step: &OnStep<'_>,
) -> Result<Migrated, MigrateError> {
    let newest = migrations.newest();
    let target = request.target;
    let to = match target {
        SchemaTarget::Latest => newest,
        SchemaTarget::Version(wanted) if wanted <= newest => wanted,
        SchemaTarget::Version(wanted) => {
            return Err(MigrateError::NoSuchVersion { wanted, newest });
        }
    };
    let run = Run {
        connection,
        guard,
        migrations,
        request,
        on_step,
        committed: Cell::new(false),
    };
    // Only for the plan: every transaction reads the version again.
    let found = run.version()?;
    if found == to {
        // Another process may have migrated the file, perhaps by other scripts.
        run.check_history(to)?;
        return Ok(Migrated { from: to, to });
    }
    let from = request.surveyed.unwrap_or(found);
    if found != from {
        return Err(MigrateError::Conflict { seen: from, found });
    }
    run.check_history(found)?;
    let mut now = found;
    while now != to {
        // All steps that can share a transaction run in one. If a script fails there, each step
        // gets its own transaction, so that the steps before the failing one are kept.
        now = match run.steps(now, to, MAX_SHARED) {
            Err(error) if error.is_from_script() && run.can_share(now, to) => {
                run.steps(now, to, Duration::ZERO)?
            }
            done => done?,
        };
    }
    Ok(Migrated { from, to })
}

struct Run<'r> {
    connection: &'r Connection,
    guard: &'r Guard,
    migrations: &'r Migrations,
    request: &'r Request<'r>,
    on_step: &'r OnStep<'r>,
    /// Whether a transaction of this call has been committed.
    committed: Cell<bool>,
}

/// A migration in one direction.
struct Step<'r> {
    /// The version that the migration leads to.
    version: u32,
    migration: &'r Migration,
    sql: &'r str,
    leaves_at: u32,
    up: bool,
}

impl Step<'_> {
    /// Returns whether the transaction of this step may contain other steps. A deferred constraint
    /// is checked at the commit, and the error of that commit has to belong to this step.
    fn shares_transaction(&self) -> bool {
        let defers = |w: &[u8]| w.eq_ignore_ascii_case(b"defer");
        self.migration.foreign_keys == ForeignKeys::On
            && !self.sql.as_bytes().windows(5).any(defers)
    }
}

impl<'r> Run<'r> {
    /// Runs one or more steps from `seen` towards `to`, and returns the version afterwards. Runs
    /// none if another process has migrated first. No further step begins in a transaction older
    /// than `max_shared`.
    fn steps(&self, seen: u32, to: u32, max_shared: Duration) -> Result<u32, MigrateError> {
        let step = self.plan(seen, to)?;
        (self.on_step)("migrate")?;
        // SQLite ignores this switch inside a transaction.
        self.enforce_foreign_keys(step.migration.foreign_keys == ForeignKeys::On)?;
        let done = self.transact(seen, step, to, max_shared);
        if !self.connection.is_autocommit() {
            self.ours("ROLLBACK")?;
        }
        self.enforce_foreign_keys(true)?;
        done
    }

    fn plan(&self, seen: u32, to: u32) -> Result<Step<'r>, MigrateError> {
        let up = seen < to;
        let version = if up { seen + 1 } else { seen };
        let newest = self.migrations.newest();
        let too_new = MigrateError::TooNew {
            found: seen,
            newest,
        };
        let migration = self.migrations.step(version).ok_or(too_new)?;
        let irreversible = || MigrateError::Irreversible {
            version,
            name: migration.name.clone(),
        };
        let sql = match up {
            true => &*migration.up,
            false => migration.down.as_deref().ok_or_else(irreversible)?,
        };
        Ok(Step {
            version,
            migration,
            sql,
            leaves_at: if up { version } else { version - 1 },
            up,
        })
    }

    /// Returns whether the transaction of the next step could contain another.
    fn can_share(&self, seen: u32, to: u32) -> bool {
        let shares = |at| {
            self.plan(at, to)
                .is_ok_and(|step| step.shares_transaction())
        };
        let next = if seen < to { seen + 1 } else { seen - 1 };
        next != to && shares(seen) && shares(next)
    }

    fn transact(
        &self,
        seen: u32,
        mut step: Step<'r>,
        to: u32,
        max_shared: Duration,
    ) -> Result<u32, MigrateError> {
        self.ours("BEGIN IMMEDIATE")?;
        let begun = Instant::now();
        // Another process may have migrated since `seen` was read outside of the transaction; then
        // this step would run a second time.
        let now = self.version()?;
        if now != seen {
            return self.overtaken(seen, now, to);
        }
        self.check_history(seen)?;
        if !self.committed.get() {
            // Under the write lock no connection writes between the snapshot and the step.
            let kept = (self.request.before_first_step)();
            kept.map_err(|source| MigrateError::NoSnapshot(Box::new(source)))?;
        }
        // Conflicting tables that exist already do not keep the file from being migrated.
        let known = self.guard.ours(|| planted(self.connection))?;
        loop {
            let started = Instant::now();
            self.script(&step)?;
            if step.migration.foreign_keys == ForeignKeys::CheckedAtTheEnd {
                self.check_foreign_keys(&step, &known)?;
            }
            self.check_references(&step, &known)?;
            self.record(&step, started)?;
            let now = step.leaves_at;
            if now == to || !step.shares_transaction() || begun.elapsed() >= max_shared {
                break;
            }
            match self.plan(now, to) {
                Ok(next) if next.shares_transaction() => step = next,
                // The next transaction runs a step that cannot share, or returns the error.
                _ => break,
            }
        }
        (self.on_step)("commit the migration")?;
        self.ours("COMMIT")?;
        self.committed.set(true);
        Ok(step.leaves_at)
    }

    /// Returns the version that another process has reached meanwhile. Returns a conflict if the
    /// request has a surveyed version, or the version is not between `seen` and the target.
    fn overtaken(&self, seen: u32, found: u32, to: u32) -> Result<u32, MigrateError> {
        let between = seen.min(to)..=seen.max(to);
        let is_accepted = self.request.surveyed.is_none() && between.contains(&found);
        match is_accepted {
            true => Ok(found),
            false => Err(MigrateError::Conflict { seen, found }),
        }
    }

    fn script(&self, step: &Step<'_>) -> Result<(), MigrateError> {
        let (version, name) = (step.version, &step.migration.name);
        let ran = run_script(self.connection, self.guard, step.sql);
        ran.map_err(|fault| match fault {
            Fault::Statement(statement, source) => MigrateError::Statement {
                version,
                name: name.clone(),
                statement,
                source,
            },
            Fault::Refused(statement, refusal) => MigrateError::Refused {
                version,
                name: name.clone(),
                statement,
                refusal,
            },
            Fault::LeftTransaction(statement) => MigrateError::LeftTransaction {
                version,
                name: name.clone(),
                statement,
            },
        })
    }

    /// Checks the foreign keys of all tables, except tables that conflict with the library's:
    /// SQLite would end the check with an error at their references.
    fn check_foreign_keys(&self, step: &Step<'_>, known: &[Planted]) -> Result<(), MigrateError> {
        let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table'";
        let mut tables = self.connection.prepare(sql)?;
        let tables = tables.query_map([], |row| row.get::<_, Box<str>>(0))?;
        for table in tables {
            let table = table?;
            if known.iter().any(|planted| planted.table == table) {
                continue;
            }
            // A pragma, as a table could hide the table-valued function of this name.
            let name = table.replace('"', "\"\"");
            let sql = format!("PRAGMA main.foreign_key_check(\"{name}\")");
            let mut check = self.connection.prepare(&sql)?;
            let mut rows = check.query([])?;
            let mut missing = 0;
            while rows.next()?.is_some() {
                missing += 1;
            }
            if missing > 0 {
                return Err(MigrateError::ForeignKeys {
                    version: step.version,
                    name: step.migration.name.clone(),
                    table,
                    rows: missing,
                });
            }
        }
        Ok(())
    }

    /// Refuses a step that created a table which conflicts with the library's.
    fn check_references(&self, step: &Step<'_>, known: &[Planted]) -> Result<(), MigrateError> {
        if !self.guard.side_effects.take(TABLES) {
            return Ok(());
        }
        let mut found = self.guard.ours(|| planted(self.connection))?.into_iter();
        match found.find(|planted| !known.contains(planted)) {
            None => Ok(()),
            Some(planted) => Err(MigrateError::Reserved {
                version: step.version,
                name: step.migration.name.clone(),
                what: planted.to_string().into(),
            }),
        }
    }

    fn record(&self, step: &Step<'_>, started: Instant) -> Result<(), MigrateError> {
        self.guard.writes(self.connection, || {
            if step.up {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let now = now.map_or(0, |d| d.as_millis());
                self.connection.execute(
                    "INSERT INTO main._tenancy_migrations VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        step.version,
                        step.migration.name,
                        step.migration.sha256(),
                        i64::try_from(now).unwrap_or(i64::MAX),
                        i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
                    ],
                )?;
            } else {
                let sql = "DELETE FROM main._tenancy_migrations WHERE version = ?1";
                self.connection.execute(sql, [step.version])?;
            }
            let version = i64::from(step.leaves_at);
            self.connection.pragma_update(None, "user_version", version)
        })?;
        Ok(())
    }

    /// Refuses a database whose migrations up to `version` were other scripts, or which is newer.
    fn check_history(&self, version: u32) -> Result<(), MigrateError> {
        let newest = self.migrations.newest();
        if version > newest {
            let found = version;
            return Err(MigrateError::TooNew { found, newest });
        }
        check_history(self.connection, self.migrations, version)
    }

    fn version(&self) -> Result<u32, MigrateError> {
        let read = || {
            let sql = "PRAGMA main.user_version";
            self.connection.query_row(sql, [], |row| row.get(0))
        };
        let version: i64 = self.guard.ours(read)?;
        Ok(u32::try_from(version).unwrap_or(u32::MAX))
    }

    fn enforce_foreign_keys(&self, enforced: bool) -> Result<(), MigrateError> {
        let flag = DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY;
        self.connection.set_db_config(flag, enforced)?;
        Ok(())
    }

    fn ours(&self, sql: &str) -> Result<(), MigrateError> {
        let run = || self.connection.execute_batch(sql);
        Ok(self.guard.ours(run)?)
    }
}

/// Refuses a database whose migrations up to `version` were other scripts than these.
pub(crate) fn check_history(
    connection: &Connection,
    migrations: &Migrations,
    version: u32,
) -> Result<(), MigrateError> {
    let sql = "SELECT name, sha256 FROM main._tenancy_migrations WHERE version = ?1";
    let mut read = connection.prepare(sql)?;
    for (version, known) in (1..=version).zip(migrations.iter()) {
        let found = read.query_row([version], |row| Ok((row.get(0)?, row.get(1)?)));
        let (name, sum): (Box<str>, [u8; 32]) = match found {
            Err(rusqlite::Error::QueryReturnedNoRows) => ("nothing".into(), [0; 32]),
            found => found?,
        };
        if *name != *known.name || sum != known.sha256() {
            let describe = |name: &str, sum: [u8; 32]| format!("{name} {}", &hex(&sum)[..12]);
            return Err(MigrateError::Diverged {
                version,
                applied: describe(&name, sum).into(),
                known: describe(&known.name, known.sha256()).into(),
            });
        }
    }
    Ok(())
}
