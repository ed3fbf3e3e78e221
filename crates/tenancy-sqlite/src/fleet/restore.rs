//! Going back to a copy.

use std::time::{Duration, SystemTime};

use tenancy_core::{CatalogWriter, Epoch, Tenant, TenantChange, TenantId, WriteError};

use super::Fleet;
use super::options::FleetOptions;
use crate::catalog::Known;
use crate::copies::Copy;
use crate::error::{FileError, FleetError, MigrateError};
use crate::hazards::{Hazard, guarded};
use crate::place::Place;

/// How long the file that a copy took the place of is waited for before it is left to
/// the next call: the pools close theirs when they hear of the new incarnation.
const PATIENCE: Duration = Duration::from_secs(1);

/// A copy of a tenant's file that was kept before a step without a way back, or before a
/// rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCopy {
    /// Of which incarnation's file.
    pub epoch: Epoch,
    /// The schema version that it has.
    pub schema: u32,
    /// The run of the rollback that made it, if one did.
    pub run: Option<u64>,
    /// When it was made.
    pub made: SystemTime,
    /// Its size.
    pub bytes: u64,
}

impl From<Copy> for KeptCopy {
    fn from(copy: Copy) -> Self {
        Self {
            epoch: copy.place.epoch,
            schema: copy.schema,
            run: copy.run,
            made: copy.made,
            bytes: copy.bytes,
        }
    }
}

impl Fleet {
    /// The copies of a tenant's file that were kept before steps without a way back and
    /// before rollbacks, oldest first.
    ///
    /// # Errors
    /// When there is no such tenant, or they cannot be listed.
    pub fn copies(&self, id: &TenantId) -> Result<Vec<KeptCopy>, FleetError> {
        let known = self.named(std::slice::from_ref(id))?;
        let mut kept = Vec::new();
        for Known { tenant, .. } in known {
            // A placement that is not this driver's has no copies here.
            let Ok(place) = Place::of(&tenant) else {
                continue;
            };
            let copies = self.driver.shared.root.copies_of(&place.locator)?;
            kept.extend(copies.into_iter().map(KeptCopy::from));
        }
        Ok(kept)
    }

    /// Removes all copies that are older than this; how many there were. Nothing else
    /// does while their tenants live: call it when a release has proven itself.
    ///
    /// # Errors
    /// When they cannot be listed or removed.
    pub fn forget_copies(&self, older_than: Duration) -> Result<u64, FleetError> {
        let root = &self.driver.shared.root;
        let mut removed = 0;
        for copy in root.copies()? {
            if copy.made.elapsed().is_ok_and(|age| age >= older_than) {
                root.remove_copy(&copy)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The latest copy that leads to `to`: by going up, or down by scripts.
    pub(super) fn copy_for(
        &self,
        tenant: &Tenant,
        version: u32,
        to: u32,
    ) -> Result<Copy, FileError> {
        let shared = &self.driver.shared;
        let copies = shared.root.copies_of(&tenant.placement().locator)?;
        let leads = |copy: &Copy| shared.migrations.irreversible(to, copy.schema).is_none();
        let copy = copies.into_iter().rfind(leads);
        copy.ok_or_else(|| FileError::NoCopy {
            tenant: tenant.to_ref(),
            version,
            to,
        })
    }

    /// Makes a copy the file of the tenant's next incarnation; that incarnation.
    ///
    /// The row turns to the new file in one write. A process that dies before it leaves
    /// a file that no row names, which the next attempt replaces under the same lock;
    /// one that dies after it leaves the old file where nobody opens it, for
    /// [`put_away`](crate::driver::Shared::put_away).
    pub(super) fn turn_to(
        &self,
        copy: &Copy,
        known: &Known,
        to: u32,
        options: &FleetOptions,
    ) -> Result<Tenant, FileError> {
        let shared = &self.driver.shared;
        let tenant = &known.tenant;
        let next = tenant.to_builder().epoch(tenant.epoch().next()).build();
        let next = next.expect("it keeps the bounds that it kept");
        let staged = shared.stage_copy(copy, tenant, &next, to)?;
        let place = Place::of(&next)?;
        let path = shared.root.file(&place);
        let dir = shared.root.lock_dir(&place)?;
        self.still_current(tenant)?;
        // Nobody commits into the old file from here to its end.
        let fence = shared.fence(tenant)?;
        let (seen, found) = (self.surveyed(known)?, fence.schema()?);
        if guarded(Hazard::SurveyNotChecked) && found != seen {
            return Err(MigrateError::Conflict { seen, found }.into());
        }
        shared.step("put the restored file in place")?;
        dir.put_restored(staged, &path)?;
        shared.step("turn to the restored file")?;
        let next = self.turn_row(tenant, to, options)?;
        // If not, its next open is of an incarnation that is gone from the catalog, and
        // who has it open still is refused his commits.
        let _ = fence.close();
        drop(dir);
        // Its data is out of reach already; who still has it open is waited for by the
        // next call.
        let _ = shared.put_away(&next, PATIENCE);
        Ok(next)
    }

    /// Makes the tenant's next incarnation the one that its row names.
    fn turn_row(
        &self,
        tenant: &Tenant,
        to: u32,
        options: &FleetOptions,
    ) -> Result<Tenant, FileError> {
        loop {
            // Its status may change meanwhile; its incarnation does so under the lock.
            let now = self.still_current(tenant)?;
            let mut change = TenantChange::default();
            change.reincarnate = Some(now.placement().clone());
            change.schema = Some(to);
            match self
                .catalog
                .update(now.id(), now.version(), change, &options.by)
            {
                Err(WriteError::Conflict { .. }) => {}
                done => return Ok(done?),
            }
        }
    }

    /// The tenant's row, if it is still of the same incarnation.
    fn still_current(&self, tenant: &Tenant) -> Result<Tenant, FileError> {
        let known = self.catalog.known(tenant.id());
        let known = known.map_err(WriteError::from)?;
        let id = tenant.id().clone();
        let now = known.ok_or(WriteError::Unknown { id })?.tenant;
        if now != *tenant || now.placement() != tenant.placement() {
            let (tenant, current) = (tenant.to_ref(), now.to_ref());
            return Err(FileError::Superseded { tenant, current });
        }
        Ok(now)
    }
}
