//! [`Tenant`], the handle that all other calls take.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::id::{Epoch, TenantId, TenantRef, Version};
use crate::maintenance::Maintenance;

/// A tenant as it was in the catalog at one version. The handle is one pointer, and a clone only
/// raises a reference count.
///
/// Two handles are equal if their ids and epochs are equal. Their other values may differ.
///
/// ```
/// use tenancy_core::{Placement, Tenant, TenantStatus};
/// let acme = Tenant::builder("acme".parse()?)
///     .placement(Placement::new("sqlite", "6f1c"))
///     .attribute("plan", "pro")
///     .build()?;
/// assert_eq!(acme.status(), TenantStatus::Active);
/// assert_eq!(acme.attribute("plan"), Some("pro"));
/// assert_eq!(acme.scoped_key("cart:7"), "acme@1:cart:7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "account")]
#[doc(alias = "customer")]
#[doc(alias = "organization")]
#[derive(Clone)]
pub struct Tenant(Arc<Record>);

struct Record {
    id: TenantId,
    epoch: Epoch,
    version: Version,
    status: TenantStatus,
    placement: Placement,
    attributes: Attributes,
    maintenance: Option<Box<Maintenance>>,
    /// Whether requests are served: active, and not in maintenance.
    is_open: bool,
}

impl Tenant {
    /// Returns a builder of a handle, for catalogs and tests.
    pub fn builder(id: TenantId) -> TenantBuilder {
        TenantBuilder(Record {
            id,
            epoch: Epoch::FIRST,
            version: Version::ZERO,
            status: TenantStatus::Active,
            placement: Placement::default(),
            attributes: Attributes::default(),
            maintenance: None,
            is_open: true,
        })
    }

    /// Returns the permanent name of the tenant.
    pub fn id(&self) -> &TenantId {
        &self.0.id
    }

    /// Returns the incarnation of the tenant.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// Returns the version of the catalog's row that this handle was read from.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// Returns the stage of the tenant's life.
    pub fn status(&self) -> TenantStatus {
        self.0.status
    }

    /// Returns the location of the tenant's data.
    pub fn placement(&self) -> &Placement {
        &self.0.placement
    }

    /// Returns the value of one attribute, or `None` if the tenant does not have it.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.0.attributes.0.get(name).map(|value| &**value)
    }

    /// Returns all attributes by name.
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }

    /// Returns the maintenance that the tenant is in, or `None`. Maintenance is independent of
    /// the status: active and suspended tenants can be in maintenance.
    pub fn maintenance(&self) -> Option<&Maintenance> {
        self.0.maintenance.as_deref()
    }

    /// Returns whether requests are served: the tenant is active and not in maintenance.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_open
    }

    /// Returns id and epoch, for a job, a link or a message.
    pub fn to_ref(&self) -> TenantRef {
        TenantRef {
            id: self.id().clone(),
            epoch: self.epoch(),
        }
    }

    /// Returns `key` behind the id and the epoch: `acme@3:key`. Use it in caches, queues and file
    /// stores that tenants share: a tenant that was removed and created again does not find the
    /// entries of the removed one.
    pub fn scoped_key(&self, key: &str) -> String {
        format!("{}@{}:{key}", self.id(), self.epoch())
    }

    /// Returns a builder with all values of this handle.
    pub fn to_builder(&self) -> TenantBuilder {
        let record = &*self.0;
        TenantBuilder(Record {
            id: record.id.clone(),
            epoch: record.epoch,
            version: record.version,
            status: record.status,
            placement: record.placement.clone(),
            attributes: record.attributes.clone(),
            maintenance: record.maintenance.clone(),
            is_open: record.is_open,
        })
    }
}

impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.epoch == other.0.epoch && self.0.id == other.0.id)
    }
}

impl Eq for Tenant {}

impl std::hash::Hash for Tenant {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
        self.epoch().hash(state);
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, epoch, status) = (self.id(), self.epoch(), self.status());
        let down = self.maintenance().map_or("", |_| ", in maintenance");
        write!(f, "Tenant({id}@{epoch} {status}{down})")
    }
}

/// A builder of a [`Tenant`] handle.
#[must_use = "call `build`"]
pub struct TenantBuilder(Record);

impl TenantBuilder {
    /// Sets the incarnation. Defaults to [`Epoch::FIRST`].
    pub fn epoch(mut self, epoch: Epoch) -> Self {
        self.0.epoch = epoch;
        self
    }

    /// Sets the catalog's version of the row. Defaults to [`Version::ZERO`].
    pub fn version(mut self, version: Version) -> Self {
        self.0.version = version;
        self
    }

    /// Sets the status. Defaults to active.
    pub fn status(mut self, status: TenantStatus) -> Self {
        self.0.status = status;
        self
    }

