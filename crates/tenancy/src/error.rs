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
    /// The tenant has more or longer attributes than the bounds allow.
    #[error(transparent)]
    Attributes(#[from] TooManyAttributes),
    /// The label is reserved, so no tenant can have it.
    #[error(
        "label {label} is reserved, so no tenant can have it; choose another label, or remove it from `reserved`"
    )]
    Reserved {
        /// The reserved label.
        label: TenantId,
    },
    /// The domain is central, so no tenant can have it.
    #[error("{domain} is a central domain, so no tenant can have it; choose another domain")]
    Central {
        /// The central domain.
        domain: Domain,
    },
    /// The domain is a public suffix, under which anyone can register names.
    #[error(transparent)]
    PublicSuffix(#[from] IsPublicSuffix),
    /// The operation is not possible in the tenant's status.
    #[error(
        "tenant {id} has status {status}, but this operation needs status {needed}; nothing was changed"
    )]
    WrongStatus {
        /// The id of the tenant.
        id: TenantId,
        /// The status of the tenant.
        status: TenantStatus,
        /// The statuses that the operation accepts.
        needed: &'static str,
    },
    /// The resolver refused the request.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The catalog refused a write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The driver could not create, migrate, move or remove a tenant's database.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A revived tenant is active again, but its database could not be migrated.
    #[error(
        "tenant {id} is active again, but its database could not be migrated, so no connection to it is opened; correct what the cause names (`tenancy sql {id}`), then run `tenancy migrate --tenant {id}`",
        id = source.tenant
    )]
    RevivedBehind {
        /// The error of the migration, which names the tenant.
        source: ProvisionError,
    },
    /// An embedder's catalog or driver returned too few or too many results.
    #[error(transparent)]
    Miscounted(#[from] Miscounted),
    /// An embedder's catalog returned another tenant than the requested one.
    #[error(
        "the catalog's `{method}` returned another tenant than {id}; correct the method; its result was not used"
    )]
    WrongTenant {
        /// The method of the catalog.
        method: &'static str,
        /// The requested tenant.
        id: TenantId,
    },
    /// No connection could be checked out. The content is a [`CheckoutError`] with the error type
    /// of the driver.
    #[error(transparent)]
    Checkout(Box<dyn std::error::Error + Send + Sync>),
    /// The tenant could not be closed, as its connections are still checked out.
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

/// The error of an embedder's catalog or driver whose method returned a wrong number of results. No
/// result can be assigned to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{method}` was called for {asked} tenants and returned {given} results; correct the method, then create the tenants again, which completes them"
)]
pub struct Miscounted {
    /// The method of the catalog or driver.
    pub method: &'static str,
    /// The number of tenants in the call.
    pub asked: usize,
    /// The number of results.
    pub given: usize,
}

impl<E: std::error::Error + Send + Sync + 'static> From<CheckoutError<E>> for Error {
    fn from(error: CheckoutError<E>) -> Self {
        Self::Checkout(error.into())
    }
}
