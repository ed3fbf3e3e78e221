//! A run journal over [`MemoryCatalog`].

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use tenancy_core::{
    Actor, CatalogError, CatalogWriter, Epoch, MemoryCatalog, Tenant, TenantId, TenantStatus,
    WriteError,
};
use tenancy_fleet::{
    KnownSchema, LeaseError, NewRun, PastRun, PastTask, Run, RunHolder, RunJournal, RunOutcome,
    SchemaCounts, SchemaStatus, Selection, Task, TaskFailure, TaskState, Unfinished,
};

use crate::steps::Steps;
use crate::world::World;

/// The tables of the journal.
#[derive(Debug, Default)]
pub struct Tables {
    runs: Vec<Row>,
    schemas: HashMap<(TenantId, Epoch), Option<u32>>,
    pub lease: Option<RunHolder>,
    /// Counts the leases, so that a lost one is recognised.
    pub leases: u64,
}

#[derive(Debug)]
struct Row {
    what: String,
    target: String,
    version: Option<u32>,
    undoes: Option<u64>,
    actor: String,
    outcome: Option<RunOutcome>,
    tasks: BTreeMap<TenantId, TaskRow>,
}

#[derive(Debug, Clone)]
struct TaskRow {
    epoch: Epoch,
    state: TaskState,
    found: Option<u32>,
    left: Option<u32>,
    why: Option<String>,
}

/// The journal of one world, as one process uses it.
#[derive(Clone)]
pub struct MemoryJournal {
    pub world: Arc<World>,
    pub steps: Steps,
}

/// A lease that is lost when another process takes it over.
pub struct Lease {
    world: Arc<World>,
    number: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut tables = self.world.tables();
        if tables.leases == self.number {
            tables.lease = None;
        }
    }
}

impl MemoryJournal {
    pub fn catalog(&self) -> &MemoryCatalog {
        &self.world.catalog
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.world.tables()
    }

    fn reach(&self, step: &'static str) -> Result<(), CatalogError> {
        self.steps.reach(step).map_err(CatalogError::new)
    }

    /// The tables, if the lease is not lost.
    fn tables_of(&self, lease: &Lease) -> Result<MutexGuard<'_, Tables>, CatalogError> {
        let tables = self.tables();
        match tables.leases == lease.number {
            true => Ok(tables),
            false => Err(CatalogError::new("the lease is lost")),
        }
    }

    pub fn set_schema(&self, tenant: &Tenant, schema: Option<u32>) {
        let key = (tenant.id().clone(), tenant.epoch());
        self.tables().schemas.insert(key, schema);
    }

    fn known(&self) -> Result<Vec<KnownSchema>, CatalogError> {
        self.world.reads.fetch_add(1, Ordering::Relaxed);
        let tenants = self.catalog().page(None, usize::MAX)?;
        let tables = self.tables();
        let known = tenants.into_iter().map(|tenant| {
            let key = (tenant.id().clone(), tenant.epoch());
            let schema = tables.schemas.get(&key).copied().flatten();
            KnownSchema { tenant, schema }
        });
        Ok(known.collect())
    }
}

fn is_in_use(known: &KnownSchema) -> bool {
    let status = known.tenant.status();
    !matches!(status, TenantStatus::Provisioning | TenantStatus::Retiring)
}

impl RunJournal for MemoryJournal {
    type Lease = Lease;

    fn lease(&self, what: &str, by: &Actor) -> Result<Lease, LeaseError> {
        let mut tables = self.tables();
        if let Some(holder) = &tables.lease {
            return Err(LeaseError::Held(holder.clone()));
        }
        let mut holder = RunHolder::default();
        holder.what = what.into();
        holder.actor = by.as_str().into();
        tables.lease = Some(holder);
        tables.leases += 1;
        Ok(Lease {
            world: self.world.clone(),
            number: tables.leases,
        })
    }

    fn begin_run(
        &self,
        lease: &mut Lease,
        new: &NewRun<'_>,
        tasks: &[Task],
        by: &Actor,
    ) -> Result<u64, WriteError> {
        self.reach("begin a run")?;
        let mut tables = self.tables_of(lease)?;
        if !tables.resumes(new) {
            tables.runs.push(Row {
                what: new.what.to_owned(),
                target: new.target.to_owned(),
                version: new.version,
                undoes: new.undoes,
                actor: by.as_str().to_owned(),
                outcome: None,
                tasks: BTreeMap::new(),
            });
        }
        let run = tables.runs.len() as u64;
        let row = tables.runs.last_mut().unwrap();
        row.outcome = None;
        for task in tasks {
            row.begin(task, new.version);
        }
        for task in tasks.iter().filter(|task| task.state == TaskState::Pending) {
            if new.changes_schemas() {
                let key = (task.tenant.id().clone(), task.tenant.epoch());
                tables.schemas.insert(key, None);
            }
        }
        if let Some(holder) = &mut tables.lease {
            holder.run = Some(run);
        }
        Ok(run)
    }

