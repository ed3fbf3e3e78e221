//! A bounded pool of connections per tenant, under one strict bound for all tenants, over any
//! `r2d2` manager.
//!
//! Decisions and their reasons: `docs/design/pool.md` in the repository.
//!
//! - A [`Driver`] connects to a tenant's database; any r2d2 manager makes one.
//! - [`TenantPools`], built by a [`Builder`], checks connections out; a [`TenantPool`] is a handle
//!   to the pool of one tenant.
//! - A [`Checkout`] is a connection in use. A [`Seat`] is the right to open one, which async code
//!   waits for without a thread.
//! - A [`CheckoutError`] names the tenant, the fact and the remedy.
//!
//! ```
//! use tenancy_core::Tenant;
//! use tenancy_pool::{Driver, TenantPools};
//!
//! /// A driver whose connections are lists of words in memory.
//! struct Memory;
//! struct Words;
//!
//! impl r2d2::ManageConnection for Words {
//!     type Connection = Vec<String>;
//!     type Error = std::io::Error;
//!     fn connect(&self) -> Result<Vec<String>, std::io::Error> {
//!         Ok(Vec::new())
//!     }
//!     fn is_valid(&self, _: &mut Vec<String>) -> Result<(), std::io::Error> {
//!         Ok(())
//!     }
//!     fn has_broken(&self, _: &mut Vec<String>) -> bool {
//!         false
//!     }
//! }
//!
//! impl Driver for Memory {
//!     type Manager = Words;
//!     fn manager(&self, _: &Tenant) -> Words {
//!         Words
//!     }
//! }
//!
//! let pools = TenantPools::<Memory>::builder().max_connections(64).build(Memory)?;
//! let acme = Tenant::builder("acme".parse()?).build()?;
//! let mut words = pools.checkout(&acme)?;
//! words.push("hello".into());
//! drop(words); // comes back, and stays open for the next check-out
//! assert_eq!(pools.stats().idle, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every check-out names its tenant, so no statement runs in another tenant's database by default:
//!
//! ```
//! # use tenancy_pool::{Checkout, Driver, TenantPools};
//! # fn check_out<D: Driver>(pools: TenantPools<D>, acme: &tenancy_core::Tenant) {
//! let connection = pools.checkout(acme);
//! # }
//! ```
//!
//! ```compile_fail,E0061
//! # use tenancy_pool::{Checkout, Driver, TenantPools};
//! # fn check_out<D: Driver>(pools: TenantPools<D>, acme: &tenancy_core::Tenant) {
//! let connection = pools.checkout();
//! # }
//! ```
//!
//! The crate starts no thread, except one that keeps deadlines once async code waits for a seat.
//! Expiry and maintenance are due at [`TenantPools::reap`], which the application calls every few
//! seconds.

#![deny(missing_docs)]

mod builder;
mod checkout;
mod clock;
mod closing;
mod config;
mod deadline;
mod driver;
mod error;
mod gate;
mod handle;
mod holders;
mod label;
mod live;
mod mailbox;
mod opening;
mod pools;
mod reap;
mod request;
mod sched;
mod seat;
mod seat_future;
mod shared;
#[cfg(all(test, shuttle))]
mod shuttled;
mod slot_index;
mod stats;
mod sync;
mod timer;

pub use builder::{Builder, InvalidPools};
pub use checkout::Checkout;
pub use driver::{Access, Connection, Driver, DriverError, Eviction};
pub use error::{CheckoutError, CheckoutStep, CloseAllError, CloseError, PreviousFailure};
pub use handle::TenantPool;
pub use holders::{Activity, Holder, Holders};
pub use label::Label;
pub use pools::TenantPools;
pub use seat::Seat;
pub use seat_future::SeatFuture;
pub use stats::{Counters, PoolStats, TenantStats};
