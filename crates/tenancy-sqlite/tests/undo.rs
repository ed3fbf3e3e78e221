//! Rollbacks that undo a run: against a model, beside an operation that moves a tenant, beside
//! another process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenancy_core::{Provisioner, SchemaTarget};
use tenancy_fleet::{FleetError, RollbackTo, TenantError};
use tenancy_sqlite::{FileError, MigrateError, Migration, Migrations, SqliteFleet};

use crate::fleet::{Bed, file_error, first_step, options};
use crate::util::{at, child, notes};

const TENANTS: usize = 4;
const STEPS: u32 = 4;
/// The number of random programs of 40 operations; each opens some hundred files.
const GAMES: u64 = 12;

/// The notes, and further tables up to this number; the k-th refuses a note `block k`.
fn tables(upto: u32) -> Migrations {
    let table = |k| {
        let up = format!(
            "CREATE TABLE m{k} (text TEXT CHECK (text <> 'block {k}')) STRICT;
             INSERT INTO m{k} SELECT text FROM notes WHERE text LIKE 'block%'"
        );
        Migration::new(format!("m{k}"), up).down(format!("DROP TABLE m{k}"))
    };
    let first = first_step().iter().next().unwrap().clone();
    Migrations::new(std::iter::once(first).chain((2..=upto).map(table))).unwrap()
}

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
}

/// The effect of the last migration, as far as it is known.
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
    bed: Bed,
    newest: u32,
    last: Option<Last>,
    /// The acknowledged rows by tenant and table; undoing a step drops those of its table.
    rows: BTreeMap<(String, u32), BTreeSet<String>>,
    written: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            bed: Bed::with(TENANTS, first_step()),
            newest: 1,
            last: None,
            rows: BTreeMap::new(),
            written: 0,
        }
    }

    fn versions(&self) -> BTreeMap<String, u32> {
        let tenants = self.bed.tenants().into_iter();
        tenants
            .map(|t| (t.id().to_string(), self.bed.version(&t)))
            .collect()
    }

    /// A fleet of the newest release that ends at its n-th step, if it is reached.
    fn fleet(&self, cut_off_at: Option<usize>) -> SqliteFleet {
        let steps = AtomicUsize::new(0);
        let driver = at(self.bed.root.dir.path());
        let driver = driver.migrations(tables(self.newest)).on_step(move |_| {
            let at = steps.fetch_add(1, Ordering::Relaxed);
            // No later step is reached either, as if the process had died.
            match cut_off_at.is_some_and(|cut| at >= cut) {
                true => Err(std::io::Error::other("cut off")),
                false => Ok(()),
            }
        });
        driver.open().unwrap().fleet()
    }

    fn write(&mut self, id: &str, random: &mut Random) {
        let version = self.versions()[id];
        let table = 1 + u32::try_from(random.below(u64::from(version))).unwrap();
        let name = match table {
            1 => "notes".to_owned(),
            k => format!("m{k}"),
        };
        self.written += 1;
        let text = format!("row {}", self.written);
        let sql = format!("INSERT INTO {name} (text) VALUES (?1)");
        let raw = self.bed.raw(&self.bed.tenant(id));
        raw.execute(&sql, [&text]).unwrap();
        self.rows
            .entry((id.to_owned(), table))
            .or_default()
            .insert(text);
    }

    fn block(&self, id: &str, random: &mut Random) {
        let raw = self.bed.raw(&self.bed.tenant(id));
        match random.below(2) {
            0 => raw.execute("DELETE FROM notes WHERE text LIKE 'block%'", []),
            _ => {
                let k = 2 + random.below(u64::from(STEPS) - 1);
                let sql = "INSERT INTO notes (text) VALUES ('block ' || ?1)";
                raw.execute(sql, [k.cast_signed()])
            }
        }
        .unwrap();
    }

    fn migrate(&mut self, cut_off_at: Option<usize>) {
        let before = self.versions();
        let report = self
            .fleet(cut_off_at)
            .migrate(&options().keep_going(), |_| {});
        let after = self.versions();
        // The number of the run is taken from the catalog; its effect is not.
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
                "{id}: {before:?} {after:?}"
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

    fn roll_back(&mut self, cut_off_at: Option<usize>) {
        let Some(last) = &self.last else {
            return;
        };
        let before = self.versions();
        let report =
            self.fleet(cut_off_at)
                .rollback(RollbackTo::LastRun, &options().keep_going(), |_| {});
        let after = self.versions();
        for (id, version) in &after {
            let found = last.found.get(id).copied().unwrap_or(before[id]);
            let stays = *version == before[id];
            match cut_off_at {
                // Never below where the run found it, and never up.
                Some(_) => assert!(found.min(before[id]) <= *version && *version <= before[id]),
                None if last.failed.contains(id) => assert!(stays, "{id}: {last:?} {after:?}"),
                None if last.doubt.contains(id) => assert!(stays || *version == found),
                None => assert_eq!(*version, found, "{id}: {last:?} {before:?} {report:?}"),
            }
        }
        if report
            .as_ref()
            .is_err_and(|e| matches!(e, FleetError::Refused(_)))
        {
            assert_eq!(before, after);
        }
        for (id, version) in after {
            self.lost_above(version, Some(&id));
        }
    }

    fn lost_above(&mut self, version: u32, id: Option<&str>) {
        let gone = |owner: &str, table: u32| id.is_none_or(|id| id == owner) && table > version;
        self.rows.retain(|(owner, table), _| !gone(owner, *table));
    }

    /// Every acknowledged row is there, unless a script has dropped its table.
    fn verify(&self) {
        for ((id, table), rows) in &self.rows {
            let name = match table {
                1 => "notes".to_owned(),
                k => format!("m{k}"),
            };
            let raw = self.bed.raw(&self.bed.tenant(id));
            let sql = format!("SELECT text FROM {name} WHERE text LIKE 'row%'");
            let mut read = raw.prepare(&sql).unwrap();
            let found = read.query_map([], |row| row.get(0)).unwrap();
            let found: BTreeSet<String> = found.collect::<Result<_, _>>().unwrap();
            assert_eq!(&found, rows, "{id} {name}");
        }
        let counts = self.fleet(None).check().unwrap();
        let versions = self.versions();
        let current = versions.values().filter(|v| **v == self.newest).count();
        assert_eq!(
            (counts.current, counts.unknown),
            (current as u64, 0),
            "{versions:?}"
        );
    }
}

