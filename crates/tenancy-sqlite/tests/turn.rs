//! Snapshots that are restored while the tenant is used, by this process and by another.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use r2d2::ManageConnection;
use rusqlite::ErrorCode;
use tenancy_core::{Catalog, Tenant, TenantKey};
use tenancy_fleet::RollbackTo;
use tenancy_pool::{Driver, TenantPools};
use tenancy_sqlite::{
    DenyRule, FileError, OpenError, Repair, RepairError, SqliteCatalog, SqliteDriver, SqliteFleet,
    ValidateOptions,
};

use crate::fleet::{Bed, by, first_step, options};
use crate::rollback::with_irreversible;
use crate::util::{at, catalog, child};

/// The bound of every wait.
const PATIENCE: Duration = Duration::from_secs(60);

fn current(catalog: &SqliteCatalog) -> Tenant {
    let found = catalog.lookup(TenantKey::Label("t00")).unwrap();
    found.value.expect("it is there")
}

/// A writer that writes until it is refused, and then resolves the tenant again.
struct Traffic<'t> {
    pools: &'t TenantPools<SqliteDriver>,
    catalog: &'t SqliteCatalog,
    who: String,
    seed: u64,
}

impl Traffic<'_> {
    /// xorshift.
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// Writes until `done`; returns the number of rows that were acknowledged in the old file and
    /// in the new one. Panics at a row that was begun after the cutover and acknowledged in the
    /// old file.
    fn run(&mut self, done: impl Fn(usize) -> bool) -> [usize; 2] {
        let mut tenant = current(self.catalog);
        let mut acknowledged = [0, 0];
        let began = Instant::now();
        while !done(acknowledged[1]) {
            assert!(began.elapsed() < PATIENCE, "it never came to its end");
            let connection = match self.pools.checkout(&tenant) {
                Ok(connection) => connection,
                Err(_) => {
                    tenant = current(self.catalog);
                    continue;
                }
            };
            let epoch = tenant.epoch().get();
            // Some keep a connection for long.
            for _ in 0..=self.random(40) {
                let turned = current(self.catalog).epoch().get() > epoch;
                let which = &mut acknowledged[usize::from(epoch > 1)];
                let text = format!("{}.{epoch}.{which}", self.who);
                let sql = "INSERT INTO notes (text) VALUES (?1)";
                match connection.execute(sql, [&text]) {
                    Ok(_) => {
                        assert!(!turned, "{text} is lost in the old file");
                        *which += 1;
                    }
                    Err(error) if epoch > 1 => panic!("{text}: {error}"),
                    Err(error) => {
                        let rule = connection.refusal().map(|refusal| refusal.rule);
                        let code = error.sqlite_error_code();
                        assert_eq!(code, Some(ErrorCode::ConstraintViolation), "{error}");
                        assert_eq!(rule, Some(DenyRule::Superseded), "{error}");
                        break;
                    }
                }
            }
        }
        acknowledged
    }
}

/// The child: writes until it has some rows in the new file; prints their number.
pub fn traffic(arguments: &[String]) {
    let [root, seed] = arguments else {
        panic!("root and seed")
    };
    let driver = at(root).migrations(with_irreversible());
    // It is at version 1 after the rollback.
    let driver = driver.behind(tenancy_sqlite::Behind::Migrate).open_driver();
    let pools = TenantPools::<SqliteDriver>::builder().build(driver.unwrap());
    let mut traffic = Traffic {
        pools: &pools.unwrap(),
        catalog: &catalog(root).unwrap(),
        who: "theirs".into(),
        seed: seed.parse().unwrap(),
    };
    let begun = std::path::Path::new(root).join("begun");
    std::fs::write(begun, "").unwrap();
    let [_, new] = traffic.run(|new| new >= 20);
    println!("\nROWS {new}");
}

/// A fleet whose driver migrates on open, as the snapshot has an older schema.
fn fleet(bed: &Bed) -> SqliteFleet {
    let builder = at(bed.root.dir.path()).migrations(with_irreversible());
    let builder = builder.behind(tenancy_sqlite::Behind::Migrate);
    builder.open().unwrap().fleet()
}

fn driver(bed: &Bed) -> SqliteDriver {
    fleet(bed).driver().clone()
}

