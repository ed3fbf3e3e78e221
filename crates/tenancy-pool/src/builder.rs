//! [`Builder`]: the bounds and durations of the pools.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tenancy_core::{Clock, Observer, Observers, Tenant};

use crate::config::{Config, MaxPerTenant, Timing};
use crate::driver::Driver;
use crate::pools::TenantPools;
use crate::sched::Limits;

/// A builder of [`TenantPools`]; see [`TenantPools::builder`].
///
/// ```
/// # use std::time::Duration;
/// # use tenancy_pool::{Driver, InvalidPools, TenantPools};
/// # fn build<D: Driver>(driver: D) -> Result<TenantPools<D>, InvalidPools> {
/// let pools = TenantPools::<D>::builder()
///     .max_connections(128)
///     .max_per_tenant(2)
///     .checkout_timeout(Duration::from_secs(2))
///     .build(driver)?;
/// # Ok(pools)
/// # }
/// ```
#[must_use = "call `build`"]
pub struct Builder {
    max: Option<u32>,
    max_per_tenant: Option<u32>,
    max_opening: Option<u32>,
    lifetime_jitter: Option<Duration>,
    limits: Limits,
    timing: Timing,
    max_per_tenant_by: Option<MaxPerTenant>,
    observers: Observers,
    clock: Clock,
}

impl Builder {
    /// The default of [`max_connections`](Self::max_connections).
    pub const MAX_CONNECTIONS: u32 = 256;
    /// The default of [`max_per_tenant`](Self::max_per_tenant).
    pub const MAX_PER_TENANT: u32 = 4;
    /// The lowest age at which connections can be closed or validated. The clock for ages advances in
    /// steps of about 4 ms, so that with a lower age no connection could be reused.
    pub const MIN_AGE: Duration = Duration::from_millis(10);
    /// The longest backoff after a failed connect.
    pub const MAX_FAILURE_TTL: Duration = Duration::from_secs(60);
    /// The number of file descriptors that are reserved for other parts of the process.
    pub const SPARE_DESCRIPTORS: u64 = 64;

    pub(crate) fn new() -> Self {
        Self {
            max: None,
            max_per_tenant: None,
            max_opening: None,
            lifetime_jitter: None,
            limits: Limits {
                max: Self::MAX_CONNECTIONS,
                max_waiters: 64,
                handoff_after: Duration::from_millis(2),
                idle_timeout: Some(Duration::from_secs(600)),
                max_lifetime: None,
                lifetime_jitter: Duration::ZERO,
                validate_after: None,
                idle_maintenance_after: Duration::from_secs(5),
                failure_ttl: Duration::from_millis(100),
            },
            timing: Timing {
                checkout_timeout: Duration::from_secs(5),
                long_wait: Duration::from_secs(1),
                leak_after: Duration::from_secs(60),
            },
            max_per_tenant_by: None,
            observers: Observers::default(),
            clock: Clock::system(),
        }
    }

