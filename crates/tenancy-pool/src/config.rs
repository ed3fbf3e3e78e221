//! [`Config`]: the checked configuration of the pools.

use std::time::Duration;

use tenancy_core::{Clock, Observers, Tenant};

use crate::sched::Limits;

/// A function from a tenant to the bound of its connections.
pub(crate) type MaxPerTenant = Box<dyn Fn(&Tenant) -> u32 + Send + Sync>;

/// The durations that the pools work with outside the scheduler.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) checkout_timeout: Duration,
    pub(crate) long_wait: Duration,
    pub(crate) leak_after: Duration,
}

/// A configuration that was checked.
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) max_per_tenant: u32,
    pub(crate) max_opening: u32,
    pub(crate) timing: Timing,
    pub(crate) max_per_tenant_by: Option<MaxPerTenant>,
    pub(crate) observers: Observers,
    pub(crate) clock: Clock,
}
