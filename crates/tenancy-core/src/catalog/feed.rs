//! The change feed of a catalog: stretches of changes between two versions.

use super::name::Name;
use crate::id::{Epoch, TenantId, Version};
use crate::tenant::Tenant;

/// A value and the version of the catalog that it was read from: the counter in the snapshot
/// of the read, not the version of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value that was read.
    pub value: T,
    /// The version of the catalog at the read.
    pub as_of: Version,
}

/// A stretch of the change feed.
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
    /// The version that this stretch starts after: nothing between it and the first item is
    /// missing. [`Catalog::changes`](super::Catalog::changes) returns its argument here. A
    /// stretch that resets starts after version 0.
    pub since: Version,
    /// The version up to which every change is in the items, or was before them.
    pub upto: Version,
    /// Whether there are changes after `upto` already. Then `upto` is beyond the argument of
    /// the call.
    pub more: bool,
    /// Whether the feed starts over: everything before this stretch is void.
    pub reset: bool,
    /// The changes, oldest first.
    pub items: Vec<Change>,
}

/// A change of one tenant or one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A tenant is new or different. Its id is also a label.
    Tenant(Tenant),
    /// A tenant is gone, with all its names.
    Removed {
        /// The id of the removed tenant.
        id: TenantId,
        /// The last epoch of the tenant.
        epoch: Epoch,
    },
    /// A further name routes to a tenant. If it routes to another tenant as well, requests for
    /// it are refused until one of the two is [unbound](Self::Unbound).
    Bound {
        /// The further name.
        name: Name,
        /// The tenant that it routes to.
        id: TenantId,
    },
    /// A further name routes to this tenant and to no other. A catalog in which every name has
    /// one owner needs no [`Bound`](Self::Bound).
    Moved {
        /// The further name.
        name: Name,
        /// The tenant that it routes to now.
        id: TenantId,
    },
    /// A name routes to no tenant.
    Unbound {
        /// The further name.
        name: Name,
    },
}
