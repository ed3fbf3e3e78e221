//! The tables of runs over many tenants: `runs`, and `tasks` with one row for each tenant.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use tenancy_core::Tenant;
use tenancy_fleet::{NewRun, Run, RunOutcome, Task, TaskState, Unfinished};

use crate::catalog::columns;
use crate::catalog::columns::{at_most, unsigned};
use crate::catalog::transaction::{Done, Write};

/// The number of latest runs whose tasks are kept. The tasks of the last migration, and of the runs
/// that undid it, are kept, too. Of all other runs only the row in `runs` is kept.
const KEPT_RUNS: i64 = 32;

/// Returns the last runs, newest first.
pub(super) fn page(connection: &Connection, max: usize) -> Result<Vec<Run>> {
    let sql =
        "SELECT r.run, r.what, r.target, r.undoes, r.actor, r.begun_ms, r.ended_ms, r.outcome,
         count(k.tenant) FILTER (WHERE k.state = 'done'),
         count(k.tenant) FILTER (WHERE k.state = 'failed'),
         count(k.tenant) FILTER (WHERE k.state = 'skipped'),
         count(k.tenant) FILTER (WHERE k.state = 'pending')
         FROM (SELECT * FROM runs ORDER BY run DESC LIMIT ?1) r
         LEFT JOIN tasks k ON k.run = r.run GROUP BY r.run ORDER BY r.run DESC";
    let mut read = connection.prepare_cached(sql)?;
    let rows = read.query_map([at_most(max)], run)?;
    rows.collect()
}

/// Returns the last run if it has this kind and target and is not done.
pub(super) fn unfinished(
    connection: &Connection,
    what: &str,
    target: &str,
) -> Result<Option<Unfinished>> {
    let Some((run, version)) = unfinished_run(connection, what, target)? else {
        return Ok(None);
    };
    let sql = "SELECT tenant, was FROM tasks
         WHERE run = ?1 AND state IN ('pending', 'failed')";
    let mut read = connection.prepare_cached(sql)?;
    let rows = read.query_map([run.cast_signed()], |row| {
        Ok((columns::parsed(row, 0)?, row.get(1)?))
    })?;
    let left = rows.collect::<Result<_>>()?;
    Ok(Some(Unfinished { version, left }))
}

/// Returns the number of the last run, 0 before the first.
pub(super) fn last(connection: &Connection) -> Result<u64> {
    let sql = "SELECT coalesce(max(run), 0) FROM runs";
    connection.query_row(sql, [], |row| unsigned(row, 0))
}

/// Begins a run, or resumes the last one if it has the same kind and target and is not done.
pub(super) fn begin(write: &mut Write<'_>, new: &NewRun<'_>, tasks: &[Task]) -> Done<u64> {
    let NewRun { what, target, .. } = new;
    let unfinished = unfinished_run(&write.transaction, what, target)?;
    let run = match unfinished {
        Some((run, _)) => run,
        None => insert(write, new)?,
    };
    let id = run.cast_signed();
    let sql = "UPDATE runs SET ended_ms = NULL, outcome = NULL WHERE run = ?1";
    write.run(sql, [id])?;
    forget_old_tasks(write, id)?;
    for task in tasks {
        begin_task(write, id, new, task)?;
    }
    let resumed = if unfinished.is_some() { " goes on" } else { "" };
    let detail = format!(
        "run {run}{resumed}: {what} {target}, {} tenants",
        tasks.len()
    );
    write.next();
    write.event_of("begin", "*", detail)?;
    Ok(run)
}

/// Records the results of tasks.
pub(super) fn record(write: &mut Write<'_>, run: u64, tasks: &[Task]) -> Done<()> {
    for task in tasks {
        let (tenant, epoch) = (task.tenant.id().as_str(), epoch_of(&task.tenant));
        let sql = "UPDATE tasks SET state = ?4, was = coalesce(?5, was), now = ?6, why = ?7,
             at_ms = ?8 WHERE run = ?1 AND tenant = ?2 AND epoch = ?3";
        write.run(
            sql,
            params![
                run.cast_signed(),
                tenant,
                epoch,
                task.state.as_str(),
                task.found,
                task.left,
                task.why,
                write.at_ms
            ],
        )?;
        if task.left.is_some() {
            // The row keeps its version: the feed does not contain the schema, and a concurrent
            // update must not fail because of it.
            let sql = "UPDATE tenants SET schema = ?3 WHERE id = ?1 AND epoch = ?2";
            write.run(sql, params![tenant, epoch, task.left])?;
        }
    }
    Ok(())
}

