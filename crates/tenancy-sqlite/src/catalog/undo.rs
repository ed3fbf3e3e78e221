//! What a run did, for who takes it back.

use rusqlite::{Connection, OptionalExtension, Result, Row};
use tenancy_core::{CatalogError, Epoch, TenantId};

use super::SqliteCatalog;
use super::rows::{parsed, unsigned};
use super::runs::State;

/// A run that may be taken back.
#[derive(Debug)]
pub(crate) struct PastRun {
    pub(crate) run: u64,
    pub(crate) what: Box<str>,
    /// The schema version that it was to bring its tenants to.
    pub(crate) version: Option<u32>,
    /// Whether its process wrote down its end.
    pub(crate) ended: bool,
    /// By id. Empty when they are no longer kept.
    pub(crate) tasks: Vec<PastTask>,
    /// Rollbacks that took it back, wholly or in part.
    pub(crate) undone_by: Vec<u64>,
}

/// What a run did to one tenant.
#[derive(Debug)]
pub(crate) struct PastTask {
    pub(crate) tenant: TenantId,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) state: State,
    /// The version that it found.
    pub(crate) was: Option<u32>,
    /// The version that it left, if that was written down.
    pub(crate) now: Option<u32>,
    /// Whether a rollback has taken it back.
    pub(crate) undone: bool,
}

impl SqliteCatalog {
    /// The run of this number, or the last migration; none if there is none.
    pub(crate) fn past_run(&self, number: Option<u64>) -> Result<Option<PastRun>, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT run, what, version, outcome NOT NULL FROM runs WHERE run =
                 coalesce(?1, (SELECT max(run) FROM runs WHERE what = 'migrate'))";
            let mut read = connection.prepare_cached(sql)?;
            let number = number.map(u64::cast_signed);
            let found = read.query_row([number], |row| {
                Ok(PastRun {
                    run: unsigned(row, 0)?,
                    what: row.get(1)?,
                    version: row.get(2)?,
                    ended: row.get(3)?,
                    tasks: Vec::new(),
                    undone_by: Vec::new(),
                })
            });
            let Some(mut run) = found.optional()? else {
                return Ok(None);
            };
            run.tasks = tasks(connection, run.run)?;
            run.undone_by = undone_by(connection, run.run)?;
            Ok(Some(run))
        })
    }
}

fn tasks(connection: &Connection, run: u64) -> Result<Vec<PastTask>> {
    let sql = "SELECT tenant, epoch, state, was, now, EXISTS (SELECT 1 FROM runs u
             JOIN tasks d ON d.run = u.run AND d.tenant = k.tenant AND d.state = 'done'
             WHERE u.undoes = k.run)
         FROM tasks k WHERE run = ?1 ORDER BY tenant";
    let mut read = connection.prepare_cached(sql)?;
    let rows = read.query_map([run.cast_signed()], task)?;
    rows.collect()
}

fn task(row: &Row<'_>) -> Result<PastTask> {
    Ok(PastTask {
        tenant: parsed(row, 0)?,
        epoch: Epoch::new(unsigned(row, 1)?),
        state: State::of(row.get_ref(2)?.as_str()?),
        was: row.get(3)?,
        now: row.get(4)?,
        undone: row.get(5)?,
    })
}

fn undone_by(connection: &Connection, run: u64) -> Result<Vec<u64>> {
    let sql = "SELECT run FROM runs WHERE undoes = ?1 ORDER BY run";
    let mut read = connection.prepare_cached(sql)?;
    let rows = read.query_map([run.cast_signed()], |row| unsigned(row, 0))?;
    rows.collect()
}
