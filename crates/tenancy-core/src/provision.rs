//! [`Provisioner`]: makes, migrates, retires and removes a tenant's database.

use std::error::Error;
use std::time::Duration;

use crate::id::{Epoch, TenantId};
use crate::tenant::{Placement, Tenant};

/// Makes, migrates, retires and removes the database of a tenant. Every method may be
/// called twice: the second call finds the work done.
///
/// ```
/// use std::{collections::BTreeSet, sync::Mutex};
/// use tenancy_core::*;
///
/// /// "Databases" that are names in a set, at schema 1 from the start.
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
    /// Draws where a new incarnation will live. Nothing is made yet: the catalog
    /// knows the place before any file is there.
    ///
    /// # Errors
    /// When no place can be drawn.
    fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError>;

    /// Makes the database, at the newest schema, if it is not there.
    ///
    /// # Errors
    /// When it cannot be made; what was begun is harmless and the call may be repeated.
    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError>;

    /// The same for several tenants; what came of each is in their order. A driver
    /// that can wait for the disk once for all of them has its own.
    fn provision_many(&self, tenants: &[Tenant]) -> Vec<Result<Provisioned, ProvisionError>> {
        let provision = |tenant| self.provision(tenant);
        tenants.iter().map(provision).collect()
    }

    /// Brings its schema to `target`.
    ///
    /// # Errors
    /// When a migration fails; it is rolled back, those before it stay.
    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError>;

    /// Fills it with what a new tenant starts with, once, whoever asks how often. A
    /// driver that has nothing of that kind does nothing.
    ///
    /// # Errors
    /// When a part of it cannot be filled in; the parts before it stay.
    fn seed(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// The id of the storage that holds the databases, drawn when the storage was made; the
    /// catalog [records](crate::CatalogWriter::record_storage) it. A driver that wraps
    /// another forwards it. Defaults to `None`, for a driver that nobody can mix up.
    fn storage_id(&self) -> Option<Box<str>> {
        None
    }

    /// Compares the scripts that new databases are made by with those that this existing
    /// one was made and migrated by. Whoever creates tenants asks this of one that is
    /// there, so that two do not get different schemas of one version.
    ///
    /// # Errors
    /// Returns an error if they differ, or that cannot be found out. The default finds no
    /// difference.
    fn check_history(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// The schema version that [`provision`](Self::provision) makes; `None` where
    /// schemas are not numbered.
    fn schema(&self) -> Option<u32> {
        None
    }

    /// What new databases are like, in a short text: drivers of one fingerprint make the
    /// same, so that a new tenant [may take](crate::FromStock) what another made in
    /// advance. `None`, unless said, where nobody does.
    fn fingerprint(&self) -> Option<Box<str>> {
        None
    }

    /// Whether its database is there.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError>;

    /// Takes it out of use, keeping all its data, until it is [revived](Self::revive)
    /// or [destroyed](Self::destroy). Waits at most `timeout` for others who have it
    /// open, in other processes too; zero tries once. A driver that has no trash does
    /// nothing here: the tenant's status keeps requests out.
    ///
    /// # Errors
    /// When somebody still has it open, it is not there, or a step fails. It stays in
    /// use until the last step, and the call may be repeated.
    fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), ProvisionError> {
        let _ = (tenant, timeout);
        Ok(())
    }

    /// Puts a retired database back into use, as it was.
    ///
    /// # Errors
    /// When it is gone, or a step fails; the call may be repeated.
    fn revive(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        let _ = tenant;
        Ok(())
    }

    /// Takes a database out of the way that may be damaged or another's, without deleting
    /// it, and returns where it is when that is not where [`retire`](Self::retire) puts one.
    /// A database that can be retired is retired. By default that is all that happens.
    ///
    /// # Errors
    /// Returns an error if somebody has it open after `timeout`, or if it cannot be moved.
    fn set_aside(
        &self,
        tenant: &Tenant,
        timeout: Duration,
    ) -> Result<Option<Box<str>>, ProvisionError> {
        self.retire(tenant, timeout).map(|()| None)
    }

    /// Removes it, all of it, retired or not. Connections must be closed before.
    ///
    /// # Errors
    /// When something of it is still there.
    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError>;
}

/// What [`Provisioner::provision`] found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    /// The database is new.
    Made,
    /// It was there.
    AlreadyThere,
}

/// Which schema [`Provisioner::migrate`] is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaTarget {
    /// The newest there is.
    Latest,
    /// This version, upwards or downwards.
    Version(u32),
}

/// What [`Provisioner::migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema version before.
    pub from: u32,
    /// The schema version now.
    pub to: u32,
}

/// A step in the life of a tenant's database that failed.
#[derive(Debug, thiserror::Error)]
#[error(
    "tenant {tenant}@{epoch}: its database could not be {step}; see the cause and run it again"
)]
pub struct ProvisionError {
    /// Whose database.
    pub tenant: TenantId,
    /// Which incarnation.
    pub epoch: Epoch,
    /// What was to be done, as a participle: `made`, `migrated`, `retired`, `removed`.
    pub step: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl ProvisionError {
    /// With its cause.
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
