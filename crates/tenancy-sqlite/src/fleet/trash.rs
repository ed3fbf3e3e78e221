//! Emptying the trash.

use std::collections::HashMap;

use tenancy_core::{Actor, CatalogWriter, TenantRef, TenantStatus};

use super::Fleet;
use crate::error::RepairError;
use crate::place::Place;

/// How many rows are read at a time.
const PAGE: usize = 1_000;

impl Fleet {
    /// Destroys the retired tenants whose grace has passed, files first, rows then;
    /// who they were. Nothing else does: call it daily, say. It costs a look at the
    /// trash when nothing is due.
    ///
    /// ```
    /// use tenancy_core::Actor;
    /// # use tenancy_sqlite::{Fleet, SqliteCatalog, SqliteDriver};
    /// # let root = tempfile::tempdir()?;
    /// # let driver = SqliteDriver::builder(root.path()).build()?;
    /// # let fleet = Fleet::new(driver, SqliteCatalog::open(root.path())?);
    /// for gone in fleet.empty_trash(&Actor::new("cron"))? {
    ///     println!("destroyed {gone}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the catalog or a file refuses; those before it are gone, and the call may
    /// be repeated.
    pub fn empty_trash(&self, by: &Actor) -> Result<Vec<TenantRef>, RepairError> {
        let shared = &self.driver.shared;
        let all = shared.root.trashed()?.into_iter();
        let due = all.filter(|trashed| trashed.is_past(shared.grace));
        let due: HashMap<Place, _> = due.map(|t| (t.place.clone(), t)).collect();
        let mut gone = Vec::new();
        let mut last = None;
        // Where nothing is due, not even the rows are read.
        while !due.is_empty() {
            let retiring = TenantStatus::Retiring;
            let page = self.catalog.page_of_status(retiring, last.as_ref(), PAGE)?;
            for tenant in &page {
                let place = Place::of(tenant).ok();
                let Some(trashed) = place.and_then(|place| due.get(&place)) else {
                    continue;
                };
                if shared.remove_if_trashed(trashed)? {
                    shared.remove_copies(tenant)?;
                    self.catalog.remove(tenant.id(), tenant.version(), by)?;
                    gone.push(tenant.to_ref());
                }
            }
            match page.last() {
                Some(tenant) if page.len() == PAGE => last = Some(tenant.id().clone()),
                _ => break,
            }
        }
        Ok(gone)
    }
}