    /// Sets the largest number of open connections of all tenants together. It holds at every
    /// instant. Defaults to 256, or to the number that the soft limit on file descriptors allows, if
    /// that is less.
    #[doc(alias = "connection limit")]
    #[doc(alias = "max_size")]
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max = Some(max);
        self
    }

    /// Sets the largest number of open connections of one tenant. Defaults to 4.
    pub fn max_per_tenant(mut self, max: u32) -> Self {
        self.max_per_tenant = Some(max);
        self
    }

    /// Sets a function from a tenant to its bound, for example by its plan, in place of
    /// [`max_per_tenant`](Self::max_per_tenant). Its result is clamped to `1..=max_connections`.
    ///
    /// The function is called for the first connection to an incarnation of a tenant and, if the
    /// pools observe a resolver, whenever the resolver applies a change of the tenant. A higher
    /// bound takes effect at once. With a lower bound, surplus idle connections are closed at once,
    /// on the thread that applies the change, and surplus checked-out connections when they are
    /// returned. The function is called without a lock held, and should be quick.
    ///
    /// ```
    /// # use tenancy_pool::{Driver, InvalidPools, TenantPools};
    /// # fn build<D: Driver>(driver: D) -> Result<TenantPools<D>, InvalidPools> {
    /// let pools = TenantPools::<D>::builder()
    ///     .max_per_tenant_by(|tenant| match tenant.attribute("plan") {
    ///         Some("large") => 16,
    ///         _ => 2,
    ///     })
    ///     .build(driver)?;
    /// # Ok(pools)
    /// # }
    /// ```
    pub fn max_per_tenant_by(
        mut self,
        max: impl Fn(&Tenant) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.max_per_tenant_by = Some(Box::new(max));
        self
    }

    /// Sets the largest number of connections that are opened or closed at the same time. Defaults to
    /// the number of processors, but at least 2.
    pub fn max_opening(mut self, max: u32) -> Self {
        self.max_opening = Some(max);
        self
    }

    /// Sets the largest number of check-outs that wait for connections of one tenant; at least 1.
    /// Defaults to 64.
    ///
    /// Further check-outs are refused at once. Each waiting check-out may block a thread that all
    /// tenants share, such as the blocking threads of an async runtime. The bound limits the number
    /// of such threads that one tenant can block.
    pub fn max_waiters(mut self, max: usize) -> Self {
        self.limits.max_waiters = max;
        self
    }

    /// Sets the time-out of [`TenantPools::checkout`]. Defaults to 5 s.
    pub fn checkout_timeout(mut self, timeout: Duration) -> Self {
        self.timing.checkout_timeout = timeout;
        self
    }

    /// Sets the wait after which the next returned connection is reserved for a waiting check-out.
    /// Defaults to 2 ms.
    ///
    /// Until then a running thread can take a returned connection before the waiter wakes up. With
    /// zero, waiters are served strictly in the order of their arrival, at a lower throughput.
    pub fn handoff_after(mut self, wait: Duration) -> Self {
        self.limits.handoff_after = wait;
        self
    }

    /// Sets the idle time after which the next check-out or [`reap`](TenantPools::reap) closes a
    /// connection; at least [`MIN_AGE`](Self::MIN_AGE), or `Duration::MAX` for never. Defaults to
    /// 10 minutes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = Some(timeout);
        self
    }

    /// Sets the age after which a connection is closed: when it is returned, or if it is idle, by the
    /// next check-out or [`reap`](TenantPools::reap). At least [`MIN_AGE`](Self::MIN_AGE). Defaults
    /// to never.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.limits.max_lifetime = Some(lifetime);
        self
    }

    /// Sets the largest random amount by which the lifetime of each connection is shorter than
    /// [`max_lifetime`](Self::max_lifetime), so that connections that were opened together are not
    /// closed together. It must be less than `max_lifetime`; zero for none. Defaults to a tenth of
    /// `max_lifetime`.
    pub fn lifetime_jitter(mut self, jitter: Duration) -> Self {
        self.lifetime_jitter = Some(jitter);
        self
    }

    /// Sets the idle time after which a connection is validated (`is_valid`) before it is checked
    /// out; at least [`MIN_AGE`](Self::MIN_AGE). Defaults to never. For a database behind a network,
    /// 1 s is suitable.
    ///
    /// [`try_checkout`](TenantPools::try_checkout) validates nothing, and does not use a connection
    /// that would have to be validated.
    pub fn validate_after(mut self, idle: Duration) -> Self {
        self.limits.validate_after = Some(idle);
        self
    }

    /// Sets the idle time after which the next [`reap`](TenantPools::reap) runs the [idle
    /// maintenance](Driver::maintain_idle) of a connection; `Duration::MAX` for never. It runs once
    /// in each idle period. Defaults to 5 s, so that a connection that is used more often keeps its
    /// cache.
    pub fn idle_maintenance_after(mut self, idle: Duration) -> Self {
        self.limits.idle_maintenance_after = idle;
        self
    }

    /// Sets the backoff after a failed connect; at most [`MAX_FAILURE_TTL`](Self::MAX_FAILURE_TTL),
    /// zero for none. Defaults to 100 ms.
    ///
    /// During the backoff a check-out that would have to connect is refused with
    /// [`Backoff`](crate::CheckoutError::Backoff). Check-outs that already wait try to connect after
    /// the backoff, unless a connection of their tenant is returned before.
    pub fn failure_ttl(mut self, ttl: Duration) -> Self {
        self.limits.failure_ttl = ttl;
        self
    }

    /// Sets the wait of a check-out from which observers are
    /// [notified](tenancy_core::Event::WaitedLong). Defaults to 1 s.
    pub fn long_wait(mut self, wait: Duration) -> Self {
        self.timing.long_wait = wait;
        self
    }

    /// Sets the time after which a checked-out connection is reported as a leak; `Duration::MAX` for
    /// never. Defaults to 1 minute.
    ///
    /// [`reap`](TenantPools::reap) [notifies](tenancy_core::Event::HeldLong) observers of each leak
    /// once. [`TenantPools::holders`] lists all checked-out connections.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use tenancy_core::Event;
    /// # use tenancy_pool::{Driver, InvalidPools, TenantPools};
    /// # fn build<D: Driver>(driver: D) -> Result<TenantPools<D>, InvalidPools> {
    /// let leaks = |event: &Event<'_>| {
    ///     if let Event::HeldLong { tenant, holder, held } = event {
    ///         eprintln!("{tenant}: a connection is out for {held:?}, since {holder}");
    ///     }
    /// };
    /// let pools = TenantPools::<D>::builder()
    ///     .leak_after(Duration::from_secs(10))
    ///     .observer(Arc::new(leaks))
    ///     .build(driver)?;
    /// # Ok(pools)
    /// # }
    /// ```
    pub fn leak_after(mut self, held: Duration) -> Self {
        self.timing.leak_after = held;
        self
    }

    /// Adds an observer of the events of the pools.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Sets the clock that measures the ages of idle connections, failures and check-outs. Defaults
    /// to the clock of the system, which counts the time for which the machine was suspended.
    ///
    /// Waits are always measured by the clock of the system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds pools over a driver. No connection is opened yet.
    ///
    /// # Errors
    /// Returns an error if a bound is zero, contradicts another one or exceeds the soft limit on
    /// descriptors, or if a duration is out of the bounds that its setter names.
    pub fn build<D: Driver>(self, driver: D) -> Result<TenantPools<D>, InvalidPools> {
        let config = self.check(driver.descriptors())?;
        Ok(TenantPools::new(driver, config))
    }

    fn check(mut self, descriptors: u32) -> Result<Config, InvalidPools> {
        let allowed = Allowed::by(getrlimit(Resource::Nofile).current, descriptors);
        self.limits.max = allowed.check(self.max)?;
        let max_per_tenant = self.max_per_tenant.unwrap_or(Self::MAX_PER_TENANT);
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let max_opening = self.max_opening.unwrap_or(processors.max(2));
        let zero = |what| Err(InvalidPools::Zero { what });
        match () {
            () if max_per_tenant == 0 => return zero("max_per_tenant"),
            () if max_opening == 0 => return zero("max_opening"),
            () if self.limits.max_waiters == 0 => return zero("max_waiters"),
            () => {}
        }
        let lifetime = self.limits.max_lifetime;
        let tenth = || lifetime.map_or(Duration::ZERO, |lifetime| lifetime / 10);
        self.limits.lifetime_jitter = self.lifetime_jitter.unwrap_or_else(tenth);
        self.limits.check()?;
        // Only the default is lowered to the bound of all tenants.
        if self
            .max_per_tenant
            .is_some_and(|asked| asked > self.limits.max)
        {
            return Err(InvalidPools::PerTenant {
                max_per_tenant,
                max: self.limits.max,
            });
        }
        Ok(Config {
            max_per_tenant: max_per_tenant.min(self.limits.max),
            limits: self.limits,
            max_opening,
            timing: self.timing,
            max_per_tenant_by: self.max_per_tenant_by,
            observers: self.observers,
            clock: self.clock,
        })
    }
}

