//! [`CatalogError`] and [`WriteError`].

use std::error::Error;

use super::name::Name;
use crate::domain::Domain;
use crate::id::{TenantId, Version};
use crate::tenant::TooManyAttributes;

/// The error of a catalog that cannot be read or written. It never means that there is no such
/// tenant.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot be read; see the cause and try again")]
pub struct CatalogError {
    source: Box<dyn Error + Send + Sync>,
}

impl CatalogError {
    /// Makes an error with its cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: cause.into(),
        }
    }
}

/// The error of a write to a catalog. The write has changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is a tenant of this id.
    #[error("tenant {id} exists already; nothing was changed")]
    Exists {
        /// The id that exists.
        id: TenantId,
    },
    /// There is no tenant of this id.
    #[error("there is no tenant {id}; `list` shows those there are")]
    Unknown {
        /// The id without a tenant.
        id: TenantId,
    },
    /// The tenant's row has changed since the writer read it.
    #[error(
        "tenant {id} was changed by another writer (read at version {seen}, now {current}); read it again and retry"
    )]
    Conflict {
        /// The id of the tenant.
        id: TenantId,
        /// The version that the writer had read.
        seen: Version,
        /// The version of the row.
        current: Version,
    },
    /// The name routes to another tenant. The error does not name that tenant, as the tenant that
    /// asked for the name may read it.
    #[error("{name} is taken; choose another name, or have the operator move it")]
    NameTaken {
        /// The name that is taken.
        name: Name,
    },
    /// The name is not bound to this tenant.
    #[error("{name} is not bound to tenant {id}; nothing was changed")]
    NotBound {
        /// The name that is not bound.
        name: Name,
        /// The id of the tenant.
        id: TenantId,
    },
    /// The name is the tenant's id, which stays bound as long as the tenant exists.
    #[error("{id} is the id of the tenant and stays bound; destroy the tenant instead")]
    OwnId {
        /// The id of the tenant.
        id: TenantId,
    },
    /// A label was claimed. Only domains need a proof.
    #[error("label {label} needs no proof; bind it as trusted")]
    LabelNeedsNoProof {
        /// The label that was claimed.
        label: TenantId,
    },
    /// The TXT value is not the challenge of the last attempt, or a domain that is only claimed was
    /// to become primary.
    #[error("{domain} is not proven for tenant {id}; publish the TXT record of the last attempt")]
    NotProven {
        /// The claimed domain.
        domain: Domain,
        /// The id of the tenant.
        id: TenantId,
    },
    /// The catalog belongs to another storage.
    #[error(
        "the catalog lists the tenants of storage {recorded}, not of storage {found}; open the two that belong together"
    )]
    OtherStorage {
        /// The id that the catalog has recorded.
        recorded: Box<str>,
        /// The id of the storage that was opened.
        found: Box<str>,
    },
    /// The tenant has no claim of the domain, or its claim has ended.
    #[error(
        "tenant {id} has no claim of {domain}: a claim ends after 7 days, or when another tenant proves its own; add the domain again"
    )]
    NoClaim {
        /// The claimed domain.
        domain: Domain,
        /// The id of the tenant.
        id: TenantId,
    },
    /// The attributes exceed their bounds.
    #[error(transparent)]
    Attributes(#[from] TooManyAttributes),
    /// The catalog cannot be written.
    #[error(transparent)]
    Unavailable(#[from] CatalogError),
}
