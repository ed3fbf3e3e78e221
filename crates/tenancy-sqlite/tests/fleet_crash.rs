//! Runs over many tenants that are killed or fail at any step, or meet another process.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tenancy_core::{Catalog, TenantKey};
use tenancy_fleet::{FleetError, FleetReport, RollbackTo};
use tenancy_sqlite::{Migrations, Seeds, SqliteFleet, SqliteStorageBuilder};

use crate::fleet::{Bed, first_step, options};
use crate::migrate::{assert_counted_once, counting};
use crate::rollback::with_irreversible;
use crate::util::{at, child, files_below};

/// Few, as the process is killed at every step of each.
const TENANTS: usize = 2;

const PHASES: [&str; 4] = ["migrate", "seed", "rollback", "undo"];

fn builder(root: &str, migrations: Migrations) -> SqliteStorageBuilder {
    let seeds = [
        ("a", "INSERT INTO notes (text) VALUES ('A')"),
        ("b", "INSERT INTO notes (text) VALUES ('B')"),
    ];
    let driver = at(root).migrations(migrations);
    driver.seeds(Seeds::new(seeds).unwrap())
}

fn fleet(driver: SqliteStorageBuilder) -> SqliteFleet {
    driver.open().unwrap().fleet()
}

/// One at a time, so that the steps of tenants come in one order.
fn run(fleet: &SqliteFleet, phase: &str) -> Result<FleetReport, FleetError> {
    let options = options().jobs(1);
    match phase {
        "migrate" => fleet.migrate(&options, |_| {}),
        "seed" => fleet.seed(&options, |_| {}),
        "undo" => fleet.rollback(RollbackTo::LastRun, &options.restore_snapshots(), |_| {}),
        _ => fleet.rollback(RollbackTo::Version(1), &options.restore_snapshots(), |_| {}),
    }
}

/// Tenants in the state in which a phase begins.
fn prepared(phase: &str) -> Bed {
    let bed = Bed::with(TENANTS, first_step());
    for tenant in bed.tenants() {
        let sql = "INSERT INTO notes (text) VALUES ('before')";
        bed.raw(&tenant).execute(sql, []).unwrap();
    }
    let root = bed.root.dir.path().to_str().unwrap();
    let before = PHASES[..2].iter();
    let before = before.take_while(|earlier| **earlier != phase);
    let fleet = fleet(builder(root, with_irreversible()));
    for earlier in before {
        assert!(run(&fleet, earlier).unwrap().is_complete());
    }
    bed
}

/// The steps of a phase, each with the number of times that it was reached until then.
fn steps(phase: &str) -> Vec<(&'static str, usize)> {
    let bed = prepared(phase);
    let root = bed.root.dir.path().to_str().unwrap();
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let driver = builder(root, with_irreversible()).on_step(move |name| {
        seen.lock().unwrap().push(name);
        Ok(())
    });
    assert!(run(&fleet(driver), phase).unwrap().is_complete());
    assert_through(&bed, phase, "undisturbed");
    let steps = steps.lock().unwrap();
    let counted = steps.iter().enumerate().map(|(at, step)| {
        let count = steps[..=at].iter().filter(|s| *s == step).count();
        (*step, count)
    });
    // It depends on timing whether two results are recorded at once or one by one.
    let counted = counted.filter(|step| *step != ("record what was done", 2));
    counted.collect()
}

