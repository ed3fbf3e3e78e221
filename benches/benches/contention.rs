//! `contention [SCENARIO…] [--seconds N] [--runs N]`: many threads on few connections.
//!
//! Prints a JSON line for each scenario and contender: the medians of several runs, which
//! are interleaved so that noise of the machine meets all of them. A wait is the time of one
//! check-out; those of the threads in question are counted.
//! `slowest_over_fastest` compares these threads' check-outs.
//!
//! The rivals get the same manager, threads, holds and SQLite flags, and their fastest
//! configuration. With `--test` each runs for a moment, and only counts are checked.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use r2d2::ManageConnection;
use scheduled_thread_pool::ScheduledThreadPool;
use tenancy_benches::pools::{Files, Memory, number, r2d2_builder, tenants, threads};
use tenancy_benches::race::{Contender, Hold, Options, Role, counting, race, report};
use tenancy_benches::rng::Rng;
use tenancy_benches::size;
use tenancy_benches::tasks;
use tenancy_core::Tenant;
use tenancy_pool::{Driver, TenantPools};

fn main() {
    let options = Options::read();
    for (name, run) in SCENARIOS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            run(name, &options);
        }
    }
}

type Scenario = fn(&str, &Options);

const SCENARIOS: [(&str, Scenario); 7] = [
    ("crowd-200us", |name, options| {
        crowd(name, Hold::Sleep(200), options);
    }),
    ("crowd-5us", |name, options| {
        crowd(name, Hold::Spin(5), options);
    }),
    ("zipf-10k", zipf),
    ("cold-beside-hot", cold_beside_hot),
    ("quiet-alone", |name, options| quiet(name, 0, options)),
    ("quiet-beside-noisy", |name, options| {
        quiet(name, 64, options)
    }),
    ("quiet-async", quiet_async),
];

fn pools<D: Driver + Clone>(driver: &D, max: u32, per_tenant: u32) -> TenantPools<D> {
    let builder = TenantPools::<D>::builder()
        .max_connections(max)
        .max_per_tenant(per_tenant)
        .max_waiters(1 << 16)
        .checkout_timeout(Duration::from_secs(60));
    builder.build(driver.clone()).expect("the bounds hold")
}

fn r2d2_pool<M: ManageConnection>(threads: &Arc<ScheduledThreadPool>, manager: M) -> r2d2::Pool<M> {
    let builder = r2d2_builder(threads).connection_timeout(Duration::from_secs(60));
    builder.build_unchecked(manager)
}

/// 64 threads on one tenant's 4 connections.
fn crowd(scenario: &str, hold: Hold, options: &Options) {
    let acme = &tenants(1)[0];
    let roles: Vec<_> = (0..64).map(|_| Role::of(0, hold)).collect();
    let ours = counting(Memory::default());
    let pools = pools(&ours, 256, 4);
    let handle = pools.handle(acme);
    let theirs = counting(Memory::default());
    let pool = r2d2_pool(&threads(), theirs.manager(acme));
    let contenders = [
        Contender {
            who: "tenancy",
            bound: 4,
            is_strict: true,
            run: Box::new(|| {
                let take = |_| handle.checkout().expect("a connection");
                race(&roles, options.run, &ours.gauge, take, |_, _| {})
            }),
        },
        Contender {
            who: "r2d2",
            bound: 4,
            is_strict: true,
            run: Box::new(|| {
                let take = |_| pool.get().expect("a connection");
                race(&roles, options.run, &theirs.gauge, take, |_, _| {})
            }),
        },
    ];
    report(scenario, options, &contenders);
}

