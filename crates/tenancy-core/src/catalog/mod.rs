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

/// A list of tenants that can be read. An embedder that has such a list already implements
/// [`lookup`](Self::lookup) for it; the other method is optional.
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
    /// Returns the tenant that owns a name, or `None` if no tenant does, and the version of the
    /// catalog.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read. A name without a tenant is no error.
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError>;

    /// Returns the changes after the version `since`, oldest first, or `None` if this catalog has
    /// no change feed. There are about `max` of them at most. Defaults to `None`.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let _ = (since, max);
        Ok(None)
    }
}

/// A catalog that can be written. Every write raises the version of the catalog in the same
/// transaction. The author of a write is an [`Actor`], which a catalog can record.
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
    /// Records the [id of the storage](crate::Provisioner::storage_id) that holds the data of the
    /// tenants. The first call records it, and later calls refuse every other id: if two storages
    /// shared a catalog, the data of tenants in one would be taken for leftovers by the other.
    ///
    /// # Errors
    /// Returns [`WriteError::OtherStorage`] if another id is recorded. Returns an error if the
    /// catalog cannot be written.
    fn record_storage(&self, id: &str) -> Result<(), WriteError>;

    /// Adds a tenant. Its id is its first label. If a tenant of this id was removed before, the
    /// epoch of the new one is one higher than the last epoch of that tenant.
    ///
    /// # Errors
    /// Returns an error if a tenant of this id exists, if the id or a further name is a name of
    /// another tenant, if the attributes exceed their bounds, or if the catalog cannot be written.
    fn insert(&self, new: NewTenant, by: &Actor) -> Result<Tenant, WriteError>;

    /// Adds several tenants, and returns their results in the same order. Defaults to one
    /// [`insert`](Self::insert) after the other. A catalog on a disk can override the method to
    /// share an fsync among the tenants.
    fn insert_many(&self, new: Vec<NewTenant>, by: &Actor) -> Vec<Result<Tenant, WriteError>> {
        new.into_iter().map(|new| self.insert(new, by)).collect()
    }

    /// Changes a tenant whose row is still at the version `seen`, and returns the tenant after the
    /// change.
    ///
    /// # Errors
    /// Returns [`WriteError::Conflict`] if the row has another version. Returns an error if there
    /// is no such tenant, if the attributes exceed their bounds, or if the catalog cannot be
    /// written.
    fn update(
        &self,
        id: &TenantId,
        seen: Version,
        change: TenantChange,
        by: &Actor,
    ) -> Result<Tenant, WriteError>;

    /// Changes several tenants, whose rows are still at the versions of these handles, and returns
    /// their results in the same order. Defaults to one [`update`](Self::update) after the other.
    /// A catalog on a disk can override the method to share an fsync among the tenants.
    fn update_many(
        &self,
        changes: Vec<(Tenant, TenantChange)>,
        by: &Actor,
    ) -> Vec<Result<Tenant, WriteError>> {
        let change =
            |(seen, change): (Tenant, _)| self.update(seen.id(), seen.version(), change, by);
        changes.into_iter().map(change).collect()
    }

    /// Removes a tenant and its names, if its row is still at the version `seen`. The catalog keeps
    /// the last epoch of the id, for a later [`insert`](Self::insert).
    ///
    /// # Errors
    /// Returns [`WriteError::Conflict`] if the row has another version. Returns an error if there
    /// is no such tenant, or if the catalog cannot be written.
    fn remove(&self, id: &TenantId, seen: Version, by: &Actor) -> Result<Version, WriteError>;

    /// Binds a further name to a tenant. A domain bound with [`Proof::Pending`] is only claimed: it
    /// does not route until it is [verified](Self::verify), and other tenants can claim it as well.
    /// A second claim by the same tenant starts a new attempt. A domain bound with
    /// [`Proof::Trusted`] routes at once, and all claims of it end.
    ///
    /// # Errors
    /// Returns an error if the name routes to another tenant, if a label is only claimed, if there
    /// is no such tenant, or if the catalog cannot be written.
    fn bind(
        &self,
        name: &Name,
        id: &TenantId,
        proof: Proof,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Makes a claimed domain route if `txt` proves the claim. `txt` is the value of a TXT record
    /// that the caller found in the DNS of the domain. Claims of the domain by other tenants end.
    ///
    /// # Errors
    /// Returns [`WriteError::NotProven`] if `txt` is not the value of the last attempt. Returns
    /// [`WriteError::NoClaim`] if the tenant has no claim of the domain, or its claim has ended.
    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Makes one of the tenant's domains its primary domain, the one for links to the tenant. It
    /// replaces the previous primary domain. A new tenant has no primary domain, and a domain is no
    /// longer primary once it is unbound or claimed again.
    ///
    /// # Errors
    /// Returns an error if the domain does not route to this tenant.
    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Moves a bound name from one tenant to another. It is one write, so the name always has an
    /// owner. A domain that was primary is not primary for its new owner.
    ///
    /// # Errors
    /// Returns an error if the name does not route to `from` or is the id of `from`, or if there is
    /// no tenant `to`.
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
    /// Returns an error if the tenant neither owns nor claims the name, or if it is the tenant's
    /// id.
    fn unbind(&self, name: &Name, id: &TenantId, by: &Actor) -> Result<Version, WriteError>;

    /// Returns the further names of a tenant, and its claims that have not expired.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError>;

    /// Returns the next `max` tenants in the order of their ids: those that follow the id `after`,
    /// or the first ones for `None`. A page of fewer than `max` tenants is the last one.
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

/// The author of a write, which audits record: a person, a job or the system.
///
/// ```
/// # use tenancy_core::Actor;
/// assert_eq!(Actor::new("cli:ada").as_str(), "cli:ada");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Box<str>);

impl Actor {
    /// Makes an actor of this name. A longer name is cut to at most 200 bytes.
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
    /// The permanent name of the tenant.
    pub id: TenantId,
    /// The stage of the tenant's life. Defaults to active.
    pub status: TenantStatus,
    /// The location of the tenant's data.
    pub placement: Placement,
    /// Texts that the embedder stores with the tenant.
    pub attributes: Attributes,
    /// Further names that route to the tenant. If one of them routes to another tenant, the new
    /// tenant is not inserted.
    pub names: Vec<Name>,
    /// The schema version of the tenant's database; see [`TenantChange::schema`].
    pub schema: Option<u32>,
    /// A request for a database from the warm pool of the catalog. If the pool has a fitting
    /// database, the tenant gets it: its placement and schema replace the values here, and the
    /// status of the request replaces `status`. The request has no effect if the catalog has no
    /// warm pool, or if the id was used before. Defaults to `None`.
    pub from_warm_pool: Option<FromWarmPool>,
}

/// A request for a database from the warm pool; see [`NewTenant::from_warm_pool`].
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
    /// The status of the tenant if it gets a database from the warm pool.
    pub status: TenantStatus,
}

