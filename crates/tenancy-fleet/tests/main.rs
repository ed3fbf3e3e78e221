//! The engine over a catalog in memory and a driver whose databases are names in a set: no file,
//! no SQL, no server.

#![allow(clippy::unwrap_used, missing_docs)]

mod catalog;
mod crash;
mod jobs;
mod journal;
mod model;
mod names;
mod rollbacks;
mod runs;
mod steps;
mod world;
