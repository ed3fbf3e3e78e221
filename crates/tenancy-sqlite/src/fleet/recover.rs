//! Taking up what killed processes left half done.

use tenancy_core::{Actor, TenantRef, TenantStatus};

use super::SqliteFleet;
use super::findings::{Finding, Problem};
use super::fix::{Fixed, Repair};
use super::validate::is_nothing;
use crate::disk::place::Place;
use crate::error::RepairError;

/// How many rows are read at a time.
const PAGE: usize = 1_000;

/// What [`SqliteFleet::recover`] found half done.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Retirements, destructions and revivals that were cut off: their files are in the
    /// trash now, or it is said why not.
    pub retired: Vec<Fixed>,
    /// Retired tenants whose file is gone, because their destruction was cut off after
    /// that: destroying them again removes their rows, too.
    pub gone: Vec<TenantRef>,
    /// Creations that were cut off: creating them again completes them, as only who
    /// asked for one knows its names; destroying them clears them away.
    pub unfinished: Vec<TenantRef>,
}

impl Recovered {
    /// Whether nothing was half done.
    pub fn is_empty(&self) -> bool {
        self.retired.is_empty() && self.gone.is_empty() && self.unfinished.is_empty()
    }
}

impl SqliteFleet {
    /// Takes up what killed processes left half done. Whatever end of a tenant was cut
    /// off, it is a retired tenant afterwards: nothing of it is deleted, and its file is
    /// in the trash. A file that somebody has open is left alone.
    ///
    /// It costs a look at the unfinished rows and at the places of the retired ones, no
    /// file is opened when all is well. `from_config` of the facade calls it where its
    /// process is [the only one](crate::SqliteDriver::was_alone); else whoever is at
    /// work is not to be disturbed.
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
    /// When the catalog cannot be asked. What a file refuses is in the answer.
    pub fn recover(&self, by: &Actor) -> Result<Recovered, RepairError> {
        let mut recovered = Recovered::default();
        self.each_of(TenantStatus::Provisioning, |tenant| {
            recovered.unfinished.push(tenant.to_ref());
            Ok(())
        })?;
        // Only what is to be touched is kept: there may be many retired tenants.
        let mut half = Vec::new();
        let root = &self.driver().shared.root;
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
            self.driver().shared.step("finish retiring")?;
            let result = self.finish_retiring(&tenant.id, by);
            if !matches!(result, Ok(Repair::Nothing)) {
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
