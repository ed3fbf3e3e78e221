//! Many threads and every kind of fault. `TENANCY_POOL_OPS` is the number of operations;
//! `TENANCY_POOL_SEED` repeats the choices of a run, though not its timing.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tenancy_core::{Epoch, Event, Observer, Tenant};
use tenancy_pool::{Access, Checkout, CheckoutError, Eviction, SeatFuture, TenantPools};

use crate::util::*;

const TENANTS: u64 = 12;
const THREADS: u64 = 8;
const MAX: u32 = 6;
const CAP: u32 = 3;

/// The faults that have happened, counted.
const FAULTS: [&str; 23] = [
    "connect failed",
    "connect panicked",
    "connect slow",
    "prepare failed",
    "returned broken",
    "returned by a panic",
    "closed",
    "timed out",
    "superseded",
    "refused as closed",
    "not restricted",
    "restriction not lifted",
    "idle maintenance failed",
    "idle maintenance panicked",
    "late by itself",
    "refused at its check-out",
    "refused at its return",
    "eviction left work",
    "eviction panicked",
    "upkeep failed",
    "removed",
    "seat not opened",
    "wait cancelled",
];

#[derive(Default)]
struct Faults([AtomicU64; FAULTS.len()]);

impl Faults {
    fn count(&self, what: usize) {
        self.0[what].fetch_add(1, Ordering::Relaxed);
    }
}

/// Draws the outcome of each connect; the numbers of all threads come from one sequence.
fn driver(
    seed: u64,
    faults: &Arc<Faults>,
    bad: &Arc<Mutex<HashSet<u64>>>,
    gone: &Arc<Mutex<HashMap<String, Epoch>>>,
) -> Fake {
    let gone = gone.clone();
    let (connects, prepares, restricts) = (faults.clone(), faults.clone(), faults.clone());
    let (maintains, bad) = (faults.clone(), bad.clone());
    let hooks = Hooks::new(seed, faults, &bad);
    let drawn = AtomicU64::new(seed);
    let draw = move || Rng(drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)).below(100);
    let prepare_drawn = AtomicU64::new(!seed);
    let restrict_drawn = AtomicU64::new(seed ^ 0x5eed);
    let rest_drawn = AtomicU64::new(!seed ^ 0x5eed);
    ConnectWith(move |tenant, _| {
        // After the slot of a removed tenant was released, its old handles get this far.
        if locked(&gone).get(tenant.id().as_str()) >= Some(&tenant.epoch()) {
            return Err(NoDatabase);
        }
        match draw() {
            0..10 => {
                connects.count(0);
                return Err(NoDatabase);
            }
            10..20 => {
                connects.count(1);
                resume_unwind(Box::new("planned"));
            }
            20..30 => {
                connects.count(2);
                std::thread::sleep(Duration::from_micros(300));
            }
            _ => {}
        }
        Ok(())
    })
    .preparing(move |_| {
        let drawn = prepare_drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        if Rng(drawn).below(2) == 0 {
            prepares.count(3);
            return Err(NoDatabase);
        }
        Ok(())
    })
    .restricting(move |access| {
        let drawn = restrict_drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        if Rng(drawn).below(6) == 0 {
            restricts.count(10 + usize::from(access == Access::ReadWrite));
            return Err(NoDatabase);
        }
        Ok(access)
    })
    .maintaining(move |conn| {
        let drawn = rest_drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let fault = Rng(drawn).below(5) as usize / 2;
        if fault < 2 {
            locked(&bad).insert(conn.serial);
            maintains.count(12 + fault);
        }
        match fault {
            0 => Err(NoDatabase),
            1 => resume_unwind(Box::new("planned")),
            _ => Ok(()),
        }
    })
    .checking_out(hooks.refusing(15, 10))
    .returning(hooks.refusing(16, 8))
    .evicting(hooks.evicting(), hooks.upkeep())
}

/// Faults of the calls of a driver besides connecting.
struct Hooks {
    drawn: Arc<AtomicU64>,
    faults: Arc<Faults>,
    bad: Arc<Mutex<HashSet<u64>>>,
}

impl Hooks {
    fn new(seed: u64, faults: &Arc<Faults>, bad: &Arc<Mutex<HashSet<u64>>>) -> Self {
        Self {
            drawn: Arc::new(AtomicU64::new(seed ^ 0x4007)),
            faults: faults.clone(),
            bad: bad.clone(),
        }
    }

