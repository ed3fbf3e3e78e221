//! Objects of a tenant's schema that conflict with the library's own tables.
//!
//! SQLite does not show the authorizer the table that a foreign key refers to, nor the new name of
//! a renamed table. So the schema is searched for both after statements that may have created them.
//! The library's own statements run with foreign keys, triggers and views switched off, so that no
//! such object stops them.

use rusqlite::{Connection, Result};

/// The prefix of the names of this library's tables, in any case.
pub(crate) const RESERVED: &str = "_tenancy_";

/// Returns whether a name is reserved for the library.
pub(crate) fn is_reserved(name: &str) -> bool {
    let start = name.as_bytes().get(..RESERVED.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(RESERVED.as_bytes()))
}

/// The only table and column of the library that a tenant's schema may refer to.
pub(crate) const REFERABLE: (&str, &str) = ("_tenancy_users", "id");

/// Returns the tables that conflict with the library's: tables that refer to one of them, and
/// tables that were renamed to a reserved name. The search calls no SQL function and reads no table
/// that the schema could hide behind an object of the same name.
pub(crate) fn planted(connection: &Connection) -> Result<Vec<Planted>> {
    let mut tables = connection.prepare(
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND sql IS NOT NULL",
    )?;
    let mut rows = tables.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, sql) = (row.get_ref(0)?.as_bytes()?, row.get_ref(1)?.as_bytes()?);
        // The SQL of a table contains the names of the tables that it refers to.
        if !mentions(sql) {
            continue;
        }
        let (name, sql) = (String::from_utf8_lossy(name), String::from_utf8_lossy(sql));
        let why = match is_reserved(&name) {
            true => (!is_ours(&name, &sql)).then(|| "bears a name of the library's".into()),
            false => referred(connection, &name)?.map(|to| format!("refers to {to}").into()),
        };
        let table = name.into();
        found.extend(why.map(|why| Planted { table, why }));
    }
    Ok(found)
}

/// A table that conflicts with the library's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planted {
    pub(crate) table: Box<str>,
    /// `refers to _tenancy_stamp`, for example.
    pub(crate) why: Box<str>,
}

impl std::fmt::Display for Planted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "table {:?} {}", self.table, self.why)
    }
}

fn mentions(sql: &[u8]) -> bool {
    let mut windows = sql.windows(RESERVED.len());
    windows.any(|window| window.eq_ignore_ascii_case(RESERVED.as_bytes()))
}

fn is_ours(name: &str, sql: &str) -> bool {
    match name {
        "_tenancy_stamp" | "_tenancy_migrations" => true,
        // It is created with the first seed, so another table may have taken its name before.
        "_tenancy_seeds" => sql == SEEDS_TABLE,
        // No version of the library creates another table.
        _ => false,
    }
}

/// Returns the first table of the library to which a table refers without being allowed to.
fn referred(connection: &Connection, table: &str) -> Result<Option<Box<str>>> {
    // A pragma, as a table could hide the table-valued function of this name.
    let sql = format!(
        "PRAGMA main.foreign_key_list(\"{}\")",
        table.replace('"', "\"\"")
    );
    let mut keys = connection.prepare(&sql)?;
    let mut keys = keys.query([])?;
    while let Some(key) = keys.next()? {
        let (to, column): (Box<str>, Option<Box<str>>) = (key.get("table")?, key.get("to")?);
        let (users, id) = REFERABLE;
        let may = to.eq_ignore_ascii_case(users)
            // A key without a column refers to the primary key.
            && column.is_none_or(|column| column.eq_ignore_ascii_case(id));
        if is_reserved(&to) && !may {
            return Ok(Some(to));
        }
    }
    Ok(None)
}

/// The SQL of the table of seeds, which is created with the first seed, as few tenants have seeds.
pub(crate) const SEEDS_TABLE: &str = "CREATE TABLE _tenancy_seeds (
    name TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";
