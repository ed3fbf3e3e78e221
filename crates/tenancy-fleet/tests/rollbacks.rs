//! Rollbacks: what is undone, what stays, what is refused.

use tenancy_core::{CatalogWriter, TenantChange};
use tenancy_fleet::{FleetError, RollbackRefusal, RollbackTo, RunJournal, Skipped, TenantError};

use crate::names::live;
use crate::steps::{Fault, Steps};
use crate::world::{NamesFleet, World, by, irreversible, options, release};

#[track_caller]
fn refusal(fleet: &NamesFleet, to: RollbackTo) -> String {
    let rolled_back = fleet.rollback(to, &options(), |_| {});
    let planned = fleet.plan_rollback(to, &options()).map(drop).unwrap_err();
    let error = rolled_back.map(drop).unwrap_err();
    assert_eq!(error.to_string(), planned.to_string());
    error.to_string()
}

#[test]
fn extents_that_cannot_be_meant_are_refused_by_a_rollback_and_by_its_plan() {
    let world = World::new(3);
    let fleet = world.fleet(release(3));
    assert_eq!(
        refusal(&fleet, RollbackTo::LastRun),
        "there is no run of migrations to undo; give a number of steps, or a version"
    );
    assert_eq!(
        refusal(&fleet, RollbackTo::Steps(2)),
        "2 migrations cannot be undone, as the tenants are at schema version 1; give a smaller number"
    );
    assert_eq!(
        refusal(&fleet, RollbackTo::Version(4)),
        "there is no schema version 4; the newest migration is 3"
    );
    assert_eq!(
        refusal(&fleet, RollbackTo::Run(7)),
        "there is no run 7; nothing was changed"
    );
    world.migrate_alone("t02", 2);
    let text = refusal(&fleet, RollbackTo::Steps(1));
    assert!(text.contains("1 at 2 (t02), 2 at 1 (t00, …);"), "{text}");
    fleet.seed(&options().keep_going(), |_| {}).unwrap();
    assert_eq!(
        refusal(&fleet, RollbackTo::Run(1)),
        "run 1 is a seed, but only migrations can be undone; nothing was changed"
    );
}

#[test]
fn a_run_is_undone_once_and_only_for_the_tenants_that_it_changed() {
    let world = World::new(5);
    world.migrate_alone("t00", 2);
    world.migrate_alone("t01", 3);
    world.add("t02", "block 3");
    let fleet = world.fleet(release(3));
    fleet.migrate(&options().keep_going(), |_| {}).unwrap();
    assert_eq!(world.versions(), [3, 3, 2, 3, 3]);
    world.migrate_alone("t03", 2);
    let report = fleet.rollback(RollbackTo::LastRun, &options().keep_going(), |_| {});
    let report = report.unwrap();
    assert_eq!(world.versions(), [2, 3, 2, 2, 1]);
    assert_eq!(report.skipped[0].why, Skipped::FailedInRun(1));
    let error = &report.failed[0].error;
    let moved = |e: &TenantError| {
        matches!(
            e,
            TenantError::ChangedSince {
                left: 3,
                found: 2,
                ..
            }
        )
    };
    assert!(moved(error), "{error:?}");
    world.migrate_alone("t03", 3);
    let report = fleet
        .rollback(RollbackTo::LastRun, &options(), |_| {})
        .unwrap();
    assert_eq!(
        (report.run, report.done.len(), world.version("t03")),
        (Some(2), 1, 1)
    );
    let again = fleet
        .rollback(RollbackTo::LastRun, &options(), |_| {})
        .unwrap_err();
    let FleetError::Refused(RollbackRefusal::AlreadyUndone { run: 1, by }) = again else {
        panic!("{again:?}")
    };
    assert_eq!(by, [2]);
}

#[test]
fn a_run_that_changed_nothing_is_not_undone() {
    // It failed for the first, and found the second at its target.
    for blocked in [true, false] {
        let world = World::new(1);
        match blocked {
            true => world.add("t00", "block 2"),
            false => world.migrate_alone("t00", 2),
        }
        let fleet = world.fleet(release(2));
        fleet.migrate(&options(), |_| {}).unwrap();
        let text = refusal(&fleet, RollbackTo::LastRun);
        let expected = RollbackRefusal::NothingToUndo { run: 1 };
        assert_eq!(text, expected.to_string());
    }
}

