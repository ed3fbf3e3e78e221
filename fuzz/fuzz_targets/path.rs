//! Paths; see `tenancy_fuzz::path`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tenancy_fuzz::path::check(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tenancy_fuzz::replay("path", tenancy_fuzz::path::check)
}
