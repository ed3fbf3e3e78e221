//! The operations on one tenant's database, with a file for each kind. They are methods of `Store`,
//! but `store.rs` itself defines only getters and refers to no operation.
//!
//! Decisions and their reasons: `docs/design/file-life.md`.

pub(crate) mod admit;
pub(crate) mod checkpoint;
pub(crate) mod cutover;
pub(crate) mod life;
pub(crate) mod maintenance;
pub(crate) mod migrate;
pub(crate) mod open;
pub(crate) mod provision;
pub(crate) mod seed;
pub(crate) mod snapshot;
