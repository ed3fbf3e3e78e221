//! [`Tenancy`]: resolver, pools, catalog and driver, tied together.

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

/// Everything that one application needs: the resolver that finds the tenant of a
/// request, the pools that hand out its connections, the catalog of all tenants and
/// the driver that makes their databases. Cloning is cheap.
///
/// See the [crate](crate) for an example.
pub struct Tenancy<D: Driver + Provisioner>(Arc<Inner<D>>);

pub(crate) struct Inner<D: Driver + Provisioner> {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) pools: TenantPools<D>,
    pub(crate) catalog: Arc<dyn CatalogWriter>,
    pub(crate) suffixes: Option<PublicSuffixes>,
    pub(crate) actor: Actor,
    /// Whether the migrations were found to be those that the tenants have.
    pub(crate) history_compared: AtomicBool,
    /// Fills the stock of ready databases.
    pub(crate) stock: Option<Arc<dyn Fn() + Send + Sync>>,
    /// They end when this is dropped.
    pub(crate) _upkeep: Vec<Thread>,
}

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Starts with a storage, for example a `SqliteStorage`, or with a driver and the
    /// catalog of its tenants: `Tenancy::builder((driver, catalog))`.
    pub fn builder(storage: impl Into<TenancyBuilder<D>>) -> TenancyBuilder<D> {
        storage.into()
    }

    /// Whether the migrations were found to be those that the tenants have.
    pub(crate) fn history_compared(&self) -> &AtomicBool {
        &self.0.history_compared
    }

    pub(crate) fn new(inner: Inner<D>) -> Self {
        Self(Arc::new(inner))
    }

    /// Whose request this is, and what its path is; see [`Resolver::resolve`].
    ///
    /// # Errors
    /// When the request is refused; [`ResolveError::reason`] says why in a word.
    pub fn resolve<'p>(&self, head: &RequestHead<'p, '_>) -> Result<Resolved<'p>, ResolveError> {
        self.0.resolver.resolve(head)
    }

    /// Resolves without blocking: `None` when the catalog would have to be asked; see
    /// [`Resolver::try_resolve`]. It needs no runtime, and [`resolve`](Self::resolve) gives the
    /// answer where blocking is fine.
    pub fn try_resolve<'p>(
        &self,
        head: &RequestHead<'p, '_>,
    ) -> Option<Result<Resolved<'p>, ResolveError>> {
        self.0.resolver.try_resolve(head)
    }

    /// Takes an idle connection to this tenant's database, or `None` if there is none; see
    /// [`TenantPools::try_checkout`].
    ///
    /// # Errors
    /// Returns an error if the tenant is closed, the handle superseded, or another tenant
    /// current.
    #[track_caller]
    pub fn try_checkout(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<Checkout<D>>, CheckoutError<DriverError<D>>> {
        self.0.pools.try_checkout(tenant)
    }

    /// Takes a connection to this tenant's database, and to no other; waits for one
    /// as long as the pools' `checkout_timeout`.
    ///
    /// # Errors
    /// When it cannot be opened, the tenant is closed or its handle is of an earlier
    /// incarnation, or none comes free in time.
    pub fn checkout(&self, tenant: &Tenant) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.0.pools.checkout(tenant)
    }

    /// Waits for a place for a connection to this tenant's database without holding a
    /// thread; for async code. See [`TenantPools::seat_async`].
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn seat_async(&self, tenant: &Tenant) -> SeatFuture<D> {
        self.0.pools.seat_async(tenant)
    }

    /// Takes a connection for the tenant that is current on this thread.
    ///
    /// # Errors
    /// When none is current, or as [`checkout`](Self::checkout).
    pub fn checkout_current(&self) -> Result<Checkout<D>, CheckoutError<DriverError<D>>> {
        self.0.pools.checkout_current()
    }

    /// Makes a tenant current by its id, for work that no request asked for: a job, a
    /// console. Its status is not looked at; that is the resolver's affair.
    ///
    /// **Not over an `.await`:** see [`Scope`]. In async code take the
    /// [tenant](Self::tenant) and [attach](Tenant::attach) the future.
    ///
    /// # Errors
    /// When there is no such tenant, the catalog cannot be asked, or another tenant is
    /// current.
    pub fn enter(&self, id: &TenantId) -> Result<Scope, Error> {
        Ok(self.tenant(id)?.enter()?)
    }

    /// Does what is due: applies what changed in the catalog, closes connections that
    /// have idled too long and lets others [rest](tenancy_pool::Driver::rest) (SQLite's logs
    /// are moved into their files then), fills the stock of ready databases if there is to be one. The
    /// library's own threads do this unless [`Upkeep::Manual`](crate::Upkeep) was chosen.
    pub fn maintain(&self) {
        maintain(&self.0.resolver, &self.0.pools);
        if let Some(fill) = &self.0.stock {
            fill();
        }
    }

    /// The resolver, to ask it more.
    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.0.resolver
    }

    /// The pools, to ask for their statistics.
    pub fn pools(&self) -> &TenantPools<D> {
        &self.0.pools
    }

    /// The list of all tenants. What is written here shows at the resolver's next
    /// sync; what this type's own methods write shows at once.
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

    /// Lets the resolver see our own writes now. A catalog that cannot be asked at
    /// this moment has the write all the same: the resolver's polling will find it.
    pub(crate) fn show_writes(&self, written: impl IntoIterator<Item = Change>) {
        let _ = self.0.resolver.sync();
        // For a catalog without a feed, which `sync` does not ask. With one this was
        // applied before.
        self.0.resolver.apply(&Changes {
            items: written.into_iter().collect(),
            ..Changes::default()
        });
    }

    /// Updates a tenant in the catalog, and shows it.
    pub(crate) fn update(&self, seen: &Tenant, change: TenantChange) -> Result<Tenant, Error> {
        let (id, version) = (seen.id(), seen.version());
        let updated = self.catalog().update(id, version, change, self.actor())?;
        let updated = of_tenant("update", id, updated)?;
        self.show_writes([Change::Tenant(updated.clone())]);
        Ok(updated)
    }
}

/// One round of upkeep. An unreachable catalog has been told to the observers.
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
