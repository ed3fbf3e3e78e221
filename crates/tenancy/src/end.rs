//! The end of a tenant: retire, revive, destroy.

use std::time::{Duration, Instant};

use tenancy_core::{
    Change, Provisioner, SchemaTarget, Tenant, TenantChange, TenantId, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Takes a tenant out of use and keeps its data. The tenant becomes `retiring`, so that requests
    /// are refused. Then the call waits at most `timeout` until the connections of all processes to
    /// the tenant's database are closed, and moves the database to the trash. Until an operator
    /// empties the trash, [`revive`](Self::revive) brings the tenant back. The tenant keeps its id
    /// and its names.
    ///
    /// Other processes close their idle connections in their next [`maintain`](Self::maintain), within
    /// a second or two. `timeout` should be longer.
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
    /// Returns an error if the tenant is `provisioning`, if connections are still open after
    /// `timeout`, or if a step fails. In the last two cases the tenant may be `retiring`: repeat the
    /// call to complete the retirement, or call [`revive`](Self::revive) to undo it.
    pub fn retire(&self, id: &TenantId, timeout: Duration) -> Result<Tenant, Error> {
        let tenant = self.tenant(id)?;
        if tenant.status() == TenantStatus::Provisioning {
            return Err(Error::WrongStatus {
                id: id.clone(),
                status: tenant.status(),
                needed: "active, suspended or retiring",
            });
        }
        let tenant = self.shut_out(&tenant, timeout, |tenant, left| {
            Ok(self.driver().retire(tenant, left)?)
        })?;
        self.refuse_revived(&tenant)?;
        Ok(tenant)
    }

    /// Brings a retired tenant back with all its data, migrates its database, and makes the tenant
    /// active.
    ///
    /// # Errors
    /// Returns an error if the tenant is not `retiring`, its database no longer exists, or a step
    /// fails. The call can be repeated. Returns [`Error::RevivedBehind`] if only the migration
    /// fails: the tenant is active then, but its database is not opened until it is migrated.
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
        // Runs of `migrate` skip retired tenants. A program without migrations has nothing to run.
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

    /// Removes a tenant and all its data permanently. The tenant may have any status. It becomes
    /// `retiring`, so that requests are refused. Then the call waits at most `timeout` until the
    /// connections of all processes to its database are closed. A tenant created later with the
    /// same id has another epoch.
    ///
    /// # Errors
    /// Returns an error if connections are still open after `timeout`, or if a step fails. The
    /// tenant may be `retiring` then, and the call can be repeated. For a database that is damaged
    /// or belongs to another tenant, use [`force_destroy`](Self::force_destroy).
    pub fn destroy(&self, id: &TenantId, timeout: Duration) -> Result<(), Error> {
        let tenant = self.tenant(id)?;
        let tenant = self.shut_out(&tenant, timeout, |tenant, left| {
            let driver = self.driver();
            // A database that is already in the trash, or lost, need not be moved there.
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
    /// or belongs to another tenant. The driver does not delete such a database but moves it away,
    /// with SQLite to the quarantine of the storage root; its snapshots are not deleted either.
    /// Returns the new path. An intact database is destroyed, and the call returns `None`.
    ///
    /// # Errors
    /// Returns an error if connections are still open after `timeout`, or if a step fails. The
    /// tenant may be `retiring` then, and the call can be repeated.
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

    /// Makes a tenant `retiring`, closes its pool, and then calls `rest` with the remaining time.
    /// Returns the updated tenant.
    fn shut_out(
        &self,
        tenant: &Tenant,
        timeout: Duration,
        rest: impl FnOnce(&Tenant, Duration) -> Result<(), Error>,
    ) -> Result<Tenant, Error> {
        let began = Instant::now();
        // A tenant that is already `retiring` is written, too: a concurrent `revive` has seen an
        // older version, so that its own write becomes a conflict.
        let retiring = TenantChange::status(TenantStatus::Retiring);
        let tenant = self.update(tenant, retiring)?;
        self.pools().close(tenant.id(), timeout)?;
        rest(&tenant, timeout.saturating_sub(began.elapsed()))?;
        Ok(tenant)
    }

    /// Checks whether another process has revived the tenant while this process waited for the
    /// connections. If so, brings the database back and returns a conflict.
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
