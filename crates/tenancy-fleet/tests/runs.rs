//! Migrations and seeds of many tenants: choice, order, bounds, stop, resumption, lease, report.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenancy_core::{Catalog, CatalogWriter, TenantStatus};
use tenancy_fleet::{
    Fleet, FleetDriver, FleetError, FleetReport, Progress, RunEnd, RunJournal, RunOutcome, Skipped,
    Stop, TenantError,
};

use crate::names::NamesError;
use crate::steps::Steps;
use crate::world::{World, by, options, release};

/// The numbers of tenants that are done, failed, and not reached.
fn counts(report: &FleetReport) -> (usize, usize, u64) {
    (report.done.len(), report.failed.len(), report.not_reached)
}

#[track_caller]
fn names_error(error: &TenantError) -> &NamesError {
    error.driver_error().expect("an error of the driver")
}

#[test]
fn the_engine_runs_over_any_driver_and_journal() {
    fn check<D: FleetDriver + 'static, C: RunJournal + Catalog + CatalogWriter>(_: &Fleet<D, C>) {}
    let world = World::new(3);
    let fleet = world.fleet(release(3));
    check(&fleet);
    let progress = Mutex::new(Vec::new());
    let report = fleet
        .migrate(&options(), |at| progress.lock().unwrap().push(at))
        .unwrap();
    assert_eq!((report.run, report.end), (Some(1), RunEnd::Through));
    assert_eq!(counts(&report), (3, 0, 0));
    assert_eq!((report.steps(), world.versions()), (6, vec![3, 3, 3]));
    let last = *progress.lock().unwrap().last().unwrap();
    let all = Progress {
        done: 3,
        failed: 0,
        total: 3,
    };
    assert_eq!(last, all);
    let again = fleet.migrate(&options(), |_| {}).unwrap();
    assert_eq!((again.run, again.current), (None, 3));
}

#[test]
fn a_run_without_work_opens_no_database_and_reads_the_list_a_bounded_number_of_times() {
    let world = World::new(50);
    let fleet = world.fleet(release(1));
    world.reads.store(0, Ordering::Relaxed);
    assert_eq!(fleet.migrate(&options(), |_| {}).unwrap().current, 50);
    assert!(world.reads.load(Ordering::Relaxed) <= 4);
    // A database that was damaged since is not noticed.
    world.add("t07", "damaged");
    assert_eq!(fleet.migrate(&options(), |_| {}).unwrap().failed.len(), 0);
    let report = fleet.migrate(&options().read_schemas(), |_| {}).unwrap();
    assert_eq!(report.failed[0].tenant.id.as_str(), "t07");
}

#[test]
fn one_failure_too_many_ends_a_run_and_the_next_one_resumes_it() {
    let world = World::new(10);
    world.add("t03", "block 2");
    world.add("t05", "block 2");
    let fleet = world.fleet(release(2));
    for (failures, expected) in [(0, (3, 1, 6)), (1, (1, 2, 4))] {
        let options = options().jobs(1).max_failures(failures);
        let report = fleet.migrate(&options, |_| {}).unwrap();
        assert_eq!((report.end, counts(&report)), (RunEnd::Failures, expected));
        assert_eq!((report.run, report.is_complete()), (Some(1), false));
        let error = names_error(&report.failed[0].error);
        assert_eq!(*error, NamesError::Blocked(2));
    }
    let status = fleet.status(Some(&"t02".parse().unwrap()), 3).unwrap();
    let failed = status[0].failed.as_ref().unwrap();
    assert_eq!((failed.run, &*failed.why), (1, "step 2 is blocked"));
    assert_eq!(
        status.iter().map(|s| s.schema).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(1)]
    );
    world.remove("t03", "block 2");
    world.remove("t05", "block 2");
    let report = fleet.migrate(&options(), |_| {}).unwrap();
    assert_eq!((report.run, report.is_complete()), (Some(1), true));
    let runs = fleet.runs(9).unwrap();
    assert_eq!(
        (runs.len(), runs[0].outcome, runs[0].done),
        (1, Some(RunOutcome::Done), 10)
    );
}

