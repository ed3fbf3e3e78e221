//! `tenancy status`.

use serde::Serialize;
use tenancy::TenantId;
use tenancy::fleet::SchemaStatus;
use tenancy::sqlite::SqliteFleet;

use super::migrate::Counts;
use crate::args::{Global, Status};
use crate::failure::Failure;
use crate::output::Output;
use crate::project;

/// The number of rows read from the catalog at once.
const PAGE: usize = 1000;

/// The state of one tenant's schema.
#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    status: &'static str,
    /// The schema version in the catalog; `null` if it is not known.
    version: Option<u32>,
    /// The number of missing migrations.
    pending: Option<u32>,
    /// The error in the last run, if the tenant failed.
    failed: Option<String>,
}

impl Row {
    fn new(status: SchemaStatus, newest: u32) -> Self {
        Self {
            tenant: status.tenant.id().to_string(),
            status: status.tenant.status().as_str(),
            version: status.schema,
            pending: status.schema.map(|version| newest.saturating_sub(version)),
            failed: status.failed.map(|failed| failed.why.into()),
        }
    }

    /// Returns whether the tenant needs no migration now. A retired tenant is migrated when it is
    /// revived.
    fn is_settled(&self, newest: u32) -> bool {
        self.status == "retiring" || self.version == Some(newest) && self.failed.is_none()
    }
}

pub fn run(args: &Status, global: &Global, out: Output) -> Result<(), Failure> {
    let fleet = project::fleet(&project::config(global)?)?;
    let counts = fleet.schema_counts()?;
    let newest = counts.newest;
    let wanted = |row: &Row| !args.behind || !row.is_settled(newest);
    let rows = pages(&fleet)
        .map(|status| status.map(|status| Row::new(status, newest)))
        .filter(|row| row.as_ref().map_or(true, wanted));
    let columns = ["tenant", "status", "version", "pending"];
    out.listing(&columns, "failed", rows, &Counts::from(counts))
}

/// Yields every tenant, page by page.
fn pages(fleet: &SqliteFleet) -> impl Iterator<Item = Result<SchemaStatus, Failure>> {
    let mut page = Vec::new().into_iter();
    let mut after: Option<TenantId> = None;
    std::iter::from_fn(move || {
        if page.as_slice().is_empty() {
            match fleet.status(after.as_ref(), PAGE) {
                Ok(tenants) => page = tenants.into_iter(),
                Err(error) => return Some(Err(error.into())),
            }
        }
        let status: SchemaStatus = page.next()?;
        after = Some(status.tenant.id().clone());
        Some(Ok(status))
    })
}
