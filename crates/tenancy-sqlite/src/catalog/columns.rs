//! Columns of the catalog's rows, read into types.

use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use tenancy_core::{Domain, Name, TenantKey};

/// Returns a column of text, parsed.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| unexpected(column, error))
}

/// Returns a column with a domain. A stored domain is canonical already, so it is not checked again
/// against the list of public suffixes.
pub(super) fn domain(row: &Row<'_>, column: usize) -> Result<Domain> {
    let text = row.get_ref(column)?.as_str()?;
    match TenantKey::Domain(text).to_name() {
        Some(Name::Domain(domain)) => Ok(domain),
        _ => Err(unexpected(column, "not a domain")),
    }
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unexpected(column, error))
}

/// Returns the bound of a page as SQLite's integer.
pub(super) fn at_most(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

/// Returns the error for a column whose value this library never writes.
pub(super) fn unexpected(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
