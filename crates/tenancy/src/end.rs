//! How a tenant ends: retired, revived, destroyed.

use std::time::{Duration, Instant};

use tenancy_core::{
    Change, Provisioner, SchemaTarget, Tenant, TenantChange, TenantId, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Takes a tenant out of use and keeps its data: requests are refused at once,
    /// its connections are waited for, in every process, at most `timeout`, and its
    /// database goes to the trash. From there [`revive`](Self::revive) brings it back
    /// until the driver's grace has passed. Its id and names stay its own.
    ///
    /// The connections that other processes keep idle are closed by their
    /// [`maintain`](Self::maintain) once they have heard of it: allow a second or two.
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
    /// When the tenant is still being made, its connections are not all given back in
    /// time, or a step fails. Then it stays `retiring`; calling this again goes on
    /// from there, and [`revive`](Self::revive) takes it back.
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

    /// Brings a retired tenant back with all its data, migrates it, as a migration of all
    /// tenants has left it out meanwhile, and makes it active.
    ///
    /// # Errors
    /// When it is not retired, its database is gone, or a step fails; calling this
    /// again goes on from there. [`Error::RevivedBehind`] when only the migration fails:
    /// the tenant is active then, and refused until it is migrated.
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

    /// Removes a tenant and everything of it, now, retired or not. Requests are
    /// refused first, then its connections are waited for, in every process, at most
    /// this long. The id may be created anew; it will be another incarnation.
    ///
    /// # Errors
    /// When connections are still out after `timeout`, or a step fails; the tenant
    /// stays `retiring` and calling this again goes on from there. A database that is
    /// damaged or another's is left to [`force_destroy`](Self::force_destroy).
    pub fn destroy(&self, id: &TenantId, timeout: Duration) -> Result<(), Error> {
        let tenant = self.tenant(id)?;
        let tenant = self.shut_out(&tenant, timeout, |tenant, left| {
            let driver = self.driver();
            // In the trash, or lost, it is in nobody's way.
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

    /// Removes a tenant whose database is damaged or another's, so that
    /// [`destroy`](Self::destroy) fails. A database that can be closed is destroyed; any
    /// other is moved out of the way by the driver, with SQLite to the quarantine of the
    /// storage root, and the path there is returned. Copies that were kept of it stay.
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

    /// Refuses requests, closes the pools, and then does the rest in what is left of
    /// the time; the tenant as it is then.
    fn shut_out(
        &self,
        tenant: &Tenant,
        timeout: Duration,
        rest: impl FnOnce(&Tenant, Duration) -> Result<(), Error>,
    ) -> Result<Tenant, Error> {
        let began = Instant::now();
        // Also when it is retiring already: whoever revives it at this moment has seen
        // an older version and is told of the conflict.
        let retiring = TenantChange::status(TenantStatus::Retiring);
        let tenant = self.update(tenant, retiring)?;
        self.pools().close(tenant.id(), timeout)?;
        rest(&tenant, timeout.saturating_sub(began.elapsed()))?;
        Ok(tenant)
    }

    /// Somebody may have revived it while its connections were waited for: then its
    /// database goes back, too.
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
