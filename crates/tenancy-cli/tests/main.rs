//! The command line, driven as people and scripts drive it: through the binary.

mod access;
mod cases;
mod demo;
mod domains;
mod journal;
mod life;
mod migrate;
mod readme;
mod removal;
mod resolve;
mod rollback;
mod root;
mod seed;
mod sql;
mod terminal;
mod undo;
mod usage;
mod util;
mod validate;
