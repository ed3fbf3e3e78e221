//! Which tenant is this request for, and is this code running for it?

mod catalog;
mod domain;
mod event;
mod id;
mod provision;
mod scope;
mod tenant;
#[allow(dead_code)]
mod text;

pub use catalog::{
    Actor, Binding, Catalog, CatalogError, CatalogWriter, Change, Changes, MemoryCatalog, Name,
    NewTenant, Proof, TenantChange, TenantKey, Versioned, WriteError,
};
pub use domain::{Challenge, Domain, InvalidDomain};
pub use event::{Event, Observer, Observers, Observing, observe};
pub use id::{Epoch, InvalidTenantId, InvalidTenantRef, TenantId, TenantRef, Version};
pub use provision::{Migrated, ProvisionError, Provisioned, Provisioner, SchemaTarget};
pub use scope::{Attached, OtherTenant, Scope};
pub use tenant::{
    Attributes, Maintenance, Placement, Tenant, TenantBuilder, TenantStatus, TooManyAttributes,
    UnknownStatus,
};
