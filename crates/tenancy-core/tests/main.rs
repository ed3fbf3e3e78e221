//! The promises of tenancy-core, a module per subject.
#![allow(clippy::unwrap_used)]

mod attach;
mod autotraits;
mod catalog;
mod classify;
mod freshness;
mod ids;
mod path;
mod scope;
mod util;
