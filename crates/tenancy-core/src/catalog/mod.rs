//! The list of all tenants: [`Catalog`] to read it, [`CatalogWriter`] to change it.

mod error;
mod feed;
mod memory;
mod name;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Challenge, Domain};
use crate::id::{TenantId, Version};
use crate::maintenance::Maintenance;
use crate::tenant::{Attributes, Placement, Tenant, TenantStatus, TooManyAttributes};

pub use error::{CatalogError, WriteError};
pub use feed::{Change, Changes, Versioned};
pub use memory::MemoryCatalog;
pub use name::{Name, TenantKey};

/// A list of tenants that can be read. An embedder with another list implements one method.
///
/// ```
/// use tenancy_core::{Catalog, CatalogError, Tenant, TenantKey, Version, Versioned};
///
/// struct OnlyAcme(Tenant);
/// impl Catalog for OnlyAcme {
///     fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
///         let value = (key == TenantKey::Label("acme")).then(|| self.0.clone());
///         Ok(Versioned { value, as_of: Version(1) })
///     }
/// }
/// ```
#[doc(alias = "directory")]
#[doc(alias = "registry")]
pub trait Catalog: Send + Sync + 'static {
    /// Returns the owner of a name, or `None` if it has none, with the version of the catalog.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read; never because there is no such tenant.
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError>;

    /// Returns the changes after `since`, oldest first, at most about `max` of them, or `None`
    /// if this catalog has no feed. Defaults to none.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let _ = (since, max);
        Ok(None)
    }
}

/// A catalog that can be written. Every write raises the version in the same transaction, and
/// records its author.
///
/// ```
/// use tenancy_core::{Actor, CatalogWriter, MemoryCatalog, NewTenant, TenantChange, TenantStatus};
/// let catalog = MemoryCatalog::new();
/// let by = Actor::new("docs");
/// let acme = catalog.insert(NewTenant::new("acme".parse()?), &by)?;
/// let change = TenantChange::status(TenantStatus::Suspended);
/// let acme = catalog.update(acme.id(), acme.version(), change, &by)?;
/// assert_eq!(acme.status(), TenantStatus::Suspended);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "landlord")]
pub trait CatalogWriter: Catalog {
    /// Records the [id of the storage](crate::Provisioner::storage_id) that holds the
    /// tenants' data at the first call, and refuses every other id afterwards: each of two
    /// storages with one catalog would take the other's data for leftovers.
    ///
    /// # Errors
    /// Returns [`WriteError::OtherStorage`] if another id is recorded, and an error if the
    /// catalog cannot be written.
    fn record_storage(&self, id: &str) -> Result<(), WriteError>;

    /// Adds a tenant, whose id becomes its first label. An id that was destroyed before gets the
    /// next epoch.
    ///
    /// # Errors
    /// Returns an error if the id or label is taken, or if the catalog cannot be written.
    fn insert(&self, new: NewTenant, by: &Actor) -> Result<Tenant, WriteError>;

    /// Adds several tenants as [`insert`](Self::insert) does, and returns their results in the
    /// same order. Defaults to one after the other; a catalog on a disk overrides it to share an
    /// fsync.
    fn insert_many(&self, new: Vec<NewTenant>, by: &Actor) -> Vec<Result<Tenant, WriteError>> {
        new.into_iter().map(|new| self.insert(new, by)).collect()
    }

    /// Changes a tenant whose row is at the version `seen`.
    ///
    /// # Errors
    /// Returns [`WriteError::Conflict`] if the row has changed since.
    fn update(
        &self,
        id: &TenantId,
        seen: Version,
        change: TenantChange,
        by: &Actor,
    ) -> Result<Tenant, WriteError>;

    /// Changes several tenants whose rows are at the versions of the handles, and returns their
    /// results in the same order. Defaults to one after the other; a catalog on a disk overrides
    /// it to share an fsync.
    fn update_many(
        &self,
        changes: Vec<(Tenant, TenantChange)>,
        by: &Actor,
    ) -> Vec<Result<Tenant, WriteError>> {
        let change =
            |(seen, change): (Tenant, _)| self.update(seen.id(), seen.version(), change, by);
        changes.into_iter().map(change).collect()
    }