#[test]
fn no_write_that_was_acknowledged_after_the_cutover_is_in_the_old_file() {
    let seed = match std::env::var("TENANCY_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => 1 + u64::from(std::process::id()),
    };
    println!("TENANCY_SEED={seed}");
    let bed = Bed::with(1, first_step());
    let fleet = fleet(&bed);
    fleet.migrate(&options(), |_| {}).unwrap();
    let old = bed.tenant("t00");
    let pools = TenantPools::<SqliteDriver>::builder().build(driver(&bed));
    let (pools, stop) = (pools.unwrap(), AtomicBool::new(false));
    let rows = AtomicUsize::new(0);
    let dir = bed.root.dir.path().to_str().unwrap();
    let theirs = child::start("traffic", &[dir, &seed.to_string()]);
    let theirs = std::thread::scope(|scope| {
        for n in 0..2 {
            let (pools, catalog, stop, rows) = (&pools, &bed.catalog, &stop, &rows);
            scope.spawn(move || {
                let mut traffic = Traffic {
                    pools,
                    catalog,
                    who: format!("ours{n}"),
                    seed: seed.wrapping_mul(n + 3) | 1,
                };
                let [_, new] = traffic.run(|new| new >= 20 && stop.load(Ordering::Relaxed));
                rows.fetch_add(new, Ordering::Relaxed);
            });
        }
        let began = Instant::now();
        while !bed.root.dir.path().join("begun").exists() {
            assert!(began.elapsed() < PATIENCE, "the other never began");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(20 + seed % 50));
        let restoring = options().restore_snapshots();
        let report = fleet
            .rollback(RollbackTo::Version(1), &restoring, |_| {})
            .unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        assert_eq!(report.done[0].tenant.to_string(), "t00@2");
        // A caller with the old handle is refused.
        let opened = fleet.driver().manager(&old).connect().unwrap_err();
        let gone = matches!(
            opened,
            OpenError::Superseded { .. } | OpenError::Missing { .. }
        );
        assert!(gone, "{opened:?}");
        let theirs = theirs.wait_with_output().unwrap();
        stop.store(true, Ordering::Relaxed);
        theirs
    });
    let said = String::from_utf8_lossy(&theirs.stdout).into_owned();
    assert!(theirs.status.success(), "{theirs:?}");
    let theirs = said.lines().find_map(|line| line.strip_prefix("ROWS "));
    let theirs: usize = theirs.unwrap().parse().unwrap();
    // All acknowledged rows are in the new file, and the old one is put away.
    let sql = "SELECT count(*) FROM notes WHERE text GLOB '*.2.*'";
    let now = bed.raw(&bed.tenant("t00"));
    let count: i64 = now.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(count as usize, rows.into_inner() + theirs);
    drop((now, pools));
    let validation = fleet.validate(&ValidateOptions::new(), |_| {}).unwrap();
    fleet.fix(&validation, &by(), |_| {});
    let validation = fleet.validate(&ValidateOptions::new(), |_| {});
    assert!(validation.as_ref().unwrap().is_sound(), "{validation:?}");
}

/// A connection to the old file can still read, is refused writes, and is superseded at its next
/// check; a repair leaves the file until the connection is closed.
#[test]
fn the_old_file_stays_closed_and_in_place_while_a_connection_has_it() {
    let bed = Bed::with(1, first_step());
    let fleet = fleet(&bed);
    fleet.migrate(&options(), |_| {}).unwrap();
    let old = bed.tenant("t00");
    let manager = fleet.driver().manager(&old);
    let mut held = manager.connect().unwrap();
    let write = "INSERT INTO notes (text) VALUES ('late')";
    held.execute_batch("BEGIN").unwrap();
    held.query_row("SELECT count(*) FROM notes", [], |_| Ok(()))
        .unwrap();
    let restoring = options().restore_snapshots();
    fleet
        .rollback(RollbackTo::Version(1), &restoring, |_| {})
        .unwrap();
    held.query_row("SELECT count(*) FROM notes", [], |_| Ok(()))
        .unwrap();
    held.execute_batch("COMMIT").unwrap();
    assert!(held.execute(write, []).is_err());
    assert_eq!(
        held.refusal().unwrap().to_string(),
        "a commit is refused: a copy was restored, and the tenant has another file by now; \
         resolve it again"
    );
    assert!(manager.is_valid(&mut held).is_err());
    assert!(manager.has_broken(&mut held));
    let error = manager.connect().unwrap_err().to_string();
    assert!(
        error.ends_with("as a snapshot was restored; resolve the tenant again"),
        "{error}"
    );

    let look = || fleet.validate(&ValidateOptions::new(), |_| {}).unwrap();
    let codes = |found: &tenancy_sqlite::Validation| {
        let codes = found.findings.iter().map(|finding| finding.code());
        codes.collect::<Vec<_>>()
    };
    let found = look();
    assert_eq!(codes(&found), ["superseded"]);
    let fixed = fleet.fix(&found, &by(), |_| {}).pop().unwrap().result;
    let in_use = matches!(fixed, Err(RepairError::File(FileError::InUse { .. })));
    assert!(in_use, "{fixed:?}");
    assert!(bed.root.path(&old).exists());
    // The tenant itself is usable.
    let now = bed.tenant("t00");
    fleet
        .driver()
        .manager(&now)
        .connect()
        .unwrap()
        .execute(write, [])
        .unwrap();
    drop(held);
    let fixed = fleet.fix(&look(), &by(), |_| {}).pop().unwrap().result;
    assert!(matches!(fixed, Ok(Repair::Retired)), "{fixed:?}");
    assert!(look().is_sound() && !bed.root.path(&old).exists());
}

/// A process that dies between the new file and the cutover, or whose cutover fails, leaves the
/// tenant as it was: it can be written, and the next attempt succeeds.
#[test]
fn a_new_file_without_a_cutover_refuses_no_write() {
    let bed = Bed::with(1, first_step());
    bed.fleet(with_irreversible())
        .migrate(&options(), |_| {})
        .unwrap();
    let failing = at(bed.root.dir.path()).migrations(with_irreversible());
    let failing = failing.on_step(|name| match name {
        "turn to the restored file" => Err(std::io::Error::other("on purpose")),
        _ => Ok(()),
    });
    let failing = failing.open().unwrap().fleet();
    let restoring = options().restore_snapshots();
    let report = failing
        .rollback(RollbackTo::Version(1), &restoring, |_| {})
        .unwrap();
    assert_eq!(report.failed.len(), 1);
    let old = bed.tenant("t00");
    let connection = failing.driver().manager(&old).connect().unwrap();
    let write = "INSERT INTO notes (text) VALUES ('goes on')";
    connection.execute(write, []).unwrap();
    drop(connection);
    let fleet = bed.fleet(with_irreversible());
    let report = fleet
        .rollback(RollbackTo::Version(1), &restoring, |_| {})
        .unwrap();
    assert!(
        report.is_complete() && report.done[0].restored,
        "{report:?}"
    );
}