#[test]
fn a_canary_that_fails_spares_the_others() {
    for (blocked, expected) in [("t01", (1, 1, 8)), ("t05", (9, 1, 0))] {
        let world = World::new(10);
        world.add(blocked, "block 2");
        let options = options().canary(2).keep_going();
        let report = world.fleet(release(2)).migrate(&options, |_| {}).unwrap();
        assert_eq!(counts(&report), expected, "{blocked}");
        let is_canary = report.end == RunEnd::Canary;
        assert_eq!(is_canary, blocked == "t01");
    }
}

#[test]
fn a_stop_between_two_tenants_is_reported_and_resumed() {
    let world = World::new(6);
    let (stop, mut commits) = (Stop::new(), 0);
    let handle = stop.clone();
    let steps = Steps::with_hook(move |step| {
        commits += usize::from(step == "commit the migration");
        if commits == 2 {
            handle.request();
        }
    });
    let options = options().jobs(1).stop(&stop);
    let report = world
        .fleet_with(release(2), steps)
        .migrate(&options, |_| {});
    let report = report.unwrap();
    assert_eq!((report.end, counts(&report)), (RunEnd::Stopped, (2, 0, 4)));
    let fleet = world.fleet(release(2));
    assert_eq!(fleet.runs(1).unwrap()[0].outcome, Some(RunOutcome::Stopped));
    assert_eq!(
        fleet.check().unwrap().unknown,
        0,
        "the others are known again"
    );
    // A request that is there before a run begins ends it before the first tenant.
    let report = fleet.migrate(&options, |_| {}).unwrap();
    assert_eq!(
        (report.run, report.end, report.done.len()),
        (None, RunEnd::Stopped, 0)
    );
    let report = fleet.migrate(&crate::world::options(), |_| {}).unwrap();
    assert_eq!((report.run, report.is_complete()), (Some(1), true));
}

#[test]
fn tenants_are_skipped_by_request_and_by_status() {
    let world = World::new(5);
    world.set_status("t01", TenantStatus::Provisioning);
    world.set_status("t02", TenantStatus::Retiring);
    world.set_status("t03", TenantStatus::Suspended);
    let fleet = world.fleet(release(2));
    let options = options().skip(["t04".parse().unwrap()]);
    let report = fleet.migrate(&options, |_| {}).unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.why).collect();
    let expected = [
        Skipped::Status(TenantStatus::Provisioning),
        Skipped::Status(TenantStatus::Retiring),
        Skipped::Requested,
    ];
    assert_eq!(skipped, expected);
    assert_eq!(
        (world.versions(), report.is_complete()),
        (vec![2, 1, 1, 2, 1], true)
    );
    let counts = fleet.check().unwrap();
    assert_eq!(
        (counts.current, counts.behind),
        (2, 1),
        "only those in use count"
    );
}

#[test]
fn a_tenant_that_leaves_while_a_run_works_on_it_is_no_failure() {
    let world = World::new(2);
    let other = world.clone();
    let steps = Steps::with_hook(move |step| {
        if step == "migrate" && other.tenant("t01").status() == TenantStatus::Active {
            other.set_status("t01", TenantStatus::Retiring);
            other.add("t01", "damaged");
        }
    });
    let options = options().jobs(1);
    let report = world
        .fleet_with(release(2), steps)
        .migrate(&options, |_| {});
    let report = report.unwrap();
    assert_eq!((counts(&report), report.is_complete()), ((1, 0, 0), true));
    let why = Skipped::Status(TenantStatus::Retiring);
    assert_eq!(report.skipped[0].why, why);
}

#[test]
fn names_that_no_tenant_has_and_jobs_out_of_bounds_are_errors_before_anything_is_done() {
    let world = World::new(1);
    let fleet = world.fleet(release(2));
    let unknown = || ["nobody".parse().unwrap()];
    for wrong in [
        options().only(unknown()),
        options().skip(unknown()),
        options().jobs(0),
    ] {
        let errors = [
            fleet.migrate(&wrong, |_| {}).map(drop).unwrap_err(),
            fleet.plan(&wrong).map(drop).unwrap_err(),
            fleet.seed(&wrong, |_| {}).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(error, FleetError::Write(_) | FleetError::Jobs(_)),
                "{error:?}"
            );
        }
    }
    assert_eq!(
        (world.versions(), fleet.runs(1).unwrap().len()),
        (vec![1], 0)
    );
}

