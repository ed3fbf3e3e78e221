//! A driver whose databases are names in a set.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use tenancy_core::{Epoch, Migrated, SchemaTarget, Tenant};
use tenancy_fleet::{Cutover, FleetDriver, Keep, SchemaStep, Seeded, Snapshot, TenantError};

use crate::steps::Steps;
use crate::world::World;

/// The error of this driver.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NamesError {
    #[error("conflict: at {found}, not at {seen}")]
    Conflict { seen: u32, found: u32 },
    #[error("step {0} is blocked")]
    Blocked(u32),
    #[error("there is no {0}")]
    Missing(String),
    #[error("step {0} was another one")]
    Diverged(u32),
    #[error("behind")]
    Behind,
}

impl From<NamesError> for TenantError {
    fn from(error: NamesError) -> Self {
        Self::driver(error)
    }
}

/// Names of the form `(database, name)`. A database that exists has the name `exists`, and a name
/// `step 3 C` for each step that it has had.
#[derive(Debug, Default)]
pub struct Set(BTreeSet<(String, String)>);

impl Set {
    pub fn add(&mut self, of: &str, name: &str) -> bool {
        self.0.insert((of.to_owned(), name.to_owned()))
    }

    pub fn remove(&mut self, of: &str, name: &str) {
        self.0.remove(&(of.to_owned(), name.to_owned()));
    }

    pub fn has(&self, of: &str, name: &str) -> bool {
        self.0.contains(&(of.to_owned(), name.to_owned()))
    }

    pub fn of(&self, of: &str) -> Vec<String> {
        let names = self.0.iter().filter(|(database, _)| database == of);
        names.map(|(_, name)| name.clone()).collect()
    }

    /// The databases of this prefix.
    pub fn all(&self, prefix: &str) -> BTreeSet<String> {
        let all = self.0.iter().map(|(database, _)| database);
        all.filter(|name| name.starts_with(prefix))
            .cloned()
            .collect()
    }

    pub fn copy(&mut self, from: &str, to: &str) {
        self.clear(to);
        for name in self.of(from) {
            self.add(to, &name);
        }
    }

    pub fn clear(&mut self, of: &str) {
        self.0.retain(|(database, _)| database != of);
    }

    pub fn version(&self, of: &str) -> Result<u32, NamesError> {
        if !self.has(of, "exists") || self.has(of, "damaged") {
            return Err(NamesError::Missing(of.to_owned()));
        }
        let names = self.of(of);
        let steps = names.iter().filter(|name| name.starts_with("step "));
        Ok(u32::try_from(steps.count()).unwrap())
    }

    /// Applies or undoes one step; whatever a later table holds goes with it.
    fn move_one(&mut self, of: &str, up: bool, step: &SchemaStep) {
        let (version, name) = (step.version, format!("step {} {}", step.version, step.name));
        match up {
            true => drop(self.add(of, &name)),
            false => {
                self.remove(of, &name);
                let prefix = format!("row {version} ");
                self.0
                    .retain(|(database, name)| database != of || !name.starts_with(&prefix));
            }
        }
    }
}

/// One release of a program, as a process runs it.
#[derive(Clone)]
pub struct Names {
    pub world: Arc<World>,
    pub steps: Steps,
    pub release: Vec<SchemaStep>,
    pub seeds: Vec<&'static str>,
    /// Whether a step fails on an empty database.
    pub fails_when_empty: bool,
}

/// The place of a tenant's database.
pub fn live(tenant: &Tenant) -> String {
    format!("live {}.{}", tenant.placement().locator, tenant.epoch())
}

impl Names {
    fn step_to(&self, version: u32) -> Result<SchemaStep, NamesError> {
        let missing = || NamesError::Missing(format!("step {version}"));
        FleetDriver::step(self, version).ok_or_else(missing)
    }

    fn reach(&self, step: &'static str) -> Result<(), TenantError> {
        self.steps.reach(step).map_err(TenantError::driver)
    }