    fn record(
        &self,
        lease: &mut Lease,
        run: u64,
        tasks: &[Task],
        _: &Actor,
    ) -> Result<(), WriteError> {
        self.reach("record what was done")?;
        let mut tables = self.tables_of(lease)?;
        for task in tasks {
            let row = tables.row(run).tasks.get_mut(task.tenant.id());
            let row = row.filter(|row| row.epoch == task.tenant.epoch());
            let Some(row) = row else { continue };
            row.state = task.state;
            row.found = task.found.or(row.found);
            row.left = task.left;
            row.why.clone_from(&task.why);
            if task.left.is_some() {
                let key = (task.tenant.id().clone(), task.tenant.epoch());
                tables.schemas.insert(key, task.left);
            }
        }
        Ok(())
    }

    fn end_run(
        &self,
        lease: &mut Lease,
        run: u64,
        outcome: RunOutcome,
        _: &Actor,
    ) -> Result<(), WriteError> {
        self.reach("end a run")?;
        let mut tables = self.tables_of(lease)?;
        let tasks = tables.row(run).tasks.clone();
        for (id, task) in tasks {
            let known = tables.schemas.entry((id, task.epoch)).or_default();
            if task.state == TaskState::Pending && known.is_none() {
                *known = task.found;
            }
        }
        tables.row(run).outcome = Some(outcome);
        Ok(())
    }

    fn runs(&self, max: usize) -> Result<Vec<Run>, CatalogError> {
        let tables = self.tables();
        let runs = tables.newest_first().take(max);
        Ok(runs.map(|(row, run)| row.to_run(run)).collect())
    }

    fn last_run(&self) -> Result<u64, CatalogError> {
        Ok(self.tables().runs.len() as u64)
    }

    fn unfinished(&self, what: &str, target: &str) -> Result<Option<Unfinished>, CatalogError> {
        let tables = self.tables();
        let row = tables.runs.last();
        let row = row.filter(|row| row.is_unfinished(what, target));
        Ok(row.map(|row| {
            let left = row.tasks.iter();
            let left = left
                .filter(|(_, task)| matches!(task.state, TaskState::Pending | TaskState::Failed));
            Unfinished {
                version: row.version,
                left: left.map(|(id, task)| (id.clone(), task.found)).collect(),
            }
        }))
    }

    fn past_run(&self, number: Option<u64>) -> Result<Option<PastRun>, CatalogError> {
        let tables = self.tables();
        let mut numbered = tables.newest_first();
        let found = match number {
            Some(number) => numbered.find(|(_, run)| *run == number),
            None => numbered.find(|(row, _)| row.what == "migrate"),
        };
        Ok(found.map(|(row, run)| tables.past(row, run)))
    }

    fn known_schema(&self, id: &TenantId) -> Result<Option<KnownSchema>, CatalogError> {
        let known = self.known()?.into_iter();
        Ok(known.into_iter().find(|known| known.tenant.id() == id))
    }

    fn known_schemas(&self, which: Selection) -> Result<Vec<KnownSchema>, CatalogError> {
        let mut known = self.known()?;
        known.retain(|known| match which {
            Selection::All => true,
            Selection::NotAt(schema) => known.schema != Some(schema),
            Selection::Unknown => known.schema.is_none() && is_in_use(known),
        });
        Ok(known)
    }

    fn newest_known(&self) -> Result<Option<Tenant>, CatalogError> {
        let known = self.known()?.into_iter().filter(is_in_use);
        let known = known.filter(|known| known.schema.is_some());
        let newest = known.max_by_key(|known| (known.schema, known.tenant.id().clone()));
        Ok(newest.map(|known| known.tenant))
    }