impl NewTenant {
    /// Makes the values of an active tenant, without a placement, attributes or further names.
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

/// A change of a tenant. A value that is `None` does not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantChange {
    /// The new status.
    pub status: Option<TenantStatus>,
    /// The placement of the next incarnation. It also raises the epoch by 1.
    pub reincarnate: Option<Placement>,
    /// The maintenance to begin, or `Some(None)` to end a maintenance. It is independent of the
    /// status.
    pub maintenance: Option<Option<Maintenance>>,
    /// The new attributes, which replace all previous ones.
    pub attributes: Option<Attributes>,
    /// The schema version of the database. A [`Tenant`] does not hold it. A catalog records it for
    /// operations on many tenants.
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

    /// Returns the tenant after this change, at the version `version`.
    ///
    /// # Errors
    /// Returns an error if the attributes exceed their bounds.
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
    /// The operator vouches for the name, and it routes at once. Labels are always bound like this.
    Trusted,
    /// The tenant claims a domain, which routes once its DNS shows this challenge. Each attempt of
    /// each tenant needs a new challenge. The claim ends after [`CLAIM_TTL`].
    Pending(Challenge),
}

/// The time after which an unproven claim ends: 7 days.
pub const CLAIM_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A further name of a tenant, or a claim of one; see [`CatalogWriter::names`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The bound or claimed name.
    pub name: Name,
    /// The challenge of a claim, or `None` if the name routes.
    pub pending: Option<Challenge>,
    /// Whether the name is the tenant's [primary](CatalogWriter::make_primary) domain.
    pub primary: bool,
}

impl Binding {
    /// Makes a claim if there is a challenge, or else a binding that routes. It is not primary.
    pub fn new(name: Name, pending: Option<Challenge>) -> Self {
        Self {
            name,
            pending,
            primary: false,
        }
    }
}