    /// Keeps a snapshot of a database.
    fn keep(&self, tenant: &Tenant, schema: u32, keep: Keep) -> Result<(), TenantError> {
        let place = format!("{}.{}", tenant.placement().locator, tenant.epoch());
        let (staged, kept) = match keep {
            Keep::ForRun(run) => (
                format!("staged {place}"),
                format!("snapshot {place}.{schema}.{run}"),
            ),
            _ => (
                format!("staged {place}"),
                format!("snapshot {place}.{schema}"),
            ),
        };
        self.reach("copy the file")?;
        self.world.set().copy(&live(tenant), &staged);
        self.reach("sync the copy")?;
        self.reach("put the copy in place")?;
        let mut set = self.world.set();
        set.copy(&staged, &kept);
        set.clear(&staged);
        Ok(())
    }

    fn is_irreversible(&self, from: u32, to: u32) -> bool {
        let steps = from.min(to) + 1..=from.max(to);
        let mut steps = steps.filter_map(|version| FleetDriver::step(self, version));
        steps.any(|step| step.down.is_none())
    }
}

impl FleetDriver for Names {
    fn newest_schema(&self) -> u32 {
        u32::try_from(self.release.len()).unwrap()
    }

    fn step(&self, version: u32) -> Option<SchemaStep> {
        let at = usize::try_from(version.checked_sub(1)?).ok()?;
        self.release.get(at).cloned()
    }

    fn rehearse(&self) -> Result<(), TenantError> {
        match self.fails_when_empty {
            true => Err(NamesError::Blocked(1).into()),
            false => Ok(()),
        }
    }

    fn compare_history(&self, tenant: &Tenant) -> Result<(), TenantError> {
        let set = self.world.set();
        let Ok(version) = set.version(&live(tenant)) else {
            return Ok(());
        };
        for version in 1..=version.min(self.newest_schema()) {
            let step = self.step_to(version)?;
            if !set.has(&live(tenant), &format!("step {version} {}", step.name)) {
                return Err(NamesError::Diverged(version).into());
            }
        }
        Ok(())
    }

    fn schema_of(&self, tenant: &Tenant) -> Result<u32, TenantError> {
        Ok(self.world.set().version(&live(tenant))?)
    }

    fn migrate_from(
        &self,
        tenant: &Tenant,
        from: u32,
        target: SchemaTarget,
        keep: Keep,
    ) -> Result<Migrated, TenantError> {
        let to = match target {
            SchemaTarget::Latest => self.newest_schema(),
            SchemaTarget::Version(to) => to,
        };
        let found = self.schema_of(tenant)?;
        let keeps_always = matches!(keep, Keep::ForRun(_));
        assert!(from != to || !keeps_always, "a snapshot for nothing");
        if found == to {
            return Ok(Migrated { from: to, to });
        }
        if found != from {
            return Err(NamesError::Conflict { seen: from, found }.into());
        }
        if found > self.newest_schema() {
            return Err(NamesError::Missing(format!("step {found}")).into());
        }
        let keeps = match keep {
            Keep::IfIrreversible => self.is_irreversible(from, to),
            Keep::ForRun(_) => true,
            Keep::Nothing => false,
        };
        if keeps {
            self.keep(tenant, from, keep)?;
        }
        let mut at = from;
        while at != to {
            self.reach("migrate")?;
            let up = at < to;
            let step = self.step_to(if up { at + 1 } else { at })?;
            let version = step.version;
            if up
                && self
                    .world
                    .set()
                    .has(&live(tenant), &format!("block {version}"))
            {
                return Err(NamesError::Blocked(version).into());
            }
            self.reach("commit the migration")?;
            let mut set = self.world.set();
            // Compared where it is changed, as another process may have been faster.
            let found = set.version(&live(tenant))?;
            if found != at {
                return Err(NamesError::Conflict { seen: at, found }.into());
            }
            set.move_one(&live(tenant), up, &step);
            at = if up { at + 1 } else { at - 1 };
        }
        Ok(Migrated { from, to })
    }

