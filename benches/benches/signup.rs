//! A sign-up through the facade: with a database from the warm pool, without one, and what
//! it costs to write and sync as many bytes. The disk's latency is most of it.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tempfile::TempDir;
use tenancy::sqlite::{Migration, Migrations, SqliteDriver, SqliteStorage};
use tenancy::{Rule, Tenancy, TenantId, Upkeep};
use tenancy_benches::size;

/// How many are ready before each measurement; a filling makes at most a hundred.
const READY: usize = 100;

struct Bed {
    tenancy: Tenancy<SqliteDriver>,
    dir: TempDir,
    next: Cell<u64>,
}

impl Bed {
    /// With or without a warm pool.
    fn new(ready: Option<usize>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let step = |n: u32| {
            let up = format!(
                "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
                 CREATE INDEX t{n}_name ON t{n} (name);"
            );
            Migration::new(format!("step{n}"), up)
        };
        let migrations = Migrations::new((1..=20).map(step)).expect("no script is empty");
        let mut storage = SqliteStorage::builder(dir.path()).migrations(migrations);
        if let Some(ready) = ready {
            storage = storage.warm_pool(ready);
        }
        let tenancy = Tenancy::builder(storage.create().expect("a root"))
            .resolver(|resolver| resolver.rule(Rule::domain()))
            .upkeep(Upkeep::Manual);
        let bed = Self {
            tenancy: tenancy.build().expect("a tenancy"),
            dir,
            next: Cell::new(0),
        };
        // The template is made once a process, not once a tenant.
        bed.tenancy.maintain();
        bed.create();
        bed
    }

    fn create(&self) -> Duration {
        let id: TenantId = format!("t{}", self.next.get()).parse().expect("an id");
        self.next.set(self.next.get() + 1);
        let began = Instant::now();
        self.tenancy.create(id).expect("a tenant");
        began.elapsed()
    }

    /// So many creations, each with one that is ready if there is a warm pool at all.
    fn create_each(&self, count: u64) -> Duration {
        let each = (0..count).map(|n| {
            if n % READY as u64 == 0 {
                self.tenancy.maintain();
            }
            self.create()
        });
        each.sum()
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Duration {
    let began = Instant::now();
    let mut file = File::create(path).expect("a file");
    file.write_all(bytes).expect("written");
    file.sync_all().expect("synced");
    let took = began.elapsed();
    fs::remove_file(path).expect("removed");
    took
}

fn signup(c: &mut Criterion) {
    let (filled, bare) = (Bed::new(Some(READY)), Bed::new(None));
    let path = bare.dir.path().join("raw");
    let bytes = vec![1; 128 << 10];
    let mut group = c.benchmark_group("signup");
    group.sample_size(10);
    group.bench_function("tenancy-warm-pool", |b| {
        b.iter_custom(|n| filled.create_each(n))
    });
    group.bench_function("tenancy", |b| b.iter_custom(|n| bare.create_each(n)));
    group.bench_function("raw", |b| {
        b.iter_custom(|n| (0..n).map(|_| write_synced(&path, &bytes)).sum());
    });
    group.finish();
    in_turns(&filled, &bare, || write_synced(&path, &bytes));
}

/// Medians of what was taken in turns: the disk's latency drifts.
fn in_turns(filled: &Bed, bare: &Bed, raw: impl Fn() -> Duration) {
    let rounds = size(400, 2);
    let mut times = [const { Vec::new() }; 3];
    for round in 0..rounds {
        if round % (READY / 2) == 0 {
            filled.tenancy.maintain();
        }
        times[0].push(filled.create());
        times[1].push(bare.create());
        times[2].push(raw());
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[rounds / 2]
    });
    for (name, median) in ["tenancy-warm-pool", "tenancy", "raw"].iter().zip(medians) {
        let ratio = median.as_secs_f64() / medians[2].as_secs_f64();
        println!("signup/{name}: {median:.1?}, {ratio:.2} of raw (median of {rounds})");
    }
}

criterion_group!(benches, signup);
criterion_main!(benches);
