//! Scenarios for the model checker: `scripts/shuttle` runs each in many schedules.
//!
//! A deadline under a minute is random there, a longer one never passes: a wait for ever is
//! reported as a deadlock.

mod seats;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use r2d2::ManageConnection;
use shuttle::thread;
use tenancy_core::{Clock, Epoch, Event, Observer, Tenant};

use crate::{Builder, CheckoutError, Driver, Eviction, TenantPools};

/// A driver that counts open connections, and checks the bound at every connect.
#[derive(Clone)]
struct Counted {
    live: Arc<AtomicU32>,
    max: u32,
    /// The number of connects that fail from now on.
    fails: Arc<AtomicU32>,
    /// The number of upkeep calls for "a" that run.
    upkeeps: Arc<AtomicU32>,
}

struct Conn(Arc<AtomicU32>);

impl Drop for Conn {
    fn drop(&mut self) {
        thread::yield_now();
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ManageConnection for Counted {
    type Connection = Conn;
    type Error = std::io::Error;

    fn connect(&self) -> Result<Conn, std::io::Error> {
        thread::yield_now();
        let failing = |left: u32| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.fails.fetch_update(order, order, failing).is_ok() {
            return Err(std::io::Error::other("planned"));
        }
        let live = self.live.fetch_add(1, order) + 1;
        assert!(live <= self.max, "{live} are open");
        thread::yield_now();
        Ok(Conn(self.live.clone()))
    }

    fn is_valid(&self, _: &mut Conn) -> Result<(), std::io::Error> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Conn) -> bool {
        false
    }
}

impl Driver for Counted {
    type Manager = Self;

    fn manager(&self, _: &Tenant) -> Self {
        self.clone()
    }

    fn maintain_idle(&self, _: &mut Conn) -> Result<(), std::io::Error> {
        thread::yield_now();
        Ok(())
    }

    fn evict(&self, _: &mut Conn) -> Eviction {
        thread::yield_now();
        Eviction::NeedsUpkeep
    }

    /// Stands for upkeep that opens connections beside the bound.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), std::io::Error> {
        let counted = u32::from(tenant.id().as_str() == "a");
        self.upkeeps.fetch_add(counted, Ordering::SeqCst);
        thread::yield_now();
        self.upkeeps.fetch_sub(counted, Ordering::SeqCst);
        Ok(())
    }

    fn descriptors(&self) -> u32 {
        0
    }
}

/// A time-out that never passes.
const NEVER: Duration = Duration::from_secs(3600);
/// A time-out that passes at any time.
const SOON: Duration = Duration::from_secs(1);

const SCHEDULES: usize = 2_000;

struct World {
    pools: TenantPools<Counted>,
    driver: Counted,
}

impl World {
    fn new(max: u32, per_tenant: u32, handoff_after: Duration, fails: u32) -> Arc<Self> {
        Self::with(max, per_tenant, fails, |builder| {
            builder.handoff_after(handoff_after)
        })
    }

    fn with(
        max: u32,
        per_tenant: u32,
        fails: u32,
        more: impl FnOnce(Builder) -> Builder,
    ) -> Arc<Self> {
        let driver = Counted {
            live: Arc::default(),
            max,
            fails: Arc::new(AtomicU32::new(fails)),
            upkeeps: Arc::default(),
        };
        let builder = TenantPools::<Counted>::builder()
            .max_connections(max)
            .max_per_tenant(per_tenant)
            .max_opening(1)
            .failure_ttl(Duration::ZERO)
            .idle_maintenance_after(Duration::ZERO);
        let pools = more(builder)
            .build(driver.clone())
            .expect("the bounds hold");
        Arc::new(Self { pools, driver })
    }

    fn spawn(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let world = self.clone();
        thread::spawn(move || work(&world))
    }

