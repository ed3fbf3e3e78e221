//! The run of a script of several statements inside the transaction of its caller.

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection, ErrorCode};

use crate::guard::state::Guard;
use crate::refusal::Refusal;

/// The fault of a script, with the number of its statement, from 1.
pub(crate) enum Fault {
    Statement(usize, rusqlite::Error),
    Refused(usize, Refusal),
    LeftTransaction(usize),
}

/// Runs all statements of a script.
pub(crate) fn run_script(connection: &Connection, guard: &Guard, sql: &str) -> Result<(), Fault> {
    let mut batch = Batch::new(connection, sql);
    for statement in 1.. {
        guard.clear();
        let run = || -> rusqlite::Result<bool> {
            let Some(mut next) = batch.next()? else {
                return Ok(false);
            };
            let mut rows = next.query([])?;
            while rows.next()?.is_some() {}
            Ok(true)
        };
        let more = { run }().map_err(|source| fault(guard, statement, source))?;
        if connection.is_autocommit() {
            return Err(Fault::LeftTransaction(statement));
        }
        if !more {
            break;
        }
    }
    Ok(())
}

fn fault(guard: &Guard, statement: usize, source: rusqlite::Error) -> Fault {
    let denied = source.sqlite_error_code() == Some(ErrorCode::AuthorizationForStatementDenied);
    match guard.last().filter(|_| denied) {
        Some(refusal) => Fault::Refused(statement, refusal),
        None => Fault::Statement(statement, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::limits::Limits;

    /// The authorizer refuses transaction control; without it the script is stopped, too.
    #[test]
    fn a_script_that_ends_its_transaction_is_stopped() -> rusqlite::Result<()> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("BEGIN")?;
        let guard = Guard::new(Limits::default());
        let script = "CREATE TABLE half (x); COMMIT; CREATE TABLE whole (x)";
        let fault = run_script(&connection, &guard, script);
        assert!(matches!(fault, Err(Fault::LeftTransaction(2))));
        let sql = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        assert_eq!(tables, 1);
        Ok(())
    }
}
