//! The builder of a [`Tenancy`].

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tenancy_core::{
    Actor, CatalogWriter, Event, Observer, Observers, Provisioner, PublicSuffixes, Resolver,
    ResolverBuilder,
};
use tenancy_pool::{Driver, TenantPools};

use crate::tenancy::{Inner, maintain};
use crate::upkeep::{Thread, Upkeep};
use crate::{Error, Tenancy};

/// The function that fills the warm pool of databases.
pub(crate) type Fill =
    Box<dyn Fn(&Actor) -> Result<(), Box<dyn StdError + Send + Sync>> + Send + Sync>;

/// A builder of a [`Tenancy`]; see [`Tenancy::builder`].
#[must_use = "call `build`"]
pub struct TenancyBuilder<D: Driver + Provisioner> {
    driver: D,
    catalog: Arc<dyn CatalogWriter>,
    resolver: ResolverBuilder,
    pools: tenancy_pool::Builder,
    suffixes: Option<PublicSuffixes>,
    actor: Actor,
    upkeep: Upkeep,
    observers: Observers,
    pub(crate) warm_pool: Option<Fill>,
}

impl<D: Driver + Provisioner, C: CatalogWriter> From<(D, C)> for TenancyBuilder<D> {
    fn from((driver, catalog): (D, C)) -> Self {
        Self::new(driver, Arc::new(catalog))
    }
}

impl<D: Driver + Provisioner> TenancyBuilder<D> {
    fn new(driver: D, catalog: Arc<dyn CatalogWriter>) -> Self {
        Self {
            driver,
            resolver: Resolver::builder(catalog.clone()),
            catalog,
            pools: TenantPools::<D>::builder(),
            suffixes: None,
            actor: Actor::new("tenancy"),
            upkeep: Upkeep::default(),
            observers: Observers::default(),
            warm_pool: None,
        }
    }

    /// Configures the resolver: its rules, domains and path classes. At least one rule is required.
    pub fn resolver(mut self, say: impl FnOnce(ResolverBuilder) -> ResolverBuilder) -> Self {
        self.resolver = say(self.resolver);
        self
    }

    /// Configures the resolver like [`resolver`](Self::resolver), with a closure that may fail.
    #[cfg(feature = "sqlite")]
    pub(crate) fn try_resolver<E>(
        mut self,
        say: impl FnOnce(ResolverBuilder) -> Result<ResolverBuilder, E>,
    ) -> Result<Self, E> {
        self.resolver = say(self.resolver)?;
        Ok(self)
    }

    /// Configures the pools: their bounds on connections and their time-outs.
    pub fn pools(
        mut self,
        say: impl FnOnce(tenancy_pool::Builder) -> tenancy_pool::Builder,
    ) -> Self {
        self.pools = say(self.pools);
        self
    }

    /// Adds an observer, which receives the events of the resolver, the pools and the upkeep.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.resolver = self.resolver.observer(observer.clone());
        self.pools = self.pools.observer(observer.clone());
        self.observers.push(observer);
        self
    }

    /// Sets the public suffix list. A name in the list cannot be bound to a tenant, as anyone can
    /// register hosts under it. Labels under a base domain are not checked, as the application owns
    /// the base domain. Without a list, no name is refused as a public suffix.
    ///
    /// ```
    /// use tenancy::sqlite::SqliteStorage;
    /// use tenancy::{Error, Rule, Tenancy};
    ///
    /// # let root = tempfile::tempdir()?;
    /// // The published list: std::fs::read_to_string("public_suffix_list.dat")?
    /// let list = "com\nuk\nco.uk\n*.ck\n!www.ck";
    /// let tenancy = Tenancy::builder(SqliteStorage::create(root.path())?)
    ///     .resolver(|r| r.rule(Rule::domain()))
    ///     .public_suffixes(list.parse()?)
    ///     .build()?;
    /// assert!(matches!(tenancy.name("co.uk"), Err(Error::PublicSuffix(_))));
    /// assert!(tenancy.name("shop.co.uk").is_ok() && tenancy.name("localhost").is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn public_suffixes(mut self, list: PublicSuffixes) -> Self {
        self.suffixes = Some(list);
        self
    }

    /// Sets the actor that the catalog's audit trail records for writes. Defaults to `tenancy`.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Sets the caller of the periodic work ([`Tenancy::maintain`]): threads of the library, or the
    /// application. Defaults to threads, every 500 ms.
    pub fn upkeep(mut self, upkeep: Upkeep) -> Self {
        self.upkeep = upkeep;
        self
    }

    /// Builds the resolver and the pools, and starts the upkeep.
    ///
    /// # Errors
    /// Returns an error if the catalog belongs to another storage than the driver, if there is no
    /// rule, if the rules or the bounds contradict each other, or if a thread cannot be started.
    pub fn build(self) -> Result<Tenancy<D>, Error> {
        if let Some(id) = self.driver.storage_id() {
            self.catalog.record_storage(&id)?;
        }
        let pools = self.pools.build(self.driver)?;
        // The pools observe the resolver, so that they learn of a changed epoch or a removed
        // tenant at the same time.
        let mut resolver = self.resolver.observer(Arc::new(pools.clone()));
        if let Upkeep::Every(every) = self.upkeep {
            resolver = resolver.synced_every(every);
        }
        let resolver = Arc::new(resolver.build()?);
        let (actor, observers) = (self.actor.clone(), self.observers);
        let warm_pool = self.warm_pool.map(|fill| -> Arc<dyn Fn() + Send + Sync> {
            Arc::new(move || {
                if let Err(error) = fill(&actor) {
                    observers.emit(&Event::WarmPoolFailed { error: &*error });
                }
            })
        });
        let mut upkeep = Vec::new();
        if let Upkeep::Every(every) = self.upkeep {
            let (resolver, pools) = (resolver.clone(), pools.clone());
            upkeep.push(Thread::start(every, move || maintain(&resolver, &pools))?);
            // The warm pool has its own thread, as the resolver's sync must not wait for a disk.
            if let Some(fill) = warm_pool.clone() {
                upkeep.push(Thread::start(every, move || fill())?);
            }
        }
        Ok(Tenancy::new(Inner {
            resolver,
            pools,
            catalog: self.catalog,
            suffixes: self.suffixes,
            actor: self.actor,
            history_compared: AtomicBool::new(false),
            warm_pool,
            _upkeep: upkeep,
        }))
    }
}