    /// Uses a connection; returns whether it got one.
    fn use_one(&self, id: &str, epoch: u64, timeout: Duration) -> bool {
        match self.pools.checkout_timeout(&tenant(id, epoch), timeout) {
            Ok(_out) => {
                thread::yield_now();
                true
            }
            Err(CheckoutError::Timeout { .. }) if timeout < NEVER => false,
            Err(CheckoutError::Connect { .. } | CheckoutError::Backoff { .. }) => false,
            Err(CheckoutError::Closed { .. } | CheckoutError::Superseded { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn check_idle(&self) {
        let stats = self.pools.stats();
        let busy = (
            stats.out,
            stats.opening,
            stats.closing,
            stats.waiting,
            stats.tickets,
        );
        assert_eq!(busy, (0, 0, 0, 0, 0), "{stats:?}");
        assert_eq!(stats.idle, self.driver.live.load(Ordering::SeqCst));
    }
}

fn tenant(id: &str, epoch: u64) -> Tenant {
    let builder = Tenant::builder(id.parse().expect("an id"));
    let epoch = Epoch::new(epoch).expect("an epoch");
    builder.epoch(epoch).build().expect("a tenant")
}

/// Checks a scenario in many schedules.
fn check(scenario: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(scenario, SCHEDULES);
}

fn all(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Starts threads that each use a connection of a tenant, once or repeatedly.
fn users(
    world: &Arc<World>,
    users: &[(&'static str, Duration, usize)],
) -> Vec<thread::JoinHandle<()>> {
    let user = |&(id, timeout, times): &(&'static str, Duration, usize)| {
        world.spawn(move |world| {
            for _ in 0..times {
                world.use_one(id, 1, timeout);
            }
        })
    };
    users.iter().map(user).collect()
}

#[test]
fn shuttle_no_wake_up_is_lost() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        all(users(
            &world,
            &[("a", NEVER, 2), ("a", NEVER, 2), ("a", NEVER, 1)],
        ));
        world.check_idle();
    });
}

#[test]
fn shuttle_a_timed_out_waiter_wakes_the_next() {
    check(|| {
        let world = World::new(2, 2, SOON, 0);
        let who = [
            ("a", NEVER, 2),
            ("a", SOON, 1),
            ("a", SOON, 1),
            ("a", NEVER, 1),
        ];
        all(users(&world, &who));
        world.check_idle();
    });
}

#[test]
fn shuttle_hand_offs_are_in_order() {
    check(|| {
        let world = World::new(1, 1, Duration::ZERO, 0);
        all(users(
            &world,
            &[("a", NEVER, 2), ("a", NEVER, 1), ("a", SOON, 1)],
        ));
        world.check_idle();
    });
}

#[test]
fn shuttle_tenants_evict_each_other() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        all(users(
            &world,
            &[("a", NEVER, 2), ("b", NEVER, 2), ("c", NEVER, 1)],
        ));
        world.check_idle();
    });
}

#[test]
fn shuttle_a_ticket_that_times_out_blocks_no_other() {
    check(|| {
        let world = World::new(2, 1, SOON, 0);
        let who = [
            ("a", NEVER, 1),
            ("b", SOON, 1),
            ("c", SOON, 1),
            ("d", NEVER, 1),
        ];
        all(users(&world, &who));
        world.check_idle();
    });
}

#[test]
fn shuttle_a_failed_connect_wakes_the_next() {
    check(|| {
        let world = World::new(1, 1, SOON, 2);
        all(users(
            &world,
            &[("a", NEVER, 1), ("a", NEVER, 2), ("b", NEVER, 1)],
        ));
        world.check_idle();
    });
}

#[test]
fn shuttle_a_backoff_strands_no_waiter() {
    check(|| {
        let clock = Clock::manual();
        let world = World::with(2, 2, 0, |builder| {
            builder.clock(clock.clone()).failure_ttl(SOON)
        });
        let out = world.pools.checkout(&tenant("a", 1));
        let out = out.expect("a connection");
        world.driver.fails.store(1, Ordering::SeqCst);
        // One connection is out all the time: only another one can serve them.
        let who = [("a", NEVER, 1), ("a", NEVER, 1), ("a", SOON, 1)];
        let mut threads = users(&world, &who);
        threads.push(world.spawn(move |world| {
            while world.pools.stats().counters.open_failed == 0 {
                thread::yield_now();
            }
            clock.advance(SOON);
        }));
        all(threads);
        drop(out);
        world.check_idle();
    });
}

#[test]
fn shuttle_close_leaves_no_connection() {
    check(|| {
        let world = World::new(2, 2, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 2), ("a", NEVER, 1)]);
        threads.push(world.spawn(|world| {
            let id = tenant("a", 1).id().clone();
            world.pools.close(&id, NEVER).expect("the close ends");
            assert_eq!(world.driver.live.load(Ordering::SeqCst), 0);
            thread::yield_now();
            assert_eq!(world.driver.live.load(Ordering::SeqCst), 0);
        }));
        all(threads);
        world.check_idle();
    });
}

