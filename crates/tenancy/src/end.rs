//! The end of a tenant: retire, revive, destroy.

use std::time::{Duration, Instant};

use tenancy_core::{
    Change, Provisioner, SchemaTarget, Tenant, TenantChange, TenantId, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Takes a tenant out of use and keeps its data. Requests are refused at once; then the call
    /// waits at most `timeout` until the tenant's connections are returned, in every process, and
    /// moves its database to the trash. [`revive`](Self::revive) brings it back until an operator
    /// empties the trash. The tenant keeps its id and its names.
    ///
    /// Idle connections of other processes are closed by their [`maintain`](Self::maintain) once
    /// they see the change: allow a second or two.
    ///
    /// ```
    /// # use tenancy::{Rule, Tenancy, TenantId, TenantStatus};
    /// # use tenancy::sqlite::SqliteStorage;
    /// # let root = tempfile::tempdir()?;
    /// # let tenancy = Tenancy::builder(SqliteStorage::create(root.path())?);
    /// # let tenancy = tenancy.resolver(|rules| rules.rule(Rule::domain())).build()?;
    /// use std::time::Duration;
    /// let acme: TenantId = "acme".parse()?;
    /// tenancy.create(acme.clone())?;
    /// let retired = tenancy.retire(&acme, Duration::from_secs(5))?;
    /// assert_eq!(retired.status(), TenantStatus::Retiring);
    /// assert!(tenancy.checkout(&retired).is_err());
    ///
    /// let acme = tenancy.revive(&acme)?;
    /// assert!(tenancy.checkout(&acme).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the tenant is still `provisioning`, if connections are checked out
    /// after `timeout`, or if a step fails. In the last two cases the tenant stays `retiring`:
    /// repeat the call to complete it, or undo it by [`revive`](Self::revive).
    pub fn retire(&self, id: &TenantId, timeout: Duration) -> Result<Tenant, Error> {
        let tenant = self.tenant(id)?;
        if tenant.status() == TenantStatus::Provisioning {
            return Err(Error::WrongStatus {
                id: id.clone(),
                status: tenant.status(),
                needed: "any but provisioning",
            });
        }
        let tenant = self.shut_out(&tenant, timeout, |tenant, left| {
            Ok(self.driver().retire(tenant, left)?)
        })?;
        self.refuse_revived(&tenant)?;
        Ok(tenant)
    }

    /// Brings a retired tenant back with all its data, migrates it, as migrations of all tenants
    /// skip retired ones, and makes it active.
    ///
    /// # Errors
    /// Returns an error if the tenant is not retired, its database is gone, or a step fails; the
    /// call can be repeated. Returns [`Error::RevivedBehind`] if only the migration fails: the
    /// tenant is active then, and refused until it is migrated.
    pub fn revive(&self, id: &TenantId) -> Result<Tenant, Error> {
        let tenant = self.tenant(id)?;
        if tenant.status() != TenantStatus::Retiring {
            return Err(Error::WrongStatus {
                id: id.clone(),
                status: tenant.status(),
                needed: TenantStatus::Retiring.as_str(),
            });
        }
        self.driver().revive(&tenant)?;
        // A program without migrations has none to bring it up to.
        let newest = self.driver().schema().unwrap_or(0);
        let migrated = match newest {
            0 => Ok(None),
            _ => self
                .driver()
                .migrate(&tenant, SchemaTarget::Latest)
                .map(Some),
        };
        let mut active = TenantChange::status(TenantStatus::Active);
        let schema = migrated.as_ref().ok().copied().flatten();
        active.schema = schema.map(|migrated| migrated.to);
        let active = self.update(&tenant, active)?;
        self.pools().reopen(id);
        match migrated {
            Ok(_) => Ok(active),
            Err(source) => Err(Error::RevivedBehind { source }),
        }
    }

    /// Removes a tenant and all its data at once, retired or not. Requests are refused first;
    /// then the call waits at most `timeout` until the tenant's connections are returned, in
    /// every process. A tenant created later with the same id has another epoch.
    ///
    /// # Errors
    /// Returns an error if connections are checked out after `timeout`, or if a step fails. The
    /// tenant stays `retiring` then, and the call can be repeated. For a database that is damaged
    /// or belongs to another tenant, use [`force_destroy`](Self::force_destroy).
    pub fn destroy(&self, id: &TenantId, timeout: Duration) -> Result<(), Error> {
        let tenant = self.tenant(id)?;
        let tenant = self.shut_out(&tenant, timeout, |tenant, left| {
            let driver = self.driver();
            // A file that is in the trash already, or lost, needs no step.
            if driver.exists(tenant)? {
                driver.retire(tenant, left)?;
            }
            Ok(())
        })?;
        self.refuse_revived(&tenant)?;
        self.driver().destroy(&tenant)?;
        self.remove(&tenant)?;
        Ok(())
    }

    /// Removes a tenant that [`destroy`](Self::destroy) cannot remove, as its database is damaged
    /// or belongs to another tenant. A sound database is destroyed. The driver moves any other
    /// aside, with SQLite to the quarantine of the storage root, and the call returns its path
    /// there. Snapshots of the database stay.
    ///
    /// # Errors
    /// Returns an error if connections are still out after `timeout`, or if a step fails. The
    /// tenant stays `retiring` then, and the call may be repeated.
    pub fn force_destroy(
        &self,
        id: &TenantId,
        timeout: Duration,
    ) -> Result<Option<Box<str>>, Error> {
        let tenant = self.tenant(id)?;
        let mut aside = None;
        let tenant = self.shut_out(&tenant, timeout, |tenant, left| {
            aside = self.driver().set_aside(tenant, left)?;
            Ok(())
        })?;
        self.refuse_revived(&tenant)?;
        if aside.is_none() {
            self.driver().destroy(&tenant)?;
        }
        self.remove(&tenant)?;
        Ok(aside)
    }

    fn remove(&self, seen: &Tenant) -> Result<(), Error> {
        let id = seen.id().clone();
        self.catalog().remove(&id, seen.version(), self.actor())?;
        let epoch = seen.epoch();
        self.show_writes([Change::Removed { id, epoch }]);
        Ok(())
    }

    /// Refuses requests, closes the tenant's pool, and then runs `rest` with the remaining time.
    /// Returns the tenant as the catalog has it then.
    fn shut_out(
        &self,
        tenant: &Tenant,
        timeout: Duration,
        rest: impl FnOnce(&Tenant, Duration) -> Result<(), Error>,
    ) -> Result<Tenant, Error> {
        let began = Instant::now();
        // Also if it is retiring already: a concurrent `revive` saw an older version, so that
        // its write is a conflict.
        let retiring = TenantChange::status(TenantStatus::Retiring);
        let tenant = self.update(tenant, retiring)?;
        self.pools().close(tenant.id(), timeout)?;
        rest(&tenant, timeout.saturating_sub(began.elapsed()))?;
        Ok(tenant)
    }

    /// Returns a conflict, and brings the database back, if another process revived the tenant
    /// while this one waited for its connections.
    fn refuse_revived(&self, tenant: &Tenant) -> Result<(), Error> {
        let id = tenant.id();
        match self.find(id)? {
            Some(now) if now.status() != TenantStatus::Retiring => {
                self.driver().revive(tenant)?;
                self.pools().reopen(id);
                Err(WriteError::Conflict {
                    id: id.clone(),
                    seen: tenant.version(),
                    current: now.version(),
                }
                .into())
            }
            _ => Ok(()),
        }
    }
}