/// 64 threads, each on the tenant that it draws: few tenants get most check-outs, and 256
/// connections are not enough for all. The rival is a cache of the 256 most recently used pools.
fn zipf(scenario: &str, options: &Options) {
    const BOUND: u32 = 256;
    let tenants = tenants(size(10_000, 500));
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::new(directory.path(), &tenants);
    let weights = (1..=tenants.len()).scan(0.0, |sum, rank| {
        *sum += 1.0 / rank as f64;
        Some(*sum)
    });
    let weights: Arc<[f64]> = weights.collect();
    let roles = (0..64).map(|_| {
        let weights = weights.clone();
        let who = move |rng: &mut Rng| {
            let at = rng.unit() * weights[weights.len() - 1];
            weights.partition_point(|sum| *sum <= at)
        };
        Role {
            who: Box::new(who),
            ..Role::of(0, Hold::Query)
        }
    });
    let roles: Vec<_> = roles.collect();
    let ours = counting(files.clone());
    let pools = pools(&ours, BOUND, 4);
    let theirs = counting(files);
    let threads = threads();
    let cache = LruCache::new(NonZeroUsize::new(BOUND as usize).expect("not 0"));
    let cache: Mutex<LruCache<usize, r2d2::Pool<_>>> = Mutex::new(cache);
    let from_cache = |tenant: usize| {
        let mut cache = cache.lock();
        if let Some(pool) = cache.get(&tenant) {
            return pool.clone();
        }
        let pool = r2d2_pool(&threads, theirs.manager(&tenants[tenant]));
        let evicted = cache.push(tenant, pool.clone());
        drop(cache);
        drop(evicted);
        pool
    };
    let contenders = [
        Contender {
            who: "tenancy",
            bound: BOUND,
            is_strict: true,
            run: Box::new(|| {
                let take = |tenant: usize| pools.checkout(&tenants[tenant]).expect("a connection");
                race(&roles, options.run, &ours.gauge, take, |taken, tenant| {
                    let whose = Files::whose(&taken.connection, 7);
                    assert_eq!(whose, number(&tenants[tenant]));
                })
            }),
        },
        Contender {
            who: "lru-r2d2",
            bound: BOUND,
            is_strict: false,
            run: Box::new(|| {
                let take = |tenant| from_cache(tenant).get().expect("a connection");
                race(&roles, options.run, &theirs.gauge, take, |taken, tenant| {
                    let whose = Files::whose(&taken.connection, 7);
                    assert_eq!(whose, number(&tenants[tenant]));
                })
            }),
        },
    ];
    report(scenario, options, &contenders);
}

/// A tenant with few check-outs, while 16 threads keep all 4 connections busy with another one; its
/// waits are counted. No rival has one bound for several tenants.
fn cold_beside_hot(scenario: &str, options: &Options) {
    const HOLD: Hold = Hold::Sleep(200);
    let tenants = tenants(2);
    let hot = || Role {
        counts: false,
        ..Role::of(0, HOLD)
    };
    let mut roles: Vec<_> = (0..16).map(|_| hot()).collect();
    roles.push(Role {
        pause: Some(Duration::from_millis(2)),
        ..Role::of(1, HOLD)
    });
    let ours = counting(Memory::default());
    let pools = pools(&ours, 4, 4);
    let run = || {
        let take = |tenant: usize| pools.checkout(&tenants[tenant]).expect("a connection");
        race(&roles, options.run, &ours.gauge, take, |taken, tenant| {
            assert_eq!(taken.connection, tenant as u64);
        })
    };
    let contenders = [Contender {
        who: "tenancy",
        bound: 4,
        is_strict: true,
        run: Box::new(run),
    }];
    report(scenario, options, &contenders);
}

/// One thread of a tenant that no other thread uses, beside threads that loop on another tenant.
fn quiet(scenario: &str, noisy: usize, options: &Options) {
    const HOLD: Hold = Hold::Sleep(200);
    let tenants = tenants(2);
    let loud = || Role {
        counts: false,
        ..Role::of(0, HOLD)
    };
    let mut roles: Vec<_> = (0..noisy).map(|_| loud()).collect();
    roles.push(Role {
        pause: Some(Duration::from_micros(500)),
        ..Role::of(1, HOLD)
    });
    let ours = counting(Memory::default());
    let pools = pools(&ours, 256, 4);
    let theirs = counting(Memory::default());
    let threads = threads();
    let pool_of = |tenant: &Tenant| r2d2_pool(&threads, theirs.manager(tenant));
    let each: Vec<_> = tenants.iter().map(pool_of).collect();
    let contenders = [
        Contender {
            who: "tenancy",
            bound: 8,
            is_strict: true,
            run: Box::new(|| {
                let take = |tenant: usize| pools.checkout(&tenants[tenant]).expect("a connection");
                race(&roles, options.run, &ours.gauge, take, |taken, tenant| {
                    assert_eq!(taken.connection, tenant as u64);
                })
            }),
        },
        Contender {
            who: "r2d2",
            bound: 8,
            is_strict: true,
            run: Box::new(|| {
                let take = |tenant: usize| each[tenant].get().expect("a connection");
                race(&roles, options.run, &theirs.gauge, take, |taken, tenant| {
                    assert_eq!(taken.connection, tenant as u64);
                })
            }),
        },
    ];
    report(scenario, options, &contenders);
}

/// A task of a quiet tenant, alone and beside 160 looping tasks of each of four others: by
/// seats, and by check-outs on blocking threads, of which the runtime has 512.
fn quiet_async(scenario: &str, options: &Options) {
    let noisy = size(160, 8);
    let pools = || pools(&Memory::default(), 256, 4);
    tasks::report(scenario, options, noisy, &tenants(5), pools);
}
