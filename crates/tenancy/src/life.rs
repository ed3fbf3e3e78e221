//! The life of a tenant: suspension and maintenance, which are two separate facts. `create` holds
//! its beginning, `end` its end.

use tenancy_core::{
    Maintenance, Provisioner, Tenant, TenantChange, TenantId, TenantKey, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Returns the tenant as the catalog has it now, in any status.
    ///
    /// # Errors
    /// Returns an error if there is no tenant of this id, or the catalog cannot be read.
    pub fn tenant(&self, id: &TenantId) -> Result<Tenant, Error> {
        let tenant = self.find(id)?;
        tenant.ok_or_else(|| WriteError::Unknown { id: id.clone() }.into())
    }

    pub(crate) fn find(&self, id: &TenantId) -> Result<Option<Tenant>, Error> {
        let found = self.catalog().lookup(TenantKey::Label(id.as_str()))?.value;
        // Another tenant's further label finds that tenant.
        Ok(found.filter(|tenant| tenant.id() == id))
    }

    /// Suspends a tenant: its next request is refused. Has no effect on a suspended tenant. Does
    /// not change maintenance.
    ///
    /// # Errors
    /// Returns an error if it is neither active nor suspended, or the catalog refuses.
    pub fn suspend(&self, id: &TenantId) -> Result<Tenant, Error> {
        self.set_status(id, TenantStatus::Suspended)
    }

    /// Makes a suspended tenant active again. Has no effect on an active tenant. Does not change
    /// maintenance: [`up`](Self::up) ends it.
    ///
    /// # Errors
    /// Returns an error if it is neither active nor suspended, or the catalog refuses.
    pub fn resume(&self, id: &TenantId) -> Result<Tenant, Error> {
        self.set_status(id, TenantStatus::Active)
    }

    /// Puts an active or suspended tenant into maintenance. A tenant that is in maintenance gets
    /// the new message, time and secret.
    ///
    /// # Errors
    /// Returns an error if it is neither active nor suspended, or the catalog refuses.
    pub fn down(&self, id: &TenantId, maintenance: Maintenance) -> Result<Tenant, Error> {
        self.set_maintenance(id, Some(maintenance))
    }

    /// Ends the maintenance of an active or suspended tenant. Has no effect on a tenant that is not
    /// in maintenance. A suspended tenant stays suspended until [`resume`](Self::resume).
    ///
    /// # Errors
    /// Returns an error if it is neither active nor suspended, or the catalog refuses.
    pub fn up(&self, id: &TenantId) -> Result<Tenant, Error> {
        self.set_maintenance(id, None)
    }

    fn set_status(&self, id: &TenantId, status: TenantStatus) -> Result<Tenant, Error> {
        let tenant = self.in_service(id)?;
        match tenant.status() == status {
            true => Ok(tenant),
            false => self.update(&tenant, TenantChange::status(status)),
        }
    }

    fn set_maintenance(&self, id: &TenantId, to: Option<Maintenance>) -> Result<Tenant, Error> {
        let tenant = self.in_service(id)?;
        if tenant.maintenance() == to.as_ref() {
            return Ok(tenant);
        }
        let mut change = TenantChange::default();
        change.maintenance = Some(to);
        self.update(&tenant, change)
    }

    /// Returns the tenant if its status is active or suspended.
    fn in_service(&self, id: &TenantId) -> Result<Tenant, Error> {
        let tenant = self.tenant(id)?;
        match tenant.status() {
            TenantStatus::Active | TenantStatus::Suspended => Ok(tenant),
            status => Err(Error::WrongStatus {
                id: id.clone(),
                status,
                needed: "active or suspended",
            }),
        }
    }
}
