//! The completion of operations that killed processes left unfinished.

use tenancy_core::{Actor, TenantRef, TenantStatus};

use super::SqliteFleet;
use super::findings::{Finding, Problem};
use super::fix::{Fixed, Repair};
use super::validate::is_nothing;
use crate::disk::place::Place;
use crate::error::RepairError;

/// The number of rows that are read at a time.
const PAGE: usize = 1_000;

/// The unfinished operations that [`SqliteFleet::recover`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// The retirements, destructions and revivals that were interrupted. Each has its file in the
    /// trash now, or the error that prevented the move.
    pub retired: Vec<Fixed>,
    /// The retired tenants whose file is gone, because their destruction was interrupted after the
    /// removal of the file. Destroying such a tenant again removes its row, too.
    pub gone: Vec<TenantRef>,
    /// The tenants whose creation was interrupted. Only the caller knows the names that they should
    /// get, so `recover` does not complete them. Creating such a tenant again completes the
    /// creation; destroying it undoes the creation.
    pub unfinished: Vec<TenantRef>,
}

impl Recovered {
    /// Returns whether no operation was unfinished.
    pub fn is_empty(&self) -> bool {
        self.retired.is_empty() && self.gone.is_empty() && self.unfinished.is_empty()
    }
}

impl SqliteFleet {
    /// Completes the retirements that killed processes left unfinished, and lists their other
    /// unfinished operations. A tenant whose retirement, destruction or revival was interrupted is
    /// a retired tenant afterwards: its file is in the trash, and no data is deleted. A file that a
    /// process has open is not moved.
    ///
    /// The call reads the rows of unfinished and retired tenants, and looks for the files of
    /// retired tenants. It opens only files whose retirement is unfinished. The facade's
    /// `from_config` calls it if its driver is [the only one](crate::SqliteDriver::was_alone), so
    /// that it does not interfere with operations of other processes.
    ///
    /// ```
    /// use tenancy_core::Actor;
    /// # use tenancy_sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// # let fleet = SqliteStorage::create(root.path())?.fleet();
    /// assert!(fleet.recover(&Actor::new("start"))?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the catalog or a directory cannot be read. The error of one file is in
    /// the result for its tenant.
    pub fn recover(&self, by: &Actor) -> Result<Recovered, RepairError> {
        let mut recovered = Recovered::default();
        self.each_of(TenantStatus::Provisioning, |tenant| {
            recovered.unfinished.push(tenant.to_ref());
            Ok(())
        })?;
        // Only unfinished retirements are collected, as there may be many retired tenants.
        let mut half = Vec::new();
        let root = &self.driver().store.root;
        let mut trashed = None;
        self.each_of(TenantStatus::Retiring, |tenant| {
            let Ok(place) = Place::of(tenant) else {
                return Ok(());
            };
            let path = root.file(&place);
            if !is_nothing(&path)? {
                half.push(Finding {
                    tenant: Some(tenant.to_ref()),
                    path: Some(path),
                    problem: Problem::HalfRetired,
                });
                return Ok(());
            }
            let trashed = match &mut trashed {
                Some(trashed) => trashed,
                none => none.insert(root.places_in_trash()?),
            };
            if !trashed.contains(&place) {
                recovered.gone.push(tenant.to_ref());
            }
            Ok(())
        })?;
        for finding in half {
            let Some(tenant) = finding.tenant.clone() else {
                continue;
            };
            self.driver().store.step("finish retiring")?;
            let result = self.finish_retiring(&tenant.id, by);
            if !matches!(result, Ok(Repair::NotNeeded)) {
                recovered.retired.push(Fixed { finding, result });
            }
        }
        Ok(recovered)
    }

    fn each_of(
        &self,
        status: TenantStatus,
        mut f: impl FnMut(&tenancy_core::Tenant) -> Result<(), RepairError>,
    ) -> Result<(), RepairError> {
        let mut last = None;
        loop {
            let page = self.catalog().page_of_status(status, last.as_ref(), PAGE)?;
            for tenant in &page {
                f(tenant)?;
            }
            match page.last() {
                Some(tenant) if page.len() == PAGE => last = Some(tenant.id().clone()),
                _ => return Ok(()),
            }
        }
    }
}
