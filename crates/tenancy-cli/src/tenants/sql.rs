//! `tenancy sql`: one statement, as the application would run it.

use std::time::{Duration, Instant};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Error, ErrorCode, InterruptHandle, Rows, Statement};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tenancy::TenantId;
use tenancy::sqlite::SqliteConnection;

use super::id;
use crate::args::{Global, Sql};
use crate::failure::Failure;
use crate::interrupt;
use crate::output::Output;
use crate::project;

/// The interval at which a thread checks for Ctrl-C, and interrupts the statement after it.
const LOOK: Duration = Duration::from_millis(20);

/// The result of a statement without rows.
#[derive(Debug, Serialize)]
struct Changed {
    tenant: String,
    /// The number of rows inserted, updated or deleted.
    changes: u64,
}

pub fn run(args: &Sql, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&args.id)?;
    interrupt::watch()?;
    let project = project::open_behind(&project::config(global)?)?;
    let tenant = project.tenant(&id)?;
    let connection = project.checkout(&tenant).map_err(tenancy::Error::from)?;
    let newest = project.pools().driver().migrations().newest();
    if connection.schema() < newest {
        // Printed even with --json, as it goes to stderr.
        let found = connection.schema();
        eprintln!(
            "note: tenant {id} is at schema version {found}, behind {newest}; the application \
             does not open its database until `tenancy migrate` has migrated it"
        );
    }
    let began = Instant::now();
    let failed = |error| failure(&id, &connection, &error, began.elapsed() >= args.timeout);
    let _deadline = connection.deadline(args.timeout).map_err(failed)?;
    interrupt_with(connection.get_interrupt_handle());
    let mut statement = only(&connection, &args.sql, failed)?;
    if statement.column_count() == 0 {
        let changes = statement.raw_execute().map_err(failed)?;
        return out.record(&Changed {
            tenant: id.to_string(),
            changes: changes as u64,
        });
    }
    let columns = columns(&statement);
    let names: Vec<_> = columns.iter().map(String::as_str).collect();
    let rows = Lines {
        rows: statement.raw_query(),
        columns: &columns,
    };
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut rows = rows.map(|row| row.map_err(failed));
    out.query(&names, rows.by_ref().take(limit))?;
    if args.limit.is_some() && rows.next().is_some() {
        out.note(&format!(
            "note: the query has more rows; --limit is {limit}"
        ));
    }
    Ok(())
}

/// Starts a thread that interrupts the statement after Ctrl-C. It does so repeatedly, as an
/// interrupt has no effect on a statement that has not begun.
fn interrupt_with(handle: InterruptHandle) {
    std::thread::spawn(move || {
        loop {
            if interrupt::requested() {
                handle.interrupt();
            }
            std::thread::sleep(LOOK);
        }
    });
}

/// Returns the single statement of a text. Two statements are refused, as a mistyped quote
/// could turn data into the second one.
fn only<'c>(
    connection: &'c SqliteConnection,
    sql: &'c str,
    failed: impl Fn(Error) -> Failure,
) -> Result<Statement<'c>, Failure> {
    let mut batch = Batch::new(connection, sql);
    let statement = batch.next().map_err(&failed)?;
    let statement =
        statement.ok_or_else(|| Failure::usage("the text has no statement; give one"))?;
    match batch.next() {
        Ok(None) => Ok(statement),
        _ => Err(Failure::usage(
            "the text has more than one statement; run them one by one; nothing was run",
        )),
    }
}

/// Returns the failure for an error of the statement: Ctrl-C, the time-out, the rule that refused
/// it, or the error of SQLite.
fn failure(id: &TenantId, connection: &SqliteConnection, error: &Error, is_late: bool) -> Failure {
    let stopped = error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted);
    if interrupt::requested() {
        return Failure::refused(format!(
            "tenant {id}: the statement was interrupted; nothing was changed"
        ));
    }
    if stopped && is_late {
        return Failure::refused(format!(
            "tenant {id}: the statement was stopped by its time-out; nothing was changed; \
             set a longer one with --timeout"
        ));
    }
    match connection.refusal_of(error) {
        Some(refusal) => Failure::refused(format!("tenant {id}: {refusal}")),
        None => Failure::refused(format!("tenant {id}: {error}")),
    }
}

/// Returns the names of the columns. They are made unique: a second `id` becomes `id:2`.
fn columns(statement: &Statement<'_>) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for name in statement.column_names() {
        let twin = |n: &usize| match n {
            1 => name.to_owned(),
            n => format!("{name}:{n}"),
        };
        let free = (1..).map(|n| twin(&n)).find(|name| !columns.contains(name));
        columns.extend(free);
    }
    columns
}

/// An iterator over the rows of a query as JSON objects.
struct Lines<'s, 'c> {
    rows: Rows<'s>,
    columns: &'c [String],
}

impl Iterator for Lines<'_, '_> {
    type Item = Result<Map<String, Value>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match self.rows.next() {
            Ok(row) => row?,
            Err(error) => return Some(Err(error)),
        };
        let cells = self.columns.iter().enumerate();
        let cells = cells.map(|(at, name)| Ok((name.clone(), value(row.get_ref(at)?))));
        Some(cells.collect())
    }
}

/// Returns a value as JSON. BLOBs become strings like `x'00ff'`, infinities `Inf` and `-Inf`, as JSON
/// has neither.
fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) if number.is_finite() => json!(number),
        ValueRef::Real(number) => json!(if number > 0.0 { "Inf" } else { "-Inf" }),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(format!("x'{digits}'"))
        }
    }
}
