//! The promises of tenancy-core, a module per subject.
#![allow(clippy::unwrap_used)]

mod adapter;
mod agreement;
#[cfg(not(feature = "idn"))]
mod ascii_domains;
mod async_scopes;
mod attach;
mod autotraits;
mod build;
mod case;
mod cases;
mod catalog;
mod classify;
mod corpora;
mod differential;
#[cfg(feature = "idn")]
mod domain;
mod doors;
mod errors;
mod explain;
mod freshness;
mod generate;
mod hosts;
mod ids;
mod path;
mod reference;
mod scope;
mod shrink;
mod util;
