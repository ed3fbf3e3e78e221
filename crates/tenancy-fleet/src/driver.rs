//! [`FleetDriver`]: the work that a fleet does on one tenant's database.

use std::time::SystemTime;

use tenancy_core::{Epoch, Migrated, SchemaTarget, Tenant};

use crate::cutover::Cutover;
use crate::error::TenantError;

/// The operations of a [`Fleet`](crate::Fleet) on the database of one tenant. Several threads can
/// call them at the same time for different tenants. After a crash at any point of a call, the call
/// can be repeated.
///
/// A driver returns its own errors [boxed](TenantError::driver). The error of a tenant is recorded
/// and reported for that tenant; the options of the run decide whether the run continues.
///
/// An example driver whose databases are numbers:
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use tenancy_core::{Migrated, SchemaTarget, Tenant, TenantId};
/// use tenancy_fleet::{FleetDriver, Keep, SchemaStep, Seeded, TenantError};
///
/// #[derive(Default)]
/// struct Numbers(Mutex<HashMap<TenantId, u32>>);
///
/// impl FleetDriver for Numbers {
///     fn newest_schema(&self) -> u32 { 2 }
///     fn step(&self, version: u32) -> Option<SchemaStep> {
///         (1..=2).contains(&version).then(|| SchemaStep::new(version, "increment", Some("decrement")))
///     }
///     fn schema_of(&self, tenant: &Tenant) -> Result<u32, TenantError> {
///         let numbers = self.0.lock().map_err(|e| TenantError::driver(e.to_string()))?;
///         Ok(numbers.get(tenant.id()).copied().unwrap_or(0))
///     }
///     fn migrate_from(
///         &self, tenant: &Tenant, from: u32, target: SchemaTarget, _: Keep,
///     ) -> Result<Migrated, TenantError> {
///         let to = match target { SchemaTarget::Latest => 2, SchemaTarget::Version(to) => to };
///         let mut numbers = self.0.lock().map_err(|e| TenantError::driver(e.to_string()))?;
///         let number = numbers.entry(tenant.id().clone()).or_default();
///         // Compared under the lock, as another process could have migrated it meanwhile.
///         if *number != from {
///             return Err(TenantError::driver(format!("conflict: at {number}, not at {from}")));
///         }
///         *number = to;
///         Ok(Migrated { from, to })
///     }
/// }
///
/// let (numbers, acme) = (Numbers::default(), Tenant::builder("acme".parse()?).build()?);
/// numbers.migrate_from(&acme, 0, SchemaTarget::Latest, Keep::Nothing)?;
/// assert_eq!(numbers.schema_of(&acme)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FleetDriver: Send + Sync {
    /// Returns the newest schema version.
    fn newest_schema(&self) -> u32;

    /// Returns the step that leads to `version`, from 1. Returns `None` if it is not known.
    fn step(&self, version: u32) -> Option<SchemaStep>;

    /// Applies all steps to an empty database, before a run works on tenants. Defaults to no
    /// rehearsal.
    ///
    /// # Errors
    /// Returns an error if a step fails; no tenant is changed then.
    fn rehearse(&self) -> Result<(), TenantError> {
        Ok(())
    }

    /// Compares the driver's steps with those that were applied to this tenant's database. Defaults
    /// to no comparison.
    ///
    /// # Errors
    /// Returns an error if the steps differ. Other faults of the database are not reported
    /// here, as they are found when the run works on the tenant.
    fn compare_history(&self, tenant: &Tenant) -> Result<(), TenantError> {
        let _ = tenant;
        Ok(())
    }

    /// Returns the schema version of a tenant's database.
    ///
    /// # Errors
    /// Returns an error if the version cannot be read.
    fn schema_of(&self, tenant: &Tenant) -> Result<u32, TenantError>;

    /// Migrates a database from the version `from` to `target`, up or down, one step after the
    /// other. First takes a snapshot if `keep` requires it. If another operation has already
    /// migrated the database to the target, changes nothing and returns the target as both versions.
    ///
    /// # Errors
    /// Returns an error if the database is not at `from`; the version is compared in the transaction
    /// of the first step. Returns an error if the snapshot cannot be taken, or if a step fails; the
    /// steps before it stay applied.
    fn migrate_from(
        &self,
        tenant: &Tenant,
        from: u32,
        target: SchemaTarget,
        keep: Keep,
    ) -> Result<Migrated, TenantError>;

    /// Returns a name for the set of seeds. Different sets have different names. Returns `None` if
    /// there are no seeds, which is the default.
    fn seed_set(&self) -> Option<Box<str>> {
        None
    }

    /// Runs the seeds that have not run on this tenant's database, each exactly once. Defaults to no
    /// seeds.
    ///
    /// # Errors
    /// Returns an error if a seed fails; the seeds before it stay applied.
    fn run_seeds(&self, tenant: &Tenant) -> Result<Seeded, TenantError> {
        let _ = tenant;
        Ok(Seeded { before: 0, now: 0 })
    }

    /// Returns the snapshots of a tenant, including those of earlier incarnations, oldest first.
    /// Defaults to none, for a driver that takes no snapshots.
    ///
    /// # Errors
    /// Returns an error if the snapshots cannot be listed.
    fn snapshots_of(&self, tenant: &Tenant) -> Result<Vec<Snapshot>, TenantError> {
        let _ = tenant;
        Ok(Vec::new())
    }

    /// Creates the database of the tenant's next incarnation from a snapshot, migrates it to the
    /// schema version [`to`](Cutover::to), and changes the tenant's row with
    /// [`commit`](Cutover::commit). Returns the next incarnation. Defaults to an error, for a driver
    /// that takes no snapshots.
    ///
    /// Before `commit`, the driver must make the database of the old incarnation refuse writes, as
    /// an acknowledged write would be lost otherwise, and check that it is at the schema version
    /// [`from`](Cutover::from). An interrupted call may have left a database of the next incarnation.
    /// Before the driver replaces it, it must call [`check`](Cutover::check), as that database may be
    /// in use by now. The driver must keep the data of the old incarnation.
    ///
    /// # Errors
    /// Returns an error if the snapshot cannot be used or the row cannot be changed; the old
    /// incarnation stays in use then.
    fn restore(&self, snapshot: &Snapshot, cutover: &Cutover<'_>) -> Result<Tenant, TenantError> {
        let _ = (snapshot, cutover);
        Err(TenantError::driver("this driver restores no snapshots"))
    }

    /// Completes an interrupted [`restore`](Self::restore) of this tenant, if that is possible
    /// without waiting. Defaults to doing nothing.
    fn settle(&self, tenant: &Tenant) {
        let _ = tenant;
    }
}

