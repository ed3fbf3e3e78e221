//! The list of all tenants: [`Catalog`] to look up, [`CatalogWriter`] to change.

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

/// Looks tenants up. An embedder with a list of its own writes one method.
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
pub trait Catalog: Send + Sync + 'static {
    /// Who owns this name. "Nobody" is an answer with a version, too.
    ///
    /// # Errors
    /// When the catalog cannot be asked; never because there is no such tenant.
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError>;

    /// What changed after `since`, oldest first, at most about `max` items;
    /// `None` when this catalog has no feed.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let _ = (since, max);
        Ok(None)
    }
}

/// A catalog that can be written. Every write raises the version, in the same
/// transaction, and is told who wrote.
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
pub trait CatalogWriter: Catalog {
    /// Records the [id of the storage](crate::Provisioner::storage_id) that holds the
    /// tenants' data, when it is first told one, and refuses every other from then on: two
    /// storages that share one catalog would take each other's data for nobody's.
    ///
    /// # Errors
    /// [`WriteError::OtherStorage`] if it has recorded another id; when the catalog cannot be
    /// written.
    fn record_storage(&self, id: &str) -> Result<(), WriteError>;

    /// Adds a tenant; its id becomes its first label. A destroyed id comes back
    /// with the next epoch.
    ///
    /// # Errors
    /// When the id or label is taken, or the catalog cannot be written.
    fn insert(&self, new: NewTenant, by: &Actor) -> Result<Tenant, WriteError>;

    /// Adds several tenants, each as [`insert`](Self::insert) does; what came of each
    /// is in their order. A catalog that waits for a disk waits once.
    fn insert_many(&self, new: Vec<NewTenant>, by: &Actor) -> Vec<Result<Tenant, WriteError>> {
        new.into_iter().map(|new| self.insert(new, by)).collect()
    }

    /// Changes a tenant if its row is still the one that was `seen`.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] when the row has moved on.
    fn update(
        &self,
        id: &TenantId,
        seen: Version,
        change: TenantChange,
        by: &Actor,
    ) -> Result<Tenant, WriteError>;

    /// Changes several tenants, each if its row is still the one of the handle; what
    /// came of each is in their order. A catalog that waits for a disk waits once.
    fn update_many(
        &self,
        changes: Vec<(Tenant, TenantChange)>,
        by: &Actor,
    ) -> Vec<Result<Tenant, WriteError>> {
        let change =
            |(seen, change): (Tenant, _)| self.update(seen.id(), seen.version(), change, by);
        changes.into_iter().map(change).collect()
    }

    /// Removes a tenant and its names, leaving a tombstone with its last epoch.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] when the row has moved on.
    fn remove(&self, id: &TenantId, seen: Version, by: &Actor) -> Result<Version, WriteError>;

