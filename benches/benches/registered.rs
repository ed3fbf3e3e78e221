//! `registered [TENANTS]`: the memory of a tenant without a connection.
//!
//! Prints a JSON line; fails above 400 bytes, or if a tenant takes a thread or a descriptor. It
//! counts the bytes of the pools, not those of the application's handle: after `handle` for a
//! tenant that was never connected to, and again after each had a connection.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tenancy_benches::pools::{Memory, tenants};
use tenancy_pool::TenantPools;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The highest number of bytes that a tenant may take.
const MAX_BYTES: f64 = 400.0;

fn main() {
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let count: usize = asked.unwrap_or(10_000);
    let tenants = tenants(count);
    let before = held();
    let pools = TenantPools::<Memory>::builder()
        .max_connections(64)
        .build(Memory::default())
        .expect("the bounds hold");
    let region = Region::new(GLOBAL);
    let each = || {
        let change = region.change();
        (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / count as f64
    };
    for tenant in &tenants {
        drop(pools.handle(tenant));
    }
    let known = each();
    for tenant in &tenants {
        drop(pools.checkout(tenant).expect("a connection"));
    }
    for tenant in &tenants {
        pools
            .close(tenant.id(), std::time::Duration::ZERO)
            .expect("nothing is out");
        pools.reopen(tenant.id());
    }
    let connected = each();
    let stats = pools.stats();
    assert_eq!((stats.tenants, stats.open), (count, 0));
    let (threads, descriptors) = (held().0 - before.0, held().1 - before.1);
    println!(
        "{{\"tenants\":{count},\"bytes\":{known:.0},\"bytes_after_a_connection\":{connected:.0},\
         \"threads\":{threads},\"descriptors\":{descriptors}}}"
    );
    assert!(known <= MAX_BYTES && connected <= MAX_BYTES, "too much");
    assert_eq!((threads, descriptors), (0, 0));
}

/// Returns the threads and the descriptors of this process.
fn held() -> (usize, usize) {
    let count = |of: &str| std::fs::read_dir(of).map_or(0, Iterator::count);
    (count("/proc/self/task"), count("/proc/self/fd"))
}
