//! The catalog of a world, beneath its journal.

use tenancy_core::{
    Actor, Binding, Catalog, CatalogError, CatalogWriter, Changes, Domain, Name, NewTenant, Proof,
    Tenant, TenantChange, TenantId, TenantKey, Version, Versioned, WriteError,
};

use crate::journal::MemoryJournal;

impl Catalog for MemoryJournal {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        self.catalog().lookup(key)
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        self.catalog().changes(since, max)
    }
}

impl CatalogWriter for MemoryJournal {
    fn record_storage(&self, id: &str) -> Result<(), WriteError> {
        self.catalog().record_storage(id)
    }

    fn insert(&self, new: NewTenant, by: &Actor) -> Result<Tenant, WriteError> {
        let schema = new.schema;
        let tenant = self.catalog().insert(new, by)?;
        self.set_schema(&tenant, schema);
        Ok(tenant)
    }

    fn update(
        &self,
        id: &TenantId,
        seen: Version,
        change: TenantChange,
        by: &Actor,
    ) -> Result<Tenant, WriteError> {
        let schema = change.schema;
        let tenant = self.catalog().update(id, seen, change, by)?;
        if schema.is_some() {
            self.set_schema(&tenant, schema);
        }
        Ok(tenant)
    }

    fn remove(&self, id: &TenantId, seen: Version, by: &Actor) -> Result<Version, WriteError> {
        self.catalog().remove(id, seen, by)
    }

    fn bind(
        &self,
        name: &Name,
        id: &TenantId,
        proof: Proof,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.catalog().bind(name, id, proof, by)
    }

    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.catalog().verify(domain, id, txt, by)
    }

    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.catalog().make_primary(domain, id, by)
    }

    fn rebind(
        &self,
        name: &Name,
        from: &TenantId,
        to: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.catalog().rebind(name, from, to, by)
    }

    fn unbind(&self, name: &Name, id: &TenantId, by: &Actor) -> Result<Version, WriteError> {
        self.catalog().unbind(name, id, by)
    }

    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError> {
        self.catalog().names(id)
    }

    fn page(&self, after: Option<&TenantId>, max: usize) -> Result<Vec<Tenant>, CatalogError> {
        self.catalog().page(after, max)
    }
}