    /// Sets the location of the data.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.0.placement = placement;
        self
    }

    /// Adds or replaces one attribute.
    pub fn attribute(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.0.attributes.0.insert(name.into(), value.into());
        self
    }

    /// Replaces all attributes.
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.0.attributes = attributes;
        self
    }

    /// Sets the maintenance that the tenant is in. Defaults to none.
    pub fn maintenance(mut self, maintenance: Option<Maintenance>) -> Self {
        self.0.maintenance = maintenance.map(Box::new);
        self
    }

    /// Returns the handle.
    ///
    /// # Errors
    /// Returns an error if there are more than [`Attributes::MAX_COUNT`] attributes, or if their
    /// names and values have more than [`Attributes::MAX_BYTES`] bytes in all.
    pub fn build(mut self) -> Result<Tenant, TooManyAttributes> {
        self.0.attributes.check(&self.0.id)?;
        self.0.is_open = self.0.status == TenantStatus::Active && self.0.maintenance.is_none();
        Ok(Tenant(Arc::new(self.0)))
    }
}

/// Named texts that the embedder stores with a tenant, such as a plan, a region or a colour.
///
/// ```
/// use tenancy_core::Attributes;
/// let mut attributes = Attributes::default();
/// attributes.insert("plan", "pro");
/// assert_eq!(attributes.get("plan"), Some("pro"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<Box<str>, Box<str>>);

impl Attributes {
    /// The bound on the attributes of one tenant. It is low because every resolver keeps them in
    /// memory.
    pub const MAX_COUNT: usize = 64;
    /// The bound on the bytes of all names and values of one tenant together.
    pub const MAX_BYTES: usize = 4096;

    /// Adds or replaces an attribute.
    pub fn insert(&mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) {
        self.0.insert(name.into(), value.into());
    }

    /// Removes an attribute, if there is one of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Returns the value of an attribute, or `None` if there is none of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// Returns all attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    fn check(&self, id: &TenantId) -> Result<(), TooManyAttributes> {
        let bytes = self.iter().map(|(name, value)| name.len() + value.len());
        let (count, bytes) = (self.0.len(), bytes.sum());
        if count > Self::MAX_COUNT || bytes > Self::MAX_BYTES {
            return Err(TooManyAttributes {
                tenant: id.clone(),
                count,
                bytes,
            });
        }
        Ok(())
    }
}

/// The error for a tenant whose attributes exceed the bounds of [`Attributes`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant {tenant} has {count} attributes of {bytes} bytes; keep to {} of {} bytes in all",
    Attributes::MAX_COUNT,
    Attributes::MAX_BYTES
)]
pub struct TooManyAttributes {
    /// The id of the tenant.
    pub tenant: TenantId,
    /// The number of attributes.
    pub count: usize,
    /// The bytes of all names and values together.
    pub bytes: usize,
}

/// The stage of a tenant's life. Requests are served for [`Active`](Self::Active) tenants that are
/// not in [maintenance](Tenant::maintenance).
///
/// ```
/// use tenancy_core::{Tenant, TenantStatus};
/// let status: TenantStatus = "suspended".parse()?;
/// let acme = Tenant::builder("acme".parse()?).status(status).build()?;
/// assert_eq!(acme.status(), TenantStatus::Suspended);
/// assert_eq!(status.to_string(), "suspended");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TenantStatus {
    /// The tenant's database is being made.
    Provisioning,
    /// The tenant is in use.
    Active,
    /// Requests for the tenant are refused until it is resumed.
    Suspended,
    /// The tenant's database is in the trash, or is being moved there.
    Retiring,
}

impl TenantStatus {
    /// The list of all statuses.
    pub const ALL: [Self; 4] = [
        Self::Provisioning,
        Self::Active,
        Self::Suspended,
        Self::Retiring,
    ];

    /// Returns the word for this status in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Retiring => "retiring",
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for TenantStatus {
    type Err = UnknownStatus;
    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        let known = Self::ALL.into_iter().find(|s| s.as_str() == text);
        known.ok_or_else(|| UnknownStatus {
            text: crate::text::quote(text),
        })
    }
}

/// The error for a text that is no [`TenantStatus`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("status {text} is not known; use provisioning, active, suspended or retiring")]
pub struct UnknownStatus {
    text: Box<str>,
}

/// The location of a tenant's data, which its driver reads.
#[doc(alias = "shard")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// The kind of driver that reads the data, for example `sqlite`.
    pub kind: Box<str>,
    /// The server or directory of the data. Empty if there is only one.
    pub shard: Box<str>,
    /// The machine that writes the data. Empty if there is only one.
    pub owner: Box<str>,
    /// The region of the world that the data must stay in. Empty if every region is allowed.
    pub region: Box<str>,
    /// The driver's name for the database. Only the driver interprets it.
    pub locator: Box<str>,
}

impl Placement {
    /// Makes a placement without a shard, an owner or a region.
    pub fn new(kind: impl Into<Box<str>>, locator: impl Into<Box<str>>) -> Self {
        Self {
            kind: kind.into(),
            locator: locator.into(),
            ..Self::default()
        }
    }
}