    fn draw(&self) -> impl Fn(u64) -> u64 + Send + Sync + 'static {
        let drawn = self.drawn.clone();
        move |n| Rng(drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)).below(n)
    }

    /// Rejects some connections, which must not come back.
    fn refusing(
        &self,
        fault: usize,
        of: u64,
    ) -> impl Fn(&mut Conn) -> Result<(), NoDatabase> + Send + Sync + 'static {
        let (draw, faults, bad) = (self.draw(), self.faults.clone(), self.bad.clone());
        move |conn| {
            if draw(of) > 0 {
                return Ok(());
            }
            locked(&bad).insert(conn.serial);
            faults.count(fault);
            Err(NoDatabase)
        }
    }

    fn evicting(&self) -> impl Fn(&mut Conn) -> Eviction + Send + Sync + 'static {
        let (draw, faults, bad) = (self.draw(), self.faults.clone(), self.bad.clone());
        move |conn| {
            locked(&bad).insert(conn.serial);
            match draw(4) {
                0 => {
                    faults.count(18);
                    resume_unwind(Box::new("planned"))
                }
                1 => Eviction::Complete,
                _ => {
                    faults.count(17);
                    Eviction::NeedsUpkeep
                }
            }
        }
    }

    /// Fails at times for a tenant that is not closed.
    fn upkeep(&self) -> impl Fn(&Tenant) -> Result<(), NoDatabase> + Send + Sync + 'static {
        let (draw, faults) = (self.draw(), self.faults.clone());
        move |_| match draw(3) {
            0 => Ok(()),
            fault => {
                faults.count(19);
                match fault {
                    1 => Err(NoDatabase),
                    _ => resume_unwind(Box::new("planned")),
                }
            }
        }
    }
}

