//! Embeddable multi-tenancy: finds the tenant of a request, makes this tenant current, and checks
//! out connections to the tenant's own database, never to another tenant's.
//!
//! Decisions and their reasons: `docs/architecture.md` and `docs/design/facade.md` in the repository.
//!
//! ```
//! use tenancy::{Method, RequestHead, Rule};
//! use tenancy::sqlite::{Migration, Migrations, SqliteStorage};
//! use tenancy::{Tenancy, TenantId};
//!
//! let root = tempfile::tempdir()?;
//! let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT");
//! // `create` is called once for a storage root; later starts call `open`.
//! let storage =
//!     SqliteStorage::builder(root.path()).migrations(Migrations::new([notes])?).create()?;
//! let tenancy = Tenancy::builder(storage)
//!     .resolver(|r| r.rule(Rule::subdomain_of("app.test")).central_domain("app.test"))
//!     .build()?;
//!
//! // A tenant is a row in the catalog and a database of its own.
//! tenancy.create("acme".parse::<TenantId>()?)?;
//!
//! // The host of a request names its tenant.
//! let head = RequestHead::new(Method::from("POST"), "/notes?draft=1").host("acme.app.test:8080");
//! let resolved = tenancy.resolve(&head)?;
//! assert_eq!(resolved.path, "/notes");
//!
//! // While a tenant is current, all connections go to its database, and entering another tenant
//! // is an error.
//! let acme = resolved.tenant().expect("the host is acme's");
//! let scope = acme.enter()?;
//! let connection = tenancy.checkout_current()?;
//! connection.execute("INSERT INTO notes VALUES ('hello')", [])?;
//! drop((connection, scope));
//! assert!(tenancy.checkout_current().is_err(), "no tenant is current");
//!
//! // After `suspend` returns, requests for the tenant are refused.
//! tenancy.suspend(acme.id())?;
//! assert_eq!(tenancy.resolve(&head).unwrap_err().status(), 403);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate is a facade over crates that can also be used alone: `tenancy-core` has the resolver
//! and the scopes, `tenancy-pool` the pools over any r2d2 manager, `tenancy-fleet` the operations
//! on many tenants, `tenancy-sqlite` the storage with one file per tenant. The modules here
//! re-export their public names.

mod answers;
mod builder;
pub mod config;
mod create;
mod end;
mod error;
mod life;
mod names;
mod spec;
#[cfg(feature = "sqlite")]
mod storage;
mod tenancy;
mod upkeep;

pub use builder::TenancyBuilder;
pub use config::Config;
pub use error::Error;
pub use spec::TenantSpec;
pub use tenancy::Tenancy;
pub use upkeep::Upkeep;

pub use tenancy_core::{
    Method, RequestHead, Resolution, Resolved, Rule, Scope, Tenant, TenantId, TenantStatus,
};

/// The resolver, which finds the tenant of a request, and the classifier of paths.
pub mod resolve {
    pub use tenancy_core::{
        BadHost, BadPath, Classified, Classifier, ClassifierBuilder, Clock, Excerpt, Explanation,
        Headers, HostProblem, InvalidResolver, InvalidRule, NormalPath, PathClass, Preset, Reason,
        Refusal, ResolveError, Resolver, ResolverBuilder, RouteMode, RuleKind, Step, Target,
        UnknownPathClass, UnknownRouteMode,
    };
}

/// Scopes: the stretches of code, and the futures, in which a tenant is current.
pub mod scope {
    pub use tenancy_core::scope::*;
}

/// The catalog of all tenants: its rows, its traits, and the driver trait that provisions
/// databases.
pub mod catalog {
    pub use crate::error::Miscounted;
    pub use tenancy_core::{
        Actor, Attributes, Binding, CLAIM_TTL, Catalog, CatalogError, CatalogWriter, Challenge,
        Change, Changes, Domain, Epoch, FromWarmPool, InvalidDomain, InvalidSuffixList,
        InvalidTenantId, InvalidTenantRef, IsPublicSuffix, Maintenance, MemoryCatalog, Migrated,
        Name, NewTenant, Placement, Proof, ProvisionError, Provisioned, Provisioner,
        PublicSuffixes, SchemaTarget, Secret, TenantBuilder, TenantChange, TenantKey, TenantRef,
        TooManyAttributes, UnknownStatus, Version, Versioned, WriteError,
    };
}

/// Events and the observers that receive them.
pub mod event {
    #[cfg(feature = "tracing")]
    pub use tenancy_core::TracingObserver;
    pub use tenancy_core::{Event, Observer, Observers, Observing, emit, observe};
}

/// Bounded pools of connections per tenant.
pub mod pool {
    pub use tenancy_pool::{
        Access, Activity, Builder, Checkout, CheckoutError, CheckoutStep, CloseAllError,
        CloseError, Connection, Counters, Driver, DriverError, Eviction, Holder, Holders,
        InvalidPools, Label, PoolStats, PreviousFailure, Seat, SeatFuture, TenantPool, TenantPools,
        TenantStats,
    };
}

/// The storage with one SQLite file per tenant.
#[cfg(feature = "sqlite")]
pub mod sqlite {
    pub use tenancy_sqlite::{
        AuditEvent, Behind, BrokenChain, Check, Checkpointed, Deadline, DenyRule, Depth,
        Durability, FileError, FileSystems, Finding, Fixed, Hardening, InvalidWarmPool, IoError,
        MigrateError, Migration, Migrations, MigrationsError, OpenError, Problem, RebuildError,
        Rebuilt, Recovered, Refusal, Repair, RepairError, RunLease, SeedError, Seeds, SeedsError,
        SnapshotFile, SqliteCatalog, SqliteConnection, SqliteDriver, SqliteFleet, SqliteManager,
        SqliteStorage, SqliteStorageBuilder, StorageError, TrashedFile, Vacuumed, ValidateOptions,
        Validation, WarmPool,
    };
}

/// Operations on many tenants: migrate, roll back, seed.
pub mod fleet {
    pub use tenancy_fleet::{
        Cutover, Fleet, FleetDriver, FleetError, FleetOptions, FleetReport, InvalidJobs, Jobs,
        Keep, KnownSchema, LeaseError, MigrationPlan, NewRun, PastRun, PastTask, PlannedMigration,
        PlannedRollback, Progress, RollbackPlan, RollbackRefusal, RollbackTo, Run, RunEnd,
        RunHolder, RunJournal, RunOutcome, SchemaCounts, SchemaStatus, SchemaStep, Seeded,
        Selection, Skipped, Snapshot, Stop, Task, TaskFailure, TaskState, TenantDone, TenantError,
        TenantFailed, TenantSkipped, Unfinished,
    };
}

/// The README's example, compiled and run.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