    fn seed_set(&self) -> Option<Box<str>> {
        (!self.seeds.is_empty()).then(|| self.seeds.join(" ").into())
    }

    fn run_seeds(&self, tenant: &Tenant) -> Result<Seeded, TenantError> {
        if self.schema_of(tenant)? < self.newest_schema() {
            return Err(NamesError::Behind.into());
        }
        let mut seeded = Seeded { before: 0, now: 0 };
        for seed in &self.seeds {
            let name = format!("seed {seed}");
            if self.world.set().has(&live(tenant), &name) {
                seeded.before += 1;
            } else {
                self.reach("seed")?;
                let mut set = self.world.set();
                assert!(set.add(&live(tenant), &format!("row 1 {seed}")), "{seed}");
                set.add(&live(tenant), &name);
            }
            seeded.now += 1;
        }
        Ok(seeded)
    }

    fn snapshots_of(&self, tenant: &Tenant) -> Result<Vec<Snapshot>, TenantError> {
        let prefix = format!("snapshot {}.", tenant.placement().locator);
        let all = self.world.set().all(&prefix);
        let parsed = all.iter().map(|name| {
            let numbers = name[prefix.len()..].split('.').map(|n| n.parse().unwrap());
            let numbers: Vec<u64> = numbers.collect();
            Snapshot {
                epoch: Epoch::new(numbers[0]).unwrap(),
                schema: u32::try_from(numbers[1]).unwrap(),
                run: numbers.get(2).copied(),
                made: SystemTime::UNIX_EPOCH,
                bytes: 0,
            }
        });
        let mut snapshots: Vec<_> = parsed.collect();
        snapshots.sort_by_key(|s| (s.epoch, s.run, s.schema));
        Ok(snapshots)
    }

    fn restore(&self, snapshot: &Snapshot, cutover: &Cutover<'_>) -> Result<Tenant, TenantError> {
        let (tenant, next) = (cutover.tenant(), cutover.next());
        let locator = &tenant.placement().locator;
        let run = snapshot
            .run
            .map_or_else(String::new, |run| format!(".{run}"));
        let kept = format!(
            "snapshot {locator}.{}.{}{run}",
            snapshot.epoch, snapshot.schema
        );
        let staged = format!("staged {locator}.{}", next.epoch());
        self.reach("copy the copy")?;
        self.world.set().copy(&kept, &staged);
        let mut at = snapshot.schema;
        while at != cutover.to() {
            let up = at < cutover.to();
            let step = self.step_to(if up { at + 1 } else { at })?;
            self.world.set().move_one(&staged, up, &step);
            at = if up { at + 1 } else { at - 1 };
        }
        self.reach("sync the restored file")?;
        cutover.check()?;
        let found = self.schema_of(tenant)?;
        if found != cutover.from() {
            let seen = cutover.from();
            return Err(NamesError::Conflict { seen, found }.into());
        }
        self.reach("put the restored file in place")?;
        let mut set = self.world.set();
        set.copy(&staged, &live(next));
        set.clear(&staged);
        drop(set);
        self.reach("turn to the restored file")?;
        let next = cutover.commit()?;
        self.settle(&next);
        Ok(next)
    }

    fn settle(&self, tenant: &Tenant) {
        for epoch in 1..tenant.epoch().get() {
            let earlier = tenant.to_builder().epoch(Epoch::new(epoch).unwrap());
            let earlier = earlier.build().unwrap();
            let place = live(&earlier);
            if self.world.set().has(&place, "exists") {
                // It is completed by the next call.
                let _ = self.put_away(&place);
            }
        }
    }
}

impl Names {
    fn put_away(&self, place: &str) -> Result<(), TenantError> {
        self.reach("close")?;
        self.reach("close the stamp")?;
        self.world.set().add(place, "closed");
        self.reach("move to the trash")?;
        let mut set = self.world.set();
        set.copy(place, &place.replace("live", "trash"));
        set.clear(place);
        drop(set);
        self.reach("sync both directories")
    }
}
