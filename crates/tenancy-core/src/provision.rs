//! [`Provisioner`]: the life of a tenant's database.

use std::error::Error;
use std::time::Duration;

use crate::id::{Epoch, TenantId};
use crate::tenant::{Placement, Tenant};

/// The part of a driver that makes, migrates, retires and removes the database of a tenant.
///
/// Every method may be called again: a second call finds the work done.
///
/// ```
/// use std::{collections::BTreeSet, sync::Mutex};
/// use tenancy_core::{
///     Migrated, Placement, ProvisionError, Provisioned, Provisioner, SchemaTarget, Tenant, TenantId,
/// };
///
/// /// "Databases" that are names in a set, always at schema 1.
/// #[derive(Default)]
/// struct Names(Mutex<BTreeSet<String>>);
///
/// impl Provisioner for Names {
///     fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError> {
///         Ok(Placement::new("names", id.as_str()))
///     }
///     fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError> {
///         let mut names = self.0.lock().map_err(|e| ProvisionError::new(tenant, "made", e.to_string()))?;
///         Ok(match names.insert(tenant.placement().locator.to_string()) {
///             true => Provisioned::Made,
///             false => Provisioned::AlreadyThere,
///         })
///     }
///     fn migrate(&self, _: &Tenant, _: SchemaTarget) -> Result<Migrated, ProvisionError> {
///         Ok(Migrated { from: 1, to: 1 })
///     }
///     fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError> {
///         Ok(self.0.lock().is_ok_and(|names| names.contains(&*tenant.placement().locator)))
///     }
///     fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
///         self.0.lock().map(|mut names| names.remove(&*tenant.placement().locator)).ok();
///         Ok(())
///     }
/// }
///
/// let names = Names::default();
/// let acme = Tenant::builder("acme".parse()?).placement(Placement::new("names", "n1")).build()?;
/// assert_eq!(names.provision(&acme)?, Provisioned::Made);
/// assert_eq!(names.provision(&acme)?, Provisioned::AlreadyThere);
/// names.destroy(&acme)?;
/// assert!(!names.exists(&acme)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Provisioner: Send + Sync + 'static {
    /// Chooses the placement of a new incarnation. Nothing is made yet, so that the catalog
    /// knows the placement before there is a database.
    ///
    /// # Errors
    /// Returns an error if no placement can be chosen.
    fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError>;

    /// Makes the database at the newest schema, unless it exists.
    ///
    /// # Errors
    /// Returns an error if the database cannot be made. A partial one does no harm, and the
    /// call may be repeated.
    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError>;

    /// Provisions several tenants, and returns their results in the same order. Defaults to one
    /// after the other; a driver overrides it to share an fsync.
    fn provision_many(&self, tenants: &[Tenant]) -> Vec<Result<Provisioned, ProvisionError>> {
        let provision = |tenant| self.provision(tenant);
        tenants.iter().map(provision).collect()
    }

    /// Migrates the database to the schema `target`.
    ///
    /// # Errors
    /// Returns an error if a migration fails. That migration is rolled back, and the ones
    /// before it stay applied.
    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError>;

    /// Runs the seeds of a new tenant that have not run on this database. Defaults to doing
    /// nothing.
    ///
    /// # Errors
    /// Returns an error if a seed fails. The seeds before it stay applied.
    fn seed(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// The id of the storage that holds the databases, drawn when the storage was made; the
    /// catalog [records](crate::CatalogWriter::record_storage) it. A driver that wraps
    /// another forwards it. Defaults to `None`, which skips that check.
    fn storage_id(&self) -> Option<Box<str>> {
        None
    }

    /// Compares the scripts that new databases are made by with those that this existing
    /// one was made and migrated by. It is asked before a tenant is created, so that two tenants
    /// do not get different schemas of one version.
    ///
    /// # Errors
    /// Returns an error if they differ, or if that cannot be determined. Defaults to no
    /// difference.
    fn check_history(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// Returns the schema version that [`provision`](Self::provision) makes, or `None` if
    /// schemas have no numbers.
    fn schema(&self) -> Option<u32> {
        None
    }

    /// Returns a short text that identifies the content of new databases: drivers with the
    /// same fingerprint make equal databases, so that a new tenant
    /// [may take](crate::FromWarmPool) one that another process made. Defaults to `None`, for a
    /// driver without a warm pool.
    fn fingerprint(&self) -> Option<Box<str>> {
        None
    }

    /// Returns whether the database exists.
    ///
    /// # Errors
    /// Returns an error if that cannot be determined.
    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError>;

    /// Takes the database out of use with all its data, until it is [revived](Self::revive) or
    /// [destroyed](Self::destroy). Waits at most `timeout` for connections to it, also those of
    /// other processes; a timeout of zero tries once. Defaults to doing nothing, for a driver
    /// without a trash: the status of the tenant keeps requests out.
    ///
    /// # Errors
    /// Returns an error if the database is still open or does not exist, or if a step fails.
    /// The database stays in use until the last step, and the call may be repeated.
    fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), ProvisionError> {
        let _ = (tenant, timeout);
        Ok(())
    }

    /// Puts a retired database back into use.
    ///
    /// # Errors
    /// Returns an error if the database is gone, or if a step fails. The call may be repeated.
    fn revive(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// Moves a database away that may be damaged or belong to another tenant, without deleting
    /// it. A database that can be retired is retired. Returns the new location if it is not
    /// that of a retired database. Defaults to [`retire`](Self::retire).
    ///
    /// # Errors
    /// Returns an error if the database is still open after `timeout`, or if it cannot be
    /// moved.
    fn set_aside(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<Option<Box<str>>, ProvisionError> {
        self.retire(tenant, timeout).map(|()| None)
    }

    /// Removes the database, retired or not, with all that belongs to it. Its connections must
    /// be closed before.
    ///
    /// # Errors
    /// Returns an error if some part of it remains.
    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError>;
}

/// The result of [`Provisioner::provision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    /// The database was made.
    Made,
    /// The database existed.
    AlreadyThere,
}

/// The schema that [`Provisioner::migrate`] is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaTarget {
    /// The newest schema of the driver.
    Latest,
    /// This version, by migrations or their reverse.
    Version(u32),
}

/// The result of [`Provisioner::migrate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema version before the call.
    pub from: u32,
    /// The schema version after the call.
    pub to: u32,
}

/// A step in the life of a tenant's database that failed.
#[derive(Debug, thiserror::Error)]
#[error(
    "tenant {tenant}@{epoch}: its database could not be {step}; see the cause and run it again"
)]
pub struct ProvisionError {
    /// The tenant of the database.
    pub tenant: TenantId,
    /// The incarnation of the tenant.
    pub epoch: Epoch,
    /// The step as a participle: `made`, `migrated`, `retired`, `removed`.
    pub step: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl ProvisionError {
    /// Makes an error with its cause.
    pub fn new(
        tenant: &Tenant,
        step: &'static str,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            tenant: tenant.id().clone(),
            epoch: tenant.epoch(),
            step,
            source: cause.into(),
        }
    }
}
