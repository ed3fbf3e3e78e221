//! What check-outs and closes are refused with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{Epoch, TenantId, TenantRef};

use crate::label::Label;

/// Why there is no connection. `E` is the error of the driver's manager.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckoutError<E: std::error::Error + 'static> {
    /// A connection could not be opened. Reported at once, to whoever asked first.
    #[error(
        "no connection to tenant {tenant} could be opened; check that its database is there and reachable"
    )]
    Connect {
        /// Whose.
        tenant: TenantId,
        /// What the manager said.
        #[source]
        source: E,
    },
    /// The database could not be prepared. The next check-out tries again.
    #[error(
        "the database of tenant {tenant} could not be prepared; repair it, the next check-out tries again"
    )]
    Prepare {
        /// Whose.
        tenant: TenantId,
        /// What the driver said.
        #[source]
        source: E,
    },
    /// Opening failed a moment ago and is not tried again yet.
    #[error(
        "no connection to tenant {tenant} could be opened a moment ago; try again in {retry_in:?}"
    )]
    Failing {
        /// Whose.
        tenant: TenantId,
        /// When it is tried again.
        retry_in: Duration,
        /// What was said then.
        source: Remembered,
    },
    /// All connections stayed in use until the deadline.
    #[error(
        "tenant {tenant} got no connection within {waited:?}: {holders}; give them back sooner or allow more"
    )]
    Timeout {
        /// For whom.
        tenant: TenantId,
        /// How long it waited.
        waited: Duration,
        /// Who had what it waited for.
        holders: Holders,
    },
    /// As many check-outs as may wait for this tenant are waiting.
    #[error(
        "tenant {tenant} has {waiting} check-outs waiting and no more may; shed load or raise `max_waiters`"
    )]
    Overloaded {
        /// For whom.
        tenant: TenantId,
        /// How many are waiting.
        waiting: usize,
    },
    /// This very thread holds everything that it would wait for.
    #[error(
        "tenant {tenant} can get no connection while this thread holds {holders}; give one back first"
    )]
    WouldDeadlock {
        /// For whom.
        tenant: TenantId,
        /// What this thread holds.
        holders: Holders,
    },
    /// The driver cannot lend connections for reading only.
    #[error(
        "no connection to tenant {tenant} can be had for reading only: its driver does not restrict any; check out one for everything"
    )]
    NoReadOnly {
        /// For whom.
        tenant: TenantId,
    },
    /// A connection could not be restricted to reading; it was closed.
    #[error(
        "a connection to tenant {tenant} could not be restricted to reading and was closed; try again"
    )]
    Restrict {
        /// Whose.
        tenant: TenantId,
        /// What the driver said.
        #[source]
        source: E,
    },
    /// The tenant was closed.
    #[error("tenant {tenant} is closed to check-outs; `reopen` it first")]
    Closed {
        /// Which.
        tenant: TenantId,
    },
    /// The handle is of an incarnation that has passed.
    #[error(
        "tenant {tenant} is at epoch {current} and this handle is of epoch {yours}; resolve it again"
    )]
    Superseded {
        /// Which.
        tenant: TenantId,
        /// The handle's.
        yours: Epoch,
        /// The one that is current.
        current: Epoch,
    },
    /// Another tenant is current on this thread.
    #[error(
        "tenant {wanted} cannot be checked out while {current} is current; drop that scope, or call `Tenant::switch` to cross on purpose"
    )]
    OtherTenant {
        /// Who was asked for.
        wanted: TenantRef,
        /// Who is current.
        current: TenantRef,
    },
    /// No tenant is current on this thread.
    #[error("no tenant is current on this thread; enter one, or check out with its handle")]
    NoTenant,
}

/// An error that happened to somebody else: its text, and the texts of its causes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Remembered(pub(crate) Arc<str>);

/// A connection that is out, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Whose connection.
    pub tenant: TenantId,
    /// What the check-out is known by.
    pub label: Label,
    /// How long it is out, to a few milliseconds.
    pub age: Duration,
}

/// Who holds the connections that somebody waits for, longest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders(pub(crate) Vec<Holder>);

impl Holders {
    /// So many are named in a text; the others are counted.
    const NAMED: usize = 4;

    /// All of them, longest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Holder> {
        self.0.iter()
    }
}

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => return f.write_str("nothing is out by now"),
            1 => f.write_str("1 is out (")?,
            many => write!(f, "{many} are out (")?,
        }
        for (at, holder) in self.0.iter().take(Self::NAMED).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let (tenant, label) = (&holder.tenant, holder.label);
            write!(f, "{comma}{tenant} at {label} for {:?}", holder.age)?;
        }
        match self.0.len().saturating_sub(Self::NAMED) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

/// A tenant was closed, but connections of it are still out. It stays closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant {tenant} still has connections after {waited:?}: {holders}; wait for them, it stays closed"
)]
#[non_exhaustive]
pub struct StillOut {
    /// Whose.
    pub tenant: TenantId,
    /// How long `close` waited.
    pub waited: Duration,
    /// Who has them.
    pub holders: Holders,
}
