//! [`Event`] and [`Observer`]: notifications for audits and metrics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::catalog::{CatalogError, Name};
use crate::id::{Epoch, TenantId, Version};
use crate::resolver::{Reason, ResolveError};
use crate::tenant::Tenant;

/// A notification of a resolver, a scope, a pool or a driver.
///
/// Later versions may add events, so end every `match` with a `_` arm.
///
/// ```
/// use std::sync::Arc;
/// use tenancy_core::{Event, Tenant, observe};
/// # let acme = Tenant::builder("acme".parse()?).build()?;
/// # let beta = Tenant::builder("beta".parse()?).build()?;
/// let _observing = observe(Arc::new(|event: &Event<'_>| match event {
///     Event::Switched { from, to } => println!("crossed from {} to {}", from.id(), to.id()),
///     _ => {}
/// }));
/// acme.run(|| beta.switch_to(|| ()))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The current tenant of a thread changed from one to another: by [`Tenant::switch`], by
    /// [`Tenant::switch_to`], or because an [attached](Tenant::attach) value was polled or dropped
    /// while another tenant was current.
    Switched {
        /// The tenant that was current.
        from: &'a Tenant,
        /// The tenant that is current now.
        to: &'a Tenant,
    },
    /// A resolver applied a change of this tenant.
    TenantChanged {
        /// The tenant after the change.
        tenant: &'a Tenant,
    },
    /// A resolver applied the removal of this tenant.
    TenantRemoved {
        /// The id of the removed tenant.
        id: &'a TenantId,
        /// The last epoch of the tenant.
        epoch: Epoch,
    },
    /// The feed of the catalog gave one name to two tenants. Requests for the name are refused
    /// until one of the tenants loses it.
    NameConflict {
        /// The name that both tenants claim.
        name: &'a Name,
        /// The tenant that had the name.
        owner: &'a TenantId,
        /// The tenant that claims the name as well.
        other: &'a TenantId,
    },
    /// A resolver refused a request.
    Refused {
        /// The reason in one word, for a counter.
        reason: Reason,
        /// The error with all its facts. They may hold text that the client sent.
        error: &'a ResolveError,
    },
    /// The catalog could not be read.
    CatalogUnavailable {
        /// The catalog's error.
        error: &'a CatalogError,
    },
    /// A resolver has applied changes of the catalog.
    Synced {
        /// The version up to which every change is applied.
        upto: Version,
        /// The number of changes that were applied.
        changes: usize,
    },
    /// A connection is about to be opened.
    Opening {
        /// The tenant of the connection.
        tenant: &'a Tenant,
    },
    /// A connection was opened.
    Opened {
        /// The tenant of the connection.
        tenant: &'a Tenant,
        /// The time that opening took.
        took: Duration,
    },
    /// A connection could not be opened.
    OpenFailed {
        /// The tenant of the connection.
        tenant: &'a Tenant,
        /// The driver's error.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// A storage is on a file system without a journal. A power cut may damage files there that no
    /// process was writing, or put blocks of one tenant's file into the file of another. Each
    /// process emits this event once for each file system.
    NoJournal {
        /// The storage root.
        path: &'a std::path::Path,
    },
    /// A thread has waited one second for a lock of the storage, and continues to wait.
    LockWait {
        /// The file or directory that is locked.
        path: &'a std::path::Path,
        /// The ids of the processes that have locked it, as far as the operating system shows
        /// them.
        by: &'a [u32],
    },
    /// The idle maintenance of a connection failed. The connection is closed.
    IdleMaintenanceFailed {
        /// The tenant of the connection.
        tenant: &'a Tenant,
        /// The driver's error.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// A driver could not do the work that is due after an eviction, for example a checkpoint.
    UpkeepFailed {
        /// The tenant whose connection was evicted.
        tenant: &'a Tenant,
        /// The driver's error.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// A connection is about to be closed.
    Closing {
        /// The tenant of the connection.
        tenant: &'a Tenant,
    },
    /// A connection was closed.
    Closed {
        /// The tenant of the connection.
        tenant: &'a Tenant,
    },
    /// A connection was checked out.
    CheckedOut {
        /// The tenant of the connection.
        tenant: &'a Tenant,
        /// The time from the call until the connection was there, including the time to open it.
        /// It is zero for a connection that was idle.
        waited: Duration,
    },
    /// A connection was returned. It is idle again, or will be closed.
    Returned {
        /// The tenant of the connection.
        tenant: &'a Tenant,
        /// The time between check-out and return, accurate to a few milliseconds.
        held: Duration,
    },
    /// A check-out got no connection before its timeout.
    TimedOut {
        /// The tenant of the check-out.
        tenant: &'a Tenant,
        /// The time that the check-out waited.
        waited: Duration,
    },
    /// A connection has been checked out for longer than the pools' `leak_after`. The event is
    /// emitted once for each check-out.
    HeldLong {
        /// The id of the connection's tenant.
        tenant: &'a TenantId,
        /// The line of code that checked the connection out, or the label of the check-out if it
        /// has one.
        holder: &'a str,
        /// The time since the check-out.
        held: Duration,
    },
    /// A check-out waited longer than the pools' `long_wait`.
    WaitedLong {
        /// The tenant of the check-out.
        tenant: &'a Tenant,
        /// The time that the check-out waited.
        waited: Duration,
    },
    /// The warm pool could not be filled, or an outdated database could not be removed from it.
    /// Each failed round of the upkeep emits this event, and the next round tries again. While the
    /// warm pool is empty, the database of a new tenant is made when the tenant is created, as it
    /// is without a warm pool.
    WarmPoolFailed {
        /// The driver's error.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// SQL on a checked-out connection made a table that refers to a table of the library, or has
    /// the name of one. The connection is closed. The command `validate` reports the table until it
    /// is dropped.
    SchemaRefused {
        /// The tenant of the connection.
        tenant: &'a Tenant,
        /// The name of the table, and how it conflicts with the table of the library.
        what: &'a str,
    },
    /// A check-out must wait: the bound on open connections is reached, and all of them are checked
    /// out.
    BoundReached {
        /// The bound on open connections.
        max: usize,
    },
}

/// A receiver of [`Event`]s. It cannot stop an operation, and must not block. A panic in it is
/// caught and ignored.
///
/// Every `Fn(&Event<'_>)` is an observer:
///
/// ```
/// use std::sync::Arc;
/// use tenancy_core::{Event, Observer, observe};
/// let _observing = observe(Arc::new(|event: &Event<'_>| println!("{event:?}")));
/// ```
#[doc(alias = "hook")]
#[doc(alias = "listener")]
pub trait Observer: Send + Sync + 'static {
    /// Receives an event. The library holds none of its locks during the call.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}

/// The observers of the process. `PROCESS_COUNT` is read first, so that an event without observers
/// costs one load.
static PROCESS: RwLock<Vec<(usize, Arc<dyn Observer>)>> = RwLock::new(Vec::new());
static PROCESS_COUNT: AtomicUsize = AtomicUsize::new(0);
static NEXT_KEY: AtomicUsize = AtomicUsize::new(0);

/// Notifies `observer` of every event in this process until the returned guard is dropped.
pub fn observe(observer: Arc<dyn Observer>) -> Observing {
    let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
    let mut process = PROCESS.write();
    process.push((key, observer));
    PROCESS_COUNT.store(process.len(), Ordering::Release);
    Observing { key }
}

/// The guard of an observer that [`observe`] added. When the guard is dropped, the observer is
/// removed.
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

/// The observers of one resolver or one set of pools. They are notified together with the observers
/// of the process.
#[derive(Clone, Default)]
pub struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    /// Adds an observer.
    pub fn push(&mut self, observer: Arc<dyn Observer>) {
        self.0.push(observer);
    }

    /// Returns whether there is any observer, also of the process. Call it before collecting facts
    /// for an event, if that is expensive.
    #[inline]
    pub fn is_observed(&self) -> bool {
        !self.0.is_empty() || PROCESS_COUNT.load(Ordering::Relaxed) > 0
    }

    /// Notifies these observers, and then those of the process.
    pub fn emit(&self, event: &Event<'_>) {
        for observer in &self.0 {
            notify(&**observer, event);
        }
        emit(event);
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observers({})", self.0.len())
    }
}

/// Notifies the observers of the process, which were added with [`observe`]. Drivers and adapters
/// call it.
pub fn emit(event: &Event<'_>) {
    if PROCESS_COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let observers: Vec<_> = PROCESS.read().iter().map(|(_, o)| o.clone()).collect();
    for observer in observers {
        notify(&*observer, event);
    }
}

fn notify(observer: &dyn Observer, event: &Event<'_>) {
    // Destructors emit events, and there a panic of an observer could abort the process.
    let _ = catch_unwind(AssertUnwindSafe(|| observer.observe(event)));
}
