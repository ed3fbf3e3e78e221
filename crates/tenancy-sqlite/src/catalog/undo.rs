//! The read of a past run, for a rollback that undoes it.

use rusqlite::{Connection, OptionalExtension, Result, Row};
use tenancy_core::Epoch;
use tenancy_fleet::{PastRun, PastTask};

use super::runs::state;
use crate::catalog::columns::{parsed, unsigned};

/// Returns the run of this number, or the last migration if there is no number.
pub(super) fn past_run(connection: &Connection, number: Option<u64>) -> Result<Option<PastRun>> {
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
        state: state(row.get_ref(2)?.as_str()?),
        found: row.get(3)?,
        left: row.get(4)?,
        undone: row.get(5)?,
    })
}

fn undone_by(connection: &Connection, run: u64) -> Result<Vec<u64>> {
    let sql = "SELECT run FROM runs WHERE undoes = ?1 ORDER BY run";
    let mut read = connection.prepare_cached(sql)?;
    let rows = read.query_map([run.cast_signed()], |row| unsigned(row, 0))?;
    rows.collect()
}
