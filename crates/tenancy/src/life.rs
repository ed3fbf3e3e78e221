//! The life of a tenant: created, suspended, taken down. How it ends is in `end`.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tenancy_core::{
    Maintenance, Name, NewTenant, Proof, Provisioned, Provisioner, SchemaTarget, Tenant,
    TenantChange, TenantId, TenantKey, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::{Error, Tenancy, TenantSpec};

/// How many tenants [`Tenancy::create_many`] makes at a time: what they wait for is
/// the disk, not a core.
const WORKERS: usize = 8;

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Creates a tenant: its row in the catalog, its names, its database. Requests
    /// find it when this returns.
    ///
    /// A creation that failed or crashed half-way has left a row that is
    /// `provisioning`; calling this again completes it.
    ///
    /// # Errors
    /// When there is such a tenant, the id or a name is reserved, central or
    /// another tenant's — then nothing was changed — or when the database cannot be
    /// made.
    pub fn create(&self, spec: impl Into<TenantSpec>) -> Result<Tenant, Error> {
        let created = self.create_unseen(&spec.into());
        self.show_writes();
        created
    }

    /// Creates several tenants, eight at a time; the results are in the order of the
    /// specs.
    ///
    /// # Errors
    /// As [`create`](Self::create), each its own.
    pub fn create_many(&self, specs: &[TenantSpec]) -> Vec<Result<Tenant, Error>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(specs.len()));
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(specs.len()) {
                scope.spawn(|| {
                    while let at = next.fetch_add(1, Ordering::Relaxed)
                        && let Some(spec) = specs.get(at)
                    {
                        let result = self.create_unseen(spec);
                        results.lock().push((at, result));
                    }
                });
            }
        });
        self.show_writes();
        let mut results = results.into_inner();
        results.sort_unstable_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn create_unseen(&self, spec: &TenantSpec) -> Result<Tenant, Error> {
        self.refuse_reserved(&spec.id)?;
        let names = spec.names.iter().map(|name| self.name(name));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let row = self.begin(spec, &names)?;
        if self.driver().provision(&row)? == Provisioned::AlreadyThere {
            // Begun by a program that may have known fewer migrations.
            self.driver().migrate(&row, SchemaTarget::Latest)?;
        }
        // An id that was destroyed in this process is closed.
        self.pools().reopen(row.id());
        let mut active = TenantChange::status(TenantStatus::Active);
        // The row may be that of an attempt which was asked for something else.
        active.attributes = Some(spec.attributes.clone());
        active.schema = self.driver().schema();
        match self
            .catalog()
            .update(row.id(), row.version(), active, self.actor())
        {
            // Somebody else was creating it too and has finished first.
            Err(WriteError::Conflict { id, .. }) => Err(WriteError::Exists { id }.into()),
            // Somebody destroyed it meanwhile, and may have found no file yet.
            Err(WriteError::Unknown { id }) => {
                self.driver().destroy(&row)?;
                Err(WriteError::Unknown { id }.into())
            }
            done => Ok(done?),
        }
    }

    /// The row that a creation starts from: a new one, or that of an attempt which
    /// did not come to its end.
    fn begin(&self, spec: &TenantSpec, names: &[Name]) -> Result<Tenant, Error> {
        let id = &spec.id;
        for name in names {
            self.refuse_taken(name, id)?;
        }
        let begun = self.find(id)?;
        let row = match &begun {
            Some(row) if row.status() == TenantStatus::Provisioning => row.clone(),
            Some(_) => return Err(WriteError::Exists { id: id.clone() }.into()),
            None => {
                let mut new = NewTenant::new(id.clone());
                new.status = TenantStatus::Provisioning;
                new.attributes = spec.attributes.clone();
                new.placement = match &spec.placement {
                    Some(placement) => placement.clone(),
                    None => self.driver().place(id)?,
                };
                self.catalog().insert(new, self.actor())?
            }
        };
        for name in names {
            if let Err(error) = self.catalog().bind(name, id, Proof::Trusted, self.actor()) {
                // Only the row is there yet: without it nothing is half made.
                if begun.is_none() {
                    self.catalog().remove(id, row.version(), self.actor())?;
                }
                return Err(error.into());
            }
        }
        Ok(row)
    }

    fn refuse_taken(&self, name: &Name, id: &TenantId) -> Result<(), Error> {
        match self.catalog().lookup(name.as_key())?.value {
            Some(owner) if owner.id() != id => Err(WriteError::NameTaken {
                name: name.clone(),
                owner: owner.id().clone(),
            }
            .into()),
            _ => Ok(()),
        }
    }

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
