//! [`Event`] and [`Observer`]: being told of what happens, for audit and metrics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::catalog::{CatalogError, Name};
use crate::id::{Epoch, TenantId, Version};
use crate::resolver::{Reason, ResolveError};
use crate::tenant::Tenant;

/// What happened. New ones may come, so match with a last `_` arm.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// [`Tenant::switch`], [`Tenant::switch_to`], or an attached value that was polled or
    /// dropped inside another tenant's scope, crossed from one tenant to another.
    Switched {
        /// Who was current.
        from: &'a Tenant,
        /// Who is current now.
        to: &'a Tenant,
    },
    /// A resolver applied a change of this tenant.
    TenantChanged {
        /// The tenant as it is now.
        tenant: &'a Tenant,
    },
    /// A resolver applied the removal of this tenant.
    TenantRemoved {
        /// Who is gone.
        id: &'a TenantId,
        /// Its last epoch.
        epoch: Epoch,
    },
    /// The catalog's feed gave one name to two tenants: it is refused until one
    /// of them lets go.
    NameConflict {
        /// The name.
        name: &'a Name,
        /// Who had it.
        owner: &'a TenantId,
        /// Who claims it too.
        other: &'a TenantId,
    },
    /// A resolver refused a request.
    Refused {
        /// Why, in a word: what a counter goes by.
        reason: Reason,
        /// Why, with the facts. They hold what the client sent.
        error: &'a ResolveError,
    },
    /// The catalog could not be asked.
    CatalogUnavailable {
        /// Why.
        error: &'a CatalogError,
    },
    /// A resolver has applied everything up to this version.
    Synced {
        /// Up to here.
        upto: Version,
        /// How many changes it were.
        changes: usize,
    },
    /// A connection is about to be opened.
    Opening {
        /// For whom.
        tenant: &'a Tenant,
    },
    /// A connection was opened.
    Opened {
        /// For whom.
        tenant: &'a Tenant,
        /// How long it took.
        took: Duration,
    },
    /// A connection could not be opened.
    OpenFailed {
        /// For whom.
        tenant: &'a Tenant,
        /// Why.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// A storage is on a file system without a journal: a power cut may damage files that were
    /// not written to, or put the blocks of one tenant's into another's. Emitted once by each
    /// process for each file system.
    NoJournal {
        /// The storage root.
        path: &'a std::path::Path,
    },
    /// A lock of the storage has been waited for for a second.
    LockWait {
        /// The file or directory.
        path: &'a std::path::Path,
        /// The processes that have it, as far as the system tells.
        by: &'a [u32],
    },
    /// A driver could not let an idle connection rest; it is closed.
    IdleMaintenanceFailed {
        /// Whose.
        tenant: &'a Tenant,
        /// Why.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// A driver could not do the work that an eviction left, for example a checkpoint.
    UpkeepFailed {
        /// The tenant.
        tenant: &'a Tenant,
        /// The driver's error.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// A connection is about to be closed.
    Closing {
        /// Whose.
        tenant: &'a Tenant,
    },
    /// A connection was closed.
    Closed {
        /// Whose.
        tenant: &'a Tenant,
    },
    /// A connection was checked out.
    CheckedOut {
        /// Its tenant.
        tenant: &'a Tenant,
        /// The time from the call to the connection, opening included; zero for one that
        /// was idle.
        waited: Duration,
    },
    /// A connection was given back, and is idle again or will be closed.
    Returned {
        /// Its tenant.
        tenant: &'a Tenant,
        /// How long it was out, to a few milliseconds.
        held: Duration,
    },
    /// A check-out got no connection in time.
    TimedOut {
        /// The tenant.
        tenant: &'a Tenant,
        /// How long it waited.
        waited: Duration,
    },
    /// A connection has been out for longer than the pools' `leak_after`: told once for each
    /// check-out.
    HeldLong {
        /// Its tenant.
        tenant: &'a TenantId,
        /// The line that checked it out, or the name that the check-out was given.
        holder: &'a str,
        /// How long it has been out so far.
        held: Duration,
    },
    /// A check-out waited longer than the pools' `long_wait`.
    WaitedLong {
        /// For whom.
        tenant: &'a Tenant,
        /// How long.
        waited: Duration,
    },
    /// The stock of ready databases could not be filled up, or what is outdated not be
    /// removed; every round of the upkeep that fails tells so and the next one tries
    /// again. Sign-ups go on, each making its own when none is left.
    StockFailed {
        /// Why.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// SQL on a lent connection made a table that refers to a table of the library, or that bears
    /// the name of one. The connection is closed; `validate` names the table until it is dropped.
    SchemaRefused {
        /// Whose.
        tenant: &'a Tenant,
        /// Which table, and how.
        what: &'a str,
    },
    /// Every connection that may be open is open, and all are out.
    BoundReached {
        /// The bound.
        max: usize,
    },
}

/// Is told of [`Event`]s, before or after they happen. It cannot veto and must not
/// block; a panic in it is swallowed.
///
/// Every `Fn(&Event<'_>)` is one:
///
/// ```
/// use std::sync::Arc;
/// use tenancy_core::{Event, Observer, observe};
/// let _observing = observe(Arc::new(|event: &Event<'_>| println!("{event:?}")));
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Called outside every lock of the library.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}

/// The process-wide observers. The count is read first, so that an event nobody
/// listens to costs one load.
static PROCESS: RwLock<Vec<(usize, Arc<dyn Observer>)>> = RwLock::new(Vec::new());
static PROCESS_COUNT: AtomicUsize = AtomicUsize::new(0);
static NEXT_KEY: AtomicUsize = AtomicUsize::new(0);

/// Tells `observer` of every event in this process until the guard is dropped.
pub fn observe(observer: Arc<dyn Observer>) -> Observing {
    let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
    let mut process = PROCESS.write();
    process.push((key, observer));
    PROCESS_COUNT.store(process.len(), Ordering::Release);
    Observing { key }
}

/// Ends what [`observe`] began when it is dropped.
#[must_use = "dropping it ends the observing"]
#[derive(Debug)]
pub struct Observing {
    key: usize,
}

impl Drop for Observing {
    fn drop(&mut self) {
        let mut process = PROCESS.write();
        let at = process.iter().position(|(key, _)| *key == self.key);
        let gone = at.map(|at| process.swap_remove(at));
        PROCESS_COUNT.store(process.len(), Ordering::Release);
        drop(process);
        // The observer's own Drop runs outside the lock.
        drop(gone);
    }
}

/// The observers of one resolver or one set of pools, and with them the
/// process-wide ones.
#[derive(Clone, Default)]
pub struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    /// Adds one.
    pub fn push(&mut self, observer: Arc<dyn Observer>) {
        self.0.push(observer);
    }

    /// Tells whether anybody would be told of an event: for events whose facts cost
    /// something to find out.
    #[inline]
    pub fn is_observed(&self) -> bool {
        !self.0.is_empty() || PROCESS_COUNT.load(Ordering::Relaxed) > 0
    }

    /// Tells all of them.
    pub fn emit(&self, event: &Event<'_>) {
        for observer in &self.0 {
            tell(&**observer, event);
        }
        emit(event);
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}

/// Notifies the observers of the process, those of [`observe`]: for drivers and adapters
/// that have an event to tell.
pub fn emit(event: &Event<'_>) {
    if PROCESS_COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let told: Vec<_> = PROCESS.read().iter().map(|(_, o)| o.clone()).collect();
    for observer in told {
        tell(&*observer, event);
    }
}

fn tell(observer: &dyn Observer, event: &Event<'_>) {
    // Events are emitted in destructors: an observer's panic must not become an abort.
    let _ = catch_unwind(AssertUnwindSafe(|| observer.observe(event)));
}
