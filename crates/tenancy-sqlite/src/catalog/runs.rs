//! Runs over many tenants: what each was to do and what became of it, and which schema
//! every file has as far as is known.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use tenancy_core::{Actor, CatalogError, Tenant, TenantId, WriteError};

use super::SqliteCatalog;
use super::rows::{self, at_most, tenant_columns, unsigned};
use super::write::Synced;
use crate::fleet::SchemaCounts;

/// Columns of a row that come before what is asked for beside the tenant.
const AFTER_TENANT: usize = 13;

/// Runs whose tasks are kept; of older ones only the run itself is.
const KEPT_RUNS: i64 = 32;

/// A tenant and the schema version that its file had when it was last seen.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) tenant: Tenant,
    pub(crate) schema: Option<u32>,
}

/// What is known of a tenant's schema, as [`Fleet::status`](crate::Fleet::status) tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SchemaStatus {
    /// The tenant.
    pub tenant: Tenant,
    /// The schema version that its file had when it was last seen by a create, a
    /// migration or a rollback; `None` if it never was.
    pub schema: Option<u32>,
    /// Why the last run failed for it, if it did.
    pub failed: Option<TaskFailure>,
}

/// A run that failed for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskFailure {
    /// Which run.
    pub run: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The error with its causes.
    pub why: Box<str>,
}

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
    /// Tenants of which it is not known that they have this schema, by id, whatever
    /// their status. An index has them: those that have it are not looked at.
    pub(crate) fn not_at_schema(&self, schema: u32) -> Result<Vec<Known>, CatalogError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(),
            ", t.schema FROM tenants t WHERE t.schema < ?1 UNION ALL SELECT ",
            tenant_columns!(),
            ", t.schema FROM tenants t WHERE t.schema > ?1 UNION ALL SELECT ",
            tenant_columns!(),
            ", t.schema FROM tenants t WHERE t.schema IS NULL ORDER BY 1"
        );
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            let rows = read.query_map([schema], |row| known(connection, row))?;
            rows.collect()
        })
    }

    /// All tenants, by id.
    pub(crate) fn all_known(&self) -> Result<Vec<Known>, CatalogError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(),
            ", t.schema FROM tenants t ORDER BY t.id"
        );
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            let rows = read.query_map([], |row| known(connection, row))?;
            rows.collect()
        })
    }

    /// One tenant.
    pub(crate) fn known(&self, id: &TenantId) -> Result<Option<Known>, CatalogError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(),
            ", t.schema FROM tenants t WHERE t.id = ?1"
        );
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            read.query_row([id.as_str()], |row| known(connection, row))
                .optional()
        })
    }

    /// How many tenants are known to have this schema.
    pub(crate) fn count_at_schema(&self, schema: u32) -> Result<u64, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM tenants WHERE schema = ?1";
            let mut read = connection.prepare_cached(sql)?;
            read.query_row([schema], |row| unsigned(row, 0))
        })
    }

    /// How many tenants have this schema, an older one, a newer one, or an unknown one.
    pub(crate) fn schema_counts(&self, newest: u32) -> Result<SchemaCounts, CatalogError> {
        // Each an index range; those that are provisioning are few, and in an index, too.
        let sql = "SELECT (SELECT count(*) FROM tenants WHERE schema = ?1),
             (SELECT count(*) FROM tenants WHERE schema < ?1 AND status <> 'provisioning'),
             (SELECT count(*) FROM tenants WHERE schema > ?1 AND status <> 'provisioning'),
             (SELECT count(*) FROM tenants WHERE schema IS NULL AND status <> 'provisioning')";
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            read.query_row([newest], |row| {
                Ok(SchemaCounts {
                    newest,
                    current: unsigned(row, 0)?,
                    behind: unsigned(row, 1)?,
                    ahead: unsigned(row, 2)?,
                    unknown: unsigned(row, 3)?,
                })
            })
        })
    }

    /// What is known of tenants by id, at most `max`, after this one.
    pub(crate) fn schema_page(
        &self,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<SchemaStatus>, CatalogError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(),
            ", t.schema, k.run, k.at_ms, k.why FROM tenants t LEFT JOIN tasks k",
            " ON k.tenant = t.id AND k.epoch = t.epoch AND k.state = 'failed'",
            " AND k.run = (SELECT max(run) FROM tasks l WHERE l.tenant = t.id)",
            " WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"
        );
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            let after = after.map_or("", TenantId::as_str);
            let rows = read.query_map(params![after, at_most(max)], |row| {
                let Known { tenant, schema } = known(connection, row)?;
                let failed = match row.get::<_, Option<Box<str>>>(AFTER_TENANT + 3)? {
                    None => None,
                    Some(why) => Some(TaskFailure {
                        run: unsigned(row, AFTER_TENANT + 1)?,
                        at_ms: row.get(AFTER_TENANT + 2)?,
                        why,
                    }),
                };
                Ok(SchemaStatus {
                    tenant,
                    schema,
                    failed,
                })
            })?;
            rows.collect()
        })
    }

    /// The last runs, newest first, at most `max`.
    pub(crate) fn runs(&self, max: usize) -> Result<Vec<Run>, CatalogError> {
        let sql = "SELECT r.run, r.what, r.target, r.actor, r.begun_ms, r.ended_ms, r.outcome,
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

    /// The tenants that the last run has not reached or has failed for, each with the
    /// version that it had found, if that run was for the same and did not come to its
    /// end.
    pub(crate) fn unfinished(
        &self,
        what: &str,
        target: &str,
    ) -> Result<Option<HashMap<TenantId, Option<u32>>>, CatalogError> {
        self.read(|connection| {
            let Some(run) = unfinished_run(connection, what, target)? else {
                return Ok(None);
            };
            let sql = "SELECT tenant, was FROM tasks
                 WHERE run = ?1 AND state IN ('pending', 'failed')";
            let mut read = connection.prepare_cached(sql)?;
            let rows = read.query_map([run.cast_signed()], |row| {
                Ok((rows::parsed(row, 0)?, row.get(1)?))
            })?;
            rows.collect::<Result<_>>().map(Some)
        })
    }

    /// Begins a run, or goes on with the last one if that was for the same and did not
    /// come to its end. The tasks are written before anything is done, so that what was
    /// not reached can be told afterwards.
    pub(crate) fn begin_run(
        &self,
        what: &str,
        target: &str,
        by: &Actor,
        tasks: &[Outcome],
    ) -> Result<u64, WriteError> {
        self.write(Synced::Now, by, |write| {
            let unfinished = unfinished_run(&write.transaction, what, target)?;
            let run = match unfinished {
                Some(run) => run,
                None => {
                    let sql = "INSERT INTO runs (what, target, actor, begun_ms)
                         VALUES (?1, ?2, ?3, ?4)";
                    let actor = write.actor.as_str();
                    write.run(sql, params![what, target, actor, write.at_ms])?;
                    write.transaction.last_insert_rowid().cast_unsigned()
                }
            };
            let id = run.cast_signed();
            let sql = "UPDATE runs SET ended_ms = NULL, outcome = NULL WHERE run = ?1";
            write.run(sql, [id])?;
            write.run("DELETE FROM tasks WHERE run <= ?1 - ?2", [id, KEPT_RUNS])?;
            for task in tasks {
                let sql = "INSERT OR REPLACE INTO tasks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
                let (tenant, epoch) = (task.tenant.id().as_str(), epoch_of(&task.tenant));
                let state = task.state.as_str();
                let values = params![
                    id,
                    tenant,
                    epoch,
                    state,
                    task.from,
                    None::<u32>,
                    task.why,
                    write.at_ms
                ];
                write.run(sql, values)?;
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

    /// Ends a run.
    pub(crate) fn end_run(&self, run: u64, outcome: &str, by: &Actor) -> Result<(), WriteError> {
        self.write(Synced::Now, by, |write| {
            let sql = "UPDATE runs SET ended_ms = ?2, outcome = ?3 WHERE run = ?1";
            write.run(sql, params![run.cast_signed(), write.at_ms, outcome])?;
            write.next();
            write.event_of("end", "*", format!("run {run}: {outcome}"))
        })
    }
}

/// The last run, if it was for the same and did not come to its end.
fn unfinished_run(connection: &Connection, what: &str, target: &str) -> Result<Option<u64>> {
    let sql = "SELECT run FROM runs WHERE run = (SELECT max(run) FROM runs)
         AND what = ?1 AND target = ?2 AND outcome IS NOT 'done'";
    let mut read = connection.prepare_cached(sql)?;
    let run = read.query_row([what, target], |row| unsigned(row, 0));
    run.optional()
}

fn known(connection: &Connection, row: &Row<'_>) -> Result<Known> {
    Ok(Known {
        tenant: rows::tenant(connection, row)?,
        schema: row.get(AFTER_TENANT)?,
    })
}

fn run(row: &Row<'_>) -> Result<Run> {
    Ok(Run {
        run: unsigned(row, 0)?,
        what: row.get(1)?,
        target: row.get(2)?,
        actor: row.get(3)?,
        begun_ms: row.get(4)?,
        ended_ms: row.get(5)?,
        outcome: row.get(6)?,
        done: unsigned(row, 7)?,
        failed: unsigned(row, 8)?,
        skipped: unsigned(row, 9)?,
        pending: unsigned(row, 10)?,
    })
}

fn epoch_of(tenant: &Tenant) -> i64 {
    tenant.epoch().get().cast_signed()
}
