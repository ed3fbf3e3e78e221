//! The life of a tenant: suspension and maintenance, two facts. How it begins is in `create`, how it
//! ends in `end`.

use tenancy_core::{
    Maintenance, Provisioner, Tenant, TenantChange, TenantId, TenantKey, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// The tenant as the catalog knows it now, whatever its status.
    ///
    /// # Errors
    /// When there is none of this id, or the catalog cannot be asked.
    pub fn tenant(&self, id: &TenantId) -> Result<Tenant, Error> {
        let tenant = self.find(id)?;
        tenant.ok_or_else(|| WriteError::Unknown { id: id.clone() }.into())
    }

    pub(crate) fn find(&self, id: &TenantId) -> Result<Option<Tenant>, Error> {
        let found = self.catalog().lookup(TenantKey::Label(id.as_str()))?.value;
        // Another tenant's further label finds that tenant.
        Ok(found.filter(|tenant| tenant.id() == id))
    }

    /// Shuts a tenant out: the next request is refused. Suspending one that is suspended
    /// changes nothing. Maintenance stays as it is.
    ///
    /// # Errors
    /// Returns an error if it is neither active nor suspended, or the catalog refuses.
    pub fn suspend(&self, id: &TenantId) -> Result<Tenant, Error> {
        self.set_status(id, TenantStatus::Suspended)
    }

    /// Lets a suspended tenant in again. Resuming one that is active changes nothing.
    /// Maintenance stays as it is: [`up`](Self::up) ends it.
    ///
    /// # Errors
    /// Returns an error if it is neither active nor suspended, or the catalog refuses.
    pub fn resume(&self, id: &TenantId) -> Result<Tenant, Error> {
        self.set_status(id, TenantStatus::Active)
    }

    /// Puts an active or suspended tenant into maintenance. One that is in maintenance gets
    /// this message, time and secret instead of those before.
    ///
    /// # Errors
    /// Returns an error if it is neither active nor suspended, or the catalog refuses.
    pub fn down(&self, id: &TenantId, maintenance: Maintenance) -> Result<Tenant, Error> {
        self.set_maintenance(id, Some(maintenance))
    }

    /// Ends the maintenance of an active or suspended tenant, which changes nothing if it is
    /// not in maintenance. A suspended one stays so: [`resume`](Self::resume) lets it in.
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

    /// A tenant that requests may reach, now or once it is let in again.
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
