//! The error of the facade.

use tenancy_core::{
    CatalogError, Domain, InvalidDomain, InvalidResolver, InvalidTenantId, IsPublicSuffix,
    OtherTenant, ProvisionError, ResolveError, TenantId, TenantStatus, TooManyAttributes,
    UnknownStatus, WriteError,
};
use tenancy_pool::{CheckoutError, CloseError, InvalidPools};

use crate::config::ConfigError;

/// An error of a [`Tenancy`](crate::Tenancy). Each variant wraps the error of one operation and
/// has its text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The config cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rules contradict each other.
    #[error(transparent)]
    Resolver(#[from] InvalidResolver),
    /// The pools' bounds contradict each other or the process's descriptors.
    #[error(transparent)]
    Pools(#[from] InvalidPools),
    /// The storage root or its catalog cannot be used.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Storage(#[from] tenancy_sqlite::StorageError),
    /// The work that a killed process left unfinished could not be examined.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Repair(#[from] tenancy_sqlite::RepairError),
    /// The migrations are invalid as a set.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Migrations(#[from] tenancy_sqlite::MigrationsError),
    /// The seeds are invalid as a set.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Seeds(#[from] tenancy_sqlite::SeedsError),
    /// A text is no valid tenant id.
    #[error(transparent)]
    Id(#[from] InvalidTenantId),
    /// A text is no valid domain.
    #[error(transparent)]
    Domain(#[from] InvalidDomain),
    /// A text is no valid status.
    #[error(transparent)]
    Status(#[from] UnknownStatus),
    /// More attributes than the bounds allow.
    #[error(transparent)]
    Attributes(#[from] TooManyAttributes),
    /// A reserved label, which can be no tenant's.
    #[error(
        "label {label} is reserved and never a tenant's; choose another, or take it off the reserved ones"
    )]
    Reserved {
        /// The reserved label.
        label: TenantId,
    },
    /// A central domain, which can be no tenant's.
    #[error("{domain} is a central domain and never a tenant's; choose another")]
    Central {
        /// The central domain.
        domain: Domain,
    },
    /// A domain under which strangers register names.
    #[error(transparent)]
    PublicSuffix(#[from] IsPublicSuffix),
    /// The tenant is not in a state for this.
    #[error("tenant {id} has status {status}; this needs {needed}, so nothing was changed")]
    WrongStatus {
        /// The id of the tenant.
        id: TenantId,
        /// The status of the tenant.
        status: TenantStatus,
        /// The statuses that the operation accepts.
        needed: &'static str,
    },
    /// The request is refused.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The catalog refused a write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The catalog cannot be asked.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A tenant's database could not be made, migrated or removed.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A revived tenant is active again and could not be migrated.
    #[error(
        "tenant {id} is active again, but its schema could not be brought up to date, so it is refused; mend what the cause says (`tenancy sql {id}`) and migrate it (`tenancy migrate --tenant {id}`)",
        id = source.tenant
    )]
    RevivedBehind {
        /// The error of the migration, which names the tenant.
        source: ProvisionError,
    },
    /// An embedder's catalog or driver gave too few or too many answers.
    #[error(transparent)]
    Miscounted(#[from] Miscounted),
    /// An embedder's catalog answered with another tenant than it was asked about.
    #[error(
        "the catalog's `{method}` answered with another tenant than {id}; correct it, nothing was done with the answer"
    )]
    WrongTenant {
        /// The method of the catalog.
        method: &'static str,
        /// The tenant that it was asked about.
        id: TenantId,
    },
    /// No connection was handed out: a [`CheckoutError`] of some driver.
    #[error(transparent)]
    Checkout(Box<dyn std::error::Error + Send + Sync>),
    /// Connections of a tenant that is to be closed are still out.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// Another tenant is current.
    #[error(transparent)]
    OtherTenant(#[from] OtherTenant),
    /// The maintenance thread could not be started.
    #[error(
        "the maintenance thread could not be started; see the cause, or choose `Upkeep::Manual`"
    )]
    Thread(#[source] std::io::Error),
}

/// A method of an embedder's catalog or driver gave another number of answers than it was
/// asked for, so that no answer can be assigned to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{method}` was asked about {asked} tenants and gave {given} answers; correct it, then create them again, which completes what was begun"
)]
pub struct Miscounted {
    /// The method of the catalog or driver.
    pub method: &'static str,
    /// The number of tenants that it was asked about.
    pub asked: usize,
    /// The number of answers.
    pub given: usize,
}

impl<E: std::error::Error + Send + Sync + 'static> From<CheckoutError<E>> for Error {
    fn from(error: CheckoutError<E>) -> Self {
        Self::Checkout(error.into())
    }
}
