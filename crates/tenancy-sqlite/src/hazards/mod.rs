//! The mishaps with SQLite files that the library guards against: each test reproduces one and
//! finds that its guard holds. That a test sees the damage without the guard is shown by the
//! mutants in `tests/mutants/`, each of which removes one guard.

mod files;
mod migrating;
