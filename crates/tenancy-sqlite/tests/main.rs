//! What the driver and the catalog promise, on real files.

#![allow(clippy::unwrap_used, missing_docs)]

mod bounds;
mod catalog;
mod catalog_file;
mod child;
#[path = "../../tenancy-core/tests/catalog/conformance.rs"]
mod conformance;
mod crash;
mod disk;
mod escapes;
mod fleet;
mod fleet_crash;
mod harden;
mod idle_maintenance;
mod leftovers;
mod lending;
mod migrate;
mod model;
mod open;
mod options;
mod options_traced;
mod owners;
mod planted;
mod pool;
mod provision;
mod quota;
mod read_only;
mod rebuild;
mod recover;
mod retire;
mod rollback;
mod seeds;
mod staging;
mod strangers;
mod turn;
mod undo;
mod upgrade;
mod util;
mod validate;
mod wal_bound;
mod warm_pool;
mod warm_pool_crash;
mod warm_pool_releases;
