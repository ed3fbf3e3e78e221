//! Columns of the catalog's rows, read into types.

use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use tenancy_core::{Domain, Name, TenantKey};

/// A column whose text is one of our types.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| odd(column, error))
}

/// A stored domain is canonical already: as a key it needs no registration again.
pub(super) fn domain(row: &Row<'_>, column: usize) -> Result<Domain> {
    let text = row.get_ref(column)?.as_str()?;
    match TenantKey::Domain(text).to_name() {
        Some(Name::Domain(domain)) => Ok(domain),
        _ => Err(odd(column, "no domain")),
    }
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| odd(column, error))
}

/// A bound as SQLite's integer.
pub(super) fn at_most(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

pub(super) fn odd(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
