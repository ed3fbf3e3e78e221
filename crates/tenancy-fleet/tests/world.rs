//! A world of tenants, and the processes that work on it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use tenancy_core::{
    Actor, CatalogWriter, MemoryCatalog, NewTenant, Placement, Tenant, TenantChange, TenantStatus,
};
use tenancy_fleet::{Fleet, FleetDriver, FleetOptions, SchemaStep};

use crate::journal::{MemoryJournal, Tables};
use crate::names::{Names, Set, live};
use crate::steps::Steps;

pub type NamesFleet = Fleet<Names, MemoryJournal>;

/// Everything that outlives a process.
#[derive(Debug, Default)]
pub struct World {
    pub catalog: MemoryCatalog,
    tables: Mutex<Tables>,
    set: Mutex<Set>,
    /// The number of times that the list of tenants was read.
    pub reads: AtomicUsize,
}

pub fn by() -> Actor {
    Actor::new("test")
}

pub fn options() -> FleetOptions {
    FleetOptions::new().by(by())
}

/// Steps `A`, `B`, …, each with a script that undoes it.
pub fn release(steps: u32) -> Vec<SchemaStep> {
    let steps = (1..=steps).zip('A'..);
    steps
        .map(|(version, name)| SchemaStep::new(version, &name.to_string(), Some("undo")))
        .collect()
}

/// The same, but no script undoes the step of this version.
pub fn irreversible(steps: u32, version: u32) -> Vec<SchemaStep> {
    let mut release = release(steps);
    release[version as usize - 1].down = None;
    release
}

impl World {
    /// Tenants `t00`, `t01`, …, all at the first step.
    pub fn new(tenants: usize) -> Arc<Self> {
        let world = Arc::new(Self::default());
        for n in 0..tenants {
            world.create(&format!("t{n:02}"), 1);
        }
        world
    }

    pub fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap()
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap()
    }

    pub fn create(self: &Arc<Self>, id: &str, schema: u32) -> Tenant {
        let mut new = NewTenant::new(id.parse().unwrap());
        new.placement = Placement::new("names", format!("n{id}"));
        new.schema = Some(schema);
        let tenant = self.journal(Steps::new()).insert(new, &by()).unwrap();
        let mut set = self.set();
        set.add(&live(&tenant), "exists");
        for step in release(schema) {
            let name = format!("step {} {}", step.version, step.name);
            set.add(&live(&tenant), &name);
        }
        tenant
    }

    pub fn journal(self: &Arc<Self>, steps: Steps) -> MemoryJournal {
        MemoryJournal {
            world: self.clone(),
            steps,
        }
    }

    pub fn driver(self: &Arc<Self>, release: Vec<SchemaStep>, steps: Steps) -> Names {
        Names {
            world: self.clone(),
            steps,
            release,
            seeds: vec!["x", "y"],
            fails_when_empty: false,
        }
    }

    /// A process of this release.
    pub fn fleet(self: &Arc<Self>, release: Vec<SchemaStep>) -> NamesFleet {
        self.fleet_with(release, Steps::new())
    }

    pub fn fleet_with(self: &Arc<Self>, release: Vec<SchemaStep>, steps: Steps) -> NamesFleet {
        Fleet::new(self.driver(release, steps.clone()), self.journal(steps))
    }

    pub fn tenants(&self) -> Vec<Tenant> {
        self.catalog.page(None, usize::MAX).unwrap()
    }

    #[track_caller]
    pub fn tenant(&self, id: &str) -> Tenant {
        let mut tenants = self.tenants().into_iter();
        tenants.find(|tenant| tenant.id().as_str() == id).unwrap()
    }

    pub fn version(&self, id: &str) -> u32 {
        self.set().version(&live(&self.tenant(id))).unwrap()
    }

    pub fn versions(&self) -> Vec<u32> {
        let tenants = self.tenants().into_iter();
        let versions = tenants.map(|tenant| self.version(tenant.id().as_str()));
        versions.collect()
    }

    /// Adds a name to a tenant's database.
    pub fn add(&self, id: &str, name: &str) {
        self.set().add(&live(&self.tenant(id)), name);
    }

    /// Removes a name from a tenant's database.
    pub fn remove(&self, id: &str, name: &str) {
        self.set().remove(&live(&self.tenant(id)), name);
    }

    pub fn set_status(self: &Arc<Self>, id: &str, status: TenantStatus) {
        let (tenant, change) = (self.tenant(id), TenantChange::status(status));
        let journal = self.journal(Steps::new());
        journal
            .update(tenant.id(), tenant.version(), change, &by())
            .unwrap();
    }

    /// Moves a database without a run, as a program does that migrates on open.
    pub fn migrate_alone(self: &Arc<Self>, id: &str, to: u32) {
        use tenancy_core::SchemaTarget::Version;
        use tenancy_fleet::Keep;
        let driver = self.driver(release(9), Steps::new());
        let (tenant, from) = (self.tenant(id), self.version(id));
        driver
            .migrate_from(&tenant, from, Version(to), Keep::Nothing)
            .unwrap();
    }
}