/// The rule by which a snapshot of a database is taken before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A snapshot is taken if a step has no down script. It replaces an earlier snapshot of the same
    /// version.
    IfIrreversible,
    /// A snapshot is taken for the run of this number. It replaces no snapshot of another run. A
    /// rollback needs it, as down scripts drop the data in newer tables and columns.
    ForRun(u64),
    /// No snapshot is taken.
    Nothing,
}

/// A step from one schema version to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaStep {
    /// The schema version after the step.
    pub version: u32,
    /// The name of the step.
    pub name: Box<str>,
    /// The script that undoes the step, if there is one.
    pub down: Option<Box<str>>,
}

impl SchemaStep {
    /// Returns the step that leads to `version`.
    pub fn new(version: u32, name: &str, down: Option<&str>) -> Self {
        Self {
            version,
            name: name.into(),
            down: down.map(Into::into),
        }
    }
}

/// The number of seeds that have run on a tenant's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// The number before the call.
    pub before: u32,
    /// The number after the call.
    pub now: u32,
}

/// A copy of a tenant's database that a run has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The incarnation whose database was copied.
    pub epoch: Epoch,
    /// The schema version of the copy.
    pub schema: u32,
    /// The number of the rollback that took the snapshot; `None` if a migration took it.
    pub run: Option<u64>,
    /// The time of the snapshot.
    pub made: SystemTime,
    /// The size of the copy in bytes.
    pub bytes: u64,
}
