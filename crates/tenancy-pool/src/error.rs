//! The errors of check-outs and of closes.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, Tenant, TenantId, TenantRef};

use crate::deadline::Deadline;
use crate::driver::DriverError;
use crate::holders::Holders;
use crate::sched::Refusal;

/// The error of a check-out of a driver's connection.
pub(crate) type ErrorOf<D> = CheckoutError<DriverError<D>>;

/// The reason why a check-out got no connection.
///
/// `E` is the error type of the driver's manager. As the text of this error includes the text of the
/// manager's error, [`source`](Error::source) returns the cause of the manager's error.
///
/// ```
/// use std::error::Error;
/// use tenancy_pool::CheckoutError;
///
/// /// Returns the status and the `Retry-After` of a response without a connection.
/// fn answer<E: Error + 'static>(error: &CheckoutError<E>) -> (u16, Option<u64>) {
///     eprintln!("{}: {error}", error.reason());
///     (error.status(), error.retry_after().map(|wait| wait.as_secs()))
/// }
/// assert_eq!(answer::<std::io::Error>(&CheckoutError::NoTenant), (500, None));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckoutError<E: Error + 'static> {
    /// A connection could not be opened. The check-out that tried returns this error at once.
    Connect {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The error of the manager.
        source: E,
    },
    /// The database could not be prepared. The next check-out tries again.
    Prepare {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The error of the driver.
        source: E,
    },
    /// Opening a connection has failed recently, and is not tried again before
    /// [`failure_ttl`](crate::Builder::failure_ttl) has passed.
    Backoff {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The time until the next attempt.
        retry_in: Duration,
        /// The previous failure, as text.
        source: PreviousFailure,
    },
    /// All connections were in use until the time-out.
    Timeout {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The time that the check-out waited.
        waited: Duration,
        /// The connections that it waited for.
        holders: Holders,
    },
    /// The time-out passed during a step of the check-out itself. A connection that the check-out had
    /// begun to open was closed.
    StepTimeout {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The time from the begin of the check-out to the end of the step.
        waited: Duration,
        /// The step during which the time-out passed.
        step: CheckoutStep,
    },
    /// [`max_waiters`](crate::Builder::max_waiters) check-outs already wait for this tenant.
    Overloaded {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The number of waiting check-outs.
        waiting: usize,
    },
    /// The thread for the time-outs of async code could not be started.
    NoTimer {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The error of the system.
        source: std::io::Error,
    },
    /// This thread itself holds all connections for which the check-out would wait.
    WouldDeadlock {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The connections of this thread.
        holders: Holders,
    },
    /// The driver supports no read-only check-outs.
    ReadOnlyUnsupported {
        /// The tenant of the check-out.
        tenant: TenantId,
    },
    /// A connection could not be made read-only; it was closed.
    Restrict {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The error of the driver.
        source: E,
    },
    /// The driver's [`on_checkout`](crate::Driver::on_checkout) rejected an open connection; it was
    /// closed.
    Rejected {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The error of the driver.
        source: E,
    },
    /// The tenant is closed to check-outs.
    Closed {
        /// The tenant of the check-out.
        tenant: TenantId,
    },
    /// The handle of the tenant has a past epoch.
    Superseded {
        /// The tenant of the check-out.
        tenant: TenantId,
        /// The epoch of the handle.
        yours: Epoch,
        /// The current epoch of the tenant.
        current: Epoch,
    },
    /// Another tenant is current on this thread.
    OtherTenant {
        /// The tenant of the check-out.
        wanted: TenantRef,
        /// The tenant that is current.
        current: TenantRef,
    },
    /// No tenant is current on this thread.
    NoTenant,
}

/// A step of a check-out that cannot be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckoutStep {
    /// Closing an evicted or expired connection.
    Closing,
    /// Validating an idle connection.
    Validating,
    /// Connecting to a database, which was not prepared afterwards because of the time-out.
    Connecting,
}