fn play(seed: u64) {
    let mut random = Random(seed);
    let mut model = Model::new();
    for _ in 0..40 {
        let id = format!("t{:02}", random.below(TENANTS as u64));
        let cut = |random: &mut Random| match random.below(3) {
            0 => Some(usize::try_from(random.below(20)).unwrap()),
            _ => None,
        };
        match random.below(10) {
            0 => model.newest = STEPS.min(model.newest + 1),
            1..=3 => model.write(&id, &mut random),
            4 => model.block(&id, &mut random),
            5..=6 => {
                let cut = cut(&mut random);
                model.migrate(cut);
            }
            _ => {
                let cut = cut(&mut random);
                model.roll_back(cut);
            }
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
    for game in 0..GAMES {
        play(seed.wrapping_add(game));
    }
}

/// A tenant for which a run failed half-way, and which the resumed run completed, is rolled back
/// to where the first attempt found it; one that was moved in between is a conflict.
#[test]
fn a_resumed_run_began_where_its_first_attempt_did() {
    let bed = Bed::with(2, first_step());
    let fleet = bed.fleet(tables(3));
    let run = |sql| bed.raw(&bed.tenant("t01")).execute(sql, []).unwrap();
    run("INSERT INTO notes (text) VALUES ('block 3')");
    let report = fleet.migrate(&options().keep_going(), |_| {}).unwrap();
    assert_eq!((report.run, report.failed.len()), (Some(1), 1));
    assert_eq!(bed.version(&bed.tenant("t01")), 2, "half-way");
    run("DELETE FROM notes");
    let report = fleet.migrate(&options(), |_| {}).unwrap();
    assert_eq!((report.run, report.is_complete()), (Some(1), true));
    // A change outside of any run.
    let moved = bed.tenant("t00");
    let driver = fleet.driver();
    driver.migrate(&moved, SchemaTarget::Version(2)).unwrap();
    let back = fleet
        .rollback(RollbackTo::LastRun, &options(), |_| {})
        .unwrap();
    let error = &back.failed[0].error;
    assert!(
        matches!(
            error,
            TenantError::ChangedSince {
                run: 1,
                left: 3,
                found: 2,
                ..
            }
        ),
        "{error:?}"
    );
    let versions = ["t00", "t01"].map(|id| bed.version(&bed.tenant(id)));
    assert_eq!(versions, [2, 1]);
}

/// The changes of a killed run that it did not record are undone, too.
#[test]
fn unrecorded_changes_of_a_killed_run_are_undone() {
    let bed = Bed::with(2, first_step());
    let driver = at(bed.root.dir.path()).migrations(notes());
    let driver = driver.on_step(|name| match name {
        "record what was done" => Err(std::io::Error::other("cut off")),
        _ => Ok(()),
    });
    let cut = driver.open().unwrap().fleet();
    cut.migrate(&options(), |_| {}).unwrap_err();
    let fleet = bed.fleet(notes());
    let counts = fleet.check().unwrap();
    // The second may not have been begun when the first could not be recorded.
    assert!(counts.current >= 1 && counts.unknown == 0, "{counts:?}");
    let back = fleet
        .rollback(RollbackTo::LastRun, &options(), |_| {})
        .unwrap();
    let done = back.done.len() as u64;
    assert_eq!((done, back.is_complete()), (counts.current, true));
    assert!(bed.tenants().iter().all(|t| bed.version(t) == 1));
    let again = fleet.rollback(RollbackTo::LastRun, &options(), |_| {});
    assert!(matches!(again, Err(FleetError::Refused(_))), "{again:?}");
}

/// Another operation moves a tenant between the survey and its step: the tenant is neither moved
/// further than was planned, nor to a version that was not planned.
#[test]
fn a_tenant_that_is_moved_between_the_survey_and_its_step_is_a_conflict() {
    let bed = Bed::with(2, tables(3));
    let other = bed.fleet(tables(3)).driver().clone();
    let moved = bed.tenant("t01");
    let once = Mutex::new(Some((other, moved)));
    let driver = at(bed.root.dir.path()).migrations(tables(3));
    let driver = driver.on_step(move |name| {
        if name == "begin a run"
            && let Some((other, moved)) = once.lock().unwrap().take()
        {
            other.migrate(&moved, SchemaTarget::Version(1)).unwrap();
        }
        Ok(())
    });
    let fleet = driver.open().unwrap().fleet();
    let report = fleet
        .rollback(RollbackTo::Version(0), &options().keep_going(), |_| {})
        .unwrap();
    let done: Vec<_> = report.done.iter().map(|d| (d.from, d.to)).collect();
    assert_eq!(done, [(3, 0)]);
    let error = &report.failed[0].error;
    assert!(
        matches!(
            file_error(error),
            FileError::Migrate(MigrateError::Conflict { seen: 3, found: 1 })
        ),
        "{error:?}"
    );
    assert_eq!(bed.version(&bed.tenant("t01")), 1);
}

/// Steps without foreign keys have a transaction each, so that a rollback can end between two.
#[test]
fn a_rollback_that_ended_between_two_steps_is_resumed() {
    let bed = Bed::with(1, first_step());
    let apart = |k| {
        let step = Migration::new(format!("m{k}"), format!("CREATE TABLE m{k} (x)"));
        step.down(format!("DROP TABLE m{k}")).without_foreign_keys()
    };
    let steps = || {
        let first = first_step().iter().next().unwrap().clone();
        Migrations::new([first, apart(2), apart(3)]).unwrap()
    };
    bed.fleet(steps()).migrate(&options(), |_| {}).unwrap();
    let commits = AtomicUsize::new(0);
    let driver = at(bed.root.dir.path()).migrations(steps());
    let driver = driver.on_step(move |name| match name {
        "commit the migration" if commits.fetch_add(1, Ordering::Relaxed) == 1 => {
            Err(std::io::Error::other("cut off"))
        }
        _ => Ok(()),
    });
    let cut = driver.open().unwrap().fleet();
    let report = cut
        .rollback(RollbackTo::LastRun, &options(), |_| {})
        .unwrap();
    assert_eq!(
        (report.failed.len(), bed.version(&bed.tenant("t00"))),
        (1, 2)
    );
    let report = bed
        .fleet(steps())
        .rollback(RollbackTo::LastRun, &options(), |_| {});
    let report = report.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(bed.version(&bed.tenant("t00")), 1);
}

#[test]
fn a_plan_is_carried_out_as_shown_or_not_at_all() {
    let bed = Bed::with(2, first_step());
    let fleet = bed.fleet(notes());
    fleet.migrate(&options(), |_| {}).unwrap();
    let plan = fleet
        .plan_rollback(RollbackTo::LastRun, &options())
        .unwrap();
    assert_eq!((plan.undoes, plan.tenants.len()), (Some(1), 2));
    let again = fleet
        .plan_rollback(RollbackTo::LastRun, &options())
        .unwrap();
    let report = fleet.rollback_as_planned(plan, &options(), |_| {}).unwrap();
    assert_eq!(report.done.len(), 2);
    let old = fleet.rollback_as_planned(again, &options(), |_| {});
    assert!(
        matches!(old, Err(FleetError::OutdatedPlan { run: 2 })),
        "{old:?}"
    );
}

/// A tenant that is retired after it was chosen is no failure.
#[test]
fn a_tenant_that_is_retired_during_a_run_is_skipped() {
    let bed = Bed::with(2, first_step());
    let leaving = bed.tenant("t01");
    let (catalog, other) = (bed.catalog.clone(), bed.root.driver.clone());
    let once = Mutex::new(Some(leaving));
    let driver = at(bed.root.dir.path()).migrations(notes());
    let driver = driver.on_step(move |name| {
        if name == "begin a run"
            && let Some(leaving) = once.lock().unwrap().take()
        {
            use tenancy_core::{CatalogWriter, TenantChange, TenantStatus};
            let change = TenantChange::status(TenantStatus::Retiring);
            let by = crate::fleet::by();
            catalog
                .update(leaving.id(), leaving.version(), change, &by)
                .unwrap();
            other.retire(&leaving, std::time::Duration::ZERO).unwrap();
        }
        Ok(())
    });
    let fleet = driver.open().unwrap().fleet();
    let report = fleet.migrate(&options(), |_| {}).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.done.len(), report.skipped.len()), (1, 1));
    assert!(fleet.check().unwrap().all_current());
}

