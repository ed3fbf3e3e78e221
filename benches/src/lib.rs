//! Shared by the benchmarks: the tenants, the requests, the rules and the rivals.

pub mod feed;
pub mod mix;
pub mod paths;
pub mod pools;
pub mod race;
pub mod rivals;
pub mod rng;
pub mod rules;
pub mod tasks;
pub mod world;
pub mod writes;

/// Whether criterion only looks that every benchmark runs (`--test`): then sizes are small.
pub fn is_test() -> bool {
    std::env::args().any(|arg| arg == "--test")
}

/// `full`, or `small` in `--test` mode.
pub fn size(full: usize, small: usize) -> usize {
    match is_test() {
        true => small,
        false => full,
    }
}