    /// Removes a tenant and its names, and keeps a tombstone with its last epoch.
    ///
    /// # Errors
    /// Returns [`WriteError::Conflict`] if the row has changed since.
    fn remove(&self, id: &TenantId, seen: Version, by: &Actor) -> Result<Version, WriteError>;

    /// Binds a further name to a tenant. A domain bound with [`Proof::Pending`] is
    /// only claimed: it does not route until it is [verified](Self::verify), and other
    /// tenants may claim it as well. Claiming it again starts a new attempt. Binding it
    /// with [`Proof::Trusted`] ends every claim of it.
    ///
    /// # Errors
    /// Returns an error if the name routes to another tenant.
    fn bind(
        &self,
        name: &Name,
        id: &TenantId,
        proof: Proof,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Makes a claimed domain route, once `txt` is the value that its DNS holds. Other
    /// tenants' claims of it end.
    ///
    /// # Errors
    /// Returns [`WriteError::NotProven`] if `txt` is not the value of the last attempt, and
    /// [`WriteError::NoClaim`] if the tenant has no claim of the domain, or it has ended.
    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Makes a domain that routes the primary domain of the tenant, which links to the tenant
    /// are written with. It replaces the one before. A tenant starts without a primary domain,
    /// and loses it when the domain is unbound or claimed again.
    ///
    /// # Errors
    /// Returns an error if the domain is not this tenant's, or only claimed.
    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Moves a name that routes from one tenant to another in one write, so that it always has
    /// an owner. It is not the primary domain of the new owner.
    ///
    /// # Errors
    /// Returns an error if the name does not route to `from`, or is the id of `from`.
    fn rebind(
        &self,
        name: &Name,
        from: &TenantId,
        to: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Unbinds a name from its tenant, or ends the tenant's claim of it. The tenant's id cannot
    /// be unbound.
    ///
    /// # Errors
    /// Returns an error if the name is not this tenant's.
    fn unbind(&self, name: &Name, id: &TenantId, by: &Actor) -> Result<Version, WriteError>;

    /// Returns the further names of a tenant, and its claims that have not expired.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError>;

    /// Returns at most `max` tenants in the order of their ids, those after `after`.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn page(&self, after: Option<&TenantId>, max: usize) -> Result<Vec<Tenant>, CatalogError>;
}

impl<C: Catalog + ?Sized> Catalog for Arc<C> {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        (**self).lookup(key)
    }
    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        (**self).changes(since, max)
    }
}

/// The author of a write: a person, a job, the system. Audits keep it.
///
/// ```
/// # use tenancy_core::Actor;
/// assert_eq!(Actor::new("cli:ada").as_str(), "cli:ada");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Box<str>);

