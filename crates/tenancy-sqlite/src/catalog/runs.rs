//! Runs over many tenants: what each was to do and what became of it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use tenancy_core::{Actor, CatalogError, Tenant, TenantId, WriteError};

use super::SqliteCatalog;
use super::rows::{self, at_most, unsigned};
use super::write::{Synced, Write};

/// Runs whose tasks are kept, beside those of the last migration and of what took it
/// back; of older ones only the run itself is.
const KEPT_RUNS: i64 = 32;

/// A run over many tenants, as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// Its number.
    pub run: u64,
    /// `migrate`, `rollback` or `seed`.
    pub what: Box<str>,
    /// What it was to reach.
    pub target: Box<str>,
    /// The run that it took back, if it is a rollback of one.
    pub undoes: Option<u64>,
    /// By whom.
    pub actor: Box<str>,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: i64,
    /// When it ended; `None` while it goes on, and when its process was killed.
    pub ended_ms: Option<i64>,
    /// `done`, `failed` or `stopped`.
    pub outcome: Option<Box<str>>,
    /// Tenants that it is done with, has failed for, was told to skip, has not reached.
    pub done: u64,
    /// Tenants it failed for.
    pub failed: u64,
    /// Tenants that were left out.
    pub skipped: u64,
    /// Tenants it has not reached.
    pub pending: u64,
}

/// What became of one tenant in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Done,
    Failed,
    Skipped,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// The state of this name; the table has no others.
    pub(super) fn of(name: &str) -> Self {
        let all = [Self::Pending, Self::Done, Self::Failed];
        let named = all.into_iter().find(|state| state.as_str() == name);
        named.unwrap_or(Self::Skipped)
    }
}

/// One task of a run, to be written.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tenant: Tenant,
    pub(crate) state: State,
    pub(crate) from: Option<u32>,
    /// The schema version that the file was just seen to have.
    pub(crate) now: Option<u32>,
    pub(crate) why: Option<String>,
}

