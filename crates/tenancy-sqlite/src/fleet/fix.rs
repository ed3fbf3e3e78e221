//! The repair of the findings of a validation, which deletes no data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tenancy_core::{
    Actor, CatalogWriter, Tenant, TenantChange, TenantId, TenantStatus, WriteError,
};
use tenancy_fleet::Progress;

use super::SqliteFleet;
use super::findings::{Finding, Problem, Validation};
use super::validate::is_nothing;
use crate::disk::owner::{give_to_owner_of, set_mode};
use crate::disk::place::{Place, PlaceKey};
use crate::disk::quarantine;
use crate::disk::trash::Trashed;
use crate::error::RepairError;

/// A finding, and the result of its repair.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fixed {
    /// The finding for which a repair was tried.
    pub finding: Finding,
    /// The repair, or the error that prevented it.
    pub result: Result<Repair, RepairError>,
}

/// The repair of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// The file was moved with its sidecars to quarantine, at this path.
    Quarantined(PathBuf),
    /// The file was moved to the trash, so its retirement is complete.
    Retired,
    /// The tenant's file is in its place, open and in WAL mode.
    Revived,
    /// The file or directory now has the expected owner or mode.
    AccessCorrected,
    /// No repair was needed, as the fault no longer existed.
    NotNeeded,
}

/// Returns the path of a sidecar's database.
fn main_of(sidecar: &Path) -> PathBuf {
    let main = sidecar.file_name().and_then(quarantine::main_of);
    sidecar.with_file_name(main.unwrap_or_default())
}

impl SqliteFleet {
    /// Repairs the [fixable](Problem::is_fixable) findings of a validation, which need no decision
    /// of a person, and calls `progress` after each. Files of no tenant go to quarantine, and
    /// unfinished retirements are completed. No data is deleted. Each finding is verified again
    /// before its repair.
    ///
    /// # Errors
    /// Each finding has its own result. A failed repair does not stop the others. While a run over
    /// many tenants is in progress, the result of each finding is [`RepairError::RunGoesOn`].
    pub fn fix(
        &self,
        validation: &Validation,
        by: &Actor,
        mut progress: impl FnMut(Progress),
    ) -> Vec<Fixed> {
        let fixable = |finding: &&Finding| finding.problem.is_fixable();
        let findings: Vec<_> = validation.findings.iter().filter(fixable).collect();
        if findings.is_empty() {
            return Vec::new();
        }
        let lease = self.catalog().take_lease("fix", by);
        let fix = |finding: &Finding| match &lease {
            Ok(_) => self.fix_one(finding, by),
            Err(why) => Err(why.to_repair_error()),
        };
        let mut at = Progress {
            total: findings.len() as u64,
            ..Progress::default()
        };
        let fixed = findings.into_iter().map(|finding| {
            let result = fix(finding);
            at.done += 1;
            at.failed += u64::from(result.is_err());
            progress(at);
            Fixed {
                finding: finding.clone(),
                result,
            }
        });
        fixed.collect()
    }

    fn fix_one(&self, finding: &Finding, by: &Actor) -> Result<Repair, RepairError> {
        let Some(path) = finding.path.as_deref() else {
            return Ok(Repair::NotNeeded);
        };
        let tenant = finding.tenant.as_ref().map(|tenant| &tenant.id);
        match (&finding.problem, tenant) {
            (Problem::Orphan | Problem::Duplicate, _) => self.quarantine_orphan(path),
            (Problem::Sidecar, _) if !is_nothing(&main_of(path))? => Ok(Repair::NotNeeded),
            (Problem::Sidecar | Problem::Stray, _) => self.quarantine(path),
            (Problem::HalfRetired, Some(id)) => self.finish_retiring(id, by),
            (Problem::InTrash | Problem::Closed | Problem::NoWal, Some(id)) => self.reopen(id),
            (Problem::Superseded, Some(id)) => {
                if let Some(tenant) = self.of_status(id, |_| true)? {
                    self.driver()
                        .store
                        .retire_earlier(&tenant, Duration::ZERO)?;
                }
                Ok(Repair::Retired)
            }
            (Problem::Owner { .. } | Problem::Mode { .. }, _) if is_nothing(path)? => {
                Ok(Repair::NotNeeded)
            }
            (Problem::Owner { .. }, _) => {
                give_to_owner_of(path, self.driver().store.root.path())?;
                Ok(Repair::AccessCorrected)
            }
            (Problem::Mode { expected, .. }, _) => {
                set_mode(path, *expected)?;
                Ok(Repair::AccessCorrected)
            }
            _ => Ok(Repair::NotNeeded),
        }
    }

    /// Moves a database of no tenant to quarantine.
    fn quarantine_orphan(&self, path: &Path) -> Result<Repair, RepairError> {
        let name = path.file_name().unwrap_or_default();
        let place = Place::key_of(name).map(|key: PlaceKey| key.place());
        let place = place.or_else(|| Some(Trashed::parse(path.to_owned())?.place));
        let Some(place) = place else {
            return self.quarantine(path);
        };
        // A process that puts a file in place first writes its row, and then takes this lock.
        let _dir = self.driver().store.root.lock_dir(&place)?;
        match self.is_orphan(&place, path)? {
            true => self.quarantine(path),
            false => Ok(Repair::NotNeeded),
        }
    }

    fn quarantine(&self, path: &Path) -> Result<Repair, RepairError> {
        if is_nothing(path)? {
            return Ok(Repair::NotNeeded);
        }
        let store = &self.driver().store;
        store.step("move to quarantine")?;
        Ok(Repair::Quarantined(store.root.quarantine(path)?))
    }

    /// Completes the retirement of a tenant whose file is still in its place.
    pub(super) fn finish_retiring(&self, id: &TenantId, by: &Actor) -> Result<Repair, RepairError> {
        let Some(tenant) = self.of_status(id, |status| status == TenantStatus::Retiring)? else {
            return Ok(Repair::NotNeeded);
        };
        // A concurrent revival either gets a conflict from this update, or has changed the row
        // first.
        let retiring = TenantChange::status(TenantStatus::Retiring);
        let tenant = match self.catalog().update(id, tenant.version(), retiring, by) {
            Err(WriteError::Conflict { .. } | WriteError::Unknown { .. }) => {
                return Ok(Repair::NotNeeded);
            }
            touched => touched?,
        };
        self.driver().store.retire(&tenant, Duration::ZERO)?;
        Ok(Repair::Retired)
    }

    /// Puts the file of a tenant that is not retired into use again.
    fn reopen(&self, id: &TenantId) -> Result<Repair, RepairError> {
        let in_use =
            |status| !matches!(status, TenantStatus::Retiring | TenantStatus::Provisioning);
        let Some(tenant) = self.of_status(id, in_use)? else {
            return Ok(Repair::NotNeeded);
        };
        self.driver().store.revive(&tenant)?;
        Ok(Repair::Revived)
    }

    /// Returns the tenant's current row, if `is` accepts its status.
    fn of_status(
        &self,
        id: &TenantId,
        is: impl FnOnce(TenantStatus) -> bool,
    ) -> Result<Option<Tenant>, RepairError> {
        let tenant = self.catalog().by_id(id)?;
        Ok(tenant.filter(|tenant| is(tenant.status())))
    }
}
