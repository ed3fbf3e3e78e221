//! The process that is killed: it verifies what the one before it left, and goes on.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tenancy::catalog::{Actor, WriteError};
use tenancy::fleet::{FleetOptions, RollbackTo};
use tenancy::sqlite::{
    Behind, Depth, Finding, Migration, Migrations, SqliteDriver, SqliteFleet, ValidateOptions,
};
use tenancy::{Error, Tenancy, TenantId, TenantSpec, TenantStatus, Upkeep};

use super::PATIENCE;
use super::journal::{Journal, Known, Op, State};
use crate::util::{Rng, at, id, rules};

const TENANTS: u64 = 10;
const OPERATIONS: u64 = 60;
/// Nobody else is there: whoever waits for others is wedged.
const TIMEOUT: Duration = Duration::from_secs(2);

type Facade = Tenancy<SqliteDriver>;

pub fn quick_dir() -> TempDir {
    // What the system has survives a kill, on the disk or not.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    dir.expect("a temporary directory")
}

/// Waits until the process has verified what it found.
pub fn wait_until_verified(root: &Path, seed: u64, child: &mut Child) {
    let sign = root.join(format!("verified-{seed}"));
    for _ in 0..PATIENCE.as_millis() {
        let ended = child.try_wait().expect("its state").is_some();
        if sign.exists() || ended {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Worker {
    tenancy: Facade,
    fleet: SqliteFleet,
    journal: Journal,
    rng: Rng,
}

/// A life from its start to its death at the `count`-th `step`, if it comes to that.
pub fn live(root: &Path, seed: u64, step: &str, count: u64) {
    // Every root sees releases with ever more migrations.
    let release = bump(root);
    let (tenancy, fleet) = open(root, release, step.to_owned(), count);
    let ids = (0..TENANTS).map(|n| format!("t{n}"));
    let mut worker = Worker {
        tenancy,
        fleet,
        journal: Journal::open(root, ids),
        rng: Rng(seed),
    };
    worker.verify();
    std::fs::write(root.join(format!("verified-{seed}")), "").expect("a sign");
    if step == "never" {
        return;
    }
    for _ in 0..OPERATIONS {
        match worker.rng.below(16) {
            0 => worker.migrate(),
            1 => worker.several(),
            2 => worker.roll_back(),
            // Half of all creations find one ready.
            3 => worker.tenancy.maintain(),
            _ => worker.one(),
        }
    }
}

/// How many processes began on this root before.
fn bump(root: &Path) -> usize {
    let path = root.join("processes");
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("a file");
    file.write_all(b".").expect("a dot");
    usize::try_from(file.metadata().expect("its length").len()).expect("few")
}

fn open(root: &Path, release: usize, die_at: String, count: u64) -> (Facade, SqliteFleet) {
    let seen = AtomicU64::new(0);
    let storage = at(root.join("root"))
        .migrations(migrations(release / 3))
        .behind(Behind::Migrate)
        .on_step(move |name| {
            println!("step {name}");
            if name == die_at && seen.fetch_add(1, Ordering::Relaxed) + 1 == count {
                let this = rustix::process::getpid();
                rustix::process::kill_process(this, rustix::process::Signal::KILL)?;
            }
            Ok(())
        })
        .warm_pool(3)
        .open()
        .expect("a root");
    let fleet = storage.fleet();
    let tenancy = Tenancy::builder(storage)
        .resolver(rules)
        .upkeep(Upkeep::Manual)
        .build();
    (tenancy.expect("a tenancy"), fleet)
}

/// The table of marks, and so many further columns.
fn migrations(columns: usize) -> Migrations {
    let marks = "CREATE TABLE marks (mark TEXT PRIMARY KEY) STRICT, WITHOUT ROWID";
    let column = |n| {
        let up = format!("ALTER TABLE marks ADD COLUMN more{n} INTEGER");
        let down = format!("ALTER TABLE marks DROP COLUMN more{n}");
        Migration::new("more", up).down(down)
    };
    let steps = std::iter::once(Migration::new("marks", marks)).chain((0..columns).map(column));
    Migrations::new(steps).expect("migrations")
}

impl Worker {
    /// Everything is as the journal has it, once what was begun is finished.
    fn verify(&mut self) {
        let by = Actor::new("next");
        self.fleet.recover(&by).expect("what was begun is taken up");
        for (name, known) in self.journal.known.clone() {
            if let Some(op) = &known.doubt {
                self.finish(&name, &known, op);
            }
            self.compare(&name);
        }
        self.validate();
    }

    /// Files, rows, stamps and the chain of events agree. Who was not migrated yet will
    /// be when it is opened.
    fn validate(&self) {
        let options = ValidateOptions::new().depth(Depth::Stamps);
        let validation = self.fleet.validate(&options, |_| {});
        let findings = validation.expect("the root can be read").findings;
        let odd = |finding: &&Finding| finding.code() != "behind";
        let odd: Vec<_> = findings.iter().filter(odd).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    /// Does again what may have happened in part.
    fn finish(&mut self, name: &str, known: &Known, op: &Op) {
        let there = self.status(name);
        let happened = match op {
            // Not repeated: it is one transaction, wholly there or not at all.
            Op::Write(mark) => self.marks(name).contains(mark),
            Op::Destroy if there.is_none() => true,
            // Whole already, and only the answer is missing.
            Op::Create if there == Some(TenantStatus::Active) => true,
            Op::Suspend | Op::Resume | Op::Revive => {
                let after = match op {
                    Op::Suspend => TenantStatus::Suspended,
                    _ => TenantStatus::Active,
                };
                there == Some(after) || self.act(name, op, known).is_ok()
            }
            _ => {
                let done = self.act(name, op, known);
                done.unwrap_or_else(|error| panic!("{name}: {op:?} cannot be finished: {error}"));
                true
            }
        };
        match happened {
            true => self.journal.acknowledge(name, op),
            false => self.journal.undone(name, op),
        }
    }

    fn compare(&self, name: &str) {
        let known = &self.journal.known[name];
        let found = match self.status(name) {
            None => State::Absent,
            Some(TenantStatus::Active) => State::Active,
            Some(TenantStatus::Suspended) => State::Suspended,
            Some(TenantStatus::Retiring) => State::Retired,
            Some(other) => panic!("{name} is {other}, not {known:?}"),
        };
        assert_eq!(found, known.state, "{name}: {known:?}");
        if matches!(found, State::Active | State::Suspended) {
            assert_eq!(self.marks(name), known.marks, "{name}");
        }
    }

    fn status(&self, name: &str) -> Option<TenantStatus> {
        match self.tenancy.tenant(&id(name)) {
            Ok(tenant) => Some(tenant.status()),
            Err(Error::Write(WriteError::Unknown { .. })) => None,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    fn marks(&self, name: &str) -> BTreeSet<String> {
        let tenant = self.tenancy.tenant(&id(name)).expect("a tenant");
        let connection = self
            .tenancy
            .checkout(&tenant)
            .unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let mut read = connection.prepare("SELECT mark FROM marks").expect("SQL");
        let rows = read.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("marks")
    }

    /// All tenants at once. A process that is killed here leaves some of them behind:
    /// those are migrated when they are opened, or by the next run.
    fn migrate(&self) {
        let options = FleetOptions::new().jobs(3);
        let report = self.fleet.migrate(&options, |_| {}).expect("a run");
        assert!(report.is_complete(), "{report:?}");
    }

    /// One step back, and not forward again: whoever opens a tenant migrates it.
    fn roll_back(&self) {
        let newest = self.fleet.driver().migrations().newest();
        // The table itself has no way back.
        let back = RollbackTo::Version(newest.saturating_sub(1).max(1));
        let report = self.fleet.rollback(back, &FleetOptions::new(), |_| {});
        let report = report.expect("a run");
        assert!(report.is_complete(), "{report:?}");
    }

    /// All tenants that are absent, at once.
    fn several(&mut self) {
        let absent =
            |(name, known): (&String, &Known)| (known.state == State::Absent).then(|| name.clone());
        let names: Vec<_> = self.journal.known.iter().filter_map(absent).collect();
        for name in &names {
            self.journal.begin(name, &Op::Create);
        }
        let specs: Vec<_> = names
            .iter()
            .map(|name| TenantSpec::from(id(name)))
            .collect();
        let created = self.tenancy.create_many(&specs);
        for (name, created) in names.iter().zip(created) {
            created.unwrap_or_else(|error| panic!("{name}: {error}"));
            self.journal.acknowledge(name, &Op::Create);
            self.compare(name);
        }
    }

    /// One operation that fits what the tenant is.
    fn one(&mut self) {
        let name = format!("t{}", self.rng.below(TENANTS));
        let known = self.journal.known[&name].clone();
        let op = match (known.state, self.rng.below(10)) {
            (State::Absent, _) => Op::Create,
            (State::Active, 0..5) => {
                Op::Write(format!("{name}/{}/{}", known.lives, self.rng.next()))
            }
            (State::Active, 5) => Op::Suspend,
            (State::Suspended, 0..6) => Op::Resume,
            (State::Retired, 0..7) => Op::Revive,
            (State::Active, 6..8) | (State::Suspended, 6..8) => Op::Retire,
            _ => Op::Destroy,
        };
        self.journal.begin(&name, &op);
        let done = self.act(&name, &op, &known);
        done.unwrap_or_else(|error| panic!("{name}: {op:?}: {error}"));
        self.journal.acknowledge(&name, &op);
        self.compare(&name);
    }

    fn act(&self, name: &str, op: &Op, known: &Known) -> Result<(), Error> {
        let id: TenantId = id(name);
        match op {
            Op::Create => self.tenancy.create(TenantSpec::from(id)).map(drop),
            Op::Write(mark) => {
                let tenant = self.tenancy.tenant(&id)?;
                assert_eq!(tenant.epoch().get(), known.lives + 1, "{name}: {known:?}");
                let connection = self.tenancy.checkout(&tenant).expect("a connection");
                let sql = "INSERT INTO marks (mark) VALUES (?1)";
                connection.execute(sql, [mark]).expect("a mark");
                Ok(())
            }
            Op::Suspend => self.tenancy.suspend(&id).map(drop),
            Op::Resume => self.tenancy.resume(&id).map(drop),
            Op::Retire => self.tenancy.retire(&id, TIMEOUT).map(drop),
            Op::Revive => self.tenancy.revive(&id).map(drop),
            Op::Destroy => self.tenancy.destroy(&id, TIMEOUT),
        }
    }
}
