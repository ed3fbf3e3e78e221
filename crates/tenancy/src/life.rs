//! Suspension and maintenance of tenants. The two are independent: a tenant can be suspended, in
//! maintenance, both or neither.

use tenancy_core::{
    Maintenance, Provisioner, Tenant, TenantChange, TenantId, TenantKey, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Reads a tenant from the catalog. The tenant may have any status.
    ///
    /// # Errors
    /// Returns an error if no tenant has this id, or if the catalog cannot be read.
    pub fn tenant(&self, id: &TenantId) -> Result<Tenant, Error> {
        let tenant = self.find(id)?;
        tenant.ok_or_else(|| WriteError::Unknown { id: id.clone() }.into())
    }

    pub(crate) fn find(&self, id: &TenantId) -> Result<Option<Tenant>, Error> {
        let found = self.catalog().lookup(TenantKey::Label(id.as_str()))?.value;
        // The lookup also finds a tenant by a further label, which is not its id.
        Ok(found.filter(|tenant| tenant.id() == id))
    }

    /// Suspends an active tenant, so that requests for it are refused. Has no effect on a suspended
    /// tenant. Does not change maintenance.
    ///
    /// # Errors
    /// Returns an error if the tenant is neither active nor suspended, or if the catalog cannot be
    /// written.
    pub fn suspend(&self, id: &TenantId) -> Result<Tenant, Error> {
        self.set_status(id, TenantStatus::Suspended)
    }

    /// Makes a suspended tenant active again. Has no effect on an active tenant. Does not end
    /// maintenance; [`up`](Self::up) does.
    ///
    /// # Errors
    /// Returns an error if the tenant is neither active nor suspended, or if the catalog cannot be
    /// written.
    pub fn resume(&self, id: &TenantId) -> Result<Tenant, Error> {
        self.set_status(id, TenantStatus::Active)
    }

    /// Puts an active or suspended tenant into maintenance. If the tenant is already in maintenance,
    /// replaces its message, retry time and secret.
    ///
    /// # Errors
    /// Returns an error if the tenant is neither active nor suspended, or if the catalog cannot be
    /// written.
    pub fn down(&self, id: &TenantId, maintenance: Maintenance) -> Result<Tenant, Error> {
        self.set_maintenance(id, Some(maintenance))
    }

    /// Ends the maintenance of an active or suspended tenant. Has no effect on a tenant that is not
    /// in maintenance. A suspended tenant stays suspended until [`resume`](Self::resume).
    ///
    /// # Errors
    /// Returns an error if the tenant is neither active nor suspended, or if the catalog cannot be
    /// written.
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
