//! Drivers for tests, over connections that are counted.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use r2d2::ManageConnection;
use tenancy_core::{Epoch, Tenant};
use tenancy_pool::{Access, Builder, Driver, Eviction, TenantPools};

/// The counts that all connections of one driver share.
#[derive(Default)]
pub struct World {
    pub live: AtomicUsize,
    pub peak: AtomicUsize,
    pub opened: AtomicUsize,
    pub dropped: AtomicUsize,
    pub prepared: Mutex<Vec<Tenant>>,
    /// Called by all foreign code. A call under a lock that the probe takes hangs.
    pub probe: OnceLock<Box<dyn Fn() + Send + Sync>>,
    of_tenant: Mutex<HashMap<String, (usize, usize)>>,
    serial: AtomicU64,
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

impl World {
    pub fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Returns the highest number of connections that a tenant had at a time.
    pub fn peak_of(&self, tenant: &str) -> usize {
        locked(&self.of_tenant).get(tenant).map_or(0, |of| of.1)
    }

    pub fn live_of(&self, tenant: &str) -> usize {
        locked(&self.of_tenant).get(tenant).map_or(0, |of| of.0)
    }

    fn probe(&self) {
        if let Some(probe) = self.probe.get() {
            probe();
        }
    }

    pub fn connect(self: &Arc<Self>, tenant: &Tenant) -> Conn {
        let live = self.live.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(live, Ordering::SeqCst);
        self.opened.fetch_add(1, Ordering::SeqCst);
        let mut of_tenant = locked(&self.of_tenant);
        let of = of_tenant.entry(tenant.id().to_string()).or_default();
        of.0 += 1;
        of.1 = of.1.max(of.0);
        Conn {
            world: self.clone(),
            tenant: tenant.clone(),
            serial: self.serial.fetch_add(1, Ordering::SeqCst),
            broken: false,
            stale: false,
            slow_to_validate: Duration::ZERO,
            access: Access::ReadWrite,
            on_drop: None,
        }
    }
}

/// A connection that knows its tenant, and is counted while it is open.
pub struct Conn {
    world: Arc<World>,
    pub tenant: Tenant,
    pub serial: u64,
    /// The answer of `has_broken`.
    pub broken: bool,
    /// Whether `is_valid` fails.
    pub stale: bool,
    /// The duration of `is_valid`.
    pub slow_to_validate: Duration,
    /// The access that the driver restricted it to.
    pub access: Access,
    pub on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
        self.world.probe();
        self.world.live.fetch_sub(1, Ordering::SeqCst);
        self.world.dropped.fetch_add(1, Ordering::SeqCst);
        let mut of_tenant = locked(&self.world.of_tenant);
        if let Some(of) = of_tenant.get_mut(self.tenant.id().as_str()) {
            of.0 -= 1;
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no such database")]
pub struct NoDatabase;

/// The outcome of a connect, by the number of the attempt from 0.
pub type OnConnect = Arc<dyn Fn(&Tenant, usize) -> Result<(), NoDatabase> + Send + Sync>;
/// The outcome of a restriction.
pub type OnConnectionrict = Arc<dyn Fn(Access) -> Result<Access, NoDatabase> + Send + Sync>;
/// The outcome of a hook with a connection.
pub type OnConnection = Arc<dyn Fn(&mut Conn) -> Result<(), NoDatabase> + Send + Sync>;
/// The outcome of an eviction.
pub type OnEvict = Arc<dyn Fn(&mut Conn) -> Eviction + Send + Sync>;
pub type OnPrepare = Arc<dyn Fn(&Tenant) -> Result<(), NoDatabase> + Send + Sync>;

/// A driver over counted connections.
#[derive(Clone)]
pub struct Fake {
    pub world: Arc<World>,
    attempts: Arc<AtomicUsize>,
    on_connect: OnConnect,
    on_prepare: OnPrepare,
    on_maintain_idlerict: OnConnectionrict,
    on_maintain_idle: OnConnection,
    on_checkout: OnConnection,
    on_return: OnConnection,
    evicts: OnEvict,
    on_upkeep: OnPrepare,
}

/// Returns a driver that always connects.
#[allow(non_snake_case)]
pub fn OkDriver() -> Fake {
    ConnectWith(|_, _| Ok(()))
}

/// Returns a driver that connects `n` times, then never again.
#[allow(non_snake_case)]
pub fn FailAfter(n: usize) -> Fake {
    ConnectWith(move |_, attempt| if attempt < n { Ok(()) } else { Err(NoDatabase) })
}

/// Returns a driver that connects slowly.
#[allow(non_snake_case)]
pub fn SlowDriver(time: Duration) -> Fake {
    ConnectWith(move |_, _| {
        std::thread::sleep(time);
        Ok(())
    })
}

/// Returns a driver that panics at the first `n` attempts to connect.
#[allow(non_snake_case)]
pub fn PanicDriver(n: usize) -> Fake {
    ConnectWith(move |_, attempt| {
        assert!(attempt >= n, "planned panic while connecting");
        Ok(())
    })
}

#[allow(non_snake_case)]
pub fn ConnectWith(
    on_connect: impl Fn(&Tenant, usize) -> Result<(), NoDatabase> + Send + Sync + 'static,
) -> Fake {
    Fake {
        world: Arc::default(),
        attempts: Arc::default(),
        on_connect: Arc::new(on_connect),
        on_prepare: Arc::new(|_| Ok(())),
        on_maintain_idlerict: Arc::new(Ok),
        on_maintain_idle: Arc::new(|_| Ok(())),
        on_checkout: Arc::new(|_| Ok(())),
        on_return: Arc::new(|_| Ok(())),
        evicts: Arc::new(|_| Eviction::Complete),
        on_upkeep: Arc::new(|_| Ok(())),
    }
}

impl Fake {
    pub fn preparing(
        mut self,
        on_prepare: impl Fn(&Tenant) -> Result<(), NoDatabase> + Send + Sync + 'static,
    ) -> Self {
        self.on_prepare = Arc::new(on_prepare);
        self
    }

    pub fn restricting(
        mut self,
        on_maintain_idlerict: impl Fn(Access) -> Result<Access, NoDatabase> + Send + Sync + 'static,
    ) -> Self {
        self.on_maintain_idlerict = Arc::new(on_maintain_idlerict);
        self
    }

    pub fn maintaining(
        mut self,
        on_maintain_idle: impl Fn(&mut Conn) -> Result<(), NoDatabase> + Send + Sync + 'static,
    ) -> Self {
        self.on_maintain_idle = Arc::new(on_maintain_idle);
        self
    }

    pub fn checking_out(
        mut self,
        on_checkout: impl Fn(&mut Conn) -> Result<(), NoDatabase> + Send + Sync + 'static,
    ) -> Self {
        self.on_checkout = Arc::new(on_checkout);
        self
    }

    pub fn returning(
        mut self,
        on_return: impl Fn(&mut Conn) -> Result<(), NoDatabase> + Send + Sync + 'static,
    ) -> Self {
        self.on_return = Arc::new(on_return);
        self
    }

    pub fn evicting(
        mut self,
        evicts: impl Fn(&mut Conn) -> Eviction + Send + Sync + 'static,
        on_upkeep: impl Fn(&Tenant) -> Result<(), NoDatabase> + Send + Sync + 'static,
    ) -> Self {
        self.evicts = Arc::new(evicts);
        self.on_upkeep = Arc::new(on_upkeep);
        self
    }

    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

pub struct Manager {
    fake: Fake,
    tenant: Tenant,
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = NoDatabase;

    fn connect(&self) -> Result<Conn, NoDatabase> {
        self.fake.world.probe();
        let attempt = self.fake.attempts.fetch_add(1, Ordering::SeqCst);
        (self.fake.on_connect)(&self.tenant, attempt)?;
        Ok(self.fake.world.connect(&self.tenant))
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), NoDatabase> {
        std::thread::sleep(conn.slow_to_validate);
        if conn.stale { Err(NoDatabase) } else { Ok(()) }
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        self.fake.world.probe();
        conn.broken
    }
}

impl Driver for Fake {
    type Manager = Manager;

    fn manager(&self, tenant: &Tenant) -> Manager {
        Manager {
            fake: self.clone(),
            tenant: tenant.clone(),
        }
    }

    fn prepare(&self, tenant: &Tenant, _: &mut Conn) -> Result<(), NoDatabase> {
        self.world.probe();
        (self.on_prepare)(tenant)?;
        locked(&self.world.prepared).push(tenant.clone());
        Ok(())
    }

    fn restrict(&self, conn: &mut Conn, access: Access) -> Result<Access, NoDatabase> {
        self.world.probe();
        conn.access = (self.on_maintain_idlerict)(access)?;
        Ok(conn.access)
    }

    fn maintain_idle(&self, conn: &mut Conn) -> Result<(), NoDatabase> {
        self.world.probe();
        (self.on_maintain_idle)(conn)
    }

    fn evict(&self, conn: &mut Conn) -> Eviction {
        self.world.probe();
        (self.evicts)(conn)
    }

    fn upkeep(&self, tenant: &Tenant) -> Result<(), NoDatabase> {
        self.world.probe();
        (self.on_upkeep)(tenant)
    }

    fn on_checkout(&self, tenant: &Tenant, conn: &mut Conn) -> Result<(), NoDatabase> {
        self.world.probe();
        assert_eq!(tenant, &conn.tenant);
        (self.on_checkout)(conn)
    }

    fn on_return(&self, tenant: &Tenant, conn: &mut Conn) -> Result<(), NoDatabase> {
        self.world.probe();
        assert_eq!(tenant, &conn.tenant);
        (self.on_return)(conn)
    }
}

#[track_caller]
pub fn tenant(id: &str) -> Tenant {
    tenant_at(id, 1)
}

#[track_caller]
pub fn tenant_at(id: &str, epoch: u64) -> Tenant {
    let builder = Tenant::builder(id.parse().expect("an id"));
    let epoch = Epoch::new(epoch).expect("an epoch");
    builder.epoch(epoch).build().expect("a tenant")
}

/// Returns pools of at most `max` connections, `per_tenant` for one tenant.
#[track_caller]
pub fn pools(fake: &Fake, max: u32, per_tenant: u32) -> TenantPools<Fake> {
    pools_with(fake, max, per_tenant, |builder| builder)
}

#[track_caller]
pub fn pools_with(
    fake: &Fake,
    max: u32,
    per_tenant: u32,
    more: impl FnOnce(Builder) -> Builder,
) -> TenantPools<Fake> {
    let builder = TenantPools::<Fake>::builder()
        .max_connections(max)
        .max_per_tenant(per_tenant);
    more(builder).build(fake.clone()).expect("pools")
}

pub const SHORT: Duration = Duration::from_millis(30);

/// Waits until something has happened; fails after 10 s.
#[track_caller]
pub fn until(what: &str, happened: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(10), "never: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Reads a number from the environment.
pub fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Steele's splitmix64: the numbers of a seed.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Runs a future on this thread, for 30 s at most.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let end = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        assert!(std::time::Instant::now() < end, "the future never ends");
        std::thread::park_timeout(Duration::from_secs(1));
    }
}
