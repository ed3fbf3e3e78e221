//! [`Driver`]: the way to connect to a tenant's database.

use tenancy_core::Tenant;

/// A connection of a driver's manager.
pub type Connection<D> = <<D as Driver>::Manager as r2d2::ManageConnection>::Connection;

/// An error of a driver's manager.
pub type DriverError<D> = <<D as Driver>::Manager as r2d2::ManageConnection>::Error;

/// The way to connect to a tenant's database, and to prepare it before its first use.
///
/// Any r2d2 manager makes a driver; only [`manager`](Self::manager) is required:
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
    /// The manager that opens and checks connections. Its errors can be sent to another thread,
    /// such as the one that responds to the request.
    type Manager: r2d2::ManageConnection<Error: Send + Sync>;

    /// Returns the manager of this incarnation of a tenant. It is made once for each incarnation,
    /// and must not connect yet.
    fn manager(&self, tenant: &Tenant) -> Self::Manager;

    /// Prepares the database before its first use in this process, for example by migrating it. It
    /// is called for each tenant and epoch until it succeeds once, never twice at a time.
    ///
    /// Defaults to nothing.
    ///
    /// # Errors
    /// Returns an error if the database cannot be used. It becomes that of the check-out
    /// ([`Prepare`](crate::CheckoutError::Prepare)).
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

    /// Restricts a connection to `access` before it is checked out, or lifts the restriction of one
    /// that came back sound. Returns the access that the connection has now.
    ///
    /// No statement sent through the connection may lift the restriction. A connection that cannot
    /// be restricted is never checked out; one whose restriction cannot be lifted is closed.
    ///
    /// Defaults to no change and [`Access::ReadWrite`]: read-only check-outs are refused.
    ///
    /// # Errors
    /// Returns an error if the restriction cannot be set or lifted. It becomes that of a read-only
    /// check-out ([`Restrict`](crate::CheckoutError::Restrict)).
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

    /// Maintains a connection that has been idle for a while: it releases memory, or checkpoints a
    /// WAL, before the connection is needed or closed.
    ///
    /// [`TenantPools::reap`] calls it once in each idle period, outside every lock. Meanwhile the
    /// connection is out, so it should take milliseconds.
    ///
    /// Defaults to nothing.
    ///
    /// # Errors
    /// Returns an error if the connection must not be checked out again: it is closed, and
    /// [observers](tenancy_core::Event::IdleMaintenanceFailed) are notified.
    ///
    /// [`TenantPools::reap`]: crate::TenantPools::reap
    fn maintain_idle(&self, connection: &mut Connection<Self>) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = connection;
        Ok(())
    }

    /// Makes the close of a connection quick while a check-out or its return waits for it. Returns
    /// whether work is left to [`upkeep`](Self::upkeep).
    ///
    /// It is called before the close of a connection that is evicted for another tenant's, or is
    /// surplus, expired or broken at a check-out or its return. It is not called where the close
    /// was requested: by [`close`](crate::TenantPools::close), by
    /// [`reap`](crate::TenantPools::reap), and when the pools are dropped.
    ///
    /// Defaults to nothing, and leaves no work.
    fn evict(&self, connection: &mut Connection<Self>) -> Eviction
    where
        Self: Sized,
    {
        let _ = connection;
        Eviction::Complete
    }

    /// Does the work that [`evict`](Self::evict) left.
    ///
    /// [`reap`](crate::TenantPools::reap) calls it, unless the tenant was connected to meanwhile,
    /// and so does the drop of the pools. It opens the connections that it needs itself. They do
    /// not count against the bounds of the pools, but [`close`](crate::TenantPools::close) waits
    /// until it has returned.
    ///
    /// Defaults to nothing.
    ///
    /// # Errors
    /// Returns an error if the work could not be done:
    /// [observers](tenancy_core::Event::UpkeepFailed) are notified. It is not tried again before
    /// the next eviction.
    fn upkeep(&self, tenant: &Tenant) -> Result<(), DriverError<Self>>
    where
        Self: Sized,
    {
        let _ = tenant;
        Ok(())
    }

    /// Inspects every connection that is about to be checked out, the most recently used one too:
    /// it is on the path of every check-out.
    ///
    /// Defaults to nothing, at no cost.
    ///
    /// # Errors
    /// Returns an error if the connection must not be checked out: it is closed. The error becomes
    /// that of the check-out ([`Rejected`](crate::CheckoutError::Rejected)).
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

    /// Resets every sound connection that comes back, before the next check-out can get it.
    ///
    /// Defaults to nothing, at no cost.
    ///
    /// # Errors
    /// Returns an error if the connection must not be checked out again: it is closed.
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

    /// Returns the number of file descriptors that the first connection of a tenant takes. Defaults
    /// to 1.
    ///
    /// The default of [`max_connections`](crate::Builder::max_connections) follows from it: every
    /// connection may be the first of its tenant.
    fn descriptors(&self) -> u32 {
        1
    }
}

/// The access that a connection grants while it is checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Access {
    /// Reading and writing, the default.
    #[default]
    ReadWrite,
    /// Reading without any change of the database.
    ReadOnly,
}

/// The outcome of [`Driver::evict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Eviction {
    /// No work is left.
    Complete,
    /// [`Driver::upkeep`] has to be called for the tenant.
    NeedsUpkeep,
}
