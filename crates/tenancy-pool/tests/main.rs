//! The pools from outside. What is promised, what proves it and what breaks it stands in
//! `proofs.rs`.
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
