//! [`Tenant`], the handle that everything else is asked with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::id::{Epoch, TenantId, TenantRef, Version};
use crate::maintenance::Maintenance;

/// One tenant as the catalog knew it at a version: a cheap handle (one word; a
/// clone is a reference count).
///
/// Two handles are equal when id and epoch are: status and attributes may have
/// changed between them, the incarnation has not.
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
    /// Starts a handle; catalogs build them, tests may.
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

    /// The permanent name.
    pub fn id(&self) -> &TenantId {
        &self.0.id
    }

    /// Which incarnation this handle is of.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// The version of the catalog's row that this handle was read from.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// What may be done with it.
    pub fn status(&self) -> TenantStatus {
        self.0.status
    }

    /// Where its data lives.
    pub fn placement(&self) -> &Placement {
        &self.0.placement
    }

    /// The value of one attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.0.attributes.0.get(name).map(|value| &**value)
    }

    /// All attributes, by name.
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }

    /// Returns what to tell visitors while the tenant is in maintenance; `None` when it is
    /// not. Maintenance is a fact beside the status: an active or a suspended tenant may be in
    /// it.
    pub fn maintenance(&self) -> Option<&Maintenance> {
        self.0.maintenance.as_deref()
    }

    /// Whether requests are served: the tenant is active and not in maintenance.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_open
    }

    /// Id and epoch, for a job, a link or a message.
    pub fn to_ref(&self) -> TenantRef {
        TenantRef {
            id: self.id().clone(),
            epoch: self.epoch(),
        }
    }

    /// `key` as this incarnation's own: `acme@3:key`. For caches, queues and file
    /// stores that tenants share; a re-created tenant never sees its predecessor's
    /// entries.
    pub fn scoped_key(&self, key: &str) -> String {
        format!("{}@{}:{key}", self.id(), self.epoch())
    }

    /// A builder holding all that this handle holds.
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

/// Builds a [`Tenant`].
#[must_use = "call `build`"]
pub struct TenantBuilder(Record);

impl TenantBuilder {
    /// The incarnation; [`Epoch::FIRST`] unless said.
    pub fn epoch(mut self, epoch: Epoch) -> Self {
        self.0.epoch = epoch;
        self
    }

    /// The catalog's version of the row; [`Version::ZERO`] unless said.
    pub fn version(mut self, version: Version) -> Self {
        self.0.version = version;
        self
    }

    /// The status; active unless said.
    pub fn status(mut self, status: TenantStatus) -> Self {
        self.0.status = status;
        self
    }

    /// Where the data lives.
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

    /// Sets what to tell visitors while the tenant is in maintenance; `None` when it is not,
    /// which is the default.
    pub fn maintenance(mut self, maintenance: Option<Maintenance>) -> Self {
        self.0.maintenance = maintenance.map(Box::new);
        self
    }

    /// The handle.
    ///
    /// # Errors
    /// When there are more than [`Attributes::MAX_COUNT`] attributes or more than
    /// [`Attributes::MAX_BYTES`] in them.
    pub fn build(mut self) -> Result<Tenant, TooManyAttributes> {
        self.0.attributes.check(&self.0.id)?;
        self.0.is_open = self.0.status == TenantStatus::Active && self.0.maintenance.is_none();
        Ok(Tenant(Arc::new(self.0)))
    }
}

/// What the embedder keeps with a tenant, by name: a plan, a region, a colour.
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
    /// At most this many a tenant: they stay in every resolver's memory.
    pub const MAX_COUNT: usize = 64;
    /// At most this many bytes of names and values a tenant.
    pub const MAX_BYTES: usize = 4096;

    /// Adds or replaces one.
    pub fn insert(&mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// All, in the order of their names.
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

/// A tenant with more attributes than the bounds of [`Attributes`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant {tenant} has {count} attributes of {bytes} bytes; keep to {} of {} bytes in all",
    Attributes::MAX_COUNT,
    Attributes::MAX_BYTES
)]
pub struct TooManyAttributes {
    /// The tenant.
    pub tenant: TenantId,
    /// How many attributes it would have.
    pub count: usize,
    /// How many bytes of names and values.
    pub bytes: usize,
}

/// The stage of a tenant's life. Only [`Active`](Self::Active) ones are served, and of those
/// only tenants that are not in [maintenance](Tenant::maintenance).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TenantStatus {
    /// Its database is being made.
    Provisioning,
    /// In use.
    Active,
    /// Shut out until it is resumed.
    Suspended,
    /// On its way to the trash.
    Retiring,
}

impl TenantStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [
        Self::Provisioning,
        Self::Active,
        Self::Suspended,
        Self::Retiring,
    ];

    /// The word that stands in files and on the command line.
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

/// A text that is no [`TenantStatus`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("status {text} is not known; use provisioning, active, suspended or retiring")]
pub struct UnknownStatus {
    text: Box<str>,
}

/// Where a tenant's data lives; its driver reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// Which driver reads it, for example `sqlite`.
    pub kind: Box<str>,
    /// Which server or directory of many; empty where there is one.
    pub shard: Box<str>,
    /// Which node writes it; empty where there is one.
    pub owner: Box<str>,
    /// Where in the world it must stay; empty where nobody asks.
    pub region: Box<str>,
    /// The driver's own name for it: opaque, never the tenant's.
    pub locator: Box<str>,
}

impl Placement {
    /// A placement on the only shard, node and region there is.
    pub fn new(kind: impl Into<Box<str>>, locator: impl Into<Box<str>>) -> Self {
        Self {
            kind: kind.into(),
            locator: locator.into(),
            ..Self::default()
        }
    }
}