    fn schema_counts(&self, newest: u32) -> Result<SchemaCounts, CatalogError> {
        let mut counts = SchemaCounts {
            newest,
            ..SchemaCounts::default()
        };
        for known in self.known()? {
            match known.schema {
                Some(schema) if schema == newest => counts.current += 1,
                _ if !is_in_use(&known) => {}
                Some(schema) if schema < newest => counts.behind += 1,
                Some(_) => counts.ahead += 1,
                None => counts.unknown += 1,
            }
        }
        Ok(counts)
    }

    fn schema_page(
        &self,
        after: Option<&TenantId>,
        max: usize,
    ) -> Result<Vec<SchemaStatus>, CatalogError> {
        let known = self.known()?.into_iter();
        let page = known.filter(|known| after.is_none_or(|after| known.tenant.id() > after));
        let page = page.take(max).map(|known| {
            let tables = self.tables();
            let mut tasks = tables.newest_first();
            let last = tasks.find_map(|(row, run)| Some((row.tasks.get(known.tenant.id())?, run)));
            let failed = last.filter(|(task, _)| task.state == TaskState::Failed);
            SchemaStatus {
                failed: failed.map(|(task, run)| TaskFailure {
                    run,
                    at_ms: 0,
                    why: task.why.clone().unwrap_or_default().into(),
                }),
                tenant: known.tenant,
                schema: known.schema,
            }
        });
        Ok(page.collect())
    }
}

impl Tables {
    fn row(&mut self, run: u64) -> &mut Row {
        &mut self.runs[usize::try_from(run).unwrap() - 1]
    }

    /// The runs with their numbers.
    fn newest_first(&self) -> impl Iterator<Item = (&Row, u64)> {
        self.runs
            .iter()
            .rev()
            .zip((1..=self.runs.len() as u64).rev())
    }

    fn resumes(&self, new: &NewRun<'_>) -> bool {
        let last = self.runs.last();
        last.is_some_and(|row| row.is_unfinished(new.what, new.target))
    }

    fn past(&self, row: &Row, run: u64) -> PastRun {
        let undoing = self.runs.iter().zip(1..);
        let undoing: Vec<_> = undoing.filter(|(row, _)| row.undoes == Some(run)).collect();
        let is_undone = |id: &TenantId| {
            let mut tasks = undoing.iter().filter_map(|(row, _)| row.tasks.get(id));
            tasks.any(|task| task.state == TaskState::Done)
        };
        let tasks = row.tasks.iter().map(|(id, task)| PastTask {
            tenant: id.clone(),
            epoch: Some(task.epoch),
            state: task.state,
            found: task.found,
            left: task.left,
            undone: is_undone(id),
        });
        PastRun {
            run,
            what: row.what.clone().into(),
            version: row.version,
            ended: row.outcome.is_some(),
            tasks: tasks.collect(),
            undone_by: undoing.iter().map(|(_, run)| *run).collect(),
        }
    }
}

impl Row {
    fn is_unfinished(&self, what: &str, target: &str) -> bool {
        self.what == what && self.target == target && self.outcome != Some(RunOutcome::Done)
    }

    /// Records a task before the work; see [`RunJournal::begin_run`].
    fn begin(&mut self, task: &Task, version: Option<u32>) {
        let epoch = task.tenant.epoch();
        let earlier = self.tasks.get(task.tenant.id());
        let earlier = earlier.filter(|earlier| earlier.epoch == epoch);
        let keeps = earlier.filter(|earlier| match (earlier.left, earlier.found, task.found) {
            (Some(left), _, Some(now)) => left == now,
            (None, Some(found), Some(now)) => found <= now && version.is_some_and(|v| now <= v),
            (left, _, None) => left.is_none(),
            _ => false,
        });
        let found = keeps.map_or(task.found, |earlier| earlier.found);
        let row = TaskRow {
            epoch,
            state: task.state,
            found,
            left: None,
            why: task.why.clone(),
        };
        self.tasks.insert(task.tenant.id().clone(), row);
    }

    fn to_run(&self, run: u64) -> Run {
        let count = |state| {
            let tasks = self.tasks.values().filter(|task| task.state == state);
            tasks.count() as u64
        };
        Run {
            run,
            what: self.what.clone().into(),
            target: self.target.clone().into(),
            undoes: self.undoes,
            actor: self.actor.clone().into(),
            begun_ms: 0,
            ended_ms: self.outcome.map(|_| 0),
            outcome: self.outcome,
            done: count(TaskState::Done),
            failed: count(TaskState::Failed),
            skipped: count(TaskState::Skipped),
            pending: count(TaskState::Pending),
        }
    }
}
