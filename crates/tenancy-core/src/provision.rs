//! [`Provisioner`]: the life of a tenant's database.

use std::error::Error;
use std::time::Duration;

use crate::id::{Epoch, TenantId};
use crate::tenant::{Placement, Tenant};

/// The part of a driver that makes, migrates, retires and removes the database of a tenant.
///
/// Every call may be repeated: if its work is done already, the call has no further effect.
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
    /// Chooses the placement of a new incarnation. It makes no database, so that the catalog can
    /// record the placement first.
    ///
    /// # Errors
    /// Returns an error if no placement can be chosen.
    fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError>;

    /// Makes the database at the newest schema, unless it exists.
    ///
    /// # Errors
    /// Returns an error if the database cannot be made. The call may be repeated, also if it left a
    /// partial database.
    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError>;

    /// Provisions several tenants, and returns their results in the same order. Defaults to one
    /// [`provision`](Self::provision) after the other. A driver can override the method to share
    /// an fsync among the tenants.
    fn provision_many(&self, tenants: &[Tenant]) -> Vec<Result<Provisioned, ProvisionError>> {
        let provision = |tenant| self.provision(tenant);
        tenants.iter().map(provision).collect()
    }

    /// Migrates the database to the schema `target`.
    ///
    /// # Errors
    /// Returns an error if a migration fails. That migration is rolled back, and the migrations
    /// before it stay applied.
    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError>;

    /// Runs the driver's seeds, which fill the database of a new tenant. A seed that has run on
    /// this database is skipped. Defaults to doing nothing.
    ///
    /// # Errors
    /// Returns an error if a seed fails. The seeds before it stay applied.
    fn seed(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// Returns the id of the storage that holds the databases. It is chosen when the storage is
    /// made. The catalog [records](crate::CatalogWriter::record_storage) the id, and refuses a
    /// storage with another id. A driver that wraps another driver returns the id of the wrapped
    /// one. Defaults to `None`, which skips that check.
    fn storage_id(&self) -> Option<Box<str>> {
        None
    }

    /// Compares the scripts of the driver with the scripts that made and migrated the database of
    /// an existing tenant. It is called before a tenant is created, so that two tenants do not get
    /// different schemas of the same version. Defaults to no difference.
    ///
    /// # Errors
    /// Returns an error if the scripts differ, or cannot be compared.
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
    /// same fingerprint make equal databases. So a new tenant [may take](crate::FromWarmPool) a
    /// database that another process made. Defaults to `None`, for a driver without a warm pool.
    fn fingerprint(&self) -> Option<Box<str>> {
        None
    }

    /// Returns whether the database exists.
    ///
    /// # Errors
    /// Returns an error if that cannot be determined.
    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError>;

    /// Takes the database out of use with all its data, until it is [revived](Self::revive) or
    /// [destroyed](Self::destroy). Waits at most `timeout` until all connections to it are closed,
    /// also those of other processes; a timeout of zero tries once. Defaults to doing nothing, for
    /// a driver without a trash: requests are refused by the status of the tenant.
    ///
    /// # Errors
    /// Returns an error if the database is still open or does not exist, or if a step fails.
    /// The database stays in use until the last step, and the call may be repeated.
    fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), ProvisionError> {
        let _ = (tenant, timeout);
        Ok(())
    }

    /// Puts a retired database back into use. Defaults to doing nothing.
    ///
    /// # Errors
    /// Returns an error if the database no longer exists, or if a step fails. The call may be
    /// repeated.
    fn revive(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// Takes a database that may be damaged or belong to another tenant out of its place, without
    /// deleting it. A database that can be retired is retired, and the result is `None`. Any other
    /// is moved, and the result is its new location. Defaults to [`retire`](Self::retire).
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

    /// Removes the database and everything that belongs to it, retired or not. All connections to
    /// it must be closed before the call.
    ///
    /// # Errors
    /// Returns an error if a part of the database remains.
    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError>;
}

/// The result of [`Provisioner::provision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    /// The call made the database.
    Made,
    /// The database existed before the call.
    AlreadyThere,
}

/// The schema that [`Provisioner::migrate`] brings a database to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaTarget {
    /// The newest schema of the driver.
    Latest,
    /// The schema of this version. An older version is reached by reversing migrations.
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

/// The error for a failed step in the life of a tenant's database.
#[derive(Debug, thiserror::Error)]
#[error(
    "tenant {tenant}@{epoch}: its database could not be {step}; see the cause and run it again"
)]
pub struct ProvisionError {
    /// The tenant of the database.
    pub tenant: TenantId,
    /// The incarnation of the tenant.
    pub epoch: Epoch,
    /// The step as a participle, for example `made`, `migrated`, `retired` or `removed`.
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
