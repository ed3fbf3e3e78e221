//! [`Driver`]: the connections to a tenant's database.

use tenancy_core::Tenant;

/// A connection of a driver's manager.
pub type Connection<D> = <<D as Driver>::Manager as r2d2::ManageConnection>::Connection;

/// An error of a driver's manager.
pub type DriverError<D> = <<D as Driver>::Manager as r2d2::ManageConnection>::Error;

/// The connections to tenants' databases, and their preparation, restriction and maintenance.
///
/// Only [`manager`](Self::manager) is required. It returns any r2d2 manager:
///
/// ```
/// use std::fs::File;
/// use std::io;
/// use std::path::PathBuf;
///
/// use tenancy_core::Tenant;
/// use tenancy_pool::Driver;
///
/// /// A log file for each tenant.
/// struct Logs {
///     directory: PathBuf,
/// }
///
/// struct Log(PathBuf);
///
/// impl r2d2::ManageConnection for Log {
///     type Connection = File;
///     type Error = io::Error;
///     fn connect(&self) -> io::Result<File> {
///         File::options().append(true).create(true).open(&self.0)
///     }
///     fn is_valid(&self, log: &mut File) -> io::Result<()> {
///         log.metadata().map(drop)
///     }
///     fn has_broken(&self, _: &mut File) -> bool {
///         false
///     }
/// }
///
/// impl Driver for Logs {
///     type Manager = Log;
///
///     fn manager(&self, tenant: &Tenant) -> Log {
///         Log(self.directory.join(tenant.id().as_str()))
///     }
/// }
/// ```
pub trait Driver: Send + Sync + 'static {
    /// The manager that opens and checks connections. Its errors must be `Send` and `Sync`, as another
    /// thread may respond to the request.
    type Manager: r2d2::ManageConnection<Error: Send + Sync>;

    /// Returns the manager for this incarnation of a tenant. Called once for each incarnation; must not
    /// connect.
    fn manager(&self, tenant: &Tenant) -> Self::Manager;

    /// Prepares the database before its first use in this process, for example by migrating it. Called
    /// for each tenant and epoch until it has succeeded once, never by two threads at the same time.
    ///
    /// Defaults to doing nothing.
    ///
    /// # Errors
    /// Returns an error if the database cannot be used. The check-out returns it as
    /// [`Prepare`](crate::CheckoutError::Prepare).
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

    /// Restricts a connection to `access` before it is checked out, or lifts the restriction of a
    /// returned connection. Returns the access that the connection has then.
    ///
    /// A statement on the connection must not be able to lift the restriction. A connection that cannot
    /// be restricted is not checked out; a connection whose restriction cannot be lifted is closed.
    ///
    /// Defaults to no change and [`Access::ReadWrite`], so that read-only check-outs are refused.
    ///
    /// # Errors
    /// Returns an error if the restriction cannot be set or lifted. A read-only check-out returns it
    /// as [`Restrict`](crate::CheckoutError::Restrict).
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

    /// Maintains an idle connection before it is used again or closed, for example releases memory or
    /// checkpoints a WAL.
    ///
    /// [`TenantPools::reap`] calls it once in each idle period, without a lock held. As the connection
    /// is not available meanwhile, the call should take only milliseconds.
    ///
    /// Defaults to doing nothing.
    ///
    /// # Errors
    /// Returns an error if the connection must not be checked out again. The connection is then
    /// closed, and [observers](tenancy_core::Event::IdleMaintenanceFailed) are notified.
    ///
    /// [`TenantPools::reap`]: crate::TenantPools::reap
    fn maintain_idle(&self, connection: &mut Connection<Self>) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = connection;
        Ok(())
    }

    /// Prepares a connection so that its close is quick, and returns whether
    /// [`upkeep`](Self::upkeep) has to do work that was left out.
    ///
    /// Called before a connection is closed during a check-out or a return, whose caller waits for the
    /// close: because the connection is evicted for another tenant, surplus, expired or broken. Not
    /// called before closes by [`close`](crate::TenantPools::close), by
    /// [`reap`](crate::TenantPools::reap), and when the pools are dropped.
    ///
    /// Defaults to doing nothing and [`Eviction::Complete`].
    fn evict(&self, connection: &mut Connection<Self>) -> Eviction
    where
        Self: Sized,
    {
        let _ = connection;
        Eviction::Complete
    }

    /// Does the work that [`evict`](Self::evict) has left out.
    ///
    /// Called by [`reap`](crate::TenantPools::reap), unless a connection to the tenant was opened
    /// meanwhile, and when the pools are closed or dropped. If it needs a connection, it opens one
    /// itself, which does not count under the bounds of the pools.
    /// [`close`](crate::TenantPools::close) waits until a running call has returned.
    ///
    /// Defaults to doing nothing.
    ///
    /// # Errors
    /// Returns an error if the work could not be done.
    /// [Observers](tenancy_core::Event::UpkeepFailed) are notified, and it is not called again before
    /// the next eviction.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = tenant;
        Ok(())
    }

    /// Inspects a connection before it is checked out. Called at every check-out, so it should be fast.
    ///
    /// Defaults to doing nothing.
    ///
    /// # Errors
    /// Returns an error if the connection must not be checked out. The connection is then closed, and
    /// the check-out returns the error as [`Rejected`](crate::CheckoutError::Rejected).
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

    /// Resets a returned connection before the next check-out can get it. Not called for a connection
    /// that is broken or was returned during a panic.
    ///
    /// Defaults to doing nothing.
    ///
    /// # Errors
    /// Returns an error if the connection must not be checked out again. The connection is then
    /// closed.
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

    /// Returns the number of file descriptors that the first connection of a tenant opens. Defaults to
    /// 1.
    ///
    /// The default and the upper bound of [`max_connections`](crate::Builder::max_connections) are
    /// computed from it, as every connection may be the first of its tenant.
    fn descriptors(&self) -> u32 {
        1
    }
}

/// The access that a connection grants while it is checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Access {
    /// Reading and writing. This is the default.
    #[default]
    ReadWrite,
    /// Reading, but no change of the database.
    ReadOnly,
}

/// The outcome of [`Driver::evict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eviction {
    /// No work is left.
    Complete,
    /// Work is left for [`Driver::upkeep`].
    NeedsUpkeep,
}
