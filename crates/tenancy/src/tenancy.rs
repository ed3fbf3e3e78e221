//! The facade: resolver, pools, catalog and driver of one application.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tenancy_core::{
    Actor, CatalogWriter, Change, Changes, Domain, IsPublicSuffix, Provisioner, PublicSuffixes,
    RequestHead, ResolveError, Resolved, Resolver, Scope, Tenant, TenantChange, TenantId,
};
use tenancy_pool::{Checkout, CheckoutError, Driver, DriverError, SeatFuture, TenantPools};

use crate::Error;
use crate::answers::of_tenant;
use crate::builder::TenancyBuilder;
use crate::upkeep::Thread;

/// The multi-tenancy of one application: the resolver that finds the tenant of a request, the
/// pools of connections, the catalog of all tenants, and the driver that creates their databases.
///
/// A clone is a cheap handle to the same resolver, pools, catalog and driver.
///
/// See the [crate](crate) for an example.
pub struct Tenancy<D: Driver + Provisioner>(Arc<Inner<D>>);

pub(crate) struct Inner<D: Driver + Provisioner> {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) pools: TenantPools<D>,
    pub(crate) catalog: Arc<dyn CatalogWriter>,
    pub(crate) suffixes: Option<PublicSuffixes>,
    pub(crate) actor: Actor,
    /// Whether the migrations have been compared with the history of a tenant and were equal.
    pub(crate) history_compared: AtomicBool,
    /// The function that fills the warm pool of databases.
    pub(crate) warm_pool: Option<Arc<dyn Fn() + Send + Sync>>,
    /// The threads of the upkeep, which end when this struct is dropped.
    pub(crate) _upkeep: Vec<Thread>,
}

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Returns a builder over a storage, for example a `SqliteStorage`, or over a pair of a driver
    /// and the catalog of its tenants: `Tenancy::builder((driver, catalog))`.
    pub fn builder(storage: impl Into<TenancyBuilder<D>>) -> TenancyBuilder<D> {
        storage.into()
    }

    /// Returns whether the migrations have been compared with the history of a tenant and were
    /// equal.
    pub(crate) fn history_compared(&self) -> &AtomicBool {
        &self.0.history_compared
    }

    pub(crate) fn new(inner: Inner<D>) -> Self {
        Self(Arc::new(inner))
    }

    /// Resolves a request to its tenant and its path class; see [`Resolver::resolve`].
    ///
    /// # Errors
    /// Returns an error if the request is refused. [`ResolveError::reason`] returns the reason as
    /// one word.
    pub fn resolve<'p>(&self, head: &RequestHead<'p, '_>) -> Result<Resolved<'p>, ResolveError> {
        self.0.resolver.resolve(head)
    }

    /// Resolves a request without blocking. Returns `None` if the answer requires a read of the
    /// catalog; then call [`resolve`](Self::resolve) on a thread that may block. See
    /// [`Resolver::try_resolve`].
    ///
    /// # Errors
    /// Returns an error if the request is refused.
    pub fn try_resolve<'p>(
        &self,
        head: &RequestHead<'p, '_>,
    ) -> Option<Result<Resolved<'p>, ResolveError>> {
        self.0.resolver.try_resolve(head)
    }

    /// Checks out an idle connection to this tenant's database. Returns `None` if there is no idle
    /// connection. See [`TenantPools::try_checkout`].
    ///
    /// # Errors
    /// Returns an error if the tenant is closed, if `tenant` has an outdated epoch, if another
    /// tenant is current, or if the driver rejects the connection.
    #[track_caller]
    pub fn try_checkout(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<Checkout<D>>, CheckoutError<DriverError<D>>> {
        self.0.pools.try_checkout(tenant)
    }

    /// Checks out a connection to this tenant's database. Waits at most the pools'
    /// `checkout_timeout`.
    ///
    /// # Errors
    /// Returns an error if the database cannot be opened, the tenant is closed, `tenant` has an
    /// outdated epoch, another tenant is current, or no connection becomes free in time.
    pub fn checkout(&self, tenant: &Tenant) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.0.pools.checkout(tenant)
    }

    /// Waits for a seat without blocking a thread, for async code. A seat is a reserved place in
    /// the pools, with which a connection to this tenant's database can be opened. See
    /// [`TenantPools::seat_async`].
    ///
    /// # Errors
    /// The future returns the errors of [`TenantPools::seat_async`].
    #[track_caller]
    pub fn seat_async(&self, tenant: &Tenant) -> SeatFuture<D> {
        self.0.pools.seat_async(tenant)
    }

    /// Checks out a connection for the tenant that is current on this thread.
    ///
    /// # Errors
    /// Returns an error if no tenant is current, and the errors of [`checkout`](Self::checkout).
    pub fn checkout_current(&self) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.0.pools.checkout_current()
    }

    /// Makes the tenant of this id current, for work outside a request, like a job or a console.
    /// The tenant may have any status: only the resolver checks it.
    ///
    /// **The scope must not be held over an `.await`;** see [`Scope`]. In async code, get the
    /// tenant with [`tenant`](Self::tenant) and wrap the future with [`Tenant::attach`].
    ///
    /// # Errors
    /// Returns an error if there is no such tenant, the catalog cannot be read, or another tenant
    /// is current.
    pub fn enter(&self, id: &TenantId) -> Result<Scope, Error> {
        Ok(self.tenant(id)?.enter()?)
    }

    /// Runs the periodic work once: applies changes of the catalog to the resolver, closes
    /// connections that have been idle for too long, runs
    /// [idle maintenance](tenancy_pool::Driver::maintain_idle) (with SQLite a checkpoint), and fills
    /// the warm pool, if there is one. Threads of the library do this work, except with
    /// [`Upkeep::Manual`](crate::Upkeep).
    pub fn maintain(&self) {
        maintain(&self.0.resolver, &self.0.pools);
        if let Some(fill) = &self.0.warm_pool {
            fill();
        }
    }

    /// Returns the resolver.
    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.0.resolver
    }

    /// Returns the pools, for example for their statistics.
    pub fn pools(&self) -> &TenantPools<D> {
        &self.0.pools
    }

    /// Returns the catalog of all tenants. The resolver sees a write to it at its next sync. Writes
    /// by the methods of `Tenancy` are visible to the resolver at once.
    pub fn catalog(&self) -> &dyn CatalogWriter {
        &*self.0.catalog
    }

    pub(crate) fn driver(&self) -> &D {
        self.0.pools.driver()
    }

    pub(crate) fn refuse_suffix(&self, domain: &Domain) -> Result<(), IsPublicSuffix> {
        let suffixes = self.0.suffixes.as_ref();
        suffixes.map_or(Ok(()), |list| list.check(domain))
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.0.actor
    }

    /// Applies writes of this process to the resolver at once.
    pub(crate) fn show_writes(&self, written: impl IntoIterator<Item = Change>) {
        // If the catalog cannot be read now, the resolver's next poll reads the writes.
        let _ = self.0.resolver.sync();
        // For a catalog without a feed, which `sync` does not poll.
        self.0.resolver.apply(&Changes {
            items: written.into_iter().collect(),
            ..Changes::default()
        });
    }

    /// Updates a tenant in the catalog, and applies the update to the resolver.
    pub(crate) fn update(&self, seen: &Tenant, change: TenantChange) -> Result<Tenant, Error> {
        let (id, version) = (seen.id(), seen.version());
        let updated = self.catalog().update(id, version, change, self.actor())?;
        let updated = of_tenant("update", id, updated)?;
        self.show_writes([Change::Tenant(updated.clone())]);
        Ok(updated)
    }
}

/// Runs one round of upkeep. Observers are notified of an unreachable catalog.
pub(crate) fn maintain<D: Driver>(resolver: &Resolver, pools: &TenantPools<D>) {
    let _ = resolver.sync();
    pools.reap();
}

impl<D: Driver + Provisioner> Clone for Tenancy<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Driver + Provisioner> fmt::Debug for Tenancy<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenancy")
            .field("actor", &self.0.actor)
            .finish_non_exhaustive()
    }
}
