//! What check-outs and closes are refused with.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, TenantId, TenantRef};

use crate::holders::Holders;

/// Why there is no connection. `E` is the error of the driver's manager: its text is part
/// of this error's, and the cause of the one is that of the other.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckoutError<E: Error + 'static> {
    /// A connection could not be opened. Reported at once, to whoever asked first.
    Connect {
        /// Whose.
        tenant: TenantId,
        /// What the manager said.
        source: E,
    },
    /// The database could not be prepared. The next check-out tries again.
    Prepare {
        /// Whose.
        tenant: TenantId,
        /// What the driver said.
        source: E,
    },
    /// Opening failed a moment ago and is not tried again yet. Its text repeats that
    /// failure's.
    Backoff {
        /// Whose.
        tenant: TenantId,
        /// When it is tried again.
        retry_in: Duration,
        /// What was said then.
        source: PreviousFailure,
    },
    /// All connections stayed in use until the deadline.
    Timeout {
        /// For whom.
        tenant: TenantId,
        /// How long it waited.
        waited: Duration,
        /// Who had what it waited for.
        holders: Holders,
    },
    /// The deadline passed while the check-out was busy itself. What it had begun to open was
    /// closed.
    StepTimeout {
        /// The tenant.
        tenant: TenantId,
        /// How long it took until then.
        waited: Duration,
        /// The step after which there was no time left.
        step: CheckoutStep,
    },
    /// As many check-outs as may wait for this tenant are waiting.
    Overloaded {
        /// For whom.
        tenant: TenantId,
        /// How many are waiting.
        waiting: usize,
    },
    /// The thread that ends waits in async code could not be started.
    NoTimer {
        /// For whom.
        tenant: TenantId,
        /// What the system said.
        source: std::io::Error,
    },
    /// This very thread holds everything that it would wait for.
    WouldDeadlock {
        /// For whom.
        tenant: TenantId,
        /// What this thread holds.
        holders: Holders,
    },
    /// The driver cannot lend connections for reading only.
    ReadOnlyUnsupported {
        /// For whom.
        tenant: TenantId,
    },
    /// A connection could not be restricted to reading; it was closed.
    Restrict {
        /// Whose.
        tenant: TenantId,
        /// What the driver said.
        source: E,
    },
    /// The driver refused to lend a connection that was open, for what it found at the
    /// check-out; it was closed.
    Rejected {
        /// Whose.
        tenant: TenantId,
        /// What the driver said.
        source: E,
    },
    /// The tenant was closed.
    Closed {
        /// Which.
        tenant: TenantId,
    },
    /// The handle is of an incarnation that has passed.
    Superseded {
        /// Which.
        tenant: TenantId,
        /// The handle's.
        yours: Epoch,
        /// The one that is current.
        current: Epoch,
    },
    /// Another tenant is current on this thread.
    OtherTenant {
        /// Who was asked for.
        wanted: TenantRef,
        /// Who is current.
        current: TenantRef,
    },
    /// No tenant is current on this thread.
    NoTenant,
}

/// A step that a check-out does itself, and that cannot be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckoutStep {
    /// Closing a connection: one that gives its place up, or has expired.
    Closing,
    /// Asking an idle connection whether it still works.
    Validating,
    /// Connecting. The database was not prepared any more.
    Connecting,
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
        match self {
            Self::Connect { tenant, source } => {
                write!(
                    f,
                    "no connection to tenant {tenant} could be opened: {source}"
                )
            }
            Self::Prepare { tenant, source } => {
                write!(
                    f,
                    "the database of tenant {tenant} could not be prepared: {source}"
                )
            }
            Self::Backoff {
                source, retry_in, ..
            } => write!(f, "{source}; it is tried again in {retry_in:?}"),
            Self::Timeout {
                tenant,
                waited,
                holders,
            } => write!(
                f,
                "tenant {tenant} got no connection within {waited:?}: {holders}; give them back sooner or allow more"
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
                "tenant {tenant} got no connection within {waited:?}, as {step} took too long; look for what keeps its database, or allow more time"
            ),
            Self::Overloaded { tenant, waiting } => write!(
                f,
                "tenant {tenant} has {waiting} check-outs waiting and no more may; shed load or raise `max_waiters`"
            ),
            Self::WouldDeadlock { tenant, holders } => write!(
                f,
                "tenant {tenant} can get no connection while this thread holds {holders}; give one back first"
            ),
            Self::ReadOnlyUnsupported { tenant } => write!(
                f,
                "no connection to tenant {tenant} can be had for reading only: its driver does not restrict any; check out one for everything"
            ),
            Self::Restrict { tenant, source } => write!(
                f,
                "a connection to tenant {tenant} could not be restricted to reading and was closed: {source}"
            ),
            Self::Rejected { tenant, source } => write!(
                f,
                "a connection to tenant {tenant} could not be lent and was closed: {source}"
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
                "tenant {tenant} is at epoch {current} and this handle is of epoch {yours}; resolve it again"
            ),
            Self::OtherTenant { wanted, current } => write!(
                f,
                "tenant {wanted} cannot be checked out while {current} is current; drop that scope, or call `Tenant::switch` to cross on purpose"
            ),
            Self::NoTenant => f.write_str(
                "no tenant is current on this thread; enter one, or check out with its handle",
            ),
        }
    }
}

impl<E: Error + 'static> Error for CheckoutError<E> {
    /// The cause of the driver's error: its own text is part of this error's.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect { source, .. }
            | Self::Prepare { source, .. }
            | Self::Restrict { source, .. }
            | Self::Rejected { source, .. } => source.source(),
            Self::NoTimer { source, .. } => source.source(),
            _ => None,
        }
    }
}

/// The text of an error that another check-out met, with the texts of its causes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PreviousFailure(pub(crate) Arc<str>);

/// All tenants were closed, but connections are still open. They stay closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "connections are still open after {waited:?}: {holders}; wait for them, all tenants stay closed"
)]
#[non_exhaustive]
pub struct CloseAllError {
    /// How long `close_all` waited.
    pub waited: Duration,
    /// The calls that have them.
    pub holders: Holders,
}

/// A tenant was closed, but connections of it are still out. It stays closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant {tenant} still has connections after {waited:?}: {holders}; wait for them, it stays closed"
)]
#[non_exhaustive]
pub struct CloseError {
    /// Whose.
    pub tenant: TenantId,
    /// How long `close` waited.
    pub waited: Duration,
    /// Who has them.
    pub holders: Holders,
}
