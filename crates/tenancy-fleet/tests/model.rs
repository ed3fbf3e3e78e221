//! Random programs of migrations, rollbacks, writes and kills, against a model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tenancy_fleet::{FleetError, RollbackTo};

use crate::steps::{Fault, Steps};
use crate::world::{NamesFleet, World, options, release};

const TENANTS: usize = 4;
const NEWEST: u32 = 4;
/// The number of random programs of 60 operations.
const PROGRAMS: u64 = 60;

/// `splitmix64`: the same choices for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// The step at which a process is killed, in a third of all runs.
    fn cut(&mut self) -> Option<usize> {
        let cut = self.below(3) == 0;
        cut.then(|| 1 + usize::try_from(self.below(25)).unwrap())
    }
}

/// The effect of the last migration as far as it is known.
#[derive(Debug, Default)]
struct Last {
    run: u64,
    /// The versions at which it found the tenants that it moved.
    found: BTreeMap<String, u32>,
    /// The tenants for which it failed, which stay, and those of which that is not known.
    failed: BTreeSet<String>,
    doubt: BTreeSet<String>,
}

struct Model {
    world: Arc<World>,
    newest: u32,
    last: Option<Last>,
    /// The rows of each tenant and table; undoing a step takes its table.
    rows: BTreeSet<(String, u32, u64)>,
    written: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            world: World::new(TENANTS),
            newest: 1,
            last: None,
            rows: BTreeSet::new(),
            written: 0,
        }
    }

    fn versions(&self) -> BTreeMap<String, u32> {
        let ids = self.world.tenants().into_iter();
        ids.map(|t| (t.id().to_string(), self.world.version(t.id().as_str())))
            .collect()
    }

    fn fleet(&self, cut: Option<usize>) -> NamesFleet {
        let steps = cut.map_or_else(Steps::new, |at| Steps::with_fault("", at, Fault::Killed));
        self.world.fleet_with(release(self.newest), steps)
    }

    fn write(&mut self, id: &str, random: &mut Random) {
        let version = u64::from(self.world.version(id));
        let table = u32::try_from(1 + random.below(version.max(1))).unwrap();
        if version > 0 {
            self.written += 1;
            self.world.add(id, &format!("row {table} {}", self.written));
            self.rows.insert((id.to_owned(), table, self.written));
        }
    }

    fn migrate(&mut self, cut: Option<usize>) {
        let before = self.versions();
        let report = self.fleet(cut).migrate(&options().keep_going(), |_| {});
        let after = self.versions();
        // The number of the run is taken from the journal; its effect is not.
        let runs = self.fleet(None).runs(1).unwrap();
        let Some(run) = runs.first().filter(|run| *run.what == *"migrate") else {
            return assert_eq!(before, after);
        };
        let mut last = match self.last.take() {
            Some(last) if last.run == run.run => last,
            _ => Last {
                run: run.run,
                ..Last::default()
            },
        };
        for (id, version) in &after {
            assert!(
                before[id] <= *version && *version <= self.newest,
                "{id}: {after:?}"
            );
            if *version > before[id] {
                last.found.entry(id.clone()).or_insert(before[id]);
            }
            last.failed.remove(id);
            if *version < self.newest {
                match &report {
                    Ok(_) => drop(last.failed.insert(id.clone())),
                    Err(_) => drop(last.doubt.insert(id.clone())),
                }
            }
        }
        if report.is_ok() {
            last.doubt.clear();
        }
        self.last = Some(last);
    }

    fn roll_back(&mut self, cut: Option<usize>) {
        let Some(last) = &self.last else { return };
        let before = self.versions();
        let options = options().keep_going();
        let report = self
            .fleet(cut)
            .rollback(RollbackTo::LastRun, &options, |_| {});
        let after = self.versions();
        for (id, version) in &after {
            let found = last.found.get(id).copied().unwrap_or(before[id]);
            let stays = *version == before[id];
            match cut {
                // Never below where the run found it, and never up.
                Some(_) => assert!(found.min(before[id]) <= *version && *version <= before[id]),
                None if last.failed.contains(id) => assert!(stays, "{id}: {last:?} {after:?}"),
                None if last.doubt.contains(id) => assert!(stays || *version == found),
                None => assert_eq!(*version, found, "{id}: {last:?} {before:?} {report:?}"),
            }
        }
        if matches!(report, Err(FleetError::Refused(_))) {
            assert_eq!(before, after);
        }
        self.rows.retain(|(id, table, _)| *table <= after[id]);
    }

    /// Every row is there unless its table was undone, and the journal's counts are true.
    fn verify(&self) {
        let mut rows = BTreeSet::new();
        for tenant in self.world.tenants() {
            for name in self.world.set().of(&crate::names::live(&tenant)) {
                let words: Vec<_> = name.split(' ').collect();
                if let ["row", table, row] = words[..] {
                    let row = (table.parse().unwrap(), row.parse().unwrap());
                    rows.insert((tenant.id().to_string(), row.0, row.1));
                }
            }
        }
        assert_eq!(rows, self.rows);
        let counts = self.fleet(None).check().unwrap();
        let versions = self.versions();
        let current = versions.values().filter(|v| **v == self.newest).count() as u64;
        assert_eq!(
            (counts.current, counts.unknown),
            (current, 0),
            "{versions:?}"
        );
    }
}

fn play(seed: u64) {
    let (mut random, mut model) = (Random(seed), Model::new());
    for _ in 0..60 {
        let id = format!("t{:02}", random.below(TENANTS as u64));
        match random.below(10) {
            0 => model.newest = NEWEST.min(model.newest + 1),
            1..=2 => model.write(&id, &mut random),
            3 => model
                .world
                .add(&id, &format!("block {}", 2 + random.below(3))),
            4 => (2..=NEWEST).for_each(|k| model.world.remove(&id, &format!("block {k}"))),
            5..=6 => model.migrate(random.cut()),
            _ => model.roll_back(random.cut()),
        }
        model.verify();
    }
}

#[test]
fn runs_and_rollbacks_leave_every_tenant_where_a_model_says() {
    let seed = std::env::var("TENANCY_SEED").map_or_else(
        |_| u64::from(std::process::id()),
        |text| text.parse().expect("a number"),
    );
    println!("TENANCY_SEED={seed}");
    for program in 0..PROGRAMS {
        play(seed.wrapping_add(program));
    }
}