#[test]
fn steps_that_fail_on_an_empty_database_or_differ_from_a_tenants_touch_no_tenant() {
    let world = World::new(2);
    let mut driver = world.driver(release(2), Steps::new());
    driver.fails_when_empty = true;
    let fleet = Fleet::new(driver, world.journal(Steps::new()));
    let error = fleet.migrate(&options(), |_| {}).unwrap_err();
    assert!(matches!(error, FleetError::Migrations(_)), "{error:?}");
    let mut edited = release(2);
    edited[0].name = "edited".into();
    let fleet = world.fleet(edited);
    for error in [
        fleet.migrate(&options(), |_| {}).map(drop).unwrap_err(),
        fleet.plan(&options()).map(drop).unwrap_err(),
        fleet.check().map(drop).unwrap_err(),
    ] {
        let FleetError::Diverged { tenant, source } = error else {
            panic!("{error:?}")
        };
        let source = names_error(&source);
        assert_eq!(
            (tenant.id.as_str(), source),
            ("t01", &NamesError::Diverged(1))
        );
    }
    assert_eq!(world.versions(), [1, 1]);
}

#[test]
fn a_second_run_is_refused_with_its_holder() {
    let world = World::new(2);
    let (other, refusals) = (world.fleet(release(2)), Arc::new(Mutex::new(Vec::new())));
    let seen = refusals.clone();
    let steps = Steps::with_hook(move |step| {
        if step == "record what was done" {
            let refused = other.seed(&options(), |_| {}).unwrap_err();
            seen.lock().unwrap().push(refused.to_string());
        }
    });
    let options = options().jobs(1);
    world
        .fleet_with(release(2), steps)
        .migrate(&options, |_| {})
        .unwrap();
    let text = "conflict: run 1 (migrate) by test on  is in progress; \
                wait for its end, or end its process, then run the command again";
    assert_eq!(refusals.lock().unwrap()[0], text);
    assert!(world.fleet(release(2)).seed(&options, |_| {}).is_ok());
}

#[test]
fn a_run_whose_lease_was_taken_over_records_nothing_more_and_begins_no_tenant() {
    let world = World::new(50);
    let thief = world.clone();
    let mut is_stolen = false;
    let steps = Steps::with_hook(move |step| {
        match step {
            "record what was done" if !is_stolen => {
                is_stolen = true;
                thief.tables().leases += 1;
            }
            // The first result is recorded before the last tenant is begun.
            _ => std::thread::sleep(Duration::from_micros(200)),
        }
    });
    let options = options().jobs(1);
    let error = world
        .fleet_with(release(2), steps)
        .migrate(&options, |_| {})
        .unwrap_err();
    assert!(matches!(error, FleetError::Write(_)), "{error:?}");
    let moved = world.versions().into_iter().filter(|v| *v == 2).count();
    assert!(moved < 50, "{moved}");
    world.tables().lease = None;
    // What the first process did not record is recorded by the second.
    let report = world.fleet(release(2)).migrate(&options, |_| {}).unwrap();
    assert_eq!((report.run, report.is_complete()), (Some(1), true));
    assert!(world.versions().into_iter().all(|v| v == 2));
}

#[test]
fn a_database_that_another_operation_moves_after_the_survey_is_a_conflict() {
    let world = World::new(2);
    let other = world.clone();
    let steps = Steps::with_hook(move |step| {
        if step == "begin a run" {
            other.migrate_alone("t01", 2);
        }
    });
    let options = options().keep_going();
    let report = world
        .fleet_with(release(3), steps)
        .migrate(&options, |_| {});
    let report = report.unwrap();
    let error = names_error(&report.failed[0].error);
    assert_eq!(*error, NamesError::Conflict { seen: 1, found: 2 });
    assert_eq!(world.versions(), [3, 2]);
}

