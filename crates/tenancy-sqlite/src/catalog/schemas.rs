//! The known schema version of every file. It is a cache: only the version in the file counts.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use tenancy_core::{Tenant, TenantId};
use tenancy_fleet::{KnownSchema, SchemaCounts, SchemaStatus, Selection, TaskFailure};

use super::rows;
use super::rows::tenant_columns;
use crate::catalog::columns::{at_most, unsigned};

/// The number of columns of a tenant, which come first in a row.
const AFTER_TENANT: usize = 13;

/// Returns one tenant with its known schema.
pub(super) fn known(connection: &Connection, id: &TenantId) -> Result<Option<KnownSchema>> {
    let sql = concat!(
        "SELECT ",
        tenant_columns!(),
        ", t.schema FROM tenants t WHERE t.id = ?1"
    );
    let mut read = connection.prepare_cached(sql)?;
    read.query_row([id.as_str()], |row| entry(connection, row))
        .optional()
}

/// Returns the tenants of a selection with their known schemas, by id.
pub(super) fn selected(connection: &Connection, which: Selection) -> Result<Vec<KnownSchema>> {
    let (sql, schema) = match which {
        Selection::All => (
            concat!(
                "SELECT ",
                tenant_columns!(),
                ", t.schema FROM tenants t ORDER BY t.id"
            ),
            None,
        ),
        // Each query reads an index range, so that tenants with the wanted schema are not read.
        Selection::NotAt(schema) => (
            concat!(
                "SELECT ",
                tenant_columns!(),
                ", t.schema FROM tenants t WHERE t.schema < ?1 UNION ALL SELECT ",
                tenant_columns!(),
                ", t.schema FROM tenants t WHERE t.schema > ?1 UNION ALL SELECT ",
                tenant_columns!(),
                ", t.schema FROM tenants t WHERE t.schema IS NULL ORDER BY 1"
            ),
            Some(schema),
        ),
        Selection::Unknown => (
            concat!(
                "SELECT ",
                tenant_columns!(),
                ", t.schema FROM tenants t WHERE t.schema IS NULL",
                " AND t.status NOT IN ('provisioning', 'retiring') ORDER BY t.id"
            ),
            None,
        ),
    };
    let mut read = connection.prepare_cached(sql)?;
    let read_entry = |row: &Row<'_>| entry(connection, row);
    let rows = match schema {
        Some(schema) => read.query_map([schema], read_entry)?,
        None => read.query_map([], read_entry)?,
    };
    rows.collect()
}

/// Returns a tenant in use that has the newest known schema.
pub(super) fn newest_known(connection: &Connection) -> Result<Option<Tenant>> {
    let sql = concat!(
        "SELECT ",
        tenant_columns!(),
        " FROM tenants t WHERE t.schema NOT NULL",
        " AND t.status NOT IN ('provisioning', 'retiring')",
        " ORDER BY t.schema DESC, t.id DESC LIMIT 1"
    );
    let mut read = connection.prepare_cached(sql)?;
    let found = read.query_row([], |row| rows::tenant(connection, row));
    found.optional()
}

/// Returns the number of tenants with this schema, and those with an older, a newer and an unknown
/// schema.
pub(super) fn counts(connection: &Connection, newest: u32) -> Result<SchemaCounts> {
    // Each query reads an index range.
    let sql = "SELECT (SELECT count(*) FROM tenants WHERE schema = ?1),
         (SELECT count(*) FROM tenants WHERE schema < ?1
             AND status NOT IN ('provisioning', 'retiring')),
         (SELECT count(*) FROM tenants WHERE schema > ?1
             AND status NOT IN ('provisioning', 'retiring')),
         (SELECT count(*) FROM tenants WHERE schema IS NULL
             AND status NOT IN ('provisioning', 'retiring'))";
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
}

/// Returns at most `max` tenants with their known schemas, by id, greater than `after`.
pub(super) fn page(
    connection: &Connection,
    after: Option<&TenantId>,
    max: usize,
) -> Result<Vec<SchemaStatus>> {
    let sql = concat!(
        "SELECT ",
        tenant_columns!(),
        ", t.schema, k.run, k.at_ms, k.why FROM tenants t LEFT JOIN tasks k",
        " ON k.tenant = t.id AND k.epoch = t.epoch AND k.state = 'failed'",
        " AND k.run = (SELECT max(run) FROM tasks l WHERE l.tenant = t.id)",
        " WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"
    );
    let mut read = connection.prepare_cached(sql)?;
    let after = after.map_or("", TenantId::as_str);
    let rows = read.query_map(params![after, at_most(max)], |row| {
        let KnownSchema { tenant, schema } = entry(connection, row)?;
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
}

fn entry(connection: &Connection, row: &Row<'_>) -> Result<KnownSchema> {
    Ok(KnownSchema {
        tenant: rows::tenant(connection, row)?,
        schema: row.get(AFTER_TENANT)?,
    })
}
