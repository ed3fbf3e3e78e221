//! Bounded pools of connections, one per tenant, with one strict bound for all tenants together.
//! The connections come from any `r2d2` manager.
//!
//! Decisions and their reasons: `docs/design/pool.md` in the repository.
//!
//! - A [`Driver`] connects to a tenant's database. It returns an r2d2 manager for each tenant.
//! - [`TenantPools`], built by a [`Builder`], checks out connections. A [`TenantPool`] is a handle
//!   to the pool of one tenant.
//! - A [`Checkout`] is a connection in use. A [`Seat`] is the right to open a connection; async code
//!   waits for it without blocking a thread.
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
//! drop(words); // returned to the pool, where it stays open for the next check-out
//! assert_eq!(pools.stats().idle, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every check-out names its tenant; there is no default tenant:
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
//! The crate starts no threads for its regular work. The application calls [`TenantPools::reap`] every
//! few seconds, which closes expired connections and runs maintenance. One thread for time-outs is
//! started when async code first waits for a seat, and one may be started to close the connections
//! when async code drops the last handle to the pools.

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
