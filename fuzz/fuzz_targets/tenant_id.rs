//! Tenant ids and references; see `tenancy_fuzz::tenant_id`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tenancy_fuzz::tenant_id::check(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    tenancy_fuzz::replay("tenant_id", tenancy_fuzz::tenant_id::check)
}
