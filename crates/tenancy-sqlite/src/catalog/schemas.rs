//! Which schema every file has as far as is known. It is a cache: the file's own version
//! is the truth.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use tenancy_core::{CatalogError, Tenant, TenantId};

use super::SqliteCatalog;
use super::rows::{self, at_most, tenant_columns, unsigned};
use crate::fleet::SchemaCounts;

/// Columns of a row that come before what is asked for beside the tenant.
const AFTER_TENANT: usize = 13;

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
    /// The schema version of its file, as it was last seen by a create, a migration or a
    /// rollback, or now if none of them wrote it down; `None` if it cannot be read.
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

    /// A tenant in use of the newest schema that any is known to have.
    pub(crate) fn newest_known(&self) -> Result<Option<Tenant>, CatalogError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t WHERE t.schema NOT NULL",
            " AND t.status NOT IN ('provisioning', 'retiring')",
            " ORDER BY t.schema DESC, t.id DESC LIMIT 1"
        );
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            let found = read.query_row([], |row| rows::tenant(connection, row));
            found.optional()
        })
    }

    /// Tenants in use of whose schema nothing is known, by id.
    pub(crate) fn unknown_schemas(&self) -> Result<Vec<Tenant>, CatalogError> {
        let sql = concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t WHERE t.schema IS NULL",
            " AND t.status NOT IN ('provisioning', 'retiring') ORDER BY t.id"
        );
        self.read(|connection| {
            let mut read = connection.prepare_cached(sql)?;
            let rows = read.query_map([], |row| rows::tenant(connection, row))?;
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
        // Each an index range.
        let sql = "SELECT (SELECT count(*) FROM tenants WHERE schema = ?1),
             (SELECT count(*) FROM tenants WHERE schema < ?1
                 AND status NOT IN ('provisioning', 'retiring')),
             (SELECT count(*) FROM tenants WHERE schema > ?1
                 AND status NOT IN ('provisioning', 'retiring')),
             (SELECT count(*) FROM tenants WHERE schema IS NULL
                 AND status NOT IN ('provisioning', 'retiring'))";
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
}

fn known(connection: &Connection, row: &Row<'_>) -> Result<Known> {
    Ok(Known {
        tenant: rows::tenant(connection, row)?,
        schema: row.get(AFTER_TENANT)?,
    })
}
