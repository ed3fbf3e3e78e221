//! A run that is killed or fails at any step is resumed by the same call.

use std::collections::BTreeSet;
use std::sync::Arc;

use tenancy_fleet::{FleetError, FleetReport, RollbackTo, RunOutcome, SchemaStep};

use crate::names::live;
use crate::steps::{Fault, Steps};
use crate::world::{World, irreversible, options};

const TENANTS: usize = 2;
const PHASES: [&str; 4] = ["migrate", "seed", "rollback", "undo"];

/// The steps of both implementations of the engine's traits.
const STEPS: [&str; 17] = [
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

fn steps_of_release() -> Vec<SchemaStep> {
    irreversible(4, 3)
}

/// One at a time, so that the steps of tenants come in one order.
fn run(world: &Arc<World>, phase: &str, steps: Steps) -> Result<FleetReport, FleetError> {
    let fleet = world.fleet_with(steps_of_release(), steps);
    let options = options().jobs(1);
    match phase {
        "migrate" => fleet.migrate(&options, |_| {}),
        "seed" => fleet.seed(&options, |_| {}),
        "undo" => fleet.rollback(RollbackTo::LastRun, &options.restore_snapshots(), |_| {}),
        _ => fleet.rollback(RollbackTo::Version(1), &options.restore_snapshots(), |_| {}),
    }
}

/// Tenants in the state in which a phase begins.
fn prepared(phase: &str) -> Arc<World> {
    let world = World::new(TENANTS);
    for tenant in world.tenants() {
        world.add(tenant.id().as_str(), "row 1 before");
    }
    let before = PHASES[..2].iter().take_while(|earlier| **earlier != phase);
    for earlier in before {
        let report = run(&world, earlier, Steps::new()).unwrap();
        assert!(report.is_complete(), "{earlier}: {report:?}");
    }
    world
}

/// The steps of a phase, each with the number of times that it was reached until then.
fn steps(phase: &str) -> Vec<(&'static str, usize)> {
    let (world, steps) = (prepared(phase), Steps::new());
    assert!(run(&world, phase, steps.clone()).unwrap().is_complete());
    assert_through(&world, phase, "undisturbed");
    let steps = steps.reached();
    let counted = steps.iter().enumerate().map(|(at, step)| {
        let count = steps[..=at].iter().filter(|s| *s == step).count();
        (*step, count)
    });
    // It depends on timing whether two results are recorded at once or one by one.
    let counted = counted.filter(|step| *step != ("record what was done", 2));
    counted.collect()
}

/// Each tenant went through the phase once, and nothing else is left.
#[track_caller]
fn assert_through(world: &Arc<World>, phase: &str, case: &str) {
    let (version, epoch, rows, in_trash) = match phase {
        "migrate" => (4, 1, &["row 1 before"][..], 0),
        "seed" => (4, 1, &["row 1 before", "row 1 x", "row 1 y"][..], 0),
        _ => (1, 2, &["row 1 before"][..], TENANTS),
    };
    for tenant in world.tenants() {
        let names = world.set().of(&live(&tenant));
        let of = |prefix: &str| -> Vec<_> {
            let names = names.iter().filter(|name| name.starts_with(prefix));
            names.cloned().collect()
        };
        assert_eq!(tenant.epoch().get(), epoch, "{phase} {case}");
        assert_eq!(of("step ").len(), version, "{phase} {case}: {names:?}");
        assert_eq!(of("row "), rows, "{phase} {case}");
        assert!(!names.contains(&"closed".to_owned()), "{phase} {case}");
    }
    let count = |prefix: &str| world.set().all(prefix).len();
    assert_eq!(count("live"), TENANTS, "{phase} {case}");
    // A migration that was resumed on the way keeps one of that version, too.
    let snapshots = world.set().all("snapshot");
    let of_first = snapshots.iter().filter(|name| name.ends_with(".1.1"));
    assert_eq!(of_first.count(), TENANTS, "{phase} {case}: {snapshots:?}");
    assert_eq!(count("trash"), in_trash, "{phase} {case}");
    assert_eq!(count("staged"), 0, "{phase} {case}");
    assert!(world.tables().lease.is_none(), "{phase} {case}");
    let last = &world.fleet(steps_of_release()).runs(1).unwrap()[0];
    let done = (last.outcome, last.pending, last.failed);
    assert_eq!(done, (Some(RunOutcome::Done), 0, 0), "{phase} {case}");
}

/// Every tenant has its data, in the incarnation that its row names.
#[track_caller]
fn assert_usable(world: &Arc<World>, case: &str) {
    for tenant in world.tenants() {
        let names = world.set().of(&live(&tenant));
        assert!(names.contains(&"row 1 before".to_owned()), "{case}");
    }
}

#[test]
fn a_run_that_is_killed_at_any_step_is_resumed_by_the_next() {
    let mut names = BTreeSet::new();
    for phase in PHASES {
        for (step, count) in steps(phase) {
            names.insert(step);
            let case = format!("killed at {step} {count}");
            let world = prepared(phase);
            // A step after which nothing is written ends the process as well as any other.
            let _ = run(&world, phase, Steps::with_fault(step, count, Fault::Killed));
            assert_usable(&world, &case);
            let report = run(&world, phase, Steps::new()).unwrap();
            assert!(report.is_complete(), "{phase} {case}: {report:?}");
            assert_through(&world, phase, &case);
        }
    }
    assert_eq!(names, BTreeSet::from(STEPS));
}

#[test]
fn a_run_that_fails_at_any_step_is_resumed_by_the_next() {
    // The database of the old incarnation is put away after the tenant is done.
    let too_late = [
        "close",
        "close the stamp",
        "move to the trash",
        "sync both directories",
    ];
    for phase in PHASES {
        for (step, count) in steps(phase) {
            let world = prepared(phase);
            let case = format!("failed at {step} {count}");
            let failed = run(&world, phase, Steps::with_fault(step, count, Fault::Failed));
            let complete = failed.as_ref().is_ok_and(FleetReport::is_complete);
            let is_late = too_late.contains(&step);
            assert_eq!(complete, is_late, "{phase} {case}: {failed:?}");
            assert_usable(&world, &case);
            if complete {
                // By id: the journal knows that nothing else is to be done.
                let ids = world.tenants().into_iter().map(|t| t.id().clone());
                let only = options().only(ids);
                let fleet = world.fleet(steps_of_release());
                fleet
                    .rollback(RollbackTo::Version(1), &only, |_| {})
                    .unwrap();
            } else {
                let report = run(&world, phase, Steps::new()).unwrap();
                assert!(report.is_complete(), "{phase} {case}: {report:?}");
            }
            assert_through(&world, phase, &case);
        }
    }
}
