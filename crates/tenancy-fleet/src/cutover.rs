//! [`Cutover`]: the change of a tenant's row to its next incarnation.

use tenancy_core::{Actor, CatalogWriter, Tenant, TenantChange, TenantId, TenantKey, WriteError};

use crate::error::TenantError;

/// The cutover of a tenant to its next incarnation, as a fleet hands it to
/// [`FleetDriver::restore`](crate::FleetDriver::restore).
///
/// A process that dies before [`commit`](Self::commit) leaves a database that no row names,
/// which the next attempt replaces; one that dies after it leaves the database of the old
/// incarnation, which [`settle`](crate::FleetDriver::settle) puts away.
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

    /// Returns the incarnation that is replaced.
    pub fn tenant(&self) -> &Tenant {
        self.tenant
    }

    /// Returns the incarnation that replaces it.
    pub fn next(&self) -> &Tenant {
        &self.next
    }

    /// Returns the schema version at which the run found the database that is replaced.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// Returns the schema version that the next incarnation has.
    pub fn to(&self) -> u32 {
        self.to
    }

    /// Checks that the row still names the incarnation that is replaced.
    ///
    /// # Errors
    /// Returns an error if it names another one, or cannot be read.
    pub fn check(&self) -> Result<(), TenantError> {
        self.current().map(drop)
    }

    /// Changes the row to the next incarnation, and returns that.
    ///
    /// # Errors
    /// Returns an error if the row names another incarnation already, or cannot be changed.
    pub fn commit(&self) -> Result<Tenant, TenantError> {
        loop {
            // Its status may change meanwhile; the driver excludes another cutover.
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

    /// Returns the row, if it is still of the incarnation that is replaced.
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
