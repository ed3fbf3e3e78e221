//! The life of a tenant: suspended, taken down. How it begins is in `create`, how it
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

    /// Shuts an active tenant out: the next request is refused.
    ///
    /// # Errors
    /// When it is not active, or the catalog refuses.
    pub fn suspend(&self, id: &TenantId) -> Result<Tenant, Error> {
        let change = TenantChange::status(TenantStatus::Suspended);
        self.change(id, TenantStatus::Active, change)
    }

    /// Lets a suspended tenant in again.
    ///
    /// # Errors
    /// When it is not suspended, or the catalog refuses.
    pub fn resume(&self, id: &TenantId) -> Result<Tenant, Error> {
        let change = TenantChange::status(TenantStatus::Active);
        self.change(id, TenantStatus::Suspended, change)
    }

    /// Takes an active tenant down for a while.
    ///
    /// # Errors
    /// When it is not active, or the catalog refuses.
    pub fn down(&self, id: &TenantId, maintenance: Maintenance) -> Result<Tenant, Error> {
        let mut change = TenantChange::status(TenantStatus::Maintenance);
        change.maintenance = Some(Some(maintenance));
        self.change(id, TenantStatus::Active, change)
    }

    /// Brings a tenant that was taken down back up.
    ///
    /// # Errors
    /// When it is not down, or the catalog refuses.
    pub fn up(&self, id: &TenantId) -> Result<Tenant, Error> {
        let mut change = TenantChange::status(TenantStatus::Active);
        change.maintenance = Some(None);
        self.change(id, TenantStatus::Maintenance, change)
    }

    /// Changes a tenant of this status, and no other.
    fn change(
        &self,
        id: &TenantId,
        from: TenantStatus,
        change: TenantChange,
    ) -> Result<Tenant, Error> {
        let tenant = self.tenant(id)?;
        if tenant.status() != from {
            return Err(Error::WrongStatus {
                id: id.clone(),
                status: tenant.status(),
                needed: from.as_str(),
            });
        }
        let changed = self
            .catalog()
            .update(id, tenant.version(), change, self.actor())?;
        self.show_writes();
        Ok(changed)
    }
}
