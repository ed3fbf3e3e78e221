//! Options of a driver that only the system sees: its calls are counted, or its answers
//! changed, by strace.

use std::path::Path;
use std::process::Command;

use tenancy_core::{Provisioner, Tenant};
use tenancy_sqlite::{Durability, FileSystems, SqliteDriver, SqliteStorage};

use crate::util::{Root, at, child, notes, quick_dir};

fn traces() -> bool {
    let mut strace = Command::new("strace");
    let there = strace.args(["-qq", "-e", "trace=none", "true"]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        println!("left out: strace is not there or may not trace");
    }
    there
}

const COMMITS: usize = 20;

/// The child: commits so many times on one connection.
pub fn commit(arguments: &[String]) {
    let [root, durability] = arguments else {
        panic!("root and durability")
    };
    let durability = match &**durability {
        "full" => Durability::Full,
        _ => Durability::Normal,
    };
    let driver = at(root).migrations(notes());
    let driver = driver.durability(durability).open_driver().unwrap();
    let acme = place_of(&driver, root);
    let connection =
        r2d2::ManageConnection::connect(&tenancy_pool::Driver::manager(&driver, &acme));
    let connection = connection.unwrap();
    for _ in 0..COMMITS {
        let sql = "INSERT INTO notes (text) VALUES ('x')";
        connection.execute(sql, []).unwrap();
    }
    // No last close, which would checkpoint.
    std::process::exit(0);
}

/// The tenant of a test that runs in two processes: its place is in a file.
fn place_of(driver: &SqliteDriver, root: &str) -> Tenant {
    let (id, note): (tenancy_core::TenantId, _) =
        ("acme".parse().unwrap(), Path::new(root).join("place"));
    let place = match std::fs::read_to_string(&note) {
        Ok(locator) => tenancy_core::Placement::new("sqlite", locator),
        Err(_) => driver.place(&id).unwrap(),
    };
    std::fs::write(note, &*place.locator).unwrap();
    Tenant::builder(id).placement(place).build().unwrap()
}

/// Counted by the system calls: a sync a commit, or none.
#[test]
fn a_durable_commit_waits_for_the_disk_and_another_does_not() {
    if !traces() {
        return;
    }
    for (durability, syncs) in [("full", COMMITS..COMMITS + 4), ("normal", 0..4)] {
        let root = Root::durable();
        let dir = root.dir.path().to_str().unwrap();
        let acme = place_of(&root.driver, dir);
        root.driver.provision(&acme).unwrap();
        let log = root.dir.path().join("strace");
        let outer = [
            "strace",
            "-f",
            "-qq",
            "-y",
            "-o",
            log.to_str().unwrap(),
            "-e",
        ];
        let outer: Vec<_> = outer.into_iter().chain(["trace=fsync,fdatasync"]).collect();
        let child = child::start_under(&outer, "commit", &[dir, durability]);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = std::fs::read_to_string(log).unwrap();
        let counted = log.lines().filter(|line| line.contains("sync(")).count();
        assert!(syncs.contains(&counted), "{durability}: {counted}\n{log}");
    }
}

/// The child: builds a driver and a catalog, and says what came of it.
pub fn build(arguments: &[String]) {
    let [root, allowed] = arguments else {
        panic!("root and file systems")
    };
    let allowed = match &**allowed {
        "any" => FileSystems::Any,
        _ => FileSystems::Local,
    };
    let builder = || SqliteStorage::builder(root).file_systems(allowed);
    println!("\nSAID {:?}", builder().create());
    println!("\nSAID {:?}", builder().open());
}

/// The kernel's answer is changed on its way: there is no network here.
#[test]
fn a_root_on_a_network_is_refused_unless_any_file_system_is_allowed() {
    let poke = "inject=statfs,fstatfs:poke_exit=@arg2=6969000000000000";
    let output = Command::new("strace")
        .args(["-qq", "-e", poke, "true"])
        .output();
    if !output.is_ok_and(|output| output.status.success()) {
        return println!("left out: this strace is not there or cannot change answers");
    }
    for (allowed, refused) in [("local", 2), ("any", 0)] {
        let dir = quick_dir();
        let root = dir.path().join("root");
        let log = dir.path().join("strace");
        let outer = [
            "strace",
            "-f",
            "-qq",
            "-o",
            log.to_str().unwrap(),
            "-e",
            poke,
        ];
        let child = child::start_under(&outer, "build", &[root.to_str().unwrap(), allowed]);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let said: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("SAID"))
            .collect();
        let count = |word: &str| said.iter().filter(|line| line.contains(word)).count();
        let network = count("Err(NetworkFileSystem");
        assert_eq!(
            (network, count("Ok(")),
            (refused, 2 - refused),
            "{allowed}: {said:?}"
        );
        assert!(
            refused == 0 || said.iter().all(|line| line.contains("NFS")),
            "{said:?}"
        );
    }
}