#[test]
fn a_database_that_can_be_read_only_after_the_survey_is_a_conflict() {
    let world = World::new(1);
    world.add("t00", "damaged");
    let other = world.clone();
    let steps = Steps::with_hook(move |step| {
        if step == "begin a run" {
            other.remove("t00", "damaged");
        }
    });
    let report = world
        .fleet_with(release(2), steps)
        .migrate(&options(), |_| {});
    let error = &report.unwrap().failed[0].error;
    assert!(
        matches!(error, TenantError::NotSurveyed { .. }),
        "{error:?}"
    );
    assert_eq!(world.versions(), [1]);
}

#[test]
fn a_plan_shows_what_a_migration_does_and_changes_nothing() {
    let world = World::new(3);
    world.migrate_alone("t01", 3);
    world.add("t02", "damaged");
    let fleet = world.fleet(release(3));
    let plan = fleet.plan(&options()).unwrap();
    let planned: Vec<_> = plan
        .tenants
        .iter()
        .map(|p| p.tenant.id().as_str())
        .collect();
    assert_eq!((plan.target, planned), (3, vec!["t00", "t02"]));
    assert_eq!(plan.tenants[0].steps, release(3)[1..]);
    assert_eq!(plan.tenants[1].from, Err("there is no live nt02.1".into()));
    assert_eq!((world.version("t00"), fleet.runs(1).unwrap().len()), (1, 0));
}

#[test]
fn a_tenant_ahead_of_the_program_is_counted_and_fails() {
    let world = World::new(2);
    world.fleet(release(3)).migrate(&options(), |_| {}).unwrap();
    let old = world.fleet(release(2));
    let counts = old.check().unwrap();
    assert_eq!(
        (counts.newest, counts.ahead, counts.all_current()),
        (2, 2, false)
    );
    assert_eq!(
        old.migrate(&options().jobs(1), |_| {})
            .unwrap()
            .failed
            .len(),
        1
    );
}

#[test]
fn seeds_are_run_once_and_a_tenant_that_is_behind_fails() {
    let world = World::new(3);
    let fleet = world.fleet(release(1));
    let report = fleet.seed(&options(), |_| {}).unwrap();
    assert_eq!((counts(&report), report.steps()), ((3, 0, 0), 6));
    // A run of the same seeds that is done is not resumed: it is a new one.
    let report = fleet.seed(&options(), |_| {}).unwrap();
    assert_eq!((report.run, report.steps()), (Some(2), 0));
    let mut driver = world.driver(release(2), Steps::new());
    let fleet = Fleet::new(driver.clone(), world.journal(Steps::new()));
    let report = fleet.seed(&options().keep_going(), |_| {}).unwrap();
    assert_eq!(counts(&report), (0, 3, 0));
    assert_eq!(*names_error(&report.failed[0].error), NamesError::Behind);
    driver.seeds.clear();
    let fleet = Fleet::new(driver, world.journal(Steps::new()));
    assert_eq!(fleet.seed(&options(), |_| {}).unwrap().run, None);
}

#[test]
fn the_schemas_of_unknown_tenants_are_read_from_their_databases() {
    let world = World::new(4);
    let steps = Steps::with_fault("record what was done", 1, crate::steps::Fault::Killed);
    let fleet = world.fleet_with(release(2), steps);
    fleet.migrate(&options().jobs(1), |_| {}).unwrap_err();
    let fleet = world.fleet(release(2));
    let counts = fleet.schema_counts().unwrap();
    assert_eq!(counts.current + counts.behind, 4);
    assert!(counts.current >= 1 && counts.unknown == 0, "{counts:?}");
    let status = fleet.status(None, 9).unwrap();
    let versions: Vec<_> = status.iter().map(|s| s.schema.unwrap()).collect();
    assert_eq!(versions, world.versions());
    let run = &fleet.runs(1).unwrap()[0];
    assert_eq!(
        (run.ended_ms, run.pending, &*run.actor),
        (None, 4, by().as_str())
    );
}

#[test]
fn many_workers_do_each_tenant_once() {
    let world = World::new(200);
    let seen = Mutex::new(BTreeSet::new());
    let report = world
        .fleet(release(4))
        .migrate(&options().jobs(16), |_| {})
        .unwrap();
    for done in &report.done {
        assert!(seen.lock().unwrap().insert(done.tenant.id.clone()));
        assert_eq!((done.from, done.to, done.restored), (1, 4, false));
    }
    assert_eq!(seen.lock().unwrap().len(), 200);
}