#[test]
fn a_step_without_a_script_needs_a_snapshot_that_leads_around_it() {
    let world = World::new(2);
    let fleet = world.fleet(irreversible(3, 2));
    fleet.migrate(&options(), |_| {}).unwrap();
    world.add("t00", "row 1 later");
    let to = RollbackTo::Version(1);
    let report = fleet.rollback(to, &options().keep_going(), |_| {}).unwrap();
    let error = &report.failed[0].error;
    assert!(
        matches!(error, TenantError::Irreversible { version: 2, .. }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "migration 2 B has no down script; write 0002_B.down.sql"
    );
    assert_eq!(world.versions(), [3, 3]);

    let options = options().keep_going().restore_snapshots();
    world.set().clear("snapshot nt01.1.1");
    let plan = fleet.plan_rollback(to, &options).unwrap();
    let snapshots: Vec<_> = plan.tenants.iter().map(|p| p.snapshot.is_some()).collect();
    assert_eq!(snapshots, [true, false]);
    let report = fleet.rollback_as_planned(plan, &options, |_| {}).unwrap();
    assert!(report.done[0].restored && report.done[0].tenant.epoch.get() == 2);
    let error = &report.failed[0].error;
    assert!(
        matches!(
            error,
            TenantError::NoSnapshot {
                version: 2,
                to: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(world.versions(), [1, 3]);
    let names = world.set().of(&live(&world.tenant("t00")));
    assert!(!names.contains(&"row 1 later".to_owned()), "{names:?}");
    assert_eq!(
        world.set().all("trash").len(),
        1,
        "the old database is kept"
    );
    let known = fleet.catalog().known_schema(&"t00".parse().unwrap());
    let schema = known.unwrap().unwrap().schema;
    assert_eq!(schema, Some(1), "of the new incarnation");
}

#[test]
fn the_latest_snapshot_that_leads_to_the_version_is_restored() {
    let world = World::new(1);
    world.add("t00", "row 1 early");
    world
        .fleet(irreversible(2, 2))
        .migrate(&options(), |_| {})
        .unwrap();
    world.add("t00", "row 1 late");
    // A script undoes the second step now, so that both snapshots lead to the first.
    let release = || irreversible(3, 3);
    world.fleet(release()).migrate(&options(), |_| {}).unwrap();
    let fleet = world.fleet(release());
    assert_eq!(
        fleet.snapshots_of(world.tenant("t00").id()).unwrap().len(),
        2
    );
    let options = options().restore_snapshots();
    fleet
        .rollback(RollbackTo::Version(1), &options, |_| {})
        .unwrap();
    let names = world.set().of(&live(&world.tenant("t00")));
    assert_eq!(names, ["exists", "row 1 early", "row 1 late", "step 1 A"]);
}

#[test]
fn a_tenant_at_the_version_or_beyond_the_program_is_not_rolled_back() {
    let world = World::new(2);
    let only = options().only(["t01".parse().unwrap()]);
    world.fleet(release(3)).migrate(&only, |_| {}).unwrap();
    let all = world.tenants().into_iter().map(|t| t.id().clone());
    let options = options().only(all).keep_going();
    let fleet = world.fleet(release(2));
    let plan = fleet
        .plan_rollback(RollbackTo::Version(1), &options)
        .unwrap();
    let planned: Vec<_> = plan
        .tenants
        .iter()
        .map(|p| (p.from, p.problem.is_some()))
        .collect();
    assert_eq!(planned, [(Some(3), true)]);
    let report = world
        .fleet(release(2))
        .rollback(RollbackTo::Version(1), &options, |_| {});
    let report = report.unwrap();
    assert_eq!((report.done[0].from, report.done[0].to), (1, 1));
    let error = &report.failed[0].error;
    let newer = matches!(
        error,
        TenantError::TooNew {
            found: 3,
            newest: 2
        }
    );
    assert!(newer, "{error:?}");
    assert_eq!(world.versions(), [1, 3]);
}

#[test]
fn a_tenant_that_is_undone_and_moved_again_outside_of_a_run_stays() {
    let world = World::new(2);
    let fleet = world.fleet(release(3));
    fleet.migrate(&options(), |_| {}).unwrap();
    let only = options().only(["t00".parse().unwrap()]);
    fleet.rollback(RollbackTo::LastRun, &only, |_| {}).unwrap();
    world.migrate_alone("t00", 3);
    let report = fleet
        .rollback(RollbackTo::LastRun, &options(), |_| {})
        .unwrap();
    assert_eq!((report.done.len(), world.versions()), (1, vec![3, 1]));
}

#[test]
fn a_snapshot_is_kept_of_each_database_unless_the_options_say_no() {
    let world = World::new(2);
    let fleet = world.fleet(release(2));
    fleet.migrate(&options(), |_| {}).unwrap();
    assert!(
        world.set().all("snapshot").is_empty(),
        "scripts undo every step"
    );
    let id = |n: usize| world.tenants()[n].id().clone();
    let without = options().only([id(1)]).without_snapshots();
    fleet
        .rollback(RollbackTo::Steps(1), &without, |_| {})
        .unwrap();
    assert!(fleet.snapshots_of(&id(1)).unwrap().is_empty());
    fleet
        .rollback(RollbackTo::Version(1), &options(), |_| {})
        .unwrap();
    let kept = fleet.snapshots_of(&id(0)).unwrap();
    assert_eq!((kept.len(), kept[0].schema, kept[0].run), (1, 2, Some(3)));
    let unknown = fleet.snapshots_of(&"nobody".parse().unwrap());
    assert!(matches!(unknown, Err(TenantError::Row(_))), "{unknown:?}");
}

#[test]
fn a_rollback_by_steps_that_was_interrupted_goes_to_the_same_version() {
    for fault in [Fault::Killed, Fault::Failed] {
        let world = World::new(4);
        let four = || release(4);
        let all = |order: [&str; 4]| options().jobs(1).only(order.map(|id| id.parse().unwrap()));
        world.fleet(four()).migrate(&options(), |_| {}).unwrap();
        // At the second step of the second tenant.
        let steps = Steps::with_fault("commit the migration", 4, fault);
        let to = RollbackTo::Steps(2);
        let options = all(["t03", "t02", "t01", "t00"]);
        let cut = world
            .fleet_with(four(), steps)
            .rollback(to, &options, |_| {});
        assert_eq!(cut.is_ok(), fault == Fault::Failed);
        assert_eq!(world.versions(), [2, 3, 4, 4]);
        // The same tenants in another order are the same run.
        let options = all(["t00", "t01", "t02", "t03"]);
        let report = world.fleet(four()).rollback(to, &options, |_| {}).unwrap();
        assert_eq!((report.run, report.is_complete()), (Some(2), true));
        // A tenant that is recorded as done is not worked on again.
        assert!(
            fault == Fault::Killed || report.done.len() == 3,
            "{report:?}"
        );
        assert_eq!(world.versions(), [2, 2, 2, 2]);
    }
}

#[test]
fn a_plan_is_carried_out_as_shown_or_not_at_all() {
    let world = World::new(3);
    let fleet = world.fleet(release(2));
    fleet.migrate(&options(), |_| {}).unwrap();
    let plan = fleet
        .plan_rollback(RollbackTo::LastRun, &options())
        .unwrap();
    assert_eq!(
        (plan.undoes, plan.tenants.len(), plan.current),
        (Some(1), 3, 0)
    );
    let steps = plan.tenants.iter().map(|p| p.steps.clone());
    assert!(steps.into_iter().all(|steps| steps == release(2)[1..]));
    let old = fleet
        .plan_rollback(RollbackTo::LastRun, &options())
        .unwrap();
    world.migrate_alone("t01", 1);
    let options = options().keep_going();
    let report = fleet.rollback_as_planned(plan, &options, |_| {}).unwrap();
    assert_eq!((report.done.len(), world.versions()), (3, vec![1, 1, 1]));
    let error = fleet
        .rollback_as_planned(old, &options, |_| {})
        .unwrap_err();
    assert!(
        matches!(error, FleetError::OutdatedPlan { run: 2 }),
        "{error:?}"
    );
}

#[test]
fn a_tenant_that_was_created_anew_since_the_run_is_not_touched() {
    // At the version that the run left, and at the one that it found.
    for version in [2, 1] {
        let world = World::new(2);
        let fleet = world.fleet(release(2));
        fleet.migrate(&options(), |_| {}).unwrap();
        let old = world.tenant("t01");
        let journal = world.journal(Steps::new());
        journal.remove(old.id(), old.version(), &by()).unwrap();
        world.create("t01", version);
        let report = fleet.rollback(RollbackTo::LastRun, &options(), |_| {});
        let report = report.unwrap();
        assert_eq!(report.skipped[0].why, Skipped::Gone);
        assert_eq!(world.versions(), [1, version]);
    }
}

#[test]
fn a_tenant_that_another_rollback_has_restored_meanwhile_is_superseded() {
    let world = World::new(1);
    world
        .fleet(irreversible(2, 2))
        .migrate(&options(), |_| {})
        .unwrap();
    let other = world.clone();
    let steps = Steps::with_hook(move |step| {
        let tenant = other.tenant("t00");
        if step == "sync the restored file" && tenant.epoch().get() == 1 {
            let mut change = TenantChange::default();
            change.reincarnate = Some(tenant.placement().clone());
            let journal = other.journal(Steps::new());
            journal
                .update(tenant.id(), tenant.version(), change, &by())
                .unwrap();
            other.add("t00", "exists");
        }
    });
    let options = options().restore_snapshots();
    let fleet = world.fleet_with(irreversible(2, 2), steps);
    let report = fleet
        .rollback(RollbackTo::Version(1), &options, |_| {})
        .unwrap();
    // Another incarnation is there: this one is no failure.
    assert_eq!(report.skipped[0].why, Skipped::Gone);
    let names = world.set().of(&live(&world.tenant("t00")));
    assert_eq!(names, ["exists"], "its database was not replaced");
}
