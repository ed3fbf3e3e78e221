//! [`FleetOptions`]: the tenants of a run, its number of workers, and its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use tenancy_core::{Actor, TenantId};

/// The default number of workers: they wait for fsyncs, not for a core, and two threads already
/// were 2.5–6.6 times as fast as one.
const JOBS: usize = 8;

/// The options of a run: its tenants, its number of workers, and when it stops.
///
/// ```
/// use tenancy_fleet::FleetOptions;
/// let options = FleetOptions::new()
///     .skip(["big".parse()?])
///     .canary(5)          // these alone first; the others only if all of them succeed
///     .max_failures(10);  // stops when more have failed
/// # let _ = options;
/// # Ok::<(), tenancy_core::InvalidTenantId>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "pass it to a `Fleet`"]
pub struct FleetOptions {
    pub(crate) only: Option<Vec<TenantId>>,
    pub(crate) skip: Vec<TenantId>,
    pub(crate) jobs: usize,
    pub(crate) max_failures: usize,
    pub(crate) canary: usize,
    pub(crate) stop: Stop,
    pub(crate) by: Actor,
    pub(crate) trust: Trust,
    pub(crate) keeps_snapshots: bool,
    pub(crate) restores_snapshots: bool,
}

/// The source of schema versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Journal,
    Databases,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl FleetOptions {
    /// Returns the defaults: all tenants, eight at a time, until the first failure.
    pub fn new() -> Self {
        Self {
            only: None,
            skip: Vec::new(),
            jobs: JOBS,
            max_failures: 0,
            canary: 0,
            stop: Stop::new(),
            by: Actor::new("fleet"),
            trust: Trust::Journal,
            keeps_snapshots: true,
            restores_snapshots: false,
        }
    }

    /// Adds tenants to work on, and no others; defaults to all. The schema versions of their
    /// databases are read even if the journal says that nothing is to be done.
    pub fn only(mut self, ids: impl IntoIterator<Item = TenantId>) -> Self {
        self.only.get_or_insert_default().extend(ids);
        self
    }

    /// Adds tenants to skip; defaults to none. An id without a tenant is an error, as in
    /// [`only`](Self::only): a typing error would work on the tenant that was to be spared.
    pub fn skip(mut self, ids: impl IntoIterator<Item = TenantId>) -> Self {
        self.skip.extend(ids);
        self
    }

    /// Sets the number of tenants that are worked on at a time, 1 to 256; another number is an
    /// error of the run. Defaults to 8, as workers wait for fsyncs, not for a core.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Sets the number of tenants that may fail before the run stops. Defaults to 0: it stops
    /// at the first failure, as the cause may be the same for all. Tenants that are being worked
    /// on are finished.
    pub fn max_failures(mut self, failures: usize) -> Self {
        self.max_failures = failures;
        self
    }

    /// Never stops for failures; they are reported.
    pub fn keep_going(self) -> Self {
        self.max_failures(usize::MAX)
    }

    /// Works on the first `tenants` by id alone, and on the others only if all of these
    /// succeeded. Defaults to 0; a number beyond all tenants is all of them.
    pub fn canary(mut self, tenants: usize) -> Self {
        self.canary = tenants;
        self
    }

    /// Stops between tenants when `stop` is requested, for a signal handler. Defaults to never.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Sets the actor for the audit trail; defaults to `fleet`.
    pub fn by(mut self, actor: Actor) -> Self {
        self.by = actor;
        self
    }

    /// Reads the schema version of every database; by default the journal is trusted. For
    /// databases that were put in place by hand.
    pub fn read_schemas(mut self) -> Self {
        self.trust = Trust::Databases;
        self
    }

    /// Keeps no snapshots. By default a migration keeps one of a database before a step that no
    /// script undoes, and a rollback keeps one of each database.
    pub fn without_snapshots(mut self) -> Self {
        self.keeps_snapshots = false;
        self
    }

    /// Lets a rollback restore a snapshot where a step has no script that undoes it; by default
    /// such a tenant fails. **Writes since that snapshot are lost** to the tenant.
    pub fn restore_snapshots(mut self) -> Self {
        self.restores_snapshots = true;
        self
    }
}

impl FleetOptions {
    /// Returns the selection of tenants in words: the same words for the same tenants, and for
    /// no others.
    pub(crate) fn names(&self) -> String {
        let Some(only) = &self.only else {
            return "all".to_owned();
        };
        let mut ids: Vec<_> = only.iter().map(TenantId::as_str).collect();
        ids.sort_unstable();
        ids.dedup();
        if let [id] = ids[..] {
            return id.to_owned();
        }
        let sum = Sha256::digest(ids.join(" ").as_bytes());
        let sum: String = sum[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} tenants {sum}", ids.len())
    }
}

/// A request to a run to stop between two tenants. Work that was begun is finished and reported.
/// A clone is another handle of the same request.
///
/// ```
/// use tenancy_fleet::Stop;
/// let stop = Stop::new();
/// let for_the_signal_handler = stop.clone();
/// for_the_signal_handler.request();
/// assert!(stop.is_requested());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Returns a handle without a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the stop. It only sets a flag, so a signal handler may call it.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
