//! Through the pools: no tenant ever reads another's rows, whatever is interleaved.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::{CheckoutError, TenantPools};
use tenancy_sqlite::{Migration, Migrations, OpenError, SqliteConnection, SqliteDriver};

use crate::util::Root;

const TENANTS: usize = 4;

/// What a check-out is used for.
#[derive(Debug, Clone, Copy)]
enum Use {
    Write,
    /// Given back inside a transaction, with rows that are not committed.
    LeaveOpen,
    Panic,
    /// A refused statement and a failed one before the read.
    Misbehave,
    Read,
}

fn script() -> impl Strategy<Value = Vec<(usize, Use)>> {
    let uses = prop::sample::select(vec![
        Use::Write,
        Use::Write,
        Use::LeaveOpen,
        Use::Panic,
        Use::Misbehave,
        Use::Read,
        Use::Read,
    ]);
    prop::collection::vec((0..TENANTS, uses), 1..30)
}

fn marks() -> Migrations {
    let sql = "CREATE TABLE marks (of TEXT NOT NULL, committed INTEGER NOT NULL) STRICT";
    Migrations::new([Migration::new("marks", sql)]).unwrap()
}

fn mark(connection: &SqliteConnection, tenant: &Tenant, committed: bool) {
    let mark = tenant.to_ref().to_string();
    let sql = "INSERT INTO marks VALUES (?1, ?2)";
    connection.execute(sql, (mark, committed)).unwrap();
}

/// How many marks there are; none is another's, none was never committed.
#[track_caller]
fn count(connection: &SqliteConnection, tenant: &Tenant) -> usize {
    let mut read = connection
        .prepare("SELECT of, committed FROM marks")
        .unwrap();
    let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows = rows.unwrap().collect::<Result<Vec<(String, bool)>, _>>();
    let rows = rows.unwrap();
    let own = tenant.to_ref().to_string();
    assert!(
        rows.iter().all(|(of, committed)| *of == own && *committed),
        "{tenant:?} read {rows:?}"
    );
    rows.len()
}

fn use_it(
    mut connection: tenancy_pool::Checkout<SqliteDriver>,
    tenant: &Tenant,
    what: Use,
) -> usize {
    assert!(connection.is_autocommit(), "lent inside a transaction");
    count(&connection, tenant);
    match what {
        Use::Write => {
            let transaction = connection.transaction().unwrap();
            let sql = "INSERT INTO marks VALUES (?1, 1)";
            transaction
                .execute(sql, [tenant.to_ref().to_string()])
                .unwrap();
            transaction.commit().unwrap();
            return 1;
        }
        Use::LeaveOpen => {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            mark(&connection, tenant, false);
        }
        Use::Panic => {
            connection.execute_batch("SAVEPOINT s").unwrap();
            // Readers that became writers at the same time: one of them is refused.
            let _ = connection.execute("INSERT INTO marks VALUES ('x', 0)", []);
            panic!("on purpose");
        }
        Use::Misbehave => {
            connection
                .execute("ATTACH ':memory:' AS x", [])
                .unwrap_err();
            connection
                .execute("INSERT INTO nowhere VALUES (1)", [])
                .unwrap_err();
        }
        Use::Read => {}
    }
    0
}

fn check(scripts: &[Vec<(usize, Use)>]) {
    let root = Root::with(|builder| builder.migrations(marks()));
    let tenants: Vec<_> = (0..TENANTS).map(|n| root.made(&format!("t{n}"))).collect();
    let pools = TenantPools::<SqliteDriver>::builder().max_connections(3);
    let pools = pools.max_per_tenant(2).build(root.driver.clone()).unwrap();
    let written: Vec<_> = tenants.iter().map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for script in scripts {
            let (pools, tenants, written) = (&pools, &tenants, &written);
            scope.spawn(move || {
                for &(n, what) in script {
                    let connection = pools.checkout(&tenants[n]).unwrap();
                    let used = || use_it(connection, &tenants[n], what);
                    let used = catch_unwind(AssertUnwindSafe(used));
                    match (used, what) {
                        (Ok(rows), _) => drop(written[n].fetch_add(rows, Ordering::Relaxed)),
                        (Err(_), Use::Panic) => {}
                        (Err(cause), _) => std::panic::resume_unwind(cause),
                    }
                }
            });
        }
    });
    assert!(pools.stats().open <= 3);
    for (tenant, written) in tenants.iter().zip(written) {
        let connection = pools.checkout(tenant).unwrap();
        assert_eq!(
            count(&connection, tenant),
            written.into_inner(),
            "{tenant:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_tenant_reads_anothers_rows_or_uncommitted_ones(
        scripts in prop::collection::vec(script(), 1..4)
    ) {
        quiet();
        check(&scripts);
    }
}

/// The panics are on purpose: their messages would only hide others.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
                hook(info);
            }
        }));
    });
}

#[test]
fn a_missing_file_is_an_error_of_the_check_out() {
    let root = Root::new();
    let acme = root.placed("acme");
    let pools = TenantPools::<SqliteDriver>::builder();
    let pools = pools.build(root.driver.clone()).unwrap();
    let refused = pools.checkout(&acme).unwrap_err();
    assert!(
        matches!(
            refused,
            CheckoutError::Connect {
                source: OpenError::Missing { .. },
                ..
            }
        ),
        "{refused:?}"
    );
}

/// Destroyed and made again while others go on reading and writing: a new
/// incarnation never shows a row of the one before.
#[test]
fn a_tenant_made_again_under_load_has_no_old_row() {
    let root = Root::with(|builder| builder.migrations(marks()));
    let pools = TenantPools::<SqliteDriver>::builder().max_connections(4);
    let pools = pools.build(root.driver.clone()).unwrap();
    let current = Mutex::new(root.made("acme"));
    let (done, used, refused) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let tenant = current.lock().clone();
                    match pools.checkout(&tenant) {
                        Ok(connection) => {
                            count(&connection, &tenant);
                            mark(&connection, &tenant, true);
                            used.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::yield_now();
                        }
                    }
                }
            });
        }
        for _ in 0..60 {
            let old = current.lock().clone();
            std::thread::sleep(Duration::from_millis(2));
            pools.close(old.id(), Duration::from_secs(30)).unwrap();
            root.driver.destroy(&old).unwrap();
            let place = root.driver.place(old.id()).unwrap();
            let new = old.to_builder().epoch(old.epoch().next()).placement(place);
            let new = new.build().unwrap();
            root.driver.provision(&new).unwrap();
            pools.raise_epoch(new.id(), new.epoch());
            *current.lock() = new;
            pools.reopen(old.id());
        }
        done.store(true, Ordering::Relaxed);
    });
    println!("{used:?} uses, {refused:?} refused");
    assert!(used.into_inner() > 0);
    let last = current.into_inner();
    assert_eq!(last.epoch().get(), 61);
    let files = crate::util::files_below(&root.driver.root().join("tenants"));
    let mains = files.iter().filter(|file| file.ends_with(".db")).count();
    assert_eq!(mains, 1, "{files:?}");
}