impl SqliteCatalog {
    /// The last runs, newest first, at most `max`.
    pub(crate) fn runs(&self, max: usize) -> Result<Vec<Run>, CatalogError> {
        let sql =
            "SELECT r.run, r.what, r.target, r.undoes, r.actor, r.begun_ms, r.ended_ms, r.outcome,
             count(k.tenant) FILTER (WHERE k.state = 'done'),
             count(k.tenant) FILTER (WHERE k.state = 'failed'),
             count(k.tenant) FILTER (WHERE k.state = 'skipped'),
             count(k.tenant) FILTER (WHERE k.state = 'pending')
             FROM (SELECT * FROM runs ORDER BY run DESC LIMIT ?1) r
             LEFT JOIN tasks k ON k.run = r.run GROUP BY r.run ORDER BY r.run DESC";
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            let rows = read.query_map([at_most(max)], run)?;
            rows.collect()
        })
    }

    /// The last run, if it was for the same and did not come to its end.
    pub(crate) fn unfinished(
        &self,
        what: &str,
        target: &str,
    ) -> Result<Option<Unfinished>, CatalogError> {
        self.read(|connection| {
            let Some((run, version)) = unfinished_run(connection, what, target)? else {
                return Ok(None);
            };
            let sql = "SELECT tenant, was FROM tasks
                 WHERE run = ?1 AND state IN ('pending', 'failed')";
            let mut read = connection.prepare_cached(sql)?;
            let rows = read.query_map([run.cast_signed()], |row| {
                Ok((rows::parsed(row, 0)?, row.get(1)?))
            })?;
            let left = rows.collect::<Result<_>>()?;
            Ok(Some(Unfinished { version, left }))
        })
    }

    /// The number of the last run, 0 before the first.
    pub(crate) fn last_run(&self) -> Result<u64, CatalogError> {
        self.read(last_run)
    }

    /// Begins a run, or goes on with the last one if that was for the same and did not
    /// come to its end. The tasks are written before anything is done, each with the
    /// version that its file was found at, so that what was not reached can be told
    /// afterwards. Until a task is recorded its file may be at either version.
    pub(crate) fn begin_run(
        &self,
        new: &NewRun<'_>,
        by: &Actor,
        tasks: &[Outcome],
    ) -> Result<u64, WriteError> {
        self.write(Synced::Now, by, |write| {
            let NewRun { what, target, .. } = new;
            let unfinished = unfinished_run(&write.transaction, what, target)?;
            let run = match unfinished {
                Some((run, _)) => run,
                None => new.insert(write)?,
            };
            let id = run.cast_signed();
            let sql = "UPDATE runs SET ended_ms = NULL, outcome = NULL WHERE run = ?1";
            write.run(sql, [id])?;
            forget_old_tasks(write, id)?;
            for task in tasks {
                task.begin(write, id, new)?;
            }
            let goes_on = if unfinished.is_some() { " goes on" } else { "" };
            let detail = format!(
                "run {run}{goes_on}: {what} {target}, {} tenants",
                tasks.len()
            );
            write.next();
            write.event_of("begin", "*", detail)?;
            Ok(run)
        })
    }

    /// Writes what became of tasks. It waits for no disk: what a power cut takes of it,
    /// the files say again.
    pub(crate) fn record(&self, run: u64, tasks: &[Outcome], by: &Actor) -> Result<(), WriteError> {
        self.write(Synced::WithTheNext, by, |write| {
            for task in tasks {
                let (tenant, epoch) = (task.tenant.id().as_str(), epoch_of(&task.tenant));
                let sql =
                    "UPDATE tasks SET state = ?4, was = coalesce(?5, was), now = ?6, why = ?7,
                     at_ms = ?8 WHERE run = ?1 AND tenant = ?2 AND epoch = ?3";
                write.run(
                    sql,
                    params![
                        run.cast_signed(),
                        tenant,
                        epoch,
                        task.state.as_str(),
                        task.from,
                        task.now,
                        task.why,
                        write.at_ms
                    ],
                )?;
                if task.now.is_some() {
                    // No write of the feed: a handle has no schema, and nobody's
                    // compare-and-set fails because of it.
                    let sql = "UPDATE tenants SET schema = ?3 WHERE id = ?1 AND epoch = ?2";
                    write.run(sql, params![tenant, epoch, task.now])?;
                }
            }
            Ok(())
        })
    }

    /// Ends a run. What is known of the files that it has not reached is so still.
    pub(crate) fn end_run(&self, run: u64, outcome: &str, by: &Actor) -> Result<(), WriteError> {
        self.write(Synced::Now, by, |write| {
            let sql = "UPDATE tenants SET schema = k.was FROM tasks k
                 WHERE k.run = ?1 AND k.state = 'pending' AND tenants.id = k.tenant
                 AND tenants.epoch = k.epoch AND tenants.schema IS NULL";
            write.run(sql, [run.cast_signed()])?;
            let sql = "UPDATE runs SET ended_ms = ?2, outcome = ?3 WHERE run = ?1";
            write.run(sql, params![run.cast_signed(), write.at_ms, outcome])?;
            write.next();
            write.event_of("end", "*", format!("run {run}: {outcome}"))
        })
    }
}

/// A run that is to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRun<'n> {
    pub(crate) what: &'n str,
    pub(crate) target: &'n str,
    /// The schema version that it leads to, if that is one for all.
    pub(crate) version: Option<u32>,
    /// The run that it takes back.
    pub(crate) undoes: Option<u64>,
}

