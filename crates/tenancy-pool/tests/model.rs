//! One thread with a model that predicts the connection or the error of every check-out: invariants
//! 1–4, 8, 11, 13, 15, 17, 19.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tenancy_core::{Clock, Epoch, Event, Observer, Tenant};
use tenancy_pool::{Checkout, CheckoutError, TenantPool};

use crate::util::*;

const TENANTS: usize = 4;
const MAX: usize = 4;
const CAP: usize = 2;
const MAINTENANCE: u64 = 3_000;
const IDLE: u64 = 10_000;
const LIFE: u64 = 25_000;
const FAILURE: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    ByName,
    /// With a handle that is kept from the beginning.
    Kept,
    /// Only an idle connection.
    Idle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    Fails,
    Panics,
    PrepareFails,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Take {
        tenant: usize,
        old: bool,
        how: How,
    },
    Return {
        which: usize,
        broken: bool,
    },
    Raise(usize),
    Mark(usize),
    Close(usize),
    Reopen(usize),
    Forget(usize),
    /// A resolver reports its removal; it is created again in the next epoch.
    Remove(usize),
    Mood(usize, Mood),
    Wait(u64),
    Reap,
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = || 0..TENANTS;
    let how = prop_oneof![4 => Just(How::ByName), 1 => Just(How::Kept), 1 => Just(How::Idle)];
    let mood = prop_oneof![
        Just(Mood::Works),
        Just(Mood::Fails),
        Just(Mood::Panics),
        Just(Mood::PrepareFails)
    ];
    prop_oneof![
        10 => (tenant(), prop::bool::weighted(0.1), how)
            .prop_map(|(tenant, old, how)| Step::Take { tenant, old, how }),
        8 => (0..MAX, prop::bool::weighted(0.1))
            .prop_map(|(which, broken)| Step::Return { which, broken }),
        1 => tenant().prop_map(Step::Raise),
        1 => tenant().prop_map(Step::Mark),
        1 => tenant().prop_map(Step::Close),
        2 => tenant().prop_map(Step::Reopen),
        1 => tenant().prop_map(Step::Forget),
        1 => tenant().prop_map(Step::Remove),
        1 => (tenant(), mood).prop_map(|(tenant, mood)| Step::Mood(tenant, mood)),
        1 => prop_oneof![Just(50_u64), Just(100), Just(4_000), Just(11_000)].prop_map(Step::Wait),
        2 => Just(Step::Reap),
    ]
}

/// The state of an open connection.
#[derive(Debug, Clone, Copy)]
struct Known {
    tenant: usize,
    epoch: u64,
    born: u64,
    since: u64,
    out: bool,
    maintained: bool,
}

#[derive(Debug, Clone, Default)]
struct Of {
    epoch: u64,
    closed: bool,
    removed: bool,
    prepared: bool,
    failing_until: u64,
}

/// The end of a check-out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Got(u64),
    Nothing,
    Refused(&'static str),
    Panicked,
}

struct Model {
    now: u64,
    serial: u64,
    /// By serial number. The last idle one is used first, the first one is evicted first.
    live: BTreeMap<u64, Known>,
    /// Idle ones, least recently used first.
    lru: Vec<u64>,
    of: Vec<Of>,
    moods: [Mood; TENANTS],
}

impl Model {
    fn drop_idle(&mut self, which: impl Fn(&Known) -> bool) {
        let gone: Vec<_> = self
            .lru
            .iter()
            .copied()
            .filter(|n| which(&self.live[n]))
            .collect();
        for serial in gone {
            self.live.remove(&serial);
            self.lru.retain(|other| *other != serial);
        }
    }

    fn expired(&self, known: &Known) -> bool {
        self.now - known.since >= IDLE || self.now - known.born >= LIFE
    }

    fn raise(&mut self, tenant: usize, epoch: u64) -> bool {
        let of = &mut self.of[tenant];
        if of.epoch > epoch {
            return false;
        }
        if of.epoch < epoch {
            *of = Of {
                epoch,
                closed: of.closed,
                ..Of::default()
            };
        }
        true
    }

