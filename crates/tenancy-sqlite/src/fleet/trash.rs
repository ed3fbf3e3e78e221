//! Emptying the trash.

use tenancy_core::{Actor, CatalogWriter, TenantRef, TenantStatus};

use super::Fleet;
use crate::error::RepairError;

impl Fleet {
    /// Destroys the retired tenants whose grace has passed, files first, rows then;
    /// who they were. What a rollback put into the trash goes with its grace, too.
    /// Nothing else does that: call it daily, say. It costs a look at the trash when
    /// nothing is due.
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
        let mut gone = Vec::new();
        for trashed in shared.root.trashed()? {
            if !trashed.is_past(shared.grace) {
                continue;
            }
            let Some(tenant) = self.catalog.at_place(&trashed.place)? else {
                continue;
            };
            // Of an incarnation before a rollback; who has it now goes on.
            let earlier = tenant.epoch() > trashed.place.epoch;
            let retired =
                tenant.epoch() == trashed.place.epoch && tenant.status() == TenantStatus::Retiring;
            if !(earlier || retired) || !shared.remove_if_trashed(&trashed)? {
                continue;
            }
            if retired {
                shared.remove_copies(&tenant)?;
                self.catalog.remove(tenant.id(), tenant.version(), by)?;
                gone.push(tenant.to_ref());
            }
        }
        Ok(gone)
    }
}