#[test]
fn shuttle_a_tenant_closed_twice_is_reopened() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 1), ("b", NEVER, 1)]);
        for _ in 0..2 {
            threads.push(world.spawn(|world| {
                let id = tenant("a", 1).id().clone();
                world.pools.close(&id, NEVER).expect("the close ends");
            }));
        }
        all(threads);
        assert!(!world.use_one("a", 1, NEVER), "it is closed");
        assert!(world.pools.reopen(tenant("a", 1).id()));
        assert!(world.use_one("a", 1, NEVER));
        world.check_idle();
    });
}

#[test]
fn shuttle_a_raised_epoch_strands_no_waiter() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 2), ("b", NEVER, 1)]);
        threads.push(world.spawn(|world| {
            assert!(world.use_one("a", 2, NEVER));
        }));
        threads.push(world.spawn(|world| {
            world
                .pools
                .raise_epoch(tenant("a", 2).id(), tenant("a", 2).epoch())
        }));
        all(threads);
        world.check_idle();
        assert!(!world.use_one("a", 1, NEVER), "the epoch has passed");
    });
}

#[test]
fn shuttle_check_outs_during_idle_maintenance_are_served() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 2), ("a", SOON, 1), ("b", NEVER, 1)]);
        threads.push(world.spawn(|world| {
            world.pools.reap();
            world.pools.reap();
        }));
        all(threads);
        world.check_idle();
    });
}

#[test]
fn shuttle_close_waits_for_idle_maintenance() {
    check(|| {
        let world = World::new(2, 2, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 1)]);
        threads.push(world.spawn(|world| assert_eq!(world.pools.reap(), 0)));
        threads.push(world.spawn(|world| {
            let id = tenant("a", 1).id().clone();
            world.pools.close(&id, NEVER).expect("the close ends");
            assert_eq!(world.driver.live.load(Ordering::SeqCst), 0);
        }));
        all(threads);
        world.check_idle();
    });
}

#[test]
fn shuttle_close_waits_for_upkeep_and_is_woken() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        assert!(world.use_one("a", 1, NEVER) && world.use_one("b", 1, NEVER));
        let mut threads = users(&world, &[("a", NEVER, 1), ("b", NEVER, 1)]);
        threads.push(world.spawn(|world| {
            world.pools.reap();
        }));
        threads.push(world.spawn(|world| {
            let id = tenant("a", 1).id().clone();
            world.pools.close(&id, NEVER).expect("the close ends");
            assert_eq!(world.driver.upkeeps.load(Ordering::SeqCst), 0);
            thread::yield_now();
            assert_eq!(world.driver.upkeeps.load(Ordering::SeqCst), 0);
        }));
        all(threads);
        world.check_idle();
    });
}

#[test]
fn shuttle_close_all_leaves_no_connection() {
    check(|| {
        let world = World::new(2, 2, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 2), ("a", SOON, 1), ("b", NEVER, 1)]);
        for _ in 0..2 {
            threads.push(world.spawn(|world| {
                world.pools.close_all(NEVER).expect("the close ends");
                let order = Ordering::SeqCst;
                assert_eq!(world.driver.live.load(order), 0);
                thread::yield_now();
                assert_eq!(world.driver.live.load(order), 0);
            }));
        }
        all(threads);
        world.check_idle();
        assert!(!world.use_one("c", 1, NEVER), "everything is closed");
    });
}

#[test]
fn shuttle_a_released_slot_strands_no_waiter() {
    check(|| {
        let world = World::new(1, 1, SOON, 1);
        let mut threads = users(&world, &[("a", NEVER, 2), ("b", NEVER, 1)]);
        threads.push(world.spawn(|world| {
            let gone = tenant("a", 1);
            let (id, epoch) = (gone.id(), gone.epoch());
            world.pools.observe(&Event::TenantRemoved { id, epoch });
            world.pools.reap();
        }));
        threads.push(world.spawn(|world| {
            world.pools.reap();
        }));
        all(threads);
        world.pools.reap();
        world.check_idle();
        assert!(world.use_one("a", 2, NEVER), "it was created again");
    });
}
