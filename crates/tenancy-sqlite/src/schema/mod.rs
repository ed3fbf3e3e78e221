//! The schema of a tenant's database: migrations, seeds, template, stamp, drift.

pub(crate) mod drift;
pub(crate) mod migrate;
pub(crate) mod seeds;
pub(crate) mod stamp;
pub(crate) mod template;
