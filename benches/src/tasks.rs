//! Tasks of an async runtime that compete for connections: a quiet tenant's waits, alone and
//! beside noisy ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tenancy_core::Tenant;
use tenancy_pool::TenantPools;

use crate::pools::Memory;
use crate::race::Options;

/// The way in which a task gets its connection.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// It waits for a seat, and opens that on a blocking thread.
    Seat,
    /// It checks out on a blocking thread, and waits there.
    Blocking,
}

const HOLD: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_millis(1);
const QUIET: usize = 0;

/// Uses a connection once; returns its wait.
async fn use_one(pools: &TenantPools<Memory>, tenant: &Tenant, how: How) -> Duration {
    let asked = Instant::now();
    let hold = move |connection: &u64| {
        let waited = asked.elapsed();
        assert!(*connection < 5);
        std::thread::sleep(HOLD);
        waited
    };
    let held = match how {
        How::Seat => {
            let seat = pools.seat_async(tenant).await.expect("a seat");
            tokio::task::spawn_blocking(move || hold(&seat.open().expect("a connection")))
        }
        How::Blocking => {
            let (pools, tenant) = (pools.clone(), tenant.clone());
            tokio::task::spawn_blocking(move || {
                hold(&pools.checkout(&tenant).expect("a connection"))
            })
        }
    };
    held.await.expect("no panic")
}

/// Returns the waits of the quiet tenant in microseconds, in order, beside `noisy` tasks of each of
/// four other tenants. The runtime is tokio's default: 512 blocking threads.
fn waits(
    pools: &TenantPools<Memory>,
    tenants: &[Tenant],
    how: How,
    noisy: usize,
    time: Duration,
) -> Vec<f64> {
    let runtime = { tokio::runtime::Builder::new_multi_thread() }
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let stop = Arc::new(AtomicBool::new(false));
    let mut others = Vec::new();
    for tenant in tenants.iter().skip(QUIET + 1) {
        for _ in 0..noisy {
            let (pools, tenant, stop) = (pools.clone(), tenant.clone(), stop.clone());
            others.push(runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    use_one(&pools, &tenant, how).await;
                }
            }));
        }
    }
    let (pools, quiet) = (pools.clone(), tenants[QUIET].clone());
    let measured = runtime.spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut waits = Vec::new();
        let began = Instant::now();
        while began.elapsed() < time {
            waits.push(use_one(&pools, &quiet, how).await.as_secs_f64() * 1e6);
            tokio::time::sleep(PAUSE).await;
        }
        waits
    });
    let mut waits = runtime.block_on(measured).expect("no panic");
    stop.store(true, Ordering::Relaxed);
    for other in others {
        runtime.block_on(other).expect("no panic");
    }
    waits.sort_by(f64::total_cmp);
    waits
}

/// Runs both ways, alone and beside `noisy` tasks of each of four tenants, and prints a JSON
/// line for each way: medians of the runs, which are interleaved.
pub fn report(
    scenario: &str,
    options: &Options,
    noisy: usize,
    tenants: &[Tenant],
    pools: impl Fn() -> TenantPools<Memory>,
) {
    assert_eq!(tenants.len(), 5, "a quiet one and four others");
    let ways = [("seat_async", How::Seat), ("spawn_blocking", How::Blocking)];
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..options.runs {
        for ((_, how), of) in ways.iter().zip(&mut runs) {
            let figures = [0, noisy].map(|noisy| {
                let waits = waits(&pools(), tenants, *how, noisy, options.run);
                [50, 99].map(|percent| waits[(waits.len() - 1) * percent / 100])
            });
            of.push(figures);
        }
    }
    for ((who, _), of) in ways.iter().zip(&runs) {
        let median = |figure: &dyn Fn(&[[f64; 2]; 2]) -> f64| {
            let mut figures: Vec<_> = of.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        println!(
            "{{\"scenario\":\"{scenario}\",\"who\":\"{who}\",\"noisy_tasks\":{},\
             \"solo_p50_us\":{:.1},\"solo_p99_us\":{:.1},\"p50_us\":{:.1},\"p99_us\":{:.1},\
             \"p99_ratio\":{:.2}}}",
            noisy * (tenants.len() - 1),
            median(&|of| of[0][0]),
            median(&|of| of[0][1]),
            median(&|of| of[1][0]),
            median(&|of| of[1][1]),
            median(&|of| of[1][1] / of[0][1]),
        );
    }
}
