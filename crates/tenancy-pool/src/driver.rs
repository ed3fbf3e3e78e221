//! [`Driver`]: how to connect to a tenant's database.

use tenancy_core::Tenant;

/// A connection of a driver's manager.
pub type Connection<D> = <<D as Driver>::Manager as r2d2::ManageConnection>::Connection;

/// An error of a driver's manager.
pub type DriverError<D> = <<D as Driver>::Manager as r2d2::ManageConnection>::Error;

/// How to connect to a tenant's database, and what to prepare before its first
/// use. Any r2d2 manager makes a driver in about 20 lines.
pub trait Driver: Send + Sync + 'static {
    /// What opens and checks connections. Its errors can be sent to another thread, such as
    /// one that answers the request.
    type Manager: r2d2::ManageConnection<Error: Send + Sync>;

    /// The manager of this incarnation of a tenant. It is made once for each and
    /// must not connect yet.
    fn manager(&self, tenant: &Tenant) -> Self::Manager;

    /// Prepares the database before its first use in this process, for example by
    /// migrating it. Runs once for each tenant and epoch until it succeeds, never
    /// twice at a time.
    ///
    /// # Errors
    /// What the check-out that asked for it is refused with.
    fn prepare(
        &self,
        tenant: &Tenant,
        connection: &mut Connection<Self>,
    ) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = (tenant, connection);
        Ok(())
    }

    /// Restricts a connection to `access` before it is lent, or lifts that when it came
    /// back sound; says what it allows now. Whoever has the connection must not be able
    /// to lift it by what he sends through it.
    ///
    /// Unless a driver has its own, nothing is changed and nothing restricted, and a
    /// check-out for reading only is refused. A connection that cannot be restricted is
    /// never lent, one whose restriction cannot be lifted is closed.
    ///
    /// # Errors
    /// What a check-out for reading only is refused with.
    fn restrict(
        &self,
        connection: &mut Connection<Self>,
        access: Access,
    ) -> Result<Access, DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = (connection, access);
        Ok(Access::ReadWrite)
    }

    /// Lets a connection that has been idle for a while do what is better done before it is
    /// needed or closed: give memory back, checkpoint a log. [`TenantPools::reap`] calls it
    /// once in each idle spell, outside every lock; for that time the connection is out,
    /// so it should take milliseconds.
    ///
    /// Unless a driver has its own, nothing is done.
    ///
    /// # Errors
    /// When the connection must not be lent again: it is closed, and
    /// [observers](tenancy_core::Event::IdleMaintenanceFailed) are told.
    ///
    /// [`TenantPools::reap`]: crate::TenantPools::reap
    fn maintain_idle(&self, connection: &mut Connection<Self>) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = connection;
        Ok(())
    }

    /// Is called before a connection is closed while somebody waits for that: it is evicted
    /// for another tenant's, or is surplus, expired or broken at a check-out or its return.
    /// It makes the close quick, and tells whether it left work to [`upkeep`](Self::upkeep).
    /// It is not called where the close is what was asked for: by
    /// [`close`](crate::TenantPools::close), by [`reap`](crate::TenantPools::reap), and when
    /// the pools are dropped.
    ///
    /// Defaults to nothing done and nothing left.
    fn evict(&self, connection: &mut Connection<Self>) -> Eviction
    where
        Self: Sized,
    {
        let _ = connection;
        Eviction::Complete
    }

    /// Does the work that [`evict`](Self::evict) left. [`reap`](crate::TenantPools::reap)
    /// calls it, unless the tenant was connected to again meanwhile, and so does the drop
    /// of the pools. It opens what it needs itself; that does not count against the pools'
    /// bounds, but [`close`](crate::TenantPools::close) waits until it has returned.
    ///
    /// # Errors
    /// When the work could not be done: [observers](tenancy_core::Event::UpkeepFailed) are
    /// told. It is not tried again before the next eviction.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = tenant;
        Ok(())
    }

    /// Is called with every connection that is about to be lent, also the most recently
    /// used one: what it does is on the path of every check-out. By default it costs
    /// nothing.
    ///
    /// # Errors
    /// What the check-out is refused with ([`Rejected`](crate::CheckoutError::Rejected)). The
    /// connection is closed.
    #[inline]
    fn on_checkout(
        &self,
        tenant: &Tenant,
        connection: &mut Connection<Self>,
    ) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = (tenant, connection);
        Ok(())
    }

    /// Is called with every sound connection that comes back, before anybody else can
    /// have it: for resetting what the check-out left behind. By default it costs nothing.
    ///
    /// # Errors
    /// When the connection must not be lent again: it is closed.
    #[inline]
    fn on_return(
        &self,
        tenant: &Tenant,
        connection: &mut Connection<Self>,
    ) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = (tenant, connection);
        Ok(())
    }

    /// What its connections cost of the process's descriptors.
    fn descriptors(&self) -> Descriptors {
        Descriptors {
            first: 1,
            further: 1,
        }
    }
}

/// What a connection may be used for while it is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Access {
    /// Everything; so it is unless asked for otherwise.
    #[default]
    ReadWrite,
    /// Reading, and nothing that changes the database.
    ReadOnly,
}

/// Whether the quick close of a connection has left something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eviction {
    /// Nothing is left.
    Complete,
    /// [`Driver::upkeep`] is to be called for the tenant.
    NeedsUpkeep,
}

/// File descriptors that connections take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// A tenant's first connection.
    pub first: u32,
    /// Each further one of the same tenant.
    pub further: u32,
}
