//! Scans of the whole catalog: pages of ids, and the rows that a validation compares with files.

use rusqlite::{OptionalExtension, Result, Row, params};
use tenancy_core::{CatalogError, Domain, Epoch, Placement, Tenant, TenantId, Version};

use super::SqliteCatalog;
use crate::catalog::columns::{at_most, domain, parsed, unsigned};
use crate::disk::place::{KIND, Place};

impl SqliteCatalog {
    /// Returns at most `max` ids of tenants that are greater than `after`, in their order. It is
    /// the cheapest way to list all tenants; [`page`](tenancy_core::CatalogWriter::page) returns
    /// the tenants themselves.
    ///
    /// ```
    /// use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// let catalog = SqliteStorage::create(root.path())?.catalog().clone();
    /// let mut page = catalog.ids(None, 1_000)?;
    /// while let Some(last) = page.last().cloned() {
    ///     // …
    ///     page = catalog.ids(Some(&last), 1_000)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    pub fn ids(&self, after: Option<&TenantId>, max: usize) -> Result<Vec<TenantId>, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT id FROM tenants WHERE id > ?1 ORDER BY id LIMIT ?2";
            let mut page = connection.prepare_cached(sql)?;
            // The empty text is below every id.
            let after = after.map_or("", TenantId::as_str);
            let ids = page.query_map(params![after, at_most(max)], |row| parsed(row, 0))?;
            ids.collect()
        })
    }

    /// Returns all tenants of one snapshot by id, without attributes and maintenance.
    pub(crate) fn all(&self) -> Result<Vec<Tenant>, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT id, epoch, version, status, kind, shard, locator FROM tenants \
                       ORDER BY id";
            let mut all = connection.prepare_cached(sql)?;
            let all = all.query_map([], without_attributes)?;
            all.collect()
        })
    }

    /// Returns the tenant whose row has the locator of this place, with any epoch.
    pub(crate) fn at_place(&self, place: &Place) -> Result<Option<Tenant>, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT id, epoch, version, status, kind, shard, locator FROM tenants \
                       WHERE kind = ?1 AND shard = '' AND locator = ?2 AND locator <> ''";
            let mut find = connection.prepare_cached(sql)?;
            find.query_row(params![KIND, place.locator], without_attributes)
                .optional()
        })
    }

    /// Returns every label, the ids among them, and every domain, each with its tenant.
    pub(crate) fn all_names(&self) -> Result<Names, CatalogError> {
        self.read(|connection| {
            let mut labels = connection.prepare_cached("SELECT label, tenant FROM labels")?;
            let labels = labels.query_map([], |row| Ok((parsed(row, 0)?, parsed(row, 1)?)))?;
            let mut domains = connection.prepare_cached("SELECT domain, tenant FROM domains")?;
            let domains = domains.query_map([], |row| Ok((domain(row, 0)?, parsed(row, 1)?)))?;
            Ok(Names {
                labels: labels.collect::<Result<_>>()?,
                domains: domains.collect::<Result<_>>()?,
            })
        })
    }
}

/// The labels and domains of all tenants, each with its tenant.
pub(crate) struct Names {
    pub(crate) labels: Vec<(TenantId, TenantId)>,
    pub(crate) domains: Vec<(Domain, TenantId)>,
}

/// Returns the tenant of a row that was read without attributes and maintenance.
fn without_attributes(row: &Row<'_>) -> Result<Tenant> {
    let mut placement = Placement::new(row.get::<_, Box<str>>(4)?, row.get::<_, Box<str>>(6)?);
    placement.shard = row.get(5)?;
    let tenant = Tenant::builder(parsed(row, 0)?)
        .epoch(Epoch::new(unsigned(row, 1)?).unwrap_or(Epoch::FIRST))
        .version(Version(unsigned(row, 2)?))
        .status(parsed(row, 3)?)
        .placement(placement)
        .build();
    Ok(tenant.expect("a tenant without attributes keeps their bounds"))
}