impl NewRun<'_> {
    fn insert(&self, write: &Write<'_>) -> Result<u64> {
        let sql = "INSERT INTO runs (what, target, version, undoes, actor, begun_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let undoes = self.undoes.map(u64::cast_signed);
        let actor = write.actor.as_str();
        write.run(
            sql,
            params![
                self.what,
                self.target,
                self.version,
                undoes,
                actor,
                write.at_ms
            ],
        )?;
        Ok(write.transaction.last_insert_rowid().cast_unsigned())
    }

    fn changes_schemas(&self) -> bool {
        self.version.is_some() || self.undoes.is_some()
    }
}

/// A run that did not come to its end.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) version: Option<u32>,
    /// Tenants that it has not reached or has failed for, each with the version that its
    /// file was found at.
    pub(crate) left: HashMap<TenantId, Option<u32>>,
}

impl Outcome {
    /// Writes a task before anything is done. A run that is gone on with began where its
    /// first attempt did, unless somebody else has moved the file meanwhile: after an
    /// attempt that was killed it may be anywhere between there and its target.
    fn begin(&self, write: &Write<'_>, run: i64, new: &NewRun<'_>) -> Result<()> {
        let sql = "INSERT INTO tasks VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7)
            ON CONFLICT (run, tenant) DO UPDATE SET epoch = excluded.epoch,
            state = excluded.state, now = NULL, why = excluded.why, at_ms = excluded.at_ms,
            was = CASE WHEN epoch = excluded.epoch AND (now IS excluded.was
                OR now IS NULL AND excluded.was BETWEEN was AND ?8)
                THEN was ELSE excluded.was END";
        let (tenant, epoch) = (self.tenant.id().as_str(), epoch_of(&self.tenant));
        let state = self.state.as_str();
        let (why, at_ms) = (&self.why, write.at_ms);
        write.run(
            sql,
            params![
                run,
                tenant,
                epoch,
                state,
                self.from,
                why,
                at_ms,
                new.version
            ],
        )?;
        if new.changes_schemas() && self.state == State::Pending {
            let sql = "UPDATE tenants SET schema = NULL WHERE id = ?1 AND epoch = ?2";
            write.run(sql, params![tenant, epoch])?;
        }
        Ok(())
    }
}

fn forget_old_tasks(write: &Write<'_>, run: i64) -> Result<()> {
    let sql = "DELETE FROM tasks WHERE run <= ?1 - ?2 AND run NOT IN
         (SELECT r.run FROM runs r, (SELECT max(run) AS last FROM runs WHERE what = 'migrate')
         WHERE r.run = last OR r.undoes = last)";
    write.run(sql, [run, KEPT_RUNS]).map(drop)
}

fn last_run(connection: &Connection) -> Result<u64> {
    let sql = "SELECT coalesce(max(run), 0) FROM runs";
    connection.query_row(sql, [], |row| unsigned(row, 0))
}

/// The last run and the version that it leads to, if it was for the same and did not come
/// to its end.
fn unfinished_run(
    connection: &Connection,
    what: &str,
    target: &str,
) -> Result<Option<(u64, Option<u32>)>> {
    let sql = "SELECT run, version FROM runs WHERE run = (SELECT max(run) FROM runs)
         AND what = ?1 AND target = ?2 AND outcome IS NOT 'done'";
    let mut read = connection.prepare_cached(sql)?;
    let run = read.query_row([what, target], |row| Ok((unsigned(row, 0)?, row.get(1)?)));
    run.optional()
}

fn run(row: &Row<'_>) -> Result<Run> {
    Ok(Run {
        run: unsigned(row, 0)?,
        what: row.get(1)?,
        target: row.get(2)?,
        undoes: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
        actor: row.get(4)?,
        begun_ms: row.get(5)?,
        ended_ms: row.get(6)?,
        outcome: row.get(7)?,
        done: unsigned(row, 8)?,
        failed: unsigned(row, 9)?,
        skipped: unsigned(row, 10)?,
        pending: unsigned(row, 11)?,
    })
}

fn epoch_of(tenant: &Tenant) -> i64 {
    tenant.epoch().get().cast_signed()
}