    fn check_out(&mut self, serial: u64) -> End {
        self.lru.retain(|other| *other != serial);
        let now = self.now;
        let known = self.live.get_mut(&serial).expect("it lives");
        (known.out, known.since, known.maintained) = (true, now, false);
        End::Got(serial)
    }

    fn take(&mut self, tenant: usize, epoch: u64, how: How) -> End {
        if !self.raise(tenant, epoch) {
            return End::Refused("superseded");
        }
        if self.of[tenant].closed {
            return End::Refused("closed");
        }
        let mine = |model: &Self| {
            let mut idle = model.lru.iter().rev().copied();
            idle.find(|serial| model.live[serial].tenant == tenant)
        };
        if how == How::Idle {
            let usable = mine(self).filter(|serial| {
                let known = &self.live[serial];
                known.epoch == epoch && !self.expired(known)
            });
            return usable.map_or(End::Nothing, |serial| self.check_out(serial));
        }
        self.drop_idle(|known| known.tenant == tenant && known.epoch != epoch);
        while let Some(serial) = mine(self) {
            let known = self.live[&serial];
            if !self.expired(&known) {
                return self.check_out(serial);
            }
            self.live.remove(&serial);
            self.lru.retain(|other| *other != serial);
        }
        if self
            .live
            .values()
            .filter(|known| known.tenant == tenant)
            .count()
            >= CAP
        {
            return End::Refused("would deadlock");
        }
        if self.of[tenant].failing_until > self.now {
            return End::Refused("failing");
        }
        if self.live.len() >= MAX {
            if self.lru.is_empty() {
                return End::Refused("would deadlock");
            }
            let candidate = self.lru.remove(0);
            self.live.remove(&candidate);
        }
        self.open(tenant, epoch)
    }

    fn open(&mut self, tenant: usize, epoch: u64) -> End {
        let mood = self.moods[tenant];
        self.of[tenant].removed = false;
        let prepares = !self.of[tenant].prepared;
        match mood {
            Mood::Panics => return End::Panicked,
            Mood::Fails => {
                self.of[tenant].failing_until = self.now + FAILURE;
                return End::Refused("connect");
            }
            Mood::PrepareFails if prepares => {
                self.serial += 1;
                self.of[tenant].failing_until = self.now + FAILURE;
                return End::Refused("prepare");
            }
            Mood::PrepareFails | Mood::Works => {}
        }
        let known = Known {
            tenant,
            epoch,
            born: self.now,
            since: self.now,
            out: true,
            maintained: false,
        };
        let serial = self.serial;
        self.live.insert(serial, known);
        self.serial += 1;
        self.of[tenant].prepared = true;
        self.of[tenant].failing_until = 0;
        End::Got(serial)
    }

    /// Returns the connections that are maintained, in order.
    fn maintain_idle(&mut self) -> Vec<u64> {
        let mut due = self.lru.clone();
        due.retain(|serial| {
            let known = self.live.get_mut(serial).expect("it lives");
            let due = self.now - known.since >= MAINTENANCE;
            due && !std::mem::replace(&mut known.maintained, true)
        });
        due
    }

    /// Forgets the removed tenants that are unused.
    fn free(&mut self) {
        for tenant in 0..TENANTS {
            let left = self.live.values().any(|known| known.tenant == tenant);
            let of = &mut self.of[tenant];
            if of.removed && !left && of.failing_until <= self.now {
                *of = Of::default();
            }
        }
    }

    fn put_back(&mut self, serial: u64, broken: bool) {
        let (now, known) = (self.now, self.live.get_mut(&serial).expect("it lives"));
        let of = &self.of[known.tenant];
        if broken || of.closed || of.epoch != known.epoch || now - known.born >= LIFE {
            self.live.remove(&serial);
            return;
        }
        (known.out, known.since) = (false, now);
        self.lru.push(serial);
    }
}

