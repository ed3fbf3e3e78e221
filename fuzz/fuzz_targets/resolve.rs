//! Whole requests; see `tenancy_fuzz::resolve`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tenancy_fuzz::resolve::check(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tenancy_fuzz::replay("resolve", tenancy_fuzz::resolve::check)
}
