//! The creation of tenants: the row, the names, the database.

use std::slice;
use std::sync::atomic::Ordering;

use tenancy_core::{
    Change, FromWarmPool, Name, NewTenant, Proof, Provisioned, Provisioner, SchemaTarget, Tenant,
    TenantChange, TenantId, TenantStatus, WriteError,
};
use tenancy_pool::Driver;

use crate::answers::{Answers, of_tenant};
use crate::{Error, Tenancy, TenantSpec};

/// The number of tenants that [`Tenancy::create_many`] creates with one fsync.
const BATCH: usize = 100;

/// The number of tenants that are searched for an active one, whose schema history is compared.
const EXAMPLES: usize = 16;

/// The row with which a creation starts.
enum Begin {
    /// A new row, to be inserted.
    New(NewTenant),
    /// The row of an earlier attempt that was not completed.
    Begun(Tenant),
}

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Creates a tenant: its row in the catalog, its names, and its database. Requests of this
    /// process are resolved to the tenant as soon as the method returns.
    ///
    /// If a creation fails or its process is killed, the tenant may keep the status `provisioning`.
    /// A second call with the same id then completes the creation.
    ///
    /// # Errors
    /// Returns an error and changes nothing if the tenant exists, if its id is reserved, or if one
    /// of its names is reserved, central, in the public suffix list, or owned by another tenant.
    /// Returns an error if the database cannot be created; the tenant keeps the status
    /// `provisioning` then.
    pub fn create(&self, spec: impl Into<TenantSpec>) -> Result<Tenant, Error> {
        let spec = spec.into();
        let created = self.create_batch(slice::from_ref(&spec));
        self.show_created(slice::from_ref(&spec), &created);
        Answers::new("create", 1, created).next()?
    }

    /// Creates several tenants, in batches of 100. The catalog writes of a batch share their fsyncs,
    /// and so do its databases as far as the driver allows. The results are in the order of the
    /// specs.
    ///
    /// # Errors
    /// Each result is that of [`create`](Self::create) for its spec.
    pub fn create_many(&self, specs: &[TenantSpec]) -> Vec<Result<Tenant, Error>> {
        let batches = specs.chunks(BATCH);
        let created: Vec<_> = batches.flat_map(|specs| self.create_batch(specs)).collect();
        self.show_created(specs, &created);
        created
    }

    fn show_created(&self, specs: &[TenantSpec], created: &[Result<Tenant, Error>]) {
        let written = specs.iter().zip(created).flat_map(|(spec, created)| {
            let names = spec.names.iter().filter_map(|name| self.name(name).ok());
            let id = spec.id.clone();
            let names = names.map(move |name| Change::Moved {
                name,
                id: id.clone(),
            });
            created.iter().cloned().map(Change::Tenant).chain(names)
        });
        self.show_writes(written);
    }

    fn create_batch(&self, specs: &[TenantSpec]) -> Vec<Result<Tenant, Error>> {
        let rows = self.rows(specs);
        let begun = rows.iter().flatten().filter(|row| is_begun(row));
        let begun: Vec<Tenant> = begun.cloned().collect();
        let made = self.driver().provision_many(&begun);
        let mut made = Answers::new("provision_many", begun.len(), made);
        let mut provisioned = |row: &Tenant| -> Result<(), Error> {
            if made.next()?? == Provisioned::AlreadyThere {
                // The program that began the creation may have had fewer migrations.
                self.driver().migrate(row, SchemaTarget::Latest)?;
            }
            // If this process destroyed a tenant of this id, the pools have the id closed.
            self.pools().reopen(row.id());
            Ok(())
        };
        let change = |(row, spec): (Result<Tenant, Error>, &TenantSpec)| {
            let row = row?;
            if !is_begun(&row) {
                return Ok((row, None));
            }
            provisioned(&row)?;
            if spec.seeded {
                self.driver().seed(&row)?;
            }
            let mut active = TenantChange::status(TenantStatus::Active);
            // The row may come from an earlier attempt with other attributes.
            active.attributes = Some(spec.attributes.clone());
            active.schema = self.driver().schema();
            Ok((row, Some(active)))
        };
        self.activate(rows.into_iter().zip(specs).map(change).collect())
    }

    /// Returns the rows of the tenants, and inserts the new ones in one write.
    fn rows(&self, specs: &[TenantSpec]) -> Vec<Result<Tenant, Error>> {
        let mut new = Vec::new();
        let plans: Vec<_> = specs
            .iter()
            .map(|spec| match self.begin(spec)? {
                Begin::New(row) => {
                    new.push(row);
                    Ok(None)
                }
                Begin::Begun(row) => Ok(Some(row)),
            })
            .collect();
        let asked = new.len();
        let inserted = self.catalog().insert_many(new, self.actor());
        let mut inserted = Answers::new("insert_many", asked, inserted);
        let row = |(plan, spec): (Result<Option<Tenant>, Error>, &TenantSpec)| match plan? {
            Some(row) => Ok(row),
            None => {
                let row = of_tenant("insert_many", &spec.id, inserted.next()??)?;
                self.with_its_file(row)
            }
        };
        plans.into_iter().zip(specs).map(row).collect()
    }

    /// Checks that the database that a row took from the warm pool exists. If an operator has
    /// removed its file, sets the row to `provisioning`, so that a new database is created.
    fn with_its_file(&self, row: Tenant) -> Result<Tenant, Error> {
        if is_begun(&row) || matches!(self.driver().exists(&row), Ok(true)) {
            return Ok(row);
        }
        self.update(&row, TenantChange::status(TenantStatus::Provisioning))
    }

    fn begin(&self, spec: &TenantSpec) -> Result<Begin, Error> {
        let id = &spec.id;
        self.refuse_reserved(id)?;
        let names = spec.names.iter().map(|name| self.name(name));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        for name in &names {
            self.refuse_taken(name, id)?;
        }
        self.compare_history()?;
        match self.find(id)? {
            Some(row) if row.status() == TenantStatus::Provisioning => {
                for name in &names {
                    self.catalog()
                        .bind(name, id, Proof::Trusted, self.actor())?;
                }
                Ok(Begin::Begun(row))
            }
            Some(_) => Err(WriteError::Exists { id: id.clone() }.into()),
            None => {
                let mut new = NewTenant::new(id.clone());
                new.status = TenantStatus::Provisioning;
                new.attributes = spec.attributes.clone();
                new.names = names;
                match &spec.placement {
                    Some(placement) => new.placement = placement.clone(),
                    None => {
                        new.placement = self.driver().place(id)?;
                        new.from_warm_pool = self.warm_pool_for(spec);
                    }
                }
                Ok(Begin::New(new))
            }
        }
    }

    /// Compares the migrations with the schema history of an active tenant, once for each
    /// [`Tenancy`]. An edited migration would give new tenants another schema with the same version.
    fn compare_history(&self) -> Result<(), Error> {
        let compared = self.history_compared();
        if compared.load(Ordering::Relaxed) {
            return Ok(());
        }
        let some = self.catalog().page(None, EXAMPLES)?;
        let in_use = |tenant: &&Tenant| tenant.status() == TenantStatus::Active;
        if let Some(example) = some.iter().find(in_use) {
            self.driver().check_history(example)?;
        }
        compared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the request for a database of the warm pool. A tenant with such a database is active
    /// at once, except if it is to be seeded.
    fn warm_pool_for(&self, spec: &TenantSpec) -> Option<FromWarmPool> {
        let status = match spec.seeded {
            true => TenantStatus::Provisioning,
            false => TenantStatus::Active,
        };
        let fingerprint = self.driver().fingerprint()?;
        Some(FromWarmPool {
            fingerprint,
            status,
        })
    }

    fn refuse_taken(&self, name: &Name, id: &TenantId) -> Result<(), Error> {
        match self.catalog().lookup(name.as_key())?.value {
            Some(owner) if owner.id() != id => {
                let name = name.clone();
                Err(WriteError::NameTaken { name }.into())
            }
            _ => Ok(()),
        }
    }

    /// Activates tenants, the last step of a creation, in one write.
    fn activate(
        &self,
        changes: Vec<Result<(Tenant, Option<TenantChange>), Error>>,
    ) -> Vec<Result<Tenant, Error>> {
        let due = |(row, change): &(Tenant, Option<_>)| Some((row.clone(), change.clone()?));
        let ready: Vec<_> = changes.iter().flatten().filter_map(due).collect();
        let asked = ready.len();
        let active = self.catalog().update_many(ready, self.actor());
        let mut active = Answers::new("update_many", asked, active);
        let answer = |change: Result<(Tenant, Option<_>), Error>| {
            let (row, change) = change?;
            if change.is_none() {
                return Ok(row);
            }
            match active.next()? {
                // Another process created the tenant at the same time and finished first.
                Err(WriteError::Conflict { id, .. }) => Err(WriteError::Exists { id }.into()),
                // Another process destroyed the tenant meanwhile, perhaps before its file existed.
                Err(WriteError::Unknown { id }) => {
                    self.driver().destroy(&row)?;
                    Err(WriteError::Unknown { id }.into())
                }
                answer => of_tenant("update_many", row.id(), answer?),
            }
        };
        changes.into_iter().map(answer).collect()
    }
}

/// Returns whether the creation of a row's database is not complete.
fn is_begun(row: &Tenant) -> bool {
    row.status() == TenantStatus::Provisioning
}
