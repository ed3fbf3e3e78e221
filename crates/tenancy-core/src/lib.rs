//! Which tenant is this request for, and is this code running for it?

mod catalog;
mod classify;
mod domain;
mod event;
mod id;
mod path;
mod provision;
mod scope;
mod tenant;
#[allow(dead_code)]
mod text;

pub use catalog::{
    Actor, Binding, Catalog, CatalogError, CatalogWriter, Change, Changes, MemoryCatalog, Name,
    NewTenant, Proof, TenantChange, TenantKey, Versioned, WriteError,
};
pub use classify::{
    Classified, Classifier, ClassifierBuilder, InvalidRule, Method, PathClass, Preset, RouteMode,
    UnknownPathClass, UnknownRouteMode,
};
pub use domain::{Challenge, Domain, InvalidDomain};
pub use event::{Event, Observer, Observers, Observing, observe};
pub use id::{Epoch, InvalidTenantId, InvalidTenantRef, TenantId, TenantRef, Version};
pub use path::{BadPath, NormalPath};
pub use provision::{Migrated, ProvisionError, Provisioned, Provisioner, SchemaTarget};
pub use scope::{Attached, OtherTenant, Scope};
pub use tenant::{
    Attributes, Maintenance, Placement, Tenant, TenantBuilder, TenantStatus, TooManyAttributes,
    UnknownStatus,
};