/// A hook that does `what` when the step of that name is reached for the n-th time.
fn at_step(
    step: &str,
    count: usize,
    what: impl Fn() -> std::io::Result<()> + Send + Sync + 'static,
) -> impl Fn(&'static str) -> std::io::Result<()> + Send + Sync + 'static {
    let (step, left) = (step.to_owned(), Mutex::new(count));
    move |name| {
        let mut left = left.lock().unwrap();
        *left -= usize::from(name == step && *left > 0);
        match name == step && *left == 0 {
            true => what(),
            false => Ok(()),
        }
    }
}

/// Each tenant went through the phase once, and no other file is left.
#[track_caller]
fn assert_through(bed: &Bed, phase: &str, case: &str) {
    let (version, epoch, texts, in_trash) = match phase {
        "migrate" => (4, 1, "BEFORE", 0),
        "seed" => (4, 1, "BEFORE A B", 0),
        _ => (1, 2, "before", TENANTS),
    };
    for tenant in bed.tenants() {
        assert_eq!(tenant.epoch().get(), epoch, "{phase} {case}");
        assert_eq!(bed.version(&tenant), version, "{phase} {case}");
        let raw = bed.raw(&tenant);
        let ask = |sql| -> String { raw.query_row(sql, [], |row| row.get(0)).unwrap() };
        let found = ask("SELECT group_concat(text, ' ') FROM notes");
        assert_eq!(found, texts, "{phase} {case}");
        assert_eq!(ask("PRAGMA integrity_check"), "ok", "{phase} {case}");
        let versions = ask("SELECT group_concat(version) FROM _tenancy_migrations");
        assert_eq!(
            versions,
            "1,2,3,4"[..2 * version as usize - 1],
            "{phase} {case}"
        );
    }
    let below = |name: &str| files_below(&bed.root.dir.path().join(name));
    assert_eq!(
        below("tenants").len(),
        TENANTS,
        "{phase} {case}: {:?}",
        below("tenants")
    );
    assert_eq!(below("snapshots").len(), TENANTS, "{phase} {case}");
    assert_eq!(below("trash").len(), in_trash, "{phase} {case}");
    assert!(
        below("staging").is_empty(),
        "{phase} {case}: {:?}",
        below("staging")
    );
    bed.catalog.check_events().unwrap().unwrap();
}

/// Every tenant has its data, in the file that its row names.
#[track_caller]
fn assert_usable(bed: &Bed, case: &str) {
    for id in ["t00", "t01"] {
        let tenant = bed
            .catalog
            .lookup(TenantKey::Label(id))
            .unwrap()
            .value
            .unwrap();
        let sql = "SELECT count(*) FROM notes WHERE upper(text) = 'BEFORE'";
        let count = bed
            .raw(&tenant)
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        assert_eq!(count.unwrap(), 1, "{case}");
    }
}

/// The child: lives until its step.
pub fn run_and_die(arguments: &[String]) {
    let [root, phase, step, count] = arguments else {
        panic!("root, phase, step, count")
    };
    let die = || {
        let this = rustix::process::getpid();
        Ok(rustix::process::kill_process(
            this,
            rustix::process::Signal::KILL,
        )?)
    };
    let on_step = at_step(step, count.parse().unwrap(), die);
    let driver = builder(root, with_irreversible()).on_step(on_step);
    run(&fleet(driver), phase).unwrap();
}

#[test]
fn a_run_that_is_killed_at_any_step_is_resumed_by_the_next() {
    let mut names = BTreeSet::new();
    let mut kills = 0;
    for phase in PHASES {
        let steps = steps(phase);
        names.extend(steps.iter().map(|(name, _)| *name));
        kills += steps.len();
        for (step, count) in steps {
            let case = format!("killed at {step} {count}");
            let Bed { root, catalog } = prepared(phase);
            let path = root.dir.path().to_str().unwrap().to_owned();
            let dir = root.close();
            let arguments = [&*path, phase, step, &count.to_string()];
            let output = child::start("fleet", &arguments)
                .wait_with_output()
                .unwrap();
            assert_eq!(
                output.status.signal(),
                Some(9),
                "{phase} {case}: {output:?}"
            );

            let storage = builder(&path, with_irreversible()).open().unwrap();
            let fleet = storage.fleet();
            let root = crate::util::Root::of(storage, dir);
            let bed = Bed { root, catalog };
            assert_usable(&bed, &case);
            let report = run(&fleet, phase).unwrap();
            assert!(report.is_complete(), "{phase} {case}: {report:?}");
            assert_through(&bed, phase, &case);
            let run = &fleet.runs(1).unwrap()[0];
            assert_eq!(
                (&*run.what, run.pending, run.failed),
                (phase.replace("undo", "rollback").as_str(), 0, 0),
                "{case}"
            );
        }
    }
    println!("{kills} kills at {names:?}");
    let all = [
        "begin a run",
        "close",
        "close the stamp",
        "commit the migration",
        "copy the copy",
        "copy the file",
        "end a run",
        "migrate",
        "move to the trash",
        "put the copy in place",
        "put the restored file in place",
        "record what was done",
        "seed",
        "sync both directories",
        "sync the copy",
        "sync the restored file",
        "turn to the restored file",
    ];
    assert_eq!(names, BTreeSet::from(all));
}

/// The same steps, but the call fails where the process died.
#[test]
fn a_run_that_fails_at_any_step_is_resumed_by_the_next() {
    for phase in PHASES {
        for (step, count) in steps(phase) {
            let bed = prepared(phase);
            let root = bed.root.dir.path().to_str().unwrap();
            let failed = AtomicBool::new(false);
            let fail_once = move || match failed.swap(true, Ordering::Relaxed) {
                true => Ok(()),
                false => Err(std::io::Error::other("no space left")),
            };
            let driver = builder(root, with_irreversible());
            let driver = driver.on_step(at_step(step, count, fail_once));
            let fleet = fleet(driver);
            let failed = run(&fleet, phase);
            let case = format!("failed at {step} {count}");
            // The old file is put away after the tenant is done.
            let too_late = [
                "close",
                "close the stamp",
                "move to the trash",
                "sync both directories",
            ];
            let complete = failed.as_ref().is_ok_and(FleetReport::is_complete);
            assert_eq!(complete, too_late.contains(&step), "{case}: {failed:?}");
            assert_usable(&bed, &case);
            if complete {
                // By its id: the catalog knows that nothing else is to be done.
                let ids = bed.tenants().into_iter().map(|tenant| tenant.id().clone());
                let only = options().only(ids);
                fleet
                    .rollback(RollbackTo::Version(1), &only, |_| {})
                    .unwrap();
            } else {
                let report = run(&fleet, phase).unwrap();
                assert!(report.is_complete(), "{case}: {report:?}");
            }
            assert_through(&bed, phase, &case);
        }
    }
}

/// The child: migrates the fleet once both are ready. The second one is refused until the first
/// has ended.
pub fn migrate_together(arguments: &[String]) {
    let [root] = arguments else { panic!("root") };
    let driver = at(root).migrations(counting());
    let fleet = fleet(driver);
    child::wait_for_the_other(root);
    loop {
        match fleet.migrate(&options(), |_| {}) {
            Err(FleetError::RunGoesOn(_)) => std::thread::yield_now(),
            report => return assert!(report.unwrap().is_complete()),
        }
    }
}

#[test]
fn two_processes_that_migrate_one_fleet_apply_every_step_once() {
    let bed = Bed::with(60, Migrations::default());
    let root = bed.root.dir.path().to_str().unwrap();
    let children = [(); 2].map(|()| child::start("fleets", &[root]));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    for tenant in bed.tenants() {
        assert_counted_once(&bed.raw(&tenant));
    }
    let fleet = bed.fleet(counting());
    assert!(fleet.check().unwrap().all_current());
    let runs = fleet.runs(9).unwrap();
    assert!(
        runs.iter().all(|run| (run.pending, run.failed) == (0, 0)),
        "{runs:?}"
    );
}
