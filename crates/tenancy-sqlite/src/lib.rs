//! tenancy-sqlite
