//! What killed processes left half done is taken up, and recovery itself may be killed.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tenancy_core::{Actor, CatalogWriter, NewTenant, Provisioner, Tenant, TenantStatus};
use tenancy_sqlite::{
    Depth, FileError, RepairError, SqliteFleet, SqliteStorageBuilder, ValidateOptions,
};

use crate::util::{at, child, files_below, notes, quick_dir};

const NOW: Duration = Duration::ZERO;

fn by() -> Actor {
    Actor::new("test")
}

fn open(
    root: &Path,
    options: impl FnOnce(SqliteStorageBuilder) -> SqliteStorageBuilder,
) -> SqliteFleet {
    options(at(root).migrations(notes()))
        .open()
        .unwrap()
        .fleet()
}

fn row(fleet: &SqliteFleet, id: &str, status: TenantStatus) -> Tenant {
    let mut new = NewTenant::new(id.parse().unwrap());
    new.status = status;
    new.placement = fleet.driver().place(&new.id).unwrap();
    fleet.catalog().insert(new, &by()).unwrap()
}

/// A tenant that was being retired, with a row of its own, at some point of it.
fn half_retired(fleet: &SqliteFleet, id: &str) -> Tenant {
    let tenant = row(fleet, id, TenantStatus::Retiring);
    fleet.driver().provision(&tenant).unwrap();
    let manager = tenancy_pool::Driver::manager(fleet.driver(), &tenant);
    let connection = r2d2::ManageConnection::connect(&manager).unwrap();
    connection
        .execute("INSERT INTO notes (text) VALUES (?1)", [id])
        .unwrap();
    tenant
}

/// One of each: half retired, half revived, gone, in the trash, unfinished, in use.
fn prepare(root: &Path) {
    let fleet = open(root, |builder| builder);
    half_retired(&fleet, "retiring");
    let reviving = half_retired(&fleet, "reviving");
    fleet.driver().retire(&reviving, NOW).unwrap();
    fleet.driver().revive(&reviving).unwrap();
    let gone = half_retired(&fleet, "gone");
    fleet.driver().destroy(&gone).unwrap();
    let retired = half_retired(&fleet, "retired");
    fleet.driver().retire(&retired, NOW).unwrap();
    row(&fleet, "unfinished", TenantStatus::Provisioning);
    let active = row(&fleet, "active", TenantStatus::Active);
    fleet.driver().provision(&active).unwrap();
}

/// Everything is where a recovery leaves it, and every row is there.
fn check(root: &Path, case: &str) {
    let fleet = open(root, |builder| builder);
    let names = |dir: &str| files_below(&root.join(dir)).len();
    assert_eq!((names("trash"), names("tenants")), (3, 1), "{case}");
    let options = ValidateOptions::new().depth(Depth::Full);
    let found = fleet.validate(&options, |_| {}).unwrap();
    let codes: Vec<_> = found.findings.iter().map(|f| f.code()).collect();
    assert_eq!(codes, ["gone"], "{case}: {:?}", found.findings);
    for tenant in fleet.catalog().page(None, 9).unwrap() {
        if !["retiring", "reviving", "retired"].contains(&tenant.id().as_str()) {
            continue;
        }
        assert_eq!(tenant.status(), TenantStatus::Retiring, "{case}");
        fleet.driver().revive(&tenant).unwrap();
        let manager = tenancy_pool::Driver::manager(fleet.driver(), &tenant);
        let connection = r2d2::ManageConnection::connect(&manager).unwrap();
        let text: String = connection
            .query_row("SELECT text FROM notes", [], |row| row.get(0))
            .unwrap();
        assert_eq!(text, tenant.id().as_str(), "{case}");
    }
    fleet.catalog().check_events().unwrap().unwrap();
}

