//! tenancy-pool
