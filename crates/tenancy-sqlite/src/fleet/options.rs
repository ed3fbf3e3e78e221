//! [`FleetOptions`]: which tenants, how many at a time, and when to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use tenancy_core::{Actor, TenantId};

use super::Fleet;
use crate::error::{FleetError, InvalidJobs};
use crate::migrate::Keep;
use crate::root::hex;

/// How many tenants are worked on at a time unless said: they wait for the disk, not
/// for a core, and two threads already were 2.5–6.6 times one.
const JOBS: usize = 8;

/// Each has a thread and up to six descriptors: beyond this the usual 1,024 descriptors
/// of a process would not do, and no disk gets faster.
const MAX_JOBS: usize = 256;

/// Within bounds?
pub(super) fn check_jobs(found: usize) -> Result<(), InvalidJobs> {
    match found {
        1..=MAX_JOBS => Ok(()),
        _ => Err(InvalidJobs { found }),
    }
}

/// Which tenants, how many at a time, and when to stop: what all operations of a
/// [`Fleet`] are told.
///
/// ```
/// use tenancy_sqlite::FleetOptions;
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
    pub(super) only: Option<Vec<TenantId>>,
    pub(super) skip: Vec<TenantId>,
    pub(super) jobs: usize,
    pub(super) max_failures: usize,
    pub(super) canary: usize,
    pub(super) stop: Stop,
    pub(super) by: Actor,
    pub(super) trust: Trust,
    pub(super) keep: Keep,
    pub(super) restore: Restore,
}

/// Whether the catalog is believed about the schemas of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Catalog,
    Files,
}

/// Whether a rollback may put a copy in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restore {
    Never,
    Copies,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl FleetOptions {
    /// All tenants, eight at a time, until the first failure.
    pub fn new() -> Self {
        Self {
            only: None,
            skip: Vec::new(),
            jobs: JOBS,
            max_failures: 0,
            canary: 0,
            stop: Stop::new(),
            by: Actor::new("fleet"),
            trust: Trust::Catalog,
            keep: Keep::Copies,
            restore: Restore::Never,
        }
    }

    /// These tenants and no others; all unless said. Their files are looked into even
    /// if the catalog says that nothing is to be done.
    pub fn only(mut self, ids: impl IntoIterator<Item = TenantId>) -> Self {
        self.only.get_or_insert_default().extend(ids);
        self
    }

    /// Not these tenants; all are worked on unless said. An id that nobody has is an
    /// error, as in [`only`](Self::only): a slip of the pen would work on the tenant that
    /// was to be spared.
    pub fn skip(mut self, ids: impl IntoIterator<Item = TenantId>) -> Self {
        self.skip.extend(ids);
        self
    }

    /// How many tenants are worked on at a time, 1 to 256, else the operation is an
    /// error; 8 unless said: they wait for the disk, not for a core.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// How many tenants may fail before the run stops; 0 unless said: it stops at the
    /// first failure, as what fails for one may fail for all. Tenants that are being
    /// worked on are finished.
    pub fn max_failures(mut self, failures: usize) -> Self {
        self.max_failures = failures;
        self
    }

    /// Goes on whatever fails, and reports it.
    pub fn keep_going(self) -> Self {
        self.max_failures(usize::MAX)
    }

    /// Works on the first `tenants` by id alone; on the others only when all of these
    /// succeeded. 0 unless said; more than there are is all of them.
    pub fn canary(mut self, tenants: usize) -> Self {
        self.canary = tenants;
        self
    }

    /// Stops between tenants when this says so, for a signal handler; never unless said.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Who does it, for the audit trail; `fleet` unless said.
    pub fn by(mut self, actor: Actor) -> Self {
        self.by = actor;
        self
    }

    /// Asks every file for its schema version; unless said the catalog is believed. For
    /// files that were put in place by hand.
    pub fn ask_files(mut self) -> Self {
        self.trust = Trust::Files;
        self
    }

    /// Of [`migrate`](crate::Fleet::migrate): keeps no copy of a file before a step that
    /// has no way back. Unless said, one is kept, and a rollback can return to it.
    pub fn without_copies(mut self) -> Self {
        self.keep = Keep::Nothing;
        self
    }

    /// Of [`rollback`](crate::Fleet::rollback): where a step has no way back, the copy
    /// that was kept before it takes the place of the file. **What was written since
    /// that copy is lost** to the tenant.
    pub fn restore_copies(mut self) -> Self {
        self.restore = Restore::Copies;
        self
    }
}

impl Fleet {
    /// Before anything else is done: are the options within bounds, and is everybody there
    /// who is to be spared?
    pub(super) fn check_options(&self, options: &FleetOptions) -> Result<(), FleetError> {
        check_jobs(options.jobs)?;
        self.named(&options.skip)?;
        Ok(())
    }
}

impl FleetOptions {
    /// Which tenants, in words: the same words for the same tenants, and no others.
    pub(super) fn names(&self) -> String {
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
        format!("{} tenants {}", ids.len(), &hex(&sum)[..12])
    }
}

/// Asks a run to stop between two tenants; what is being done is finished, and the
/// report says what was. Cloning gives another handle of the same.
///
/// ```
/// use tenancy_sqlite::Stop;
/// let stop = Stop::new();
/// let for_the_signal_handler = stop.clone();
/// for_the_signal_handler.now();
/// assert!(stop.is_asked());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Not asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks. It does nothing but set a flag, so a signal handler may call it.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
