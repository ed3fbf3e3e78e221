//! A disk that is full or fails: errors that say so, nothing half applied, others go on,
//! and afterwards all is as it was told.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tenancy_core::{
    Actor, Catalog, CatalogWriter, Event, NewTenant, Provisioner, Tenant, TenantKey,
};
use tenancy_core::{TenantChange, TenantStatus};
use tenancy_pool::TenantPools;
use tenancy_sqlite::{Migration, Migrations, SqliteCatalog, SqliteDriver, SqliteStorage};

use crate::util::{Root, at, child};

fn migrations() -> Migrations {
    let sql = "CREATE TABLE halves (n INTEGER, half TEXT, filler TEXT) STRICT";
    Migrations::new([Migration::new("halves", sql)]).unwrap()
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let texts = causes.map(ToString::to_string);
    let all: Vec<_> = std::iter::once(error.to_string()).chain(texts).collect();
    all.join(": ").replace('\n', " ")
}

type Failed = Box<dyn std::error::Error>;

fn create(driver: &SqliteDriver, catalog: &SqliteCatalog, id: &str) -> Result<Tenant, Failed> {
    let by = Actor::new("test");
    let row = match catalog.lookup(TenantKey::Label(id))?.value {
        Some(row) if row.status() == TenantStatus::Active => return Ok(row),
        Some(row) => row,
        None => {
            let mut new = NewTenant::new(id.parse()?);
            new.status = TenantStatus::Provisioning;
            new.placement = driver.place(&new.id)?;
            catalog.insert(new, &by)?
        }
    };
    driver.provision(&row)?;
    let active = TenantChange::status(TenantStatus::Active);
    Ok(catalog.update(row.id(), row.version(), active, &by)?)
}

/// Both halves of a row, in one transaction.
fn write(
    pools: &TenantPools<SqliteDriver>,
    tenant: &Tenant,
    n: usize,
    bytes: usize,
) -> Result<(), (Failed, usize)> {
    let mut connection = pools.checkout(tenant).map_err(|e| (e.into(), 0))?;
    let write = |connection: &mut rusqlite::Connection| -> rusqlite::Result<()> {
        let transaction = connection.transaction()?;
        for half in ["one", "other"] {
            let sql = "INSERT INTO halves VALUES (?1, ?2, ?3)";
            transaction.execute(sql, (n as i64, half, "x".repeat(bytes)))?;
        }
        transaction.commit()
    };
    let done = write(&mut connection);
    drop(connection);
    let kept = pools
        .tenant_stats(tenant.id())
        .map_or(0, |stats| stats.idle);
    done.map_err(|error| (error.into(), kept as usize))
}

