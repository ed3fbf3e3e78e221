//! The change feed of a catalog: stretches of changes between two versions.

use super::name::Name;
use crate::id::{Epoch, TenantId, Version};
use crate::tenant::Tenant;

/// A value that was read from a catalog, and the version of the catalog at the read. That is not
/// the version of the row that holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value that was read.
    pub value: T,
    /// The version of the catalog at the read.
    pub as_of: Version,
}

/// A stretch of the change feed of a catalog: all changes between two versions.
///
/// ```
/// use tenancy_core::{
///     Actor, Catalog, CatalogWriter, Change, MemoryCatalog, NewTenant, Resolver, Rule,
/// };
/// let catalog = std::sync::Arc::new(MemoryCatalog::new());
/// let resolver = Resolver::builder(catalog.clone()).rule(Rule::domain()).build()?;
/// resolver.sync()?;
///
/// // Another process added a tenant, and a message brings the change.
/// catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
/// let stretch = catalog.changes(resolver.applied(), 100)?.expect("it has a feed");
/// assert!(matches!(&stretch.items[..], [Change::Tenant(acme)] if acme.id().as_str() == "acme"));
/// resolver.apply(&stretch);
/// assert_eq!(resolver.applied(), stretch.upto);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The version that this stretch starts after. No change between this version and the first
    /// item is missing. [`Catalog::changes`](super::Catalog::changes) returns its argument here,
    /// or version 0 in a stretch with `reset`.
    pub since: Version,
    /// The version that this stretch ends at. A reader that has applied everything up to `since`,
    /// and then the items, has applied every change up to this version.
    pub upto: Version,
    /// Whether the catalog has changes after `upto`. If it has, `upto` is higher than `since`, so
    /// that the next call makes progress.
    pub more: bool,
    /// Whether the feed starts over: all earlier stretches are void, and this one starts from an
    /// empty catalog.
    pub reset: bool,
    /// The changes, oldest first.
    pub items: Vec<Change>,
}

/// A change of one tenant or one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A tenant was added or changed. Its id routes to it as a label.
    Tenant(Tenant),
    /// A tenant was removed with all its names.
    Removed {
        /// The id of the removed tenant.
        id: TenantId,
        /// The last epoch of the tenant.
        epoch: Epoch,
    },
    /// A further name routes to a tenant. If it routes to another tenant as well, requests for it
    /// are refused until a later change leaves it at most one tenant: the name is
    /// [moved](Self::Moved) or [unbound](Self::Unbound), or a tenant is [removed](Self::Removed).
    Bound {
        /// The further name.
        name: Name,
        /// The tenant that it routes to.
        id: TenantId,
    },
    /// A further name routes to this tenant, and to no other tenant from now on. A catalog in which
    /// every name has one owner reports only this change, and never [`Bound`](Self::Bound).
    Moved {
        /// The further name.
        name: Name,
        /// The tenant that it routes to now.
        id: TenantId,
    },
    /// A further name routes to no tenant from now on.
    Unbound {
        /// The further name.
        name: Name,
    },
}