impl Limits {
    fn check(&self) -> Result<(), InvalidPools> {
        const AGES: std::ops::RangeInclusive<Duration> = Builder::MIN_AGE..=Duration::MAX;
        let ttls = Duration::ZERO..=Builder::MAX_FAILURE_TTL;
        let durations = [
            ("idle_timeout", self.idle_timeout, AGES),
            ("max_lifetime", self.max_lifetime, AGES),
            ("validate_after", self.validate_after, AGES),
            ("failure_ttl", Some(self.failure_ttl), ttls),
        ];
        let (found, most) = (self.lifetime_jitter, self.max_lifetime);
        if let Some(most) = most.filter(|most| found >= *most) {
            let what = "lifetime_jitter";
            return Err(InvalidPools::TooLong { what, found, most });
        }
        for (what, found, bounds) in durations {
            match found {
                Some(found) if found < *bounds.start() => {
                    let least = *bounds.start();
                    return Err(InvalidPools::TooShort { what, found, least });
                }
                Some(found) if found > *bounds.end() => {
                    let most = *bounds.end();
                    return Err(InvalidPools::TooLong { what, found, most });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The number of connections that the descriptors allow.
struct Allowed {
    max: u32,
    limit: u64,
    each: u32,
}

impl Allowed {
    /// Computes it from the soft limit, if there is one, and the descriptors of a first connection:
    /// every connection may be the first of its tenant.
    fn by(limit: Option<u64>, descriptors: u32) -> Self {
        let (limit, each) = (limit.unwrap_or(u64::MAX), descriptors);
        let left = limit.saturating_sub(Builder::SPARE_DESCRIPTORS);
        let max = match each {
            0 => u32::MAX,
            each => u32::try_from(left / u64::from(each)).unwrap_or(u32::MAX),
        };
        Self { max, limit, each }
    }

    fn check(&self, asked: Option<u32>) -> Result<u32, InvalidPools> {
        let max = asked.unwrap_or(Builder::MAX_CONNECTIONS.min(self.max.max(1)));
        match max {
            0 => Err(InvalidPools::Zero {
                what: "max_connections",
            }),
            max if max > self.max => Err(InvalidPools::Descriptors {
                max,
                allowed: self.max,
                limit: self.limit,
                each: self.each,
            }),
            max => Ok(max),
        }
    }
}

/// The error of [`Builder::build`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPools {
    /// A bound is zero.
    #[error("`{what}` is zero; set it to at least 1")]
    Zero {
        /// The name of the setter.
        what: &'static str,
    },
    /// A duration is shorter than [`Builder::MIN_AGE`].
    #[error("`{what}` is {found:?}; set it to at least {least:?}")]
    TooShort {
        /// The name of the setter.
        what: &'static str,
        /// The configured duration.
        found: Duration,
        /// The shortest duration that is accepted.
        least: Duration,
    },
    /// A duration is too long.
    #[error("`{what}` is {found:?}; set it to at most {most:?}")]
    TooLong {
        /// The name of the setter.
        what: &'static str,
        /// The configured duration.
        found: Duration,
        /// The longest duration that is accepted.
        most: Duration,
    },
    /// The bound of one tenant exceeds that of all tenants.
    #[error(
        "`max_per_tenant` is {max_per_tenant} and `max_connections` is {max}; set `max_per_tenant` to at most `max_connections`"
    )]
    PerTenant {
        /// The bound of one tenant.
        max_per_tenant: u32,
        /// The bound of all tenants.
        max: u32,
    },
    /// The soft limit on descriptors does not allow the configured number of connections.
    #[error(
        "{max} connections with {each} file descriptors each exceed the soft limit of {limit}, of which \
         {} are reserved; set at most {allowed} connections, or raise the limit (`ulimit -n`)",
        Builder::SPARE_DESCRIPTORS
    )]
    Descriptors {
        /// The configured number of connections.
        max: u32,
        /// The number of connections that the limit allows.
        allowed: u32,
        /// The soft limit of the process.
        limit: u64,
        /// The descriptors of a tenant's first connection.
        each: u32,
    },
}
