//! Hosts; see `tenancy_fuzz::host`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tenancy_fuzz::host::check(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tenancy_fuzz::replay("host", tenancy_fuzz::host::check)
}
