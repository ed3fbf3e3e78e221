//! The run journal of a [`SqliteCatalog`].

use tenancy_core::{Actor, CatalogError, Tenant, TenantId, WriteError};
use tenancy_fleet::{
    KnownSchema, LeaseError, NewRun, PastRun, Run, RunJournal, RunOutcome, SchemaCounts,
    SchemaStatus, Selection, Task, Unfinished,
};

use super::lease::{NoLease, RunLease};
use super::{SqliteCatalog, runs, schemas, undo};
use crate::catalog::transaction::Synced;

impl SqliteCatalog {
    /// Takes the lease for a run over many tenants, with an error type of this crate.
    pub(crate) fn take_lease(&self, what: &str, by: &Actor) -> Result<RunLease, NoLease> {
        RunLease::take(&self.0.root, what, by)
    }

    /// Reports a named step, at which tests kill the process or let the call fail.
    fn step(&self, name: &'static str) -> Result<(), CatalogError> {
        let reached = self.0.steps.reach(self.0.root.path(), name);
        reached.map_err(CatalogError::new)
    }
}

impl RunJournal for SqliteCatalog {
    type Lease = RunLease;

    fn lease(&self, what: &str, by: &Actor) -> Result<RunLease, LeaseError> {
        Ok(self.take_lease(what, by)?)
    }

    fn begin_run(
        &self,
        lease: &mut RunLease,
        new: &NewRun<'_>,
        tasks: &[Task],
        by: &Actor,
    ) -> Result<u64, WriteError> {
        self.step("begin a run")?;
        let run = self.write(Synced::Now, by, |write| runs::begin(write, new, tasks))?;
        lease.set_run(run).map_err(CatalogError::new)?;
        Ok(run)
    }

    fn record(
        &self,
        _: &mut RunLease,
        run: u64,
        tasks: &[Task],
        by: &Actor,
    ) -> Result<(), WriteError> {
        self.step("record what was done")?;
        // Without an fsync: if a power cut loses the record, the versions are read from the files.
        self.write(Synced::WithNext, by, |write| {
            runs::record(write, run, tasks)
        })
    }

    fn end_run(
        &self,
        _: &mut RunLease,
        run: u64,
        outcome: RunOutcome,
        by: &Actor,
    ) -> Result<(), WriteError> {
        self.step("end a run")?;
        self.write(Synced::Now, by, |write| runs::end(write, run, outcome))
    }

    fn runs(&self, max: usize) -> Result<Vec<Run>, CatalogError> {
        self.read(|connection| runs::page(connection, max))
    }

    fn last_run(&self) -> Result<u64, CatalogError> {
        self.read(runs::last)
    }

    fn unfinished(&self, what: &str, target: &str) -> Result<Option<Unfinished>, CatalogError> {
        self.read(|connection| runs::unfinished(connection, what, target))
    }

    fn past_run(&self, number: Option<u64>) -> Result<Option<PastRun>, CatalogError> {
        self.read(|connection| undo::past_run(connection, number))
    }

    fn known_schema(&self, id: &TenantId) -> Result<Option<KnownSchema>, CatalogError> {
        self.read(|connection| schemas::known(connection, id))
    }

    fn known_schemas(&self, which: Selection) -> Result<Vec<KnownSchema>, CatalogError> {
        self.read(|connection| schemas::selected(connection, which))
    }

    fn newest_known(&self) -> Result<Option<Tenant>, CatalogError> {
        self.read(schemas::newest_known)
    }

    fn schema_counts(&self, newest: u32) -> Result<SchemaCounts, CatalogError> {
        self.read(|connection| schemas::counts(connection, newest))
    }

    fn schema_page(
        &self,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<SchemaStatus>, CatalogError> {
        self.read(|connection| schemas::page(connection, after, max))
    }
}
