//! [`Live`]: an open connection and its source, and the types that the scheduler has with them.

use std::sync::Arc;

use r2d2::ManageConnection;
use tenancy_core::Tenant;

use crate::driver::{Connection, Driver};
use crate::sched::{Discarded, Grant, Permit, Queued, Reservation, Sched, TakeOutcome, Waiting};

/// A live connection as the scheduler passes it on: one word, however large the connection is.
pub(crate) type BoxedLive<D> = Box<Live<D>>;
pub(crate) type SharedSource<D> = Arc<Source<D>>;

pub(crate) type Scheduler<D> = Sched<BoxedLive<D>, SharedSource<D>>;
pub(crate) type OutcomeOf<D> = TakeOutcome<BoxedLive<D>, SharedSource<D>>;
pub(crate) type PermitOf<D> = Permit<BoxedLive<D>, SharedSource<D>>;
pub(crate) type ReservationOf<D> = Reservation<BoxedLive<D>, SharedSource<D>>;
pub(crate) type DiscardedOf<D> = Discarded<BoxedLive<D>, SharedSource<D>>;
pub(crate) type QueuedOf<D> = Queued<BoxedLive<D>, SharedSource<D>>;
pub(crate) type GrantOf<D> = Grant<BoxedLive<D>, SharedSource<D>>;
pub(crate) type WaitingOf<D> = Arc<Waiting<BoxedLive<D>, SharedSource<D>>>;

/// An open connection and its source.
pub(crate) struct Live<D: Driver> {
    pub(crate) connection: Connection<D>,
    pub(crate) source: SharedSource<D>,
}

impl<D: Driver> Live<D> {
    pub(crate) fn has_broken(&mut self) -> bool {
        self.source.manager.has_broken(&mut self.connection)
    }

    pub(crate) fn is_valid(&mut self) -> bool {
        let manager = &self.source.manager;
        manager.is_valid(&mut self.connection).is_ok()
    }
}

/// The way to connect to one incarnation of a tenant.
pub(crate) struct Source<D: Driver> {
    pub(crate) tenant: Tenant,
    pub(crate) manager: D::Manager,
}
