//! [`TenantSpec`]: what a tenant is created with.

use tenancy_core::{Attributes, Placement, TenantId};

/// What a tenant is created with.
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
    /// Its permanent name.
    pub id: TenantId,
    /// What the application keeps with it.
    pub attributes: Attributes,
    /// Further names that route to it: domains, or labels under a base domain. Who
    /// creates the tenant vouches for them.
    pub names: Vec<String>,
    /// Where its data will live; the driver draws a place unless said.
    pub placement: Option<Placement>,
    /// Whether its database is filled with the driver's seeds before it is active.
    pub seeded: bool,
}

impl TenantSpec {
    /// A tenant with nothing but its id.
    pub fn new(id: TenantId) -> Self {
        Self {
            id,
            attributes: Attributes::default(),
            names: Vec::new(),
            placement: None,
            seeded: false,
        }
    }

    /// Fills its database with the driver's seeds before it is active.
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
