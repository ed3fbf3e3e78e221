//! The framework-free core of multi-tenancy: it finds the tenant of a request, and the tenant that
//! code runs for.
//!
//! - A [`Resolver`] finds the tenant of a request by its host, path or headers.
//! - A [`Classifier`] finds the class of a path, and whether a tenant or the central application
//!   serves it.
//! - A [`Scope`] makes a tenant current while a piece of code runs. An [`Attached`] future has a
//!   current tenant during each poll.
//!
//! The crate does no I/O, needs no async runtime, has no unsafe code, and uses no type of a web
//! framework.
//!
//! ```
//! use std::sync::Arc;
//! use tenancy_core::{
//!     Actor, CatalogWriter, MemoryCatalog, Method, Name, NewTenant, Proof, Reason, RequestHead,
//!     Resolution, Resolver, Rule, RuleKind, Tenant,
//! };
//!
//! // The catalog lists the tenants. Embedders implement `Catalog` for theirs.
//! let catalog = Arc::new(MemoryCatalog::new());
//! catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
//! let shop = Name::Domain("shop.example".parse()?);
//! catalog.bind(&shop, &"acme".parse()?, Proof::Trusted, &Actor::new("docs"))?;
//!
//! let resolver = Resolver::builder(catalog)
//!     .rule(Rule::domain())
//!     .rule(Rule::subdomain_of("app.test"))
//!     .central_domain("app.test")
//!     .build()?;
//!
//! // Which tenant is this request for, and which path does the application see?
//! let head = RequestHead::new(Method::Get, "/orders//9?page=2").host("shop.example:443");
//! let resolved = resolver.resolve(&head)?;
//! assert_eq!((resolved.rule, &*resolved.path), (Some(RuleKind::Domain), "/orders/9"));
//!
//! // Its handler runs in a scope of the tenant: a future in `tenant.attach(…)`, other code so:
//! if let Resolution::Tenant(tenant) = resolved.resolution {
//!     let scope = tenant.enter()?;
//!     assert_eq!(Tenant::current(), Some(tenant));
//!     drop(scope);
//! }
//! assert_eq!(Tenant::current(), None);
//!
//! // A host without a tenant is refused, never served by the central application.
//! let stranger = RequestHead::new(Method::Get, "/").host("evil.example");
//! assert_eq!(resolver.resolve(&stranger).unwrap_err().reason(), Reason::NoTenant);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! - `idn` (default): domains in Unicode, and checks of A-labels. Without this feature a domain
//!   must be ASCII, and the crate has 25 dependencies fewer.
//! - `serde`: serialization of ids, domains, versions, statuses and other small values.
//! - `tracing`: `TracingObserver`, which writes events to `tracing`.

#![deny(missing_docs, unnameable_types, clippy::missing_errors_doc)]

mod catalog;
mod classify;
mod clock;
mod domain;
mod event;
mod host;
mod id;
mod index;
mod key;
mod maintenance;
mod path;
mod provision;
mod request;
mod resolver;
pub mod scope;
#[cfg(feature = "serde")]
mod serde;
mod suffixes;
mod sync;
mod tenant;
mod text;
#[cfg(feature = "tracing")]
mod tracing;

pub use catalog::{
    Actor, Binding, CLAIM_TTL, Catalog, CatalogError, CatalogWriter, Change, Changes, FromWarmPool,
    MemoryCatalog, Name, NewTenant, Proof, TenantChange, TenantKey, Versioned, WriteError,
};
pub use classify::{
    Classified, Classifier, ClassifierBuilder, InvalidRule, Method, PathClass, Preset, RouteMode,
    UnknownPathClass, UnknownRouteMode,
};
pub use clock::Clock;
pub use domain::{Challenge, Domain, InvalidDomain};
pub use event::{Event, Observer, Observers, Observing, emit, observe};
pub use host::{BadHost, HostProblem};
pub use id::{Epoch, InvalidTenantId, InvalidTenantRef, TenantId, TenantRef, Version};
pub use maintenance::{Maintenance, Secret};
pub use path::{BadPath, NormalPath, Target};
pub use provision::{Migrated, ProvisionError, Provisioned, Provisioner, SchemaTarget};
pub use request::{Headers, RequestHead};
pub use resolver::{
    Explanation, InvalidResolver, Reason, Refusal, Resolution, ResolveError, Resolved, Resolver,
    ResolverBuilder, Rule, RuleKind, Step,
};
pub use scope::{Attached, OtherTenant, Scope};
pub use suffixes::{InvalidSuffixList, IsPublicSuffix, PublicSuffixes};
pub use tenant::{
    Attributes, Placement, Tenant, TenantBuilder, TenantStatus, TooManyAttributes, UnknownStatus,
};
pub use text::Excerpt;
#[cfg(feature = "tracing")]
pub use tracing::TracingObserver;
