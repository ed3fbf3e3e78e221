//! Embeddable multi-tenancy: find the tenant of a request, make it current, hand out
//! connections to its database, and never to another's.
//!
//! ```
//! use tenancy::{Method, Migration, Migrations, RequestHead, Rule, SqliteStorage};
//! use tenancy::{Tenancy, TenantId};
//!
//! let root = tempfile::tempdir()?;
//! let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT");
//! // Once; from then on `open` in the place of `create`.
//! let storage =
//!     SqliteStorage::builder(root.path()).migrations(Migrations::new([notes])?).create()?;
//! let tenancy = Tenancy::builder(storage)
//!     .resolver(|r| r.rule(Rule::subdomain_of("app.test")).central_domain("app.test"))
//!     .build()?;
//!
//! // A tenant is a row in the catalog and a database of its own.
//! tenancy.create("acme".parse::<TenantId>()?)?;
//!
//! // A request says by its host whose it is. An asset would be nobody's: it is skipped.
//! let head = RequestHead::new(Method::from("POST"), "/notes?draft=1").host("acme.app.test:8080");
//! let resolved = tenancy.resolve(&head)?;
//! assert_eq!(resolved.path, "/notes");
//!
//! // While its tenant is current, connections are its own and no other can be entered.
//! let acme = resolved.tenant().expect("the host is acme's");
//! let scope = acme.enter()?;
//! let connection = tenancy.checkout_current()?;
//! connection.execute("INSERT INTO notes VALUES ('hello')", [])?;
//! drop((connection, scope));
//! assert!(tenancy.checkout_current().is_err(), "nobody is current");
//!
//! // A suspended tenant is refused by the very next request.
//! tenancy.suspend(acme.id())?;
//! assert_eq!(tenancy.resolve(&head).unwrap_err().status(), 403);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The parts can be used without this crate that ties them: `tenancy-core` resolves
//! and scopes, `tenancy-pool` hands out connections of any r2d2 manager,
//! `tenancy-sqlite` keeps a file for each tenant. What users need of them is here.

mod answers;
mod builder;
mod config;
mod create;
mod end;
mod error;
mod life;
mod names;
mod spec;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tenancy;
mod upkeep;

pub use answers::Miscounted;
pub use builder::TenancyBuilder;
pub use config::{
    Config, ConfigError, PathRule, PoolConfig, ResolveConfig, RetentionConfig, StorageConfig,
};
pub use error::Error;
pub use spec::TenantSpec;
pub use tenancy::Tenancy;
pub use upkeep::Upkeep;

pub use tenancy_core::*;
pub use tenancy_pool::{
    Access, Activity, Builder as PoolsBuilder, Checkout, CheckoutError, CheckoutStep,
    CloseAllError, CloseError, Connection, Counters, Descriptors, Driver, DriverError, Eviction,
    Holder, Holders, InvalidPools, Label, PoolStats, PreviousFailure, Seat, SeatFuture, TenantPool,
    TenantPools, TenantStats,
};
#[cfg(feature = "sqlite")]
pub use tenancy_sqlite::{
    AuditEvent, Back, Behind, BrokenChain, Check, Depth, Durability, FileError, FileSystems,
    Finding, Fixed, Fleet, FleetError, FleetOptions, FleetReport, Hardening, InvalidJobs,
    InvalidStock, IoError, KeptCopy, LeftOut, MigrateError, Migration, Migrations, MigrationsError,
    NotUndone, OpenError, Plan, Planned, PlannedBack, Problem, Progress, RebuildError, Rebuilt,
    Recovered, Refusal, Repair, RepairError, RollbackPlan, Run, RunEnd, RunHolder, SchemaCounts,
    SchemaStatus, SeedError, Seeds, SeedsError, Snapshot, SqliteCatalog, SqliteConnection,
    SqliteDriver, SqliteManager, SqliteStorage, SqliteStorageBuilder, Stock, Stop, StorageError,
    TaskFailure, TenantDone, TenantFailed, TenantLeftOut, TrashedFile, Vacuumed, ValidateOptions,
    Validated, Validation,
};

/// The README's example, compiled and run.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