/// The child: migrates or rolls back repeatedly; it is refused while the other runs.
pub fn race(arguments: &[String]) {
    let [root, way] = arguments else {
        panic!("root, way")
    };
    let fleet = at(root).migrations(tables(STEPS)).open().unwrap().fleet();
    child::wait_for_the_other(root);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let report = match way.as_str() {
            "up" => fleet.migrate(&options(), |_| {}),
            _ => fleet.rollback(RollbackTo::LastRun, &options().without_snapshots(), |_| {}),
        };
        match report {
            Ok(report) => assert!(report.is_complete(), "{report:?}"),
            // The other has the lease, or nothing is left to undo.
            Err(FleetError::RunGoesOn(_) | FleetError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_processes_that_migrate_and_roll_back_move_no_tenant_too_far() {
    let bed = Bed::with(20, first_step());
    let root = bed.root.dir.path().to_str().unwrap();
    let children = ["up", "down"].map(|way| child::start("runs", &[root, way]));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let runs = bed.fleet(tables(STEPS)).runs(1_000).unwrap();
    let count = |what: &str| runs.iter().filter(|run| *run.what == *what).count();
    let (up, down) = (count("migrate"), count("rollback"));
    println!("{up} migrations, {down} rollbacks");
    assert!(up > 0 && down > 0 && up.abs_diff(down) <= 1, "{runs:?}");
    let versions: BTreeSet<_> = bed.tenants().iter().map(|t| bed.version(t)).collect();
    let expected = if up > down { STEPS } else { 1 };
    assert_eq!(versions, BTreeSet::from([expected]));
    for tenant in bed.tenants() {
        let raw = bed.raw(&tenant);
        let ask = |sql| -> u32 { raw.query_row(sql, [], |row| row.get(0)).unwrap() };
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'm[0-9]'";
        assert_eq!(ask(tables), expected - 1);
        assert_eq!(ask("SELECT count(*) FROM _tenancy_migrations"), expected);
    }
}
