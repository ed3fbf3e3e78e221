//! The pools from outside.

mod basic;
mod util;