fn end_of(
    taken: Result<Option<Checkout<Fake>>, CheckoutError<NoDatabase>>,
    out: &mut Vec<Checkout<Fake>>,
) -> End {
    match taken {
        Ok(Some(checkout)) => {
            let serial = checkout.serial;
            out.push(checkout);
            End::Got(serial)
        }
        Ok(None) => End::Nothing,
        Err(CheckoutError::Connect { .. }) => End::Refused("connect"),
        Err(CheckoutError::Prepare { .. }) => End::Refused("prepare"),
        Err(CheckoutError::Backoff { .. }) => End::Refused("failing"),
        Err(CheckoutError::WouldDeadlock { .. }) => End::Refused("would deadlock"),
        Err(CheckoutError::Closed { .. }) => End::Refused("closed"),
        Err(CheckoutError::Superseded { .. }) => End::Refused("superseded"),
        Err(other) => panic!("{other}"),
    }
}

fn name(tenant: usize) -> String {
    format!("tenant-{tenant}")
}

fn at(tenant: usize, epoch: u64) -> Tenant {
    tenant_at(&name(tenant), epoch)
}

/// Runs the steps, and compares the pools with the model.
fn check(steps: &[Step]) {
    let moods: Arc<[AtomicU8; TENANTS]> = Arc::default();
    let mood_of = move |tenant: &Tenant, moods: &[AtomicU8; TENANTS]| {
        let number = tenant.id().as_str().trim_start_matches("tenant-");
        moods[number.parse::<usize>().expect("a number")].load(Ordering::Relaxed)
    };
    let (connects, prepares) = (moods.clone(), moods.clone());
    let driver = ConnectWith(move |tenant, _| match mood_of(tenant, &connects) {
        1 => Err(NoDatabase),
        2 => std::panic::resume_unwind(Box::new("planned")),
        _ => Ok(()),
    });
    let driver = driver.preparing(move |tenant| match mood_of(tenant, &prepares) {
        3 => Err(NoDatabase),
        _ => Ok(()),
    });
    let maintained: Arc<Mutex<Vec<u64>>> = Arc::default();
    let maintains = maintained.clone();
    let driver = driver.maintaining(move |conn| {
        locked(&maintains).push(conn.serial);
        Ok(())
    });
    let clock = Clock::manual();
    let pools = pools_with(&driver, MAX as u32, CAP as u32, |builder| {
        let builder = builder
            .clock(clock.clone())
            .idle_timeout(Duration::from_millis(IDLE))
            .idle_maintenance_after(Duration::from_millis(MAINTENANCE));
        let builder = builder.lifetime_jitter(Duration::ZERO);
        builder.max_lifetime(Duration::from_millis(LIFE))
    });
    let mut model = Model {
        now: 0,
        serial: 0,
        live: BTreeMap::new(),
        lru: Vec::new(),
        of: vec![Of::default(); TENANTS],
        moods: [Mood::Works; TENANTS],
    };
    // The epochs as the application knows them; the pools learn them by check-outs.
    let mut epochs = [1_u64; TENANTS];
    let kept: Vec<TenantPool<Fake>> = (0..TENANTS).map(|n| pools.handle(&at(n, 1))).collect();
    let mut out: Vec<Checkout<Fake>> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Take { tenant, old, how } => {
                let epoch = match how {
                    How::Kept => 1,
                    _ => epochs[tenant] - u64::from(old && epochs[tenant] > 1),
                };
                let wanted = model.take(tenant, epoch, how);
                let handle = at(tenant, epoch);
                let taken = catch_unwind(AssertUnwindSafe(|| match how {
                    How::ByName => pools.checkout(&handle).map(Some),
                    How::Kept => kept[tenant].checkout().map(Some),
                    How::Idle => pools.try_checkout(&handle),
                }));
                let end = taken.map_or(End::Panicked, |taken| end_of(taken, &mut out));
                assert_eq!(end, wanted, "step {number}: {step:?}");
            }
            Step::Return { which, broken } if !out.is_empty() => {
                let mut checkout = out.swap_remove(which % out.len());
                checkout.broken = broken;
                model.put_back(checkout.serial, broken);
            }
            Step::Return { .. } => {}
            Step::Raise(tenant) => epochs[tenant] += 1,
            Step::Mark(tenant) => {
                let epoch = epochs[tenant];
                // The first epoch supersedes nothing: it makes no tenant known.
                let known = pools.tenant_stats(at(tenant, 1).id()).is_some();
                if epoch > 1 || known {
                    model.raise(tenant, epoch);
                }
                pools.raise_epoch(at(tenant, epoch).id(), Epoch::new(epoch).expect("an epoch"));
            }
            Step::Close(tenant) => {
                let of = &mut model.of[tenant];
                (of.closed, of.removed) = (true, false);
                model.drop_idle(|known| known.tenant == tenant);
                let left = model.live.values().any(|known| known.tenant == tenant);
                let closed = pools.close(at(tenant, 1).id(), Duration::from_secs(5));
                assert_eq!(closed.is_err(), left, "step {number}: {step:?}");
            }
            Step::Reopen(tenant) => {
                let was = std::mem::take(&mut model.of[tenant].closed);
                assert_eq!(pools.reopen(at(tenant, 1).id()), was, "step {number}");
            }
            Step::Forget(tenant) => {
                let free = !model.live.values().any(|known| known.tenant == tenant);
                if free {
                    model.of[tenant] = Of::default();
                }
                assert_eq!(pools.forget(at(tenant, 1).id()), free, "step {number}");
            }
            Step::Remove(tenant) => {
                let (gone, epoch) = (at(tenant, 1), epochs[tenant]);
                epochs[tenant] += 1;
                if pools.tenant_stats(gone.id()).is_some() && model.raise(tenant, epoch + 1) {
                    model.of[tenant].removed = true;
                }
                pools.observe(&Event::TenantRemoved {
                    id: gone.id(),
                    epoch: Epoch::new(epoch).expect("an epoch"),
                });
            }
            Step::Mood(tenant, mood) => {
                model.moods[tenant] = mood;
                moods[tenant].store(mood as u8, Ordering::Relaxed);
            }
            Step::Wait(ms) => {
                model.now += ms;
                clock.advance(Duration::from_millis(ms));
            }
            Step::Reap => {
                let (now, of) = (model.now, model.of.clone());
                let before = model.live.len();
                model.drop_idle(|known| {
                    let old = now - known.since >= IDLE || now - known.born >= LIFE;
                    old || known.epoch != of[known.tenant].epoch
                });
                assert_eq!(pools.reap(), before - model.live.len(), "step {number}");
                // Their order shows in the next uses and evictions.
                let due = std::mem::take(&mut *locked(&maintained));
                assert_eq!(due, model.maintain_idle(), "step {number}");
                model.free();
            }
        }
        compare(&model, &pools, &driver, number, step);
    }
    drop((out, kept, pools));
    let world = &driver.world;
    assert_eq!((world.live(), world.peak() <= MAX), (0, true));
    assert_eq!(world.opened(), world.dropped.load(Ordering::SeqCst));
}

