//! The operations on one tenant's database, one per file. They are methods of `Store`, which has no
//! other methods but its own getters: a file of operations reads and moves as a whole, and `store.rs`
//! names none of them.
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
