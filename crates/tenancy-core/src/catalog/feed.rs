//! The change feed of a catalog: stretches of changes between two versions.

use super::name::Name;
use crate::id::{Epoch, TenantId, Version};
use crate::tenant::Tenant;

/// A value and the state of the catalog it was read from: the counter in the
/// read's own snapshot, never the row's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// The catalog's version when it was read.
    pub as_of: Version,
}

/// A stretch of the change feed.
///
/// ```
/// use tenancy_core::*;
/// let catalog = std::sync::Arc::new(MemoryCatalog::new());
/// let resolver = Resolver::builder(catalog.clone()).rule(Rule::domain()).build()?;
/// resolver.sync()?;
///
/// // Another process added a tenant; a message brings the stretch that says so.
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
    /// missing. [`Catalog::changes`](super::Catalog::changes) answers with the one it was
    /// asked for; a stretch that resets starts after version 0.
    pub since: Version,
    /// Everything up to here is in the items, or was before them.
    pub upto: Version,
    /// Whether there is more after `upto` right now. Then `upto` is beyond the version that was
    /// asked for.
    pub more: bool,
    /// Whether the feed starts over: all that was known is to be forgotten first.
    pub reset: bool,
    /// What changed, oldest first.
    pub items: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A tenant is new or different. Its id is a label of its own.
    Tenant(Tenant),
    /// A tenant is gone, with all its names.
    Removed {
        /// Who.
        id: TenantId,
        /// Its last epoch.
        epoch: Epoch,
    },
    /// A further name routes to a tenant. One that another tenant has, and that was not
    /// [unbound](Self::Unbound) before, is refused until one of them lets it go.
    Bound {
        /// The name.
        name: Name,
        /// Whose it is.
        id: TenantId,
    },
    /// A further name routes to this tenant, and no longer to any other that it was bound
    /// to. A feed of a catalog in which a name has one owner needs no
    /// [`Bound`](Self::Bound).
    Moved {
        /// The name.
        name: Name,
        /// Whose it is now.
        id: TenantId,
    },
    /// A name routes to nobody.
    Unbound {
        /// The name.
        name: Name,
    },
}