impl<E: Error + 'static> CheckoutError<E> {
    /// Returns the reason as one word, for logs and counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. }
            | Self::Prepare { .. }
            | Self::Rejected { .. }
            | Self::Backoff { .. } => "database_unavailable",
            Self::Timeout { .. } | Self::StepTimeout { .. } | Self::Overloaded { .. } => "busy",
            Self::WouldDeadlock { .. } => "would_deadlock",
            Self::ReadOnlyUnsupported { .. } | Self::Restrict { .. } => "no_read_only",
            Self::Closed { .. } => "closed",
            Self::Superseded { .. } => "superseded",
            Self::OtherTenant { .. } => "other_tenant",
            Self::NoTenant => "no_tenant_current",
            Self::NoTimer { .. } => "no_timer",
        }
    }

    /// Returns the HTTP status of a response: 503 for a temporary condition, 500 for an error of the
    /// program.
    pub fn status(&self) -> u16 {
        match self {
            Self::Connect { .. }
            | Self::Prepare { .. }
            | Self::Rejected { .. }
            | Self::Backoff { .. }
            | Self::Timeout { .. }
            | Self::StepTimeout { .. }
            | Self::Overloaded { .. }
            | Self::Closed { .. }
            | Self::Superseded { .. } => 503,
            Self::WouldDeadlock { .. }
            | Self::ReadOnlyUnsupported { .. }
            | Self::Restrict { .. }
            | Self::OtherTenant { .. }
            | Self::NoTimer { .. }
            | Self::NoTenant => 500,
        }
    }

    /// Returns the HTTP `Retry-After` of a response: the rest of the backoff after a failed connect, and
    /// 1 s if connections are busy or the handle of the tenant is outdated.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Backoff { retry_in, .. } => Some(*retry_in),
            Self::Timeout { .. }
            | Self::StepTimeout { .. }
            | Self::Overloaded { .. }
            | Self::Superseded { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Returns an error of the driver, and the words of the text before and after its tenant.
    fn driver_error(&self) -> Option<(&'static str, &TenantId, &'static str, &E)> {
        let (before, tenant, after, source) = match self {
            Self::Connect { tenant, source } => {
                ("no connection to", tenant, "could be opened", source)
            }
            Self::Prepare { tenant, source } => {
                ("the database of", tenant, "could not be prepared", source)
            }
            Self::Restrict { tenant, source } => {
                let after = "could not be made read-only and was closed";
                ("a connection to", tenant, after, source)
            }
            Self::Rejected { tenant, source } => {
                let after = "was rejected by its driver and closed";
                ("a connection to", tenant, after, source)
            }
            _ => return None,
        };
        Some((before, tenant, after, source))
    }

    /// Returns the error for a refusal of the scheduler.
    pub(crate) fn refused(tenant: &Tenant, refusal: Refusal) -> Self {
        let id = tenant.id().clone();
        match refusal {
            Refusal::Closed => Self::Closed { tenant: id },
            Refusal::Superseded { current } => Self::Superseded {
                tenant: id,
                yours: tenant.epoch(),
                current,
            },
            Refusal::Backoff { reason, retry_in } => Self::Backoff {
                tenant: id,
                retry_in,
                source: PreviousFailure(reason),
            },
        }
    }

    /// Returns an error if the deadline has passed after a step.
    pub(crate) fn check_deadline(
        tenant: &Tenant,
        deadline: Deadline,
        step: CheckoutStep,
    ) -> Result<(), Self> {
        match deadline.has_passed() {
            false => Ok(()),
            true => Err(Self::StepTimeout {
                tenant: tenant.id().clone(),
                waited: deadline.waited(),
                step,
            }),
        }
    }
}

impl fmt::Display for CheckoutStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => "closing another connection",
            Self::Validating => "validating an idle connection",
            Self::Connecting => "connecting",
        })
    }
}

impl<E: Error + 'static> fmt::Display for CheckoutError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((before, tenant, after, source)) = self.driver_error() {
            return write!(f, "{before} tenant {tenant} {after}: {source}");
        }
        match self {
            Self::Backoff {
                source, retry_in, ..
            } => write!(f, "{source}; the next attempt is in {retry_in:?}"),
            Self::Timeout {
                tenant,
                waited,
                holders,
            } => write!(
                f,
                "tenant {tenant} got no connection within {waited:?}: {holders}; return connections sooner, or raise the bounds"
            ),
            Self::NoTimer { tenant, source } => write!(
                f,
                "tenant {tenant} cannot wait for a connection: no thread could be started to end the wait: {source}; allow the process more threads"
            ),
            Self::StepTimeout {
                tenant,
                waited,
                step,
            } => write!(
                f,
                "tenant {tenant} got no connection within {waited:?}, as {step} took too long; find out why, or allow more time"
            ),
            Self::Overloaded { tenant, waiting } => write!(
                f,
                "tenant {tenant} has {waiting} check-outs waiting, as many as are allowed; shed load or raise `max_waiters`"
            ),
            Self::WouldDeadlock { tenant, holders } => write!(
                f,
                "a check-out of tenant {tenant} would wait for connections that its own thread holds: {holders}; return one first"
            ),
            Self::ReadOnlyUnsupported { tenant } => write!(
                f,
                "tenant {tenant} has no read-only connections: its driver supports none; check out a read-write one"
            ),
            Self::Closed { tenant } => write!(
                f,
                "tenant {tenant} is closed to check-outs; `reopen` it first"
            ),
            Self::Superseded {
                tenant,
                yours,
                current,
            } => write!(
                f,
                "tenant {tenant} is at epoch {current}, but its handle has epoch {yours}; resolve the tenant again"
            ),
            Self::OtherTenant { wanted, current } => write!(
                f,
                "tenant {wanted} cannot be checked out while {current} is current; drop that scope, or call `Tenant::switch` to cross on purpose"
            ),
            Self::NoTenant => f.write_str(
                "no tenant is current on this thread; enter one, or check out with its handle",
            ),
            Self::Connect { .. }
            | Self::Prepare { .. }
            | Self::Restrict { .. }
            | Self::Rejected { .. } => unreachable!("it is an error of the driver"),
        }
    }
}

impl<E: Error + 'static> Error for CheckoutError<E> {
    /// Returns the cause of the driver's error, whose own text is part of this error's.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoTimer { source, .. } => source.source(),
            _ => self.driver_error().and_then(|(.., source)| source.source()),
        }
    }
}

/// The error of an earlier check-out: its text and the texts of its causes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PreviousFailure(pub(crate) Arc<str>);

/// The error of [`close_all`](crate::TenantPools::close_all): connections are still open. All
/// tenants stay closed to check-outs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "connections are still open after {waited:?}: {holders}; all tenants stay closed; wait for the connections, then call it again"
)]
#[non_exhaustive]
pub struct CloseAllError {
    /// The time that `close_all` waited.
    pub waited: Duration,
    /// The connections that are still open.
    pub holders: Holders,
}

/// The error of [`close`](crate::TenantPools::close): connections of the tenant are still open. The
/// tenant stays closed to check-outs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant {tenant} has open connections after {waited:?}: {holders}; the tenant stays closed; wait for the connections, then close it again"
)]
#[non_exhaustive]
pub struct CloseError {
    /// The closed tenant.
    pub tenant: TenantId,
    /// The time that `close` waited.
    pub waited: Duration,
    /// The connections that are still open.
    pub holders: Holders,
}