/// The child: says of each thing that it does what came of it.
pub fn work(arguments: &[String]) {
    let [root, rounds, bytes] = arguments else {
        panic!("root, rounds and bytes")
    };
    let (rounds, bytes) = (rounds.parse().unwrap(), bytes.parse().unwrap());
    let builder = SqliteStorage::builder(root).migrations(migrations());
    let storage = match Path::new(root).join("tenancy.root").exists() {
        true => builder.open(),
        false => builder.create(),
    };
    let storage = match storage {
        Ok(storage) => storage,
        Err(error) => return println!("FAILED open: {}", chain(&error)),
    };
    let (catalog, driver) = (storage.catalog().clone(), storage.driver().clone());
    let failed_maintenance = Arc::new(AtomicU32::new(0));
    let count = failed_maintenance.clone();
    let observer = move |event: &Event<'_>| {
        if let Event::IdleMaintenanceFailed { tenant, error } = event {
            println!("FAILED maintain {}: {}", tenant.id(), chain(*error));
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let pools = TenantPools::<SqliteDriver>::builder().max_per_tenant(1);
    let pools = pools
        .idle_maintenance_after(Duration::ZERO)
        .observer(Arc::new(observer));
    let pools = pools.build(driver.clone()).unwrap();
    let mut made = Vec::new();
    for id in ["acme", "beta", "gamma"] {
        match create(&driver, &catalog, id) {
            Ok(tenant) => {
                println!("OK create {id}");
                made.push(tenant);
            }
            Err(error) => println!("FAILED create {id}: {}", chain(&*error)),
        }
    }
    for n in 0..rounds {
        for tenant in &made {
            let id = tenant.id();
            match write(&pools, tenant, n, bytes) {
                Ok(()) => println!("OK write {id} {n}"),
                Err((error, kept)) => println!("FAILED write {id} {n} {kept}: {}", chain(&*error)),
            }
        }
    }
    let idle = pools.stats().idle;
    pools.reap();
    let kept = idle - failed_maintenance.load(Ordering::Relaxed);
    assert_eq!(
        pools.stats().idle,
        kept,
        "a connection whose maintenance failed is closed"
    );
    println!("DONE");
}

/// What a child said.
struct Said {
    lines: Vec<String>,
}

impl Said {
    /// Runs the child in a root, behind another command.
    #[track_caller]
    fn by(outer: &[&str], root: &Path, rounds: usize, bytes: usize) -> Self {
        let root = root.to_str().unwrap();
        let [rounds, bytes] = [rounds, bytes].map(|n| n.to_string());
        let child = child::start_under(outer, "disk", &[root, &rounds, &bytes]);
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The test harness writes its own beginning of a line.
        let line = |line: &str| {
            let at = ["OK ", "FAILED ", "DONE"]
                .iter()
                .filter_map(|w| line.find(w))
                .min();
            at.map(|at| line[at..].to_owned())
        };
        let lines: Vec<_> = text.lines().filter_map(line).collect();
        let ended = lines
            .last()
            .is_some_and(|l| l == "DONE" || l.starts_with("FAILED open"));
        assert!(ended && output.status.success(), "{outer:?}: {output:?}");
        Self { lines }
    }

    fn failed(&self) -> impl Iterator<Item = &String> {
        self.lines.iter().filter(|line| line.starts_with("FAILED"))
    }

    fn acknowledged(&self, id: &str) -> BTreeSet<i64> {
        let start = format!("OK write {id} ");
        let lines = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix(&start));
        lines.map(|n| n.parse().unwrap()).collect()
    }
}

/// With the disk well again: everything that was acknowledged is there, no row has one
/// half, and what failed can be done again.
#[track_caller]
fn check_afterwards(root: &Path, said: &Said, what: &str) {
    let storage = at(root).migrations(migrations()).open().unwrap();
    let catalog = storage.catalog().clone();
    let root = Root::of(storage, tempfile::tempdir().unwrap());
    catalog.check_events().unwrap().unwrap();
    // What could not be made a write-ahead log was not used without one.
    let raw = rusqlite::Connection::open(catalog.path()).unwrap();
    let mode = raw.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    assert_eq!(mode.unwrap(), "wal", "{what}");
    for id in ["acme", "beta", "gamma"] {
        let tenant = create(&root.driver, &catalog, id);
        let tenant = tenant.unwrap_or_else(|e| panic!("{what}: {id}: {}", chain(&*e)));
        let connection = root.connect(&tenant).unwrap();
        let ok: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(ok, "ok", "{what}: {id}");
        let sql = "SELECT n, group_concat(half, '+' ORDER BY half) FROM halves GROUP BY n";
        let mut read = connection.prepare(sql).unwrap();
        let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let rows = rows
            .unwrap()
            .collect::<Result<Vec<(i64, String)>, _>>()
            .unwrap();
        assert!(
            rows.iter().all(|(_, halves)| halves == "one+other"),
            "{what}: {id}: {rows:?}"
        );
        let there: BTreeSet<_> = rows.into_iter().map(|(n, _)| n).collect();
        let acknowledged = said.acknowledged(id);
        assert!(
            acknowledged.is_subset(&there),
            "{what}: {id}: {acknowledged:?} {there:?}"
        );
    }
}

