//! Bounded connections, few per tenant, under one bound for all.

mod driver;

pub use driver::{Connection, Descriptors, Driver, DriverError};