/// Records the outcome of a run. Files that the run did not reach still have the versions at which
/// it found them.
pub(super) fn end(write: &mut Write<'_>, run: u64, outcome: RunOutcome) -> Done<()> {
    let sql = "UPDATE tenants SET schema = k.was FROM tasks k
         WHERE k.run = ?1 AND k.state = 'pending' AND tenants.id = k.tenant
         AND tenants.epoch = k.epoch AND tenants.schema IS NULL";
    write.run(sql, [run.cast_signed()])?;
    let outcome = outcome.as_str();
    let sql = "UPDATE runs SET ended_ms = ?2, outcome = ?3 WHERE run = ?1";
    write.run(sql, params![run.cast_signed(), write.at_ms, outcome])?;
    write.next();
    write.event_of("end", "*", format!("run {run}: {outcome}"))?;
    Ok(())
}

fn insert(write: &Write<'_>, new: &NewRun<'_>) -> Result<u64> {
    let sql = "INSERT INTO runs (what, target, version, undoes, actor, begun_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let undoes = new.undoes.map(u64::cast_signed);
    let actor = write.actor.as_str();
    write.run(
        sql,
        params![
            new.what,
            new.target,
            new.version,
            undoes,
            actor,
            write.at_ms
        ],
    )?;
    Ok(write.transaction.last_insert_rowid().cast_unsigned())
}

/// Records a task before its work begins. A task of a resumed run keeps the version at which the
/// first attempt found the file, unless another operation has changed the file since. After a
/// killed attempt the file may be at any version between the first one and the target.
fn begin_task(write: &Write<'_>, run: i64, new: &NewRun<'_>, task: &Task) -> Result<()> {
    let sql = "INSERT INTO tasks VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7)
        ON CONFLICT (run, tenant) DO UPDATE SET epoch = excluded.epoch,
        state = excluded.state, now = NULL, why = excluded.why, at_ms = excluded.at_ms,
        was = CASE WHEN epoch = excluded.epoch AND (now IS excluded.was
            OR now IS NULL AND excluded.was BETWEEN was AND ?8)
            THEN was ELSE excluded.was END";
    let (tenant, epoch) = (task.tenant.id().as_str(), epoch_of(&task.tenant));
    let state = task.state.as_str();
    let (why, at_ms) = (&task.why, write.at_ms);
    write.run(
        sql,
        params![
            run,
            tenant,
            epoch,
            state,
            task.found,
            why,
            at_ms,
            new.version
        ],
    )?;
    if new.changes_schemas() && task.state == TaskState::Pending {
        let sql = "UPDATE tenants SET schema = NULL WHERE id = ?1 AND epoch = ?2";
        write.run(sql, params![tenant, epoch])?;
    }
    Ok(())
}

fn forget_old_tasks(write: &Write<'_>, run: i64) -> Result<()> {
    let sql = "DELETE FROM tasks WHERE run <= ?1 - ?2 AND run NOT IN
         (SELECT r.run FROM runs r, (SELECT max(run) AS last FROM runs WHERE what = 'migrate')
         WHERE r.run = last OR r.undoes = last)";
    write.run(sql, [run, KEPT_RUNS]).map(drop)
}

/// Returns the last run and its target version, if it has this kind and target and is not done.
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
        outcome: row
            .get::<_, Option<Box<str>>>(7)?
            .and_then(|name| outcome(&name)),
        done: unsigned(row, 8)?,
        failed: unsigned(row, 9)?,
        skipped: unsigned(row, 10)?,
        pending: unsigned(row, 11)?,
    })
}

/// Returns the outcome of this name. The table has no others.
fn outcome(name: &str) -> Option<RunOutcome> {
    let mut all = RunOutcome::ALL.into_iter();
    all.find(|outcome| outcome.as_str() == name)
}

/// Returns the state of this name. The table has no others.
pub(super) fn state(name: &str) -> TaskState {
    let mut all = TaskState::ALL.into_iter();
    let named = all.find(|state| state.as_str() == name);
    named.unwrap_or(TaskState::Skipped)
}

fn epoch_of(tenant: &Tenant) -> i64 {
    tenant.epoch().get().cast_signed()
}
