//! [`Builder`]: how many connections, and how long things may take.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tenancy_core::{Clock, Observer, Observers, Tenant};

use crate::driver::{Descriptors, Driver};
use crate::pools::TenantPools;
use crate::sched::Limits;

/// How many connections a tenant may have.
pub(crate) type MaxOf = Box<dyn Fn(&Tenant) -> u32 + Send + Sync>;

/// Configures [`TenantPools`]; see [`TenantPools::builder`].
#[must_use = "call `build`"]
pub struct Builder {
    max: Option<u32>,
    max_per_tenant: Option<u32>,
    max_opening: Option<u32>,
    lifetime_jitter: Option<Duration>,
    limits: Limits,
    timing: Timing,
    max_of: Option<MaxOf>,
    observers: Observers,
    clock: Clock,
}

/// How long check-outs wait.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) checkout_timeout: Duration,
    pub(crate) long_wait: Duration,
    pub(crate) leak_after: Duration,
}

/// What the pools are made of, once it has been checked.
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) max_per_tenant: u32,
    pub(crate) max_opening: u32,
    pub(crate) timing: Timing,
    pub(crate) max_of: Option<MaxOf>,
    pub(crate) observers: Observers,
    pub(crate) clock: Clock,
}

impl Builder {
    /// The most connections to all tenants, unless the descriptors allow fewer.
    pub const MAX_CONNECTIONS: u32 = 256;
    /// The most connections to one tenant.
    pub const MAX_PER_TENANT: u32 = 4;
    /// The least age that connections can be closed or validated at: the clock for ages
    /// steps about every 4 ms, and with less no connection would ever be lent again.
    pub const MIN_AGE: Duration = Duration::from_millis(10);
    /// The longest time for which a failure to connect is remembered.
    pub const MAX_FAILURE_TTL: Duration = Duration::from_secs(60);
    /// Descriptors that are left to the rest of the process.
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
            max_of: None,
            observers: Observers::default(),
            clock: Clock::system(),
        }
    }

    /// At most this many connections to all tenants together, at every instant;
    /// 256 unless said, or what the soft limit on descriptors allows if that is less.
    pub fn max_connections(mut self, max: u32) -> Self {
        self.max = Some(max);
        self
    }

    /// At most this many connections to one tenant; 4 unless said.
    pub fn max_per_tenant(mut self, max: u32) -> Self {
        self.max_per_tenant = Some(max);
        self
    }

    /// Lets a closure say how many connections a tenant may have, for example by its
    /// plan; from 1 to `max_connections`, whatever it says. In place of
    /// [`max_per_tenant`](Self::max_per_tenant).
    ///
    /// It is asked when an incarnation is first connected to, and, if the pools observe
    /// a resolver, whenever that applies a change of the tenant: more is granted at once,
    /// and of what has become too many the idle ones are closed at once, on the thread that
    /// applies the change, and those out as they come back. It is called outside every lock
    /// and should be quick.
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
        self.max_of = Some(Box::new(max));
        self
    }

    /// So many connections may be opened or closed at a time; the number of
    /// processors unless said, 2 at least.
    pub fn max_opening(mut self, max: u32) -> Self {
        self.max_opening = Some(max);
        self
    }

    /// At most this many check-outs may wait for one tenant; defaults to 64, 1 at least.
    /// Each further one is refused at once. Those that wait on threads of a pool, as an
    /// async runtime's blocking ones, take them from everybody who uses that pool: this
    /// bounds what one tenant takes.
    pub fn max_waiters(mut self, max: usize) -> Self {
        self.limits.max_waiters = max;
        self
    }

    /// How long [`TenantPools::checkout`] waits; 5 s unless said.
    pub fn checkout_timeout(mut self, timeout: Duration) -> Self {
        self.timing.checkout_timeout = timeout;
        self
    }

    /// Who waits for this long is handed the next connection directly; until then a
    /// thread that happens to be awake may be faster. 2 ms unless said; zero is
    /// strictly first come, first served.
    pub fn handoff_after(mut self, wait: Duration) -> Self {
        self.limits.handoff_after = wait;
        self
    }

    /// A connection that was idle for this long is closed: at the next check-out or
    /// [`reap`](TenantPools::reap). Defaults to 10 minutes; at least
    /// [`MIN_AGE`](Self::MIN_AGE), `Duration::MAX` is never.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = Some(timeout);
        self
    }

    /// A connection that is this old is closed when it comes back, at the next
    /// check-out or [`reap`](TenantPools::reap). Defaults to never; at least
    /// [`MIN_AGE`](Self::MIN_AGE).
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.limits.max_lifetime = Some(lifetime);
        self
    }

    /// Connections end by up to this much before [`max_lifetime`](Self::max_lifetime), each
    /// by another, so that those which were opened together do not end together. Defaults to
    /// a tenth of `max_lifetime`; zero is for none, and it must be less than that.
    pub fn lifetime_jitter(mut self, jitter: Duration) -> Self {
        self.lifetime_jitter = Some(jitter);
        self
    }

    /// A connection that was idle for this long is asked `is_valid` before it is
    /// handed out. Defaults to never; at least [`MIN_AGE`](Self::MIN_AGE). A database
    /// behind a network wants 1 s. [`try_checkout`](TenantPools::try_checkout), which asks
    /// nothing, passes over such a connection.
    pub fn validate_after(mut self, idle: Duration) -> Self {
        self.limits.validate_after = Some(idle);
        self
    }

    /// A connection that was idle for this long is let [rest](Driver::maintain_idle) by the next
    /// [`reap`](TenantPools::reap), once until it is used again. 5 s unless said: who comes
    /// back sooner finds what it had in memory. `Duration::MAX`: never.
    pub fn idle_maintenance_after(mut self, idle: Duration) -> Self {
        self.limits.idle_maintenance_after = idle;
        self
    }

    /// For this long after a failure to connect nobody else tries: check-outs that
    /// would have to get [`Backoff`](crate::CheckoutError::Backoff), and those that wait
    /// try again afterwards, unless a connection of their tenant comes back sooner. Defaults
    /// to 100 ms; zero tries every time, [`MAX_FAILURE_TTL`](Self::MAX_FAILURE_TTL) is the
    /// most.
    pub fn failure_ttl(mut self, ttl: Duration) -> Self {
        self.limits.failure_ttl = ttl;
        self
    }

    /// Observers are told of check-outs that waited for this long; 1 s unless said.
    pub fn long_wait(mut self, wait: Duration) -> Self {
        self.timing.long_wait = wait;
        self
    }

    /// Observers are told [once](tenancy_core::Event::HeldLong), by
    /// [`reap`](TenantPools::reap), of a connection that has been out for this long: one that
    /// was forgotten, or that somebody keeps over a wait. Defaults to 1 minute;
    /// `Duration::MAX` is never. [`TenantPools::holders`] lists all.
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

    /// Adds an observer.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The clock that ages are measured with: of idle connections, of failures, of
    /// check-outs. Time for which the machine was suspended counts. Defaults to the system's.
    /// Waits are always measured by the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Pools over `driver`. Nothing is opened yet.
    ///
    /// # Errors
    /// When a bound is zero, contradicts another, or is more than the soft limit on
    /// descriptors allows; when a duration is out of the bounds that its setter names.
    pub fn build<D: Driver>(self, driver: D) -> Result<TenantPools<D>, InvalidPools> {
        let config = self.check(driver.descriptors())?;
        Ok(TenantPools::new(driver, config))
    }

    fn check(mut self, descriptors: Descriptors) -> Result<Config, InvalidPools> {
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
        // The default gives way to a smaller bound for all; what was asked for does not.
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
            max_of: self.max_of,
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

/// How many connections the descriptors allow.
struct Allowed {
    max: u32,
    limit: u64,
    each: u32,
}

impl Allowed {
    /// By the soft limit, if there is one, and what the driver says. Every connection
    /// may be its tenant's first.
    fn by(limit: Option<u64>, descriptors: Descriptors) -> Self {
        let (limit, each) = (limit.unwrap_or(u64::MAX), descriptors.first);
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

/// A configuration that cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPools {
    /// A bound that would let nothing through.
    #[error("`{what}` is zero; make it 1 at least")]
    Zero {
        /// Its name.
        what: &'static str,
    },
    /// A duration that the coarse clock cannot tell from none.
    #[error("`{what}` is {found:?}; make it {least:?} at least")]
    TooShort {
        /// Its name.
        what: &'static str,
        /// What was asked for.
        found: Duration,
        /// The least that is taken.
        least: Duration,
    },
    /// A duration that would keep a tenant away for too long, or leave a connection no life.
    #[error("`{what}` is {found:?}; make it {most:?} at most")]
    TooLong {
        /// Its name.
        what: &'static str,
        /// What was asked for.
        found: Duration,
        /// The most that is taken.
        most: Duration,
    },
    /// One tenant may have more than all together.
    #[error(
        "`max_per_tenant` is {max_per_tenant} and `max_connections` is {max}; one tenant cannot have more than all"
    )]
    PerTenant {
        /// What one may have.
        max_per_tenant: u32,
        /// What all may have.
        max: u32,
    },
    /// The process may not have so many descriptors.
    #[error(
        "{max} connections at {each} descriptors each do not fit into the soft limit of {limit} \
         with {} to spare; allow {allowed} at most or raise the limit (`ulimit -n`)",
        Builder::SPARE_DESCRIPTORS
    )]
    Descriptors {
        /// How many connections were asked for.
        max: u32,
        /// How many would fit.
        allowed: u32,
        /// The soft limit of the process.
        limit: u64,
        /// What a tenant's first connection takes.
        each: u32,
    },
}
