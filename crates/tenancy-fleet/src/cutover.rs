//! [`Cutover`]: the change of a tenant's row to its next incarnation.

use tenancy_core::{Actor, CatalogWriter, Tenant, TenantChange, TenantId, TenantKey, WriteError};

use crate::error::TenantError;

/// The cutover of a tenant to its next incarnation: the parameter of
/// [`FleetDriver::restore`](crate::FleetDriver::restore).
///
/// If the process is killed before [`commit`](Self::commit), the database of the next incarnation is
/// left without a row, and the next attempt replaces it. If the process is killed after `commit`, the
/// database of the old incarnation is left, and [`settle`](crate::FleetDriver::settle) moves it away.
pub struct Cutover<'c> {
    catalog: &'c dyn CatalogWriter,
    tenant: &'c Tenant,
    next: Tenant,
    from: u32,
    to: u32,
    by: &'c Actor,
}

impl<'c> Cutover<'c> {
    /// Returns the cutover of a tenant at schema `from` to an incarnation at schema `to`.
    pub(crate) fn new(
        catalog: &'c dyn CatalogWriter,
        tenant: &'c Tenant,
        (from, to): (u32, u32),
        by: &'c Actor,
    ) -> Result<Self, TenantError> {
        let next = tenant.to_builder().epoch(tenant.epoch().next()).build();
        Ok(Self {
            catalog,
            tenant,
            next: next.map_err(WriteError::from)?,
            from,
            to,
            by,
        })
    }

    /// Returns the old incarnation.
    pub fn tenant(&self) -> &Tenant {
        self.tenant
    }

    /// Returns the next incarnation.
    pub fn next(&self) -> &Tenant {
        &self.next
    }

    /// Returns the schema version that the run has read from the old incarnation's database.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// Returns the schema version of the next incarnation.
    pub fn to(&self) -> u32 {
        self.to
    }

    /// Checks that the tenant's row still has the old incarnation.
    ///
    /// # Errors
    /// Returns an error if the row has another incarnation, or cannot be read.
    pub fn check(&self) -> Result<(), TenantError> {
        self.current().map(drop)
    }

    /// Changes the tenant's row to the next incarnation, and returns the changed tenant.
    ///
    /// # Errors
    /// Returns an error if the row no longer has the old incarnation, or cannot be changed.
    pub fn commit(&self) -> Result<Tenant, TenantError> {
        loop {
            // The row is read again, as its status may have changed. The driver excludes another
            // cutover.
            let now = self.current()?;
            let mut change = TenantChange::default();
            change.reincarnate = Some(now.placement().clone());
            change.schema = Some(self.to);
            match self
                .catalog
                .update(now.id(), now.version(), change, self.by)
            {
                Err(WriteError::Conflict { .. }) => {}
                done => return Ok(done?),
            }
        }
    }

    /// Reads the tenant's row, and returns an error if it no longer has the old incarnation.
    fn current(&self) -> Result<Tenant, TenantError> {
        let now = find(self.catalog, self.tenant.id())?;
        if now != *self.tenant || now.placement() != self.tenant.placement() {
            let (tenant, current) = (self.tenant.to_ref(), now.to_ref());
            return Err(TenantError::Superseded { tenant, current });
        }
        Ok(now)
    }
}

/// Returns the tenant of an id.
fn find(catalog: &dyn CatalogWriter, id: &TenantId) -> Result<Tenant, WriteError> {
    // The label of this name is bound to no other tenant.
    let found = catalog.lookup(TenantKey::Label(id.as_str()))?;
    let found = found.value.filter(|tenant| tenant.id() == id);
    found.ok_or_else(|| WriteError::Unknown { id: id.clone() })
}