#[test]
fn interrupted_operations_are_finished_or_reported() {
    let dir = quick_dir();
    prepare(dir.path());
    let fleet = open(dir.path(), |builder| builder);
    assert!(fleet.driver().was_alone());
    let recovered = fleet.recover(&by()).unwrap();
    let ids = |all: &[tenancy_core::TenantRef]| -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    };
    let retired: Vec<_> = recovered
        .retired
        .iter()
        .map(|fixed| {
            fixed.result.as_ref().unwrap();
            fixed.finding.tenant.clone().unwrap()
        })
        .collect();
    assert_eq!(ids(&retired), ["retiring@1", "reviving@1"]);
    assert_eq!(ids(&recovered.gone), ["gone@1"]);
    assert_eq!(ids(&recovered.unfinished), ["unfinished@1"]);
    let version = fleet.catalog().version().unwrap();
    let again = fleet.recover(&by()).unwrap();
    assert!(again.retired.is_empty() && !again.is_empty());
    assert_eq!(
        fleet.catalog().version().unwrap(),
        version,
        "nothing is written"
    );
    drop(fleet);
    check(dir.path(), "once");
}

#[test]
fn a_file_that_a_process_has_open_is_not_changed() {
    let dir = quick_dir();
    let fleet = open(dir.path(), |builder| builder);
    let acme = half_retired(&fleet, "acme");
    let manager = tenancy_pool::Driver::manager(fleet.driver(), &acme);
    let connection = r2d2::ManageConnection::connect(&manager).unwrap();
    let recovered = fleet.recover(&by()).unwrap();
    let refused = &recovered.retired[0].result;
    let in_use = matches!(refused, Err(RepairError::File(FileError::InUse { .. })));
    assert!(in_use, "{refused:?}");
    connection
        .execute("INSERT INTO notes (text) VALUES ('kept')", [])
        .unwrap();
    drop(connection);
    let other = open(dir.path(), |builder| builder);
    assert!(!other.driver().was_alone());
    assert_eq!(other.recover(&by()).unwrap().retired.len(), 1);
    assert!(fleet.recover(&by()).unwrap().is_empty());
}

fn steps() -> Vec<&'static str> {
    let dir = quick_dir();
    prepare(dir.path());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let steps = seen.clone();
    let fleet = open(dir.path(), |builder| {
        builder.on_step(move |name| {
            seen.lock().unwrap().push(name);
            Ok(())
        })
    });
    fleet.recover(&by()).unwrap();
    let steps = steps.lock().unwrap();
    steps.clone()
}

/// The child: recovers until its step.
pub fn recover_and_die(arguments: &[String]) {
    let [root, at] = arguments else {
        panic!("root, at")
    };
    let left = Mutex::new(at.parse::<usize>().unwrap());
    let fleet = open(Path::new(root), |builder| {
        builder.on_step(move |_| {
            let mut left = left.lock().unwrap();
            if *left == 0 {
                let this = rustix::process::getpid();
                rustix::process::kill_process(this, rustix::process::Signal::KILL)?;
            }
            *left -= 1;
            Ok(())
        })
    });
    fleet.recover(&by()).unwrap();
}

#[test]
fn a_recovery_that_is_killed_at_any_step_is_taken_up_by_the_next() {
    let steps = steps();
    let names: BTreeSet<_> = steps.iter().copied().collect();
    let expected = [
        "close",
        "close the stamp",
        "finish retiring",
        "move to the trash",
        "sync both directories",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    for (at, step) in steps.iter().enumerate() {
        let dir = quick_dir();
        prepare(dir.path());
        let path = dir.path().to_str().unwrap();
        let child = child::start("recover", &[path, &at.to_string()]);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{at} {step}: {output:?}");
        let fleet = open(dir.path(), |builder| builder);
        fleet.recover(&by()).unwrap();
        drop(fleet);
        check(dir.path(), &format!("{at} {step}"));
    }
}

#[test]
fn a_failed_step_of_a_recovery_is_reported_and_repeated() {
    for (at, step) in steps().into_iter().enumerate() {
        let case = format!("{at} {step}");
        let dir = quick_dir();
        prepare(dir.path());
        let left = Mutex::new(at);
        let fleet = open(dir.path(), |builder| {
            builder.on_step(move |_| {
                let mut left = left.lock().unwrap();
                *left = left.wrapping_sub(1);
                match *left {
                    usize::MAX => Err(std::io::Error::other("no space left")),
                    _ => Ok(()),
                }
            })
        });
        let told = match fleet.recover(&by()) {
            Ok(recovered) => recovered.retired.iter().any(|fixed| fixed.result.is_err()),
            Err(_) => true,
        };
        assert!(told, "{case}");
        fleet
            .recover(&by())
            .unwrap_or_else(|e| panic!("{case}: {e}"));
        drop(fleet);
        check(dir.path(), &case);
    }
}
