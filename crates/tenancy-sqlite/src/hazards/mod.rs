//! Tests of the hazards of SQLite files against which this library guards. Each test reproduces one
//! hazard, and checks that the guard prevents the damage. Each mutant in `tests/mutants/` removes
//! one guard, and so proves that the test detects the damage without it.

mod files;
mod migrating;