    /// Binds a further name to a tenant. A domain bound with [`Proof::Pending`] is
    /// only claimed: it does not route until it is [verified](Self::verify), and other
    /// tenants may claim it as well. Claiming it again starts a new attempt. Binding it
    /// with [`Proof::Trusted`] ends every claim of it.
    ///
    /// # Errors
    /// When the name routes to another tenant.
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
    /// [`WriteError::NotProven`] when it is not the value of the last attempt;
    /// [`WriteError::NoClaim`] when the tenant has no claim of it, or none any more.
    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Makes a domain that routes the tenant's primary one, in place of the one before:
    /// where links to it lead. A tenant has none unless said, and loses it when the
    /// domain is taken away or has to be proven anew.
    ///
    /// # Errors
    /// When the domain is not this tenant's, or waits to be proven.
    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Moves a name that routes from one tenant to another, in one write: it is never
    /// nobody's in between. Of another tenant than before it is not the primary domain.
    ///
    /// # Errors
    /// When the name does not route to `from`, or is its own id.
    fn rebind(
        &self,
        name: &Name,
        from: &TenantId,
        to: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError>;

    /// Takes a name away from its tenant, or ends its claim. The tenant's own id cannot be.
    ///
    /// # Errors
    /// When the name is not this tenant's.
    fn unbind(&self, name: &Name, id: &TenantId, by: &Actor) -> Result<Version, WriteError>;

    /// A tenant's further names, and its claims that have not expired.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError>;

    /// Tenants by id, at most `max`, after this one.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
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

/// Who wrote: a person, a job, the system. Audits keep it.
///
/// ```
/// # use tenancy_core::Actor;
/// assert_eq!(Actor::new("cli:ada").as_str(), "cli:ada");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Box<str>);

impl Actor {
    /// An actor of this name; what is beyond 200 bytes is cut.
    pub fn new(name: &str) -> Self {
        Self(name[..name.floor_char_boundary(200)].into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a new tenant is inserted with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTenant {
    /// Its permanent name.
    pub id: TenantId,
    /// Active unless said.
    pub status: TenantStatus,
    /// Where its data will live.
    pub placement: Placement,
    /// What the embedder keeps with it.
    pub attributes: Attributes,
    /// Further names that route to it at once. If one is another tenant's, nothing is
    /// inserted.
    pub names: Vec<Name>,
    /// As [`TenantChange::schema`].
    pub schema: Option<u32>,
    /// Takes a database that is ready, if the catalog has one: its placement, its
    /// schema and the status said there are the tenant's then, instead of those said
    /// here. A catalog that keeps no stock has none; nor is there one for an id that was
    /// used before. `None`, which takes none, unless said.
    pub from_stock: Option<FromStock>,
}

/// Which ready database a new tenant takes, and what it is then.
///
/// ```
/// use tenancy_core::{Actor, CatalogWriter, FromStock, MemoryCatalog, NewTenant, TenantStatus};
/// let mut acme = NewTenant::new("acme".parse()?);
/// acme.status = TenantStatus::Provisioning; // when none is ready, and one is to be made
/// acme.from_stock = Some(FromStock {
///     fingerprint: "schema 3".into(),
///     status: TenantStatus::Active,
/// });
/// // This catalog keeps none.
/// let acme = MemoryCatalog::new().insert(acme, &Actor::new("docs"))?;
/// assert_eq!(acme.status(), TenantStatus::Provisioning);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromStock {
    /// What it must be like: [`Provisioner::fingerprint`](crate::Provisioner::fingerprint).
    pub fingerprint: Box<str>,
    /// The tenant's status with it.
    pub status: TenantStatus,
}

impl NewTenant {
    /// An active tenant without placement and attributes.
    pub fn new(id: TenantId) -> Self {
        Self {
            id,
            status: TenantStatus::Active,
            placement: Placement::default(),
            attributes: Attributes::default(),
            names: Vec::new(),
            schema: None,
            from_stock: None,
        }
    }
}

/// What to change of a tenant; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantChange {
    /// The new status.
    pub status: Option<TenantStatus>,
    /// The next incarnation, where it lives: epoch + 1.
    pub reincarnate: Option<Placement>,
    /// Begins maintenance, or ends it (`Some(None)`), whatever the status.
    pub maintenance: Option<Option<Maintenance>>,
    /// All attributes anew.
    pub attributes: Option<Attributes>,
    /// The schema version that its database was just seen to have. It is no part of
    /// a [`Tenant`]; a catalog that migrates many at once keeps it.
    pub schema: Option<u32>,
}

impl TenantChange {
    /// A new status and nothing else.
    pub fn status(status: TenantStatus) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// The tenant as it is after this change, at this version.
    ///
    /// # Errors
    /// When the attributes are over their bounds.
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

/// By what right a name is bound.
///
/// ```
/// use tenancy_core::*;
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
    /// The operator vouches for it: it routes at once. Labels are always bound so.
    Trusted,
    /// A claim of a domain, which routes once its DNS shows this challenge. Each attempt of
    /// each tenant needs a challenge of its own. It ends after [`CLAIM_TTL`].
    Pending(Challenge),
}

/// The time after which a claim that nobody has proven ends: 7 days.
pub const CLAIM_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A further name of a tenant, as [`CatalogWriter::names`] tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The name.
    pub name: Name,
    /// The challenge it waits for; `None` when it routes.
    pub pending: Option<Challenge>,
    /// Whether it is the tenant's [primary](CatalogWriter::make_primary) domain.
    pub primary: bool,
}

impl Binding {
    /// A name that routes, or waits for its challenge.
    pub fn new(name: Name, pending: Option<Challenge>) -> Self {
        Self {
            name,
            pending,
            primary: false,
        }
    }
}