impl Actor {
    /// Makes an actor of this name, which is cut after 200 bytes.
    pub fn new(name: &str) -> Self {
        Self(name[..name.floor_char_boundary(200)].into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The values of a tenant to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTenant {
    /// The permanent name.
    pub id: TenantId,
    /// The stage of its life. Defaults to active.
    pub status: TenantStatus,
    /// The location of its data.
    pub placement: Placement,
    /// Texts that the embedder keeps with it.
    pub attributes: Attributes,
    /// Further names that route to it. If another tenant has one of them, the tenant is not
    /// inserted.
    pub names: Vec<Name>,
    /// The schema version of its database; see [`TenantChange::schema`].
    pub schema: Option<u32>,
    /// A request for a database of the catalog's warm pool. If there is a fitting one, the tenant
    /// gets its placement and schema, and the status that is given there. A catalog without a
    /// warm pool, and an id that was used before, get none. Defaults to `None`.
    pub from_warm_pool: Option<FromWarmPool>,
}

/// A request for a database of the warm pool; see [`NewTenant::from_warm_pool`].
///
/// ```
/// use tenancy_core::{Actor, CatalogWriter, FromWarmPool, MemoryCatalog, NewTenant, TenantStatus};
/// let mut acme = NewTenant::new("acme".parse()?);
/// acme.status = TenantStatus::Provisioning; // if the warm pool has no fitting database
/// acme.from_warm_pool = Some(FromWarmPool {
///     fingerprint: "schema 3".into(),
///     status: TenantStatus::Active,
/// });
/// // This catalog has no warm pool.
/// let acme = MemoryCatalog::new().insert(acme, &Actor::new("docs"))?;
/// assert_eq!(acme.status(), TenantStatus::Provisioning);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromWarmPool {
    /// The fingerprint that the database must have; see
    /// [`Provisioner::fingerprint`](crate::Provisioner::fingerprint).
    pub fingerprint: Box<str>,
    /// The tenant's status if it gets the database.
    pub status: TenantStatus,
}

impl NewTenant {
    /// Makes an active tenant without placement and attributes.
    pub fn new(id: TenantId) -> Self {
        Self {
            id,
            status: TenantStatus::Active,
            placement: Placement::default(),
            attributes: Attributes::default(),
            names: Vec::new(),
            schema: None,
            from_warm_pool: None,
        }
    }
}

/// A change of a tenant. Values that are `None` stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantChange {
    /// The new status.
    pub status: Option<TenantStatus>,
    /// The placement of the next incarnation, whose epoch is one higher.
    pub reincarnate: Option<Placement>,
    /// The maintenance to begin, or `Some(None)` to end it. The status does not matter.
    pub maintenance: Option<Option<Maintenance>>,
    /// All attributes; those before are replaced.
    pub attributes: Option<Attributes>,
    /// The schema version of the database. It is no part of a [`Tenant`]; a catalog records it
    /// for runs over many tenants.
    pub schema: Option<u32>,
}

impl TenantChange {
    /// Makes a change of the status.
    pub fn status(status: TenantStatus) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// Returns the tenant after this change, at this version.
    ///
    /// # Errors
    /// Returns an error if the attributes are over their bounds.
    pub fn apply(self, to: &Tenant, version: Version) -> Result<Tenant, TooManyAttributes> {
        let mut builder = to.to_builder().version(version);
        if let Some(status) = self.status {
            builder = builder.status(status);
        }
        if let Some(placement) = self.reincarnate {
            builder = builder.placement(placement).epoch(to.epoch().next());
        }
        if let Some(maintenance) = self.maintenance {
            builder = builder.maintenance(maintenance);
        }
        if let Some(attributes) = self.attributes {
            builder = builder.attributes(attributes);
        }
        builder.build()
    }
}

/// The right by which a name is bound.
///
/// ```
/// use tenancy_core::{
///     Actor, Catalog, CatalogWriter, Challenge, Domain, MemoryCatalog, Name, NewTenant, Proof, TenantKey,
/// };
/// let (catalog, by) = (MemoryCatalog::new(), Actor::new("docs"));
/// let acme = catalog.insert(NewTenant::new("acme".parse()?), &by)?;
/// let domain: Domain = "shop.example".parse()?;
/// let challenge = Challenge::new()?;
/// let proof = Proof::Pending(challenge.clone());
/// catalog.bind(&Name::Domain(domain.clone()), acme.id(), proof, &by)?;
/// let whose = || catalog.lookup(TenantKey::Domain("shop.example"));
/// assert_eq!(whose()?.value, None);
///
/// // Once the domain's DNS shows the challenge as a TXT record, it routes.
/// catalog.verify(&domain, acme.id(), challenge.as_str(), &by)?;
/// assert_eq!(whose()?.value, Some(acme));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The word of the operator. The name routes from now on. Labels are always bound like this.
    Trusted,
    /// A claim of a domain, which routes once its DNS shows this challenge. Each attempt of
    /// each tenant needs a challenge of its own. It ends after [`CLAIM_TTL`].
    Pending(Challenge),
}

/// The time after which a claim without proof ends: 7 days.
pub const CLAIM_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A further name of a tenant; see [`CatalogWriter::names`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The bound name.
    pub name: Name,
    /// The challenge of a claim, or `None` if the name routes.
    pub pending: Option<Challenge>,
    /// Whether it is the tenant's [primary](CatalogWriter::make_primary) domain.
    pub primary: bool,
}

impl Binding {
    /// Makes a binding that routes, or a claim with a challenge.
    pub fn new(name: Name, pending: Option<Challenge>) -> Self {
        Self {
            name,
            pending,
            primary: false,
        }
    }
}
