//! [`FleetDriver`]: the work that a fleet does on one tenant's database.

use std::time::SystemTime;

use tenancy_core::{Epoch, Migrated, SchemaTarget, Tenant};

use crate::cutover::Cutover;
use crate::error::TenantError;

/// The databases of tenants, as a [`Fleet`](crate::Fleet) works on them. Every method works on
/// one tenant, may be called from several threads for different tenants, and may be repeated
/// after a crash at any point.
///
/// An error is the driver's own, [boxed](TenantError::driver); one that is about a tenant is
/// reported and recorded for that tenant, and the run proceeds as its options say.
///
/// Tenants whose "databases" are numbers:
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
///         // Compared where it is changed: another process may have been faster.
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

    /// Returns the step that leads to `version`, counted from 1; `None` if it is not known.
    fn step(&self, version: u32) -> Option<SchemaStep>;

    /// Applies all steps to an empty database. Defaults to no rehearsal.
    ///
    /// # Errors
    /// Returns an error if a step fails; no tenant is touched then.
    fn rehearse(&self) -> Result<(), TenantError> {
        Ok(())
    }

    /// Refuses steps other than those that this tenant's database was migrated by. Defaults to
    /// no comparison.
    ///
    /// # Errors
    /// Returns an error if they differ. Other faults of this database are no error here: they
    /// are found when the tenant has its turn.
    fn compare_history(&self, tenant: &Tenant) -> Result<(), TenantError> {
        let _ = tenant;
        Ok(())
    }

    /// Returns the schema version of a tenant's database.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    fn schema_of(&self, tenant: &Tenant) -> Result<u32, TenantError>;

    /// Brings a database from the version `from` to `target`, up or down, one step after the
    /// other, and keeps a snapshot first as `keep` says. A database that is at the target already,
    /// as another operation brought it there, needs nothing: both versions of the answer are the
    /// target then.
    ///
    /// # Errors
    /// Returns an error if the database is not at `from`, compared where the first step is
    /// applied, if no snapshot can be kept, or if a step fails; the steps before it stay.
    fn migrate_from(
        &self,
        tenant: &Tenant,
        from: u32,
        target: SchemaTarget,
        keep: Keep,
    ) -> Result<Migrated, TenantError>;

    /// Returns a name for the set of seeds, another one for another set; `None` if there are no
    /// seeds, which is the default.
    fn seed_set(&self) -> Option<Box<str>> {
        None
    }

    /// Runs the seeds that a tenant has not had, each exactly once. Defaults to none.
    ///
    /// # Errors
    /// Returns an error if a seed fails; those before it stay.
    fn run_seeds(&self, tenant: &Tenant) -> Result<Seeded, TenantError> {
        let _ = tenant;
        Ok(Seeded { before: 0, now: 0 })
    }

    /// Returns the snapshots of a tenant's databases, of earlier incarnations too, oldest first.
    /// Defaults to none, for a driver that keeps none.
    ///
    /// # Errors
    /// Returns an error if they cannot be listed.
    fn snapshots_of(&self, tenant: &Tenant) -> Result<Vec<Snapshot>, TenantError> {
        let _ = tenant;
        Ok(Vec::new())
    }

    /// Makes a snapshot the database of the tenant's next incarnation, at the schema
    /// [`to`](Cutover::to), and returns that incarnation.
    ///
    /// The database of the old incarnation must refuse writes before
    /// [`commit`](Cutover::commit), else a write that is acknowledged there is lost; and it must
    /// be at the schema [`from`](Cutover::from) then. Before the driver replaces a database of
    /// the next incarnation that an interrupted call left, it calls [`check`](Cutover::check):
    /// that database may be live by now. The data of the old incarnation is kept. Defaults to an
    /// error, for a driver that keeps no snapshots.
    ///
    /// # Errors
    /// Returns an error if the snapshot cannot be used or the row is not changed; the old
    /// incarnation stays in use then.
    fn restore(&self, snapshot: &Snapshot, cutover: &Cutover<'_>) -> Result<Tenant, TenantError> {
        let _ = (snapshot, cutover);
        Err(TenantError::driver("this driver restores no snapshots"))
    }

    /// Completes what an interrupted [`restore`](Self::restore) of this tenant left, if that is
    /// possible without waiting. Defaults to nothing.
    fn settle(&self, tenant: &Tenant) {
        let _ = tenant;
    }
}

/// Whether a database is copied before its first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A snapshot is kept if a step has no script that undoes it. A later snapshot of the same
    /// version replaces an earlier one.
    IfIrreversible,
    /// A snapshot is kept for this run, beside those of other runs: a script that undoes a step
    /// drops the data that only newer tables and columns hold.
    OfRun(u64),
    /// No snapshot is kept.
    Nothing,
}

/// A step of a schema, as plans show it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaStep {
    /// The version that it leads to.
    pub version: u32,
    /// The name of the step.
    pub name: Box<str>,
    /// The script that undoes it, if there is one.
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

/// The number of seeds that a tenant has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// Before the call.
    pub before: u32,
    /// After the call.
    pub now: u32,
}

/// A copy of a tenant's database that a run kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The incarnation whose database was copied.
    pub epoch: Epoch,
    /// The schema version of the copy.
    pub schema: u32,
    /// The run of the rollback that kept it, if one did.
    pub run: Option<u64>,
    /// The time at which it was made.
    pub made: SystemTime,
    /// The size of the copy.
    pub bytes: u64,
}