fn compare(
    model: &Model,
    pools: &tenancy_pool::TenantPools<Fake>,
    driver: &Fake,
    number: usize,
    step: &Step,
) {
    let stats = pools.stats();
    let out = model.live.values().filter(|known| known.out).count();
    let (under, known) = (
        stats.opening + stats.closing,
        (stats.open, stats.idle, stats.out),
    );
    let wanted = (model.live.len() as u32, model.lru.len() as u32, out as u32);
    assert_eq!((known, under), (wanted, 0), "step {number}: {step:?}");
    assert_eq!((stats.waiting, stats.tickets), (0, 0));
    assert_eq!(driver.world.live(), model.live.len());
    assert!(driver.world.peak() <= MAX);
    for tenant in 0..TENANTS {
        assert!(driver.world.peak_of(&name(tenant)) <= CAP);
        let mine = model.live.values().filter(|known| known.tenant == tenant);
        assert_eq!(
            driver.world.live_of(&name(tenant)),
            mine.count(),
            "step {number}: {step:?}"
        );
        if let Some(stats) = pools.tenant_stats(at(tenant, 1).id()) {
            let of = &model.of[tenant];
            // The first epoch supersedes nothing.
            let epoch = |epoch: Option<Epoch>| epoch.unwrap_or(Epoch::FIRST);
            assert_eq!(
                (epoch(stats.epoch), stats.closed),
                (epoch(Epoch::new(of.epoch)), of.closed),
                "step {number}: {step:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_check_out_ends_as_in_the_model(steps in prop::collection::vec(step(), 1..120)) {
        check(&steps);
    }
}
