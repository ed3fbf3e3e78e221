//! The steps that a [`Fleet`](tenancy_fleet::Fleet) runs on one tenant's file.

use std::time::Duration;

use tenancy_core::{Migrated, SchemaTarget, Tenant};
use tenancy_fleet::{Cutover, FleetDriver, Keep, SchemaStep, Seeded, Snapshot, TenantError};

use crate::disk::place::Place;
use crate::driver::SqliteDriver;
use crate::error::{FileError, MigrateError};
use crate::ops::snapshot::StoredSnapshot;
use crate::store::Store;

/// The longest wait for connections to the file that a restored snapshot replaced. Pools close them
/// when they see the new incarnation. If a connection stays open, a later call retires the file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

impl From<FileError> for TenantError {
    fn from(error: FileError) -> Self {
        Self::driver(error)
    }
}

impl FleetDriver for SqliteDriver {
    fn newest_schema(&self) -> u32 {
        self.store.migrations.newest()
    }

    fn step(&self, version: u32) -> Option<SchemaStep> {
        let step = self.store.migrations.step(version)?;
        Some(SchemaStep::new(version, step.name(), step.down_sql()))
    }

    /// Builds the template of new files, and so runs all migrations in an empty database.
    fn rehearse(&self) -> Result<(), TenantError> {
        Ok(self.store.template().map(drop)?)
    }

    fn compare_history(&self, tenant: &Tenant) -> Result<(), TenantError> {
        match self.store.check_history(tenant) {
            Err(error @ FileError::Migrate(MigrateError::Diverged { .. })) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn schema_of(&self, tenant: &Tenant) -> Result<u32, TenantError> {
        Ok(self.store.schema_of(tenant)?)
    }

    fn migrate_from(
        &self,
        tenant: &Tenant,
        from: u32,
        target: SchemaTarget,
        keep: Keep,
    ) -> Result<Migrated, TenantError> {
        Ok(self.store.migrate_from(tenant, Some(from), target, keep)?)
    }

    fn seed_set(&self) -> Option<Box<str>> {
        let seeds = &self.store.seeds;
        let name = || format!("{} seeds {}", seeds.len(), seeds.sum()).into();
        (!seeds.is_empty()).then(name)
    }

    fn run_seeds(&self, tenant: &Tenant) -> Result<Seeded, TenantError> {
        Ok(self.store.seed(tenant)?)
    }

    fn snapshots_of(&self, tenant: &Tenant) -> Result<Vec<Snapshot>, TenantError> {
        let copies = stored_snapshots(&self.store, tenant)?;
        Ok(copies.iter().map(StoredSnapshot::to_snapshot).collect())
    }

    /// Puts a copy of the snapshot in place of the next incarnation's file.
    fn restore(&self, snapshot: &Snapshot, cutover: &Cutover<'_>) -> Result<Tenant, TenantError> {
        let store = &*self.store;
        let (tenant, next) = (cutover.tenant(), cutover.next());
        let mut copies = stored_snapshots(store, tenant)?.into_iter();
        let copy = copies.find(|copy| copy.to_snapshot() == *snapshot);
        let copy = copy.ok_or_else(|| TenantError::NoSnapshot {
            tenant: tenant.to_ref(),
            version: snapshot.schema + 1,
            to: cutover.to(),
        })?;
        let staged = store.stage_restore(&copy, tenant, next, cutover.to())?;
        let place = Place::of(next).map_err(FileError::from)?;
        let path = store.root.file(&place);
        let dir = store.root.lock_dir(&place).map_err(FileError::from)?;
        cutover.check()?;
        // From here on no commit reaches the old file.
        let fence = store.fence(tenant)?;
        let (seen, found) = (cutover.from(), fence.schema()?);
        if found != seen {
            let conflict = MigrateError::Conflict { seen, found };
            return Err(FileError::from(conflict).into());
        }
        self.reach("put the restored file in place")?;
        dir.move_restored_into_place(staged, &path)
            .map_err(FileError::from)?;
        self.reach("turn to the restored file")?;
        let next = cutover.commit()?;
        // An error is harmless: the catalog no longer has the old incarnation, and every commit of
        // a connection that is still open is refused.
        let _ = fence.close();
        drop(dir);
        // The old file is out of reach already, so a later call can retire it.
        let _ = store.retire_earlier(&next, LOCK_TIMEOUT);
        Ok(next)
    }

    fn settle(&self, tenant: &Tenant) {
        let _ = self.store.retire_earlier(tenant, Duration::ZERO);
    }
}

impl SqliteDriver {
    fn reach(&self, step: &'static str) -> Result<(), FileError> {
        Ok(self.store.step(step)?)
    }
}

/// Returns the snapshots of a tenant's files, oldest first. The placement of another driver has no
/// snapshots.
fn stored_snapshots(store: &Store, tenant: &Tenant) -> Result<Vec<StoredSnapshot>, FileError> {
    match Place::of(tenant) {
        Ok(place) => Ok(store.root.snapshots_of(&place.locator)?),
        Err(_) => Ok(Vec::new()),
    }
}
