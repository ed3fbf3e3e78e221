//! [`FleetOptions`]: the tenants of a run, its number of workers, and its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use tenancy_core::{Actor, TenantId};

/// The default number of workers. It exceeds the number of cores, as workers mostly wait for
/// fsyncs: two threads were 2.5–6.6 times as fast as one.
const JOBS: usize = 8;

/// The options of a run: its tenants, its number of workers, and its bounds.
///
/// ```
/// use tenancy_fleet::FleetOptions;
/// let options = FleetOptions::new()
///     .skip(["big".parse()?])
///     .canary(5)          // the first five, then the others if these have succeeded
///     .max_failures(10);  // stops after the eleventh failure
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
    /// Returns the default options: all tenants, eight at a time, and a stop at the first failure.
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

    /// Adds tenants to the list of those to work on. Without a list, a run works on all tenants. The
    /// schema versions of listed tenants are read from their databases, even if the journal knows
    /// that they need no work.
    pub fn only(mut self, ids: impl IntoIterator<Item = TenantId>) -> Self {
        self.only.get_or_insert_default().extend(ids);
        self
    }

    /// Adds tenants to skip. Defaults to none. The run returns an error if an id has no tenant, so
    /// that a mistyped id does not let it work on a tenant to skip.
    pub fn skip(mut self, ids: impl IntoIterator<Item = TenantId>) -> Self {
        self.skip.extend(ids);
        self
    }

    /// Sets the number of tenants that are processed at the same time, 1 to 256. With another
    /// number, the run returns an error. Defaults to 8, as workers mostly wait for fsyncs, not for a
    /// core.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Sets the number of failed tenants beyond which the run stops. Defaults to 0: the first failure
    /// stops the run, as others may have the same cause. Tenants that are begun are finished.
    pub fn max_failures(mut self, failures: usize) -> Self {
        self.max_failures = failures;
        self
    }

    /// Never stops the run for failures, only reports them.
    pub fn keep_going(self) -> Self {
        self.max_failures(usize::MAX)
    }

    /// Sets the number of tenants, the first ones by id, that the run works on before all others. If
    /// one of them fails, the run ends without work on the others. Defaults to 0, no canary.
    pub fn canary(mut self, tenants: usize) -> Self {
        self.canary = tenants;
        self
    }

    /// Sets the handle by which a signal handler requests the run to stop. The run then finishes the
    /// tenants that are begun. Defaults to no handle.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Sets the actor for the audit trail. Defaults to `fleet`.
    pub fn by(mut self, actor: Actor) -> Self {
        self.by = actor;
        self
    }

    /// Reads the schema version of every tenant from its database. By default the version in the
    /// journal is trusted. Needed after an operator has replaced databases by hand.
    pub fn read_schemas(mut self) -> Self {
        self.trust = Trust::Databases;
        self
    }

    /// Takes no snapshots. By default a migration takes a snapshot of a database before a step
    /// without a down script, and a rollback takes a snapshot of each database.
    pub fn without_snapshots(mut self) -> Self {
        self.keeps_snapshots = false;
        self
    }

    /// Lets a rollback restore a snapshot of a tenant if a step has no down script. **All writes of
    /// the tenant after that snapshot are lost.** By default such a tenant fails.
    pub fn restore_snapshots(mut self) -> Self {
        self.restores_snapshots = true;
        self
    }
}

impl FleetOptions {
    /// Returns the selection of tenants as text. Equal selections have equal texts.
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

/// A handle to request a run to stop. The run finishes the tenants that are begun, and returns its
/// report. Clones are handles of the same request.
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

    /// Requests the stop. Only sets a flag, so that a signal handler can call it.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
