//! What the driver and the catalog promise, on real files.

#![allow(clippy::unwrap_used, missing_docs)]

mod catalog;
mod open;
mod provision;
mod util;
