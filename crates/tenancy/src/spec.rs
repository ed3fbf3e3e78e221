//! The specification of a new tenant.

use tenancy_core::{Attributes, Placement, TenantId};

/// The specification of a tenant to create: id, attributes, names, placement.
///
/// ```
/// use tenancy::TenantSpec;
/// let acme = TenantSpec::new("acme".parse()?)
///     .attribute("plan", "pro")
///     .name("shop.acme.example");
/// # let _ = acme;
/// # Ok::<(), tenancy::catalog::InvalidTenantId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "pass it to `Tenancy::create`"]
pub struct TenantSpec {
    /// The permanent id.
    pub id: TenantId,
    /// The attributes that the application stores with the tenant.
    pub attributes: Attributes,
    /// The further names that route to the tenant: domains, or labels under a base domain. They
    /// route without a proof of ownership.
    pub names: Vec<String>,
    /// The placement of the tenant's data. Defaults to a placement that the driver chooses.
    pub placement: Option<Placement>,
    /// Whether the driver's seeds run on the database before the tenant becomes active. Defaults to
    /// `false`.
    pub seeded: bool,
}

impl TenantSpec {
    /// Returns a specification with this id and defaults for everything else.
    pub fn new(id: TenantId) -> Self {
        Self {
            id,
            attributes: Attributes::default(),
            names: Vec::new(),
            placement: None,
            seeded: false,
        }
    }

    /// Runs the driver's seeds on the database before the tenant becomes active.
    pub fn seeded(mut self) -> Self {
        self.seeded = true;
        self
    }

    /// Adds or replaces one attribute.
    pub fn attribute(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.attributes.insert(name, value);
        self
    }

    /// Adds a domain, or a label under a base domain.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }
}

impl From<TenantId> for TenantSpec {
    fn from(id: TenantId) -> Self {
        Self::new(id)
    }
}
