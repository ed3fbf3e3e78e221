//! Tests of the public interface. `proofs.rs` lists the invariants with their tests and their
//! mutants.
#![cfg(not(shuttle))]

mod admin;
mod basic;
mod deadline;
mod events;
mod evict;
mod failures;
mod hooks;
mod idle_maintenance;
mod managers;
mod model;
mod order;
mod peers;
mod proofs;
mod read_only;
mod seats;
mod slots;
mod stress;
mod texts;
mod util;