struct Run {
    driver: Fake,
    pools: TenantPools<Fake>,
    faults: Arc<Faults>,
    epochs: Vec<AtomicU64>,
    /// Held from a close of a tenant to its check, so that it is not reopened in between.
    closers: Vec<Mutex<()>>,
    /// Serial numbers of connections that are out, and of those that must not come back.
    out: Mutex<HashSet<u64>>,
    bad: Arc<Mutex<HashSet<u64>>>,
    /// The last epochs of tenants that were removed.
    gone: Arc<Mutex<HashMap<String, Epoch>>>,
    checkouts: AtomicU64,
    late: AtomicU64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let (faults, bad) = (Arc::default(), Arc::default());
        let gone = Arc::default();
        let driver = driver(seed, &faults, &bad, &gone);
        let pools = pools_with(&driver, MAX, CAP, |builder| {
            // A backoff would hide most other failures.
            let builder = builder.failure_ttl(Duration::ZERO);
            let builder = builder.idle_maintenance_after(Duration::ZERO);
            builder.handoff_after(Duration::from_micros(200))
        });
        Self {
            driver,
            pools,
            faults,
            epochs: (0..TENANTS).map(|_| AtomicU64::new(1)).collect(),
            closers: (0..TENANTS).map(|_| Mutex::default()).collect(),
            out: Mutex::default(),
            bad,
            gone,
            checkouts: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }
    }

    fn name(n: u64) -> String {
        format!("tenant-{n}")
    }

    fn close(&self, n: u64) {
        let _alone = locked(&self.closers[n as usize]);
        let id = tenant(&Self::name(n)).id().clone();
        if self.pools.close(&id, Duration::from_secs(30)).is_ok() {
            self.faults.count(6);
            let live = || self.driver.world.live_of(id.as_str());
            assert_eq!(live(), 0, "{id} is closed");
            std::thread::yield_now();
            assert_eq!(live(), 0, "{id} is still closed");
        }
        assert!(self.pools.reopen(&id));
    }

    fn operation(&self, rng: &mut Rng) {
        // A few tenants get most operations.
        let n = rng.below(TENANTS).min(rng.below(TENANTS));
        let epoch = &self.epochs[n as usize];
        match rng.below(1000) {
            0..25 => return self.close(n),
            25..55 => drop(epoch.fetch_add(1, Ordering::Relaxed)),
            // More often than in a program, so that maintenance fails often enough.
            55..355 => drop(self.pools.reap()),
            355..375 => {
                // Otherwise a closed slot is forgotten before it is checked.
                let _alone = locked(&self.closers[n as usize]);
                let id = tenant(&Self::name(n)).id().clone();
                let gone = Epoch::new(epoch.fetch_add(1, Ordering::Relaxed));
                let epoch = gone.expect("an epoch");
                locked(&self.gone).insert(id.to_string(), epoch);
                self.pools.observe(&Event::TenantRemoved { id: &id, epoch });
                self.faults.count(20);
            }
            _ => {}
        }
        let current = epoch.load(Ordering::Relaxed);
        let old = rng.below(100) < 5;
        let handle = tenant_at(
            &Self::name(n),
            current.saturating_sub(u64::from(old)).max(1),
        );
        let timeout = Duration::from_micros([0, 100, 1_000, 5_000_000][rng.below(4) as usize]);
        let access = match rng.below(3) {
            0 => Access::ReadOnly,
            _ => Access::ReadWrite,
        };
        let began = Instant::now();
        let pool = match access {
            Access::ReadWrite => self.pools.handle(&handle),
            Access::ReadOnly => self.pools.handle(&handle).read_only(),
        };
        let by_seat = rng.below(3) == 0;
        match catch_unwind(AssertUnwindSafe(|| match by_seat {
            true => self
                .by_seat(rng, pool.seat_async_timeout(timeout))
                .transpose(),
            false => Some(pool.checkout_timeout(timeout)),
        })) {
            Err(_) | Ok(None) => {}
            Ok(Some(taken)) => self.taken(rng, &handle, access, taken, began.elapsed(), timeout),
        }
    }

    /// Waits for a seat, or cancels the wait.
    fn by_seat(
        &self,
        rng: &mut Rng,
        mut wait: SeatFuture<Fake>,
    ) -> Result<Option<Checkout<Fake>>, CheckoutError<NoDatabase>> {
        let polls = rng.below(4);
        if polls == 0 {
            let mut context = Context::from_waker(Waker::noop());
            let mut polls = 0..=rng.below(2);
            let poll = |_| Pin::new(&mut wait).poll(&mut context).is_ready();
            if !polls.any(poll) {
                self.faults.count(22);
            }
            return Ok(None);
        }
        let seat = block_on(wait)?;
        if polls == 1 {
            self.faults.count(21);
            return Ok(None);
        }
        seat.open().map(Some)
    }

    fn taken(
        &self,
        rng: &mut Rng,
        handle: &Tenant,
        access: Access,
        taken: Result<Checkout<Fake>, CheckoutError<NoDatabase>>,
        took: Duration,
        timeout: Duration,
    ) {
        match taken {
            Ok(checkout) => {
                assert_eq!(checkout.access, access, "restricted for another");
                self.work(rng, handle, checkout);
            }
            Err(CheckoutError::Timeout { .. }) => {
                self.faults.count(7);
                let late = took.saturating_sub(timeout) > Duration::from_millis(50);
                self.late.fetch_add(u64::from(late), Ordering::Relaxed);
            }
            Err(CheckoutError::StepTimeout { .. }) => self.faults.count(14),
            Err(CheckoutError::Superseded { yours, current, .. }) => {
                assert!(yours < current);
                self.faults.count(8);
            }
            Err(CheckoutError::Closed { .. }) => {
                self.faults.count(9);
            }
            Err(
                CheckoutError::Connect { .. }
                | CheckoutError::Prepare { .. }
                | CheckoutError::Rejected { .. }
                | CheckoutError::Restrict { .. },
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn work(&self, rng: &mut Rng, handle: &Tenant, mut checkout: Checkout<Fake>) {
        self.checkouts.fetch_add(1, Ordering::Relaxed);
        assert_eq!(&checkout.tenant, handle, "another's connection");
        let serial = checkout.serial;
        assert!(locked(&self.out).insert(serial), "{serial} is in two hands");
        assert!(!locked(&self.bad).contains(&serial), "{serial} came back");
        match rng.below(4) {
            0 => std::thread::sleep(Duration::from_micros(rng.below(100))),
            1 => std::thread::yield_now(),
            _ => {}
        }
        let fate = rng.below(100);
        if fate < 8 {
            locked(&self.bad).insert(serial);
        }
        locked(&self.out).remove(&serial);
        match fate {
            0..4 => {
                self.faults.count(4);
                checkout.broken = true;
            }
            4..8 => {
                self.faults.count(5);
                let _ = catch_unwind(AssertUnwindSafe(move || {
                    let _unwound = checkout;
                    resume_unwind(Box::new("planned"));
                }));
            }
            _ => {}
        }
    }

    /// Checks what holds at every instant.
    fn sample(&self) {
        let stats = self.pools.stats();
        let parts = stats.idle + stats.out + stats.opening + stats.closing;
        assert_eq!(parts, stats.open, "{stats:?}");
        assert!(stats.open <= stats.max, "{stats:?}");
        let counters = stats.counters;
        let live = counters.opened - counters.closed;
        assert!(live <= u64::from(stats.open), "{stats:?}");
        assert!(counters.hand_offs + counters.timeouts <= counters.waits);
    }

    fn at_the_end(&self, ops: u64) {
        // The deferred closes of seats.
        self.pools.reap();
        let (stats, world) = (self.pools.stats(), &self.driver.world);
        let busy = (
            stats.out,
            stats.opening,
            stats.closing,
            stats.waiting,
            stats.tickets,
        );
        assert_eq!(busy, (0, 0, 0, 0, 0), "{stats:?}");
        assert_eq!(stats.idle as usize, world.live());
        assert!(world.peak() <= MAX as usize, "{} were open", world.peak());
        for n in 0..TENANTS {
            assert!(world.peak_of(&Self::name(n)) <= CAP as usize);
        }
        // A connection that could not be restricted or was rejected counts as checked out and
        // returned.
        let back = |fault: usize| self.faults.0[fault].load(Ordering::Relaxed);
        let expected = self.checkouts.load(Ordering::Relaxed) + back(10) + back(15);
        let counters = stats.counters;
        assert_eq!(counters.checkouts - counters.unopened, expected);
        let prepared = locked(&world.prepared);
        let once: HashSet<_> = prepared.iter().map(|of| (of.id(), of.epoch())).collect();
        assert_eq!(once.len(), prepared.len(), "a database was prepared twice");
        let late = self.late.load(Ordering::Relaxed);
        assert!(
            late * 200 <= ops,
            "{late} of {ops} ended 50 ms after their deadline"
        );
        for (fault, count) in FAULTS.iter().zip(&self.faults.0) {
            println!("  {fault}: {}", count.load(Ordering::Relaxed));
        }
        for (fault, count) in FAULTS.iter().zip(&self.faults.0) {
            let count = count.load(Ordering::Relaxed);
            assert!(
                count * 100 >= ops,
                "{fault}: {count} of {ops}, that is less than 1 %"
            );
        }
    }
}

#[test]
fn no_connection_is_lost_by_any_failure() {
    let ops = from_env("TENANCY_POOL_OPS", 60_000);
    let seed = from_env("TENANCY_POOL_SEED", u64::from(std::process::id()));
    println!("TENANCY_POOL_OPS={ops} TENANCY_POOL_SEED={seed}");
    let descriptors = descriptors();
    let run = Run::new(seed);
    // Weak: the pools keep the driver, which keeps the world.
    let probe = {
        let pools = run.pools.clone();
        let asked = Arc::new(Mutex::new(Some(pools)));
        let probed = asked.clone();
        let _ = run.driver.world.probe.set(Box::new(move || {
            let pools = locked(&probed).clone();
            let _ = pools.map(|pools| pools.stats());
        }));
        asked
    };
    let (running, left) = (AtomicBool::new(true), AtomicUsize::new(THREADS as usize));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (run, running, left) = (&run, &running, &left);
            scope.spawn(move || {
                let mut rng = Rng(seed ^ (thread << 32));
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    for _ in 0..ops / THREADS {
                        if !running.load(Ordering::Relaxed) {
                            break;
                        }
                        run.operation(&mut rng);
                    }
                }));
                left.fetch_sub(1, Ordering::Relaxed);
                if let Err(violation) = ended {
                    running.store(false, Ordering::Relaxed);
                    resume_unwind(violation);
                }
            });
        }
        while left.load(Ordering::Relaxed) > 0 {
            run.sample();
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    run.at_the_end(ops);
    drop(locked(&probe).take());
    let world = run.driver.world.clone();
    drop(run);
    assert_eq!(
        (world.live(), world.opened()),
        (0, world.dropped.load(Ordering::SeqCst))
    );
    nothing_is_left(&descriptors);
}

/// Lists the open descriptors of the process.
fn descriptors() -> HashSet<(PathBuf, PathBuf)> {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    // The descriptor of the listing itself is closed by the time it is read.
    let open = open.filter_map(|entry| {
        let number = entry.ok()?.path();
        Some((std::fs::read_link(&number).ok()?, number))
    });
    open.collect()
}

/// Checks that no thread and no further descriptor is left. It waits for other tests of this
/// process: when all are done there are this thread and the one that waits for it.
fn nothing_is_left(before: &HashSet<(PathBuf, PathBuf)>) {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let began = Instant::now();
    while threads() > 2 {
        let late = began.elapsed() > Duration::from_secs(600);
        assert!(!late, "{} threads are left", threads());
        std::thread::sleep(Duration::from_millis(10));
    }
    let left: Vec<_> = descriptors().difference(before).cloned().collect();
    assert!(left.is_empty(), "{left:?} are open");
    println!("  threads left: 0, descriptors left: 0, connections left: 0");
}
