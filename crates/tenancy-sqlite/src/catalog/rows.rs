//! Rows of tenants, read into the types of `tenancy_core`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use tenancy_core::{
    Attributes, Binding, Challenge, Epoch, Name, Placement, Tenant, TenantId, TenantKey,
    TenantStatus, Version,
};

use super::maintenance;
use crate::catalog::columns::{at_most, domain, parsed, unexpected, unsigned};

/// The columns that [`tenant`] reads, in its order.
macro_rules! tenant_columns {
    () => {
        "t.id, t.epoch, t.version, t.status, t.kind, t.shard, t.owner, t.region, t.locator, \
         t.down, t.retry_after_ms, t.message, t.secret"
    };
}
pub(super) use tenant_columns;

pub(super) fn version(connection: &Connection) -> Result<Version> {
    let mut read = connection.prepare_cached("SELECT version FROM clock")?;
    Ok(Version(read.query_row([], |row| unsigned(row, 0))?))
}

pub(super) fn find(connection: &Connection, key: TenantKey<'_>) -> Result<Option<Tenant>> {
    let (sql, name) = match key {
        TenantKey::Label(name) => (
            concat!(
                "SELECT ",
                tenant_columns!(),
                " FROM labels l JOIN tenants t ON t.id = l.tenant WHERE l.label = ?1"
            ),
            name,
        ),
        TenantKey::Domain(name) => (
            concat!(
                "SELECT ",
                tenant_columns!(),
                " FROM domains d JOIN tenants t ON t.id = d.tenant WHERE d.domain = ?1"
            ),
            name,
        ),
    };
    let mut find = connection.prepare_cached(sql)?;
    find.query_row([name], |row| tenant(connection, row))
        .optional()
}

pub(super) fn by_id(connection: &Connection, id: &TenantId) -> Result<Option<Tenant>> {
    let sql = concat!(
        "SELECT ",
        tenant_columns!(),
        " FROM tenants t WHERE t.id = ?1"
    );
    let mut find = connection.prepare_cached(sql)?;
    find.query_row([id.as_str()], |row| tenant(connection, row))
        .optional()
}

pub(super) fn page(
    connection: &Connection,
    after: Option<&TenantId>,
    max: usize,
) -> Result<Vec<Tenant>> {
    let sql = concat!(
        "SELECT ",
        tenant_columns!(),
        " FROM tenants t WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"
    );
    let mut page = connection.prepare_cached(sql)?;
    // The empty text is below every id.
    let after = after.map_or("", TenantId::as_str);
    let rows = page.query_map(params![after, at_most(max)], |row| tenant(connection, row))?;
    rows.collect()
}

pub(super) fn page_of_status(
    connection: &Connection,
    status: TenantStatus,
    after: Option<&TenantId>,
    max: usize,
) -> Result<Vec<Tenant>> {
    // SQLite uses the partial index only for a query that repeats its condition.
    let sql = match status {
        TenantStatus::Active => concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t WHERE t.status = ?1 AND t.id > ?2 ORDER BY t.id LIMIT ?3"
        ),
        _ => concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t WHERE t.status = ?1 AND t.status <> 'active' AND t.id > ?2",
            " ORDER BY t.id LIMIT ?3"
        ),
    };
    let mut page = connection.prepare_cached(sql)?;
    let after = after.map_or("", TenantId::as_str);
    let values = params![status.as_str(), after, at_most(max)];
    let rows = page.query_map(values, |row| tenant(connection, row))?;
    rows.collect()
}

/// Returns a tenant's further names and its claims, without claims that began at `expired` or
/// before.
pub(super) fn names(connection: &Connection, id: &TenantId, expired: i64) -> Result<Vec<Binding>> {
    let sql = "SELECT label FROM labels WHERE tenant = ?1 AND label <> ?1 ORDER BY label";
    let mut labels = connection.prepare_cached(sql)?;
    let labels = labels.query_map([id.as_str()], |row| {
        Ok(Binding::new(Name::Label(parsed(row, 0)?), None))
    })?;
    let sql = "SELECT domain, NULL, is_primary FROM domains WHERE tenant = ?1
        UNION ALL SELECT domain, challenge, 0 FROM claims WHERE tenant = ?1 AND at_ms > ?2
        ORDER BY 1";
    let mut domains = connection.prepare_cached(sql)?;
    let domains = domains.query_map(params![id.as_str(), expired], |row| {
        let pending = row.get::<_, Option<Box<str>>>(1)?;
        let name = Name::Domain(domain(row, 0)?);
        let mut binding = Binding::new(name, pending.map(Challenge::from_stored));
        binding.primary = row.get(2)?;
        Ok(binding)
    })?;
    labels.chain(domains).collect()
}

/// Returns the tenant of a row that was read with [`tenant_columns`].
pub(super) fn tenant(connection: &Connection, row: &Row<'_>) -> Result<Tenant> {
    let id: TenantId = parsed(row, 0)?;
    let epoch = Epoch::new(unsigned(row, 1)?).ok_or_else(|| unexpected(1, "epoch 0"))?;
    let mut placement = Placement::new(row.get::<_, Box<str>>(4)?, row.get::<_, Box<str>>(8)?);
    placement.shard = row.get(5)?;
    placement.owner = row.get(6)?;
    placement.region = row.get(7)?;
    let attributes = attributes(connection, &id)?;
    Tenant::builder(id)
        .epoch(epoch)
        .version(Version(unsigned(row, 2)?))
        .status(parsed(row, 3)?)
        .placement(placement)
        .attributes(attributes)
        .maintenance(maintenance::read(row)?)
        .build()
        .map_err(|error| unexpected(0, error))
}

fn attributes(connection: &Connection, id: &TenantId) -> Result<Attributes> {
    let sql = "SELECT name, value FROM attributes WHERE tenant = ?1";
    let mut read = connection.prepare_cached(sql)?;
    let mut rows = read.query([id.as_str()])?;
    let mut attributes = Attributes::default();
    while let Some(row) = rows.next()? {
        attributes.insert(row.get::<_, Box<str>>(0)?, row.get::<_, Box<str>>(1)?);
    }
    Ok(attributes)
}

/// Runs `f` in a read transaction, so that all its reads see one version.
pub(super) fn snapshot<T>(
    connection: &Connection,
    f: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
    let out = f(connection);
    // The transaction wrote nothing, and a rollback also ends it after an error.
    let ended = connection.prepare_cached("ROLLBACK")?.execute([]);
    let out = out?;
    ended?;
    Ok(out)
}
