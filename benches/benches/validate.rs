//! Listing and validating many tenants: what an operator waits for.
//!
//! The files are empty, as no validation by names opens one; the rival lists the same
//! directories and reads the same rows, and compares nothing.

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use tempfile::TempDir;
use tenancy_benches::size;
use tenancy_core::{
    Actor, CatalogWriter, NewTenant, Provisioner, Tenant, TenantChange, TenantId, TenantStatus,
};
use tenancy_sqlite::{SqliteFleet, SqliteStorage, ValidateOptions};

/// How many are retiring, of all.
const UNFINISHED: usize = 20;

struct Bed {
    dir: TempDir,
    fleet: SqliteFleet,
    tenants: usize,
}

impl Bed {
    fn new(tenants: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let storage = SqliteStorage::create(dir.path()).expect("a root");
        let (driver, catalog) = (storage.driver(), storage.catalog());
        let by = Actor::new("bench");
        let new = |n: usize| {
            let id: TenantId = format!("tenant-{n}").parse().expect("an id");
            let mut new = NewTenant::new(id);
            new.placement = driver.place(&new.id).expect("a place");
            new
        };
        let mut made = Vec::with_capacity(tenants);
        for first in (0..tenants).step_by(1_000) {
            let new = (first..tenants.min(first + 1_000)).map(new).collect();
            let rows = catalog.insert_many(new, &by).into_iter();
            made.extend(rows.map(|row| row.expect("a row")));
        }
        for tenant in &made {
            let path = path(dir.path(), tenant);
            fs::create_dir_all(path.parent().expect("it is in one")).expect("a directory");
            let mut options = fs::OpenOptions::new();
            let own = options.write(true).create_new(true).mode(0o600).open(path);
            own.expect("a file");
        }
        for tenant in made.iter().take(UNFINISHED) {
            let change = TenantChange::status(TenantStatus::Suspended);
            let changed = catalog.update(tenant.id(), tenant.version(), change, &by);
            changed.expect("it is as it was");
        }
        let fleet = storage.fleet();
        Self {
            dir,
            fleet,
            tenants,
        }
    }
}

fn path(root: &Path, tenant: &Tenant) -> PathBuf {
    let locator = &*tenant.placement().locator;
    let name = format!("{locator}.{}.db", tenant.epoch());
    root.join("tenants").join(&locator[..2]).join(name)
}

fn list(criterion: &mut Criterion) {
    let bed = Bed::new(size(100_000, 1_000));
    let catalog = bed.fleet.catalog();
    let mut group = criterion.benchmark_group("list");
    group.sample_size(10);
    group.bench_function("tenancy-ids", |b| {
        b.iter(|| {
            let (mut seen, mut last) = (0, None);
            loop {
                let page = catalog.ids(last.as_ref(), 1_000).expect("ids");
                seen += page.len();
                match page.last() {
                    Some(id) => last = Some(id.clone()),
                    None => break,
                }
            }
            assert_eq!(seen, bed.tenants);
        });
    });
    group.bench_function("tenancy-unfinished", |b| {
        b.iter(|| {
            let status = TenantStatus::Suspended;
            let page = catalog.page_of_status(status, None, 1_000);
            assert_eq!(page.expect("tenants").len(), UNFINISHED);
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("validate");
    group.sample_size(10);
    group.bench_function("tenancy-names", |b| {
        b.iter(|| {
            let found = bed
                .fleet
                .validate(&ValidateOptions::new(), |_| {})
                .expect("an answer");
            assert!(found.is_sound(), "{:?}", found.findings.first());
            assert_eq!(
                (found.tenants, found.files),
                (bed.tenants as u64, bed.tenants as u64)
            );
        });
    });
    group.bench_function("raw-list-and-ids", |b| {
        b.iter(|| {
            let mut files = 0;
            for shard in fs::read_dir(bed.dir.path().join("tenants")).expect("directories") {
                let shard = shard.expect("an entry").path();
                for file in fs::read_dir(shard).expect("files") {
                    black_box(file.expect("an entry").file_name());
                    files += 1;
                }
            }
            let ids = catalog.ids(None, usize::MAX).expect("ids");
            assert_eq!((files, ids.len()), (bed.tenants, bed.tenants));
        });
    });
    group.finish();
}

criterion_group!(benches, list);
criterion_main!(benches);
