//! What a catalog refuses, and why it cannot answer.

use std::error::Error;

use super::name::Name;
use crate::domain::Domain;
use crate::id::{TenantId, Version};
use crate::tenant::TooManyAttributes;

/// The catalog cannot be asked: a third answer, never "no such tenant".
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot be asked; see the cause and try again")]
pub struct CatalogError {
    source: Box<dyn Error + Send + Sync>,
}

impl CatalogError {
    /// With its cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: cause.into(),
        }
    }
}

/// A write that the catalog refused; nothing of it was kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is a tenant of this id.
    #[error("tenant {id} exists already; nothing was changed")]
    Exists {
        /// The id.
        id: TenantId,
    },
    /// There is no tenant of this id.
    #[error("there is no tenant {id}; `list` shows those there are")]
    Unknown {
        /// The id.
        id: TenantId,
    },
    /// The row is no longer the one that was seen.
    #[error(
        "tenant {id} was changed by someone else (seen at version {seen}, now {current}); read it again and retry"
    )]
    Conflict {
        /// The id.
        id: TenantId,
        /// What the writer had seen.
        seen: Version,
        /// What is there.
        current: Version,
    },
    /// The name routes to another tenant. Which one is not said: this may be shown to a
    /// tenant.
    #[error("{name} is taken; choose another name, or have the operator move it")]
    NameTaken {
        /// The name.
        name: Name,
    },
    /// The name is not bound to this tenant.
    #[error("{name} is not bound to tenant {id}; nothing was changed")]
    NotBound {
        /// The name.
        name: Name,
        /// The tenant.
        id: TenantId,
    },
    /// A tenant's own id stays bound as long as it exists.
    #[error("{id} is the tenant's own id and stays bound; destroy the tenant instead")]
    OwnId {
        /// The id.
        id: TenantId,
    },
    /// A label routes by being listed; only domains are proven.
    #[error("label {label} needs no proof; bind it as trusted")]
    LabelNeedsNoProof {
        /// The label.
        label: TenantId,
    },
    /// The TXT value is not the one of the last attempt.
    #[error("{domain} is not proven for tenant {id}; publish the TXT record of the last attempt")]
    NotProven {
        /// The domain.
        domain: Domain,
        /// The tenant.
        id: TenantId,
    },
    /// The catalog belongs to another storage.
    #[error(
        "the catalog lists the tenants of storage {recorded}, not of storage {found}; open the two that belong together"
    )]
    OtherStorage {
        /// The id that the catalog has recorded.
        recorded: Box<str>,
        /// The id that it was told now.
        found: Box<str>,
    },
    /// The tenant has no claim of the domain that could be proven.
    #[error(
        "tenant {id} has no claim of {domain} that waits for its proof: a claim ends after 7 days, or when another proof came first; add the domain again"
    )]
    NoClaim {
        /// The domain.
        domain: Domain,
        /// The tenant.
        id: TenantId,
    },
    /// More attributes than the bounds allow.
    #[error(transparent)]
    Attributes(#[from] TooManyAttributes),
    /// The catalog cannot be written.
    #[error(transparent)]
    Unavailable(#[from] CatalogError),
}
