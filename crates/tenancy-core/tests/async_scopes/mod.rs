//! Random trees of futures against a model in which each has a stack of its own: at every
//! point the current tenant is the one that the model says, and none is outside.
//!
//! `TENANCY_PROGRAMS` programs (default 50,000) from `TENANCY_SEED`, on a hand-written
//! executor of one thread and of three, on tokio and on smol.

mod counts;
mod drive;
mod model;
mod script;
mod world;

use tenancy_core::Tenant;

use self::counts::Counts;
use self::drive::Threads;
use self::world::World;
use crate::util::env;

/// Runs a share of the programs on one executor.
fn run(share: u64, name: &str, threads: usize, drive: impl Fn(&World)) {
    let seed = env("TENANCY_SEED", 1);
    let programs = env("TENANCY_PROGRAMS", 50_000) * share / 100;
    println!("{name}: seed {seed}, {programs} programs");
    // Every executor gets programs of its own.
    let first = (seed << 40) ^ name.bytes().map(u64::from).sum::<u64>() << 28;
    let tenants = world::tenants();
    world::listen();
    let mut total = Counts::default();
    for program in 0..programs {
        // Short ones first: of those that fail, one of the shortest is shown.
        let steps = 3 + (program * 60 / programs) as usize;
        let world = World::new(&tenants, threads, first ^ program, steps);
        drive(&world);
        if let Some(failure) = world.failure() {
            panic!("{name}, seed {seed}, program {program}: {failure}");
        }
        total.add(&world.lock().model.counts);
    }
    assert_eq!(Tenant::current(), None);
    println!("{total:?}");
    let mut rare = total.below((programs / 100) as usize);
    // Only where there is another thread.
    rare.retain(|name| threads > 1 || *name != "left_behind");
    assert!(rare.is_empty(), "too rare: {rare:?} of {total:?}");
}

#[test]
fn futures_do_not_interfere_on_one_thread() {
    let threads = Threads::new(0);
    run(56, "one thread", 1, |world| drive::by_hand(world, &threads));
}

#[test]
fn futures_do_not_interfere_on_three_threads() {
    let threads = Threads::new(3);
    run(12, "three threads", 3, |world| {
        drive::by_hand(world, &threads)
    });
}

#[test]
fn futures_do_not_interfere_on_tokio() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    run(16, "tokio", 1, |world| drive::on_tokio(world, &runtime));
}

#[test]
fn futures_do_not_interfere_on_smol() {
    run(16, "smol", 1, drive::on_smol);
}