fn runs(command: &str, arguments: &[&str]) -> bool {
    let output = Command::new(command).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// Every sync fails once, one after the other, until there are no more.
#[test]
fn a_sync_that_fails_is_an_error_of_one_step_and_everything_else_goes_on() {
    if !runs("strace", &["-qq", "-e", "trace=none", "true"]) {
        return println!("left out: strace is not there or may not trace");
    }
    let mut failures = BTreeSet::new();
    for call in ["fsync", "fdatasync"] {
        for n in 1.. {
            assert!(n < 100, "it does not end");
            let dir = tempfile::tempdir().unwrap();
            let inject = format!("inject={call}:error=EIO:when={n}");
            let trace = format!("trace={call}");
            let log = dir.path().join("strace");
            let log = log.to_str().unwrap();
            let outer = [
                "strace", "-f", "-qq", "-o", log, "-e", &trace, "-e", &inject,
            ];
            let root = dir.path().join("root");
            let said = Said::by(&outer, &root, 2, 100);
            let injected = std::fs::read_to_string(log).unwrap().contains("INJECTED");
            let what = format!("{call} {n}: {:?}", said.failed().collect::<Vec<_>>());
            assert!(said.failed().count() <= 1, "{what}");
            for line in said.failed() {
                let words: Vec<_> = line.split(' ').collect();
                // `FAILED write ID N KEPT: …`: the connection was thrown away.
                if words[1] == "write" && !line.contains("could not be opened") {
                    assert!(line.contains("disk I/O error"), "{what}");
                    assert_eq!(words[4], "0:", "{what}");
                }
                let names = words[1] == "open:" || line.contains(words[2]);
                assert!(
                    names && (line.contains("I/O error") || line.contains("os error 5")),
                    "{what}"
                );
                failures.insert(words[1].trim_end_matches(':').to_owned());
            }
            check_afterwards(&root, &said, &what);
            if !injected {
                break;
            }
        }
    }
    let expected = ["create", "maintain", "open", "write"];
    assert!(failures.iter().eq(&expected), "{failures:?}");
}

/// As `ulimit -f` with the signal ignored: the call fails instead.
#[test]
fn a_file_that_may_not_grow_is_an_error_of_the_write() {
    let dir = tempfile::tempdir().unwrap();
    // In blocks of 1,024 bytes in bash, 512 in others.
    let limited = [
        "sh",
        "-c",
        "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\"",
    ];
    let said = Said::by(&limited, dir.path(), 12, 20_000);
    let failed: Vec<_> = said.failed().collect();
    assert!(!failed.is_empty(), "{:?}", said.lines);
    let typed = |line: &&String| line.contains("disk I/O error") || line.contains("is full");
    assert!(failed.iter().all(typed), "{failed:?}");
    check_afterwards(dir.path(), &said, "ulimit");
}

/// On a file system of a few megabytes, where that may be mounted.
#[test]
fn a_full_disk_is_an_error_of_the_step_that_needed_more() {
    let mounted = "mount -t tmpfs -o size=700k tmpfs \"$MOUNT\" && ";
    let probe = tempfile::tempdir().unwrap();
    let script = format!("MOUNT={}; {mounted} true", probe.path().display());
    if !runs("unshare", &["-rm", "sh", "-c", &script]) {
        return println!("left out: nothing can be mounted here");
    }
    let dir = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    // What is on it is copied away before it goes.
    let script = format!(
        "MOUNT={0}; {mounted} \"$0\" \"$@\"; ended=$?; cp -r {0}/. {1}; exit $ended",
        dir.path().display(),
        kept.path().display()
    );
    let outer = ["unshare", "-rm", "sh", "-c", &script];
    let said = Said::by(&outer, dir.path(), 12, 20_000);
    let failed: Vec<_> = said.failed().collect();
    assert!(!failed.is_empty(), "{:?}", said.lines);
    let typed = |line: &&String| {
        ["is full", "No space left", "disk I/O error"]
            .iter()
            .any(|w| line.contains(w))
    };
    assert!(failed.iter().all(typed), "{failed:?}");
    check_afterwards(kept.path(), &said, "tmpfs");
}
