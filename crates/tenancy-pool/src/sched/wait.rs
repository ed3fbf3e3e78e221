//! [`Waiting`]: one check-out that waits, and what it is granted.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::Epoch;

use super::report::Held;
use super::seats::Holder;
use crate::mailbox::Mailbox;
use crate::sync::Moment;

/// Leave to open a connection in a seat.
pub(crate) struct Permit<C, S> {
    pub(crate) seat: u32,
    /// Another tenant's connection that has to be closed before.
    pub(crate) victim: Option<C>,
    /// How to connect; none if this incarnation never did.
    pub(crate) source: Option<S>,
    /// Does the database have to be prepared?
    pub(crate) cold: bool,
}

/// Why a check-out is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    Superseded {
        current: Epoch,
    },
    Backoff {
        reason: Arc<str>,
        retry_in: Duration,
    },
}

/// What a waiter is told.
pub(crate) enum Grant<C, S> {
    /// Something is idle, or a connect failed: come and look. The waiter keeps its place.
    Nudge,
    /// A connection, from hand to hand.
    Use {
        seat: u32,
        connection: C,
    },
    Open(Permit<C, S>),
    Refused(Refusal),
    /// Its time was up before it looked: who holds what it waited for.
    TimedOut(Vec<Held>),
}

/// What a waiter finds when it comes to look.
pub(crate) enum Looked<C> {
    Found {
        seat: u32,
        connection: C,
    },
    /// Nothing yet. While a failure to connect is remembered: how long it will be, after
    /// which the waiter has to look again.
    Nothing {
        retry_in: Option<Duration>,
    },
}

/// A check-out that waits. The grant is written under the scheduler's lock before
/// anybody is woken, so it can be neither missed nor lost to a time-out.
pub(crate) struct Waiting<C, S> {
    pub(crate) mail: Mailbox<Grant<C, S>>,
    pub(crate) since: Moment,
    pub(crate) holder: Holder,
}

impl<C, S> Waiting<C, S> {
    pub(crate) fn new(holder: Holder) -> Self {
        Self {
            mail: Mailbox::new(),
            since: Moment::now(),
            holder,
        }
    }
}
