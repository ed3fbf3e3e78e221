//! [`Provisioner`]: makes, migrates and removes a tenant's database.

use std::error::Error;

use crate::id::{Epoch, TenantId};
use crate::tenant::{Placement, Tenant};

/// Makes, migrates and removes the database of a tenant. Every method may be
/// called twice: the second call finds the work done.
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

    /// Brings its schema to `target`.
    ///
    /// # Errors
    /// When a migration fails; it is rolled back, those before it stay.
    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError>;

    /// Whether its database is there.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError>;

    /// Removes it, all of it. Connections must be closed before.
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
    /// What was to be done, as a participle: `made`, `migrated`, `removed`.
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
