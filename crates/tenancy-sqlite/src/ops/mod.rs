//! The operations on one tenant's database, one per file.

pub(crate) mod cutover;
pub(crate) mod life;
pub(crate) mod maintenance;
pub(crate) mod migrate;
pub(crate) mod provision;
pub(crate) mod snapshot;
