//! [`Name`]: a name by which requests find a tenant.

use std::fmt;

use crate::domain::Domain;
use crate::id::TenantId;

/// A borrowed name in canonical form, for a look-up in a catalog.
///
/// ```
/// use tenancy_core::{Name, TenantKey};
/// let shop = Name::Domain("Shop.Example".parse()?);
/// assert_eq!(shop.as_key(), TenantKey::Domain("shop.example"));
/// assert_eq!(TenantKey::Domain("shop.example").to_name(), Some(shop));
/// assert_eq!(TenantKey::Label("two.labels").to_name(), None);
/// # Ok::<(), tenancy_core::InvalidDomain>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TenantKey<'a> {
    /// The id of a tenant, or a further label, in lower case. No label has two owners.
    Label(&'a str),
    /// A full host name in lower case and ASCII, without a port and without a final dot.
    Domain(&'a str),
}

impl TenantKey<'_> {
    /// Returns the owned name, or `None` if the text is no canonical name.
    pub fn to_name(self) -> Option<Name> {
        match self {
            Self::Label(label) => TenantId::new(label).ok().map(Name::Label),
            Self::Domain(domain) => Domain::from_canonical(domain).map(Name::Domain),
        }
    }
}

impl fmt::Display for TenantKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Label(name) | Self::Domain(name)) = self;
        f.pad(name)
    }
}

/// A name that is bound to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A label, which names the tenant under every base domain.
    Label(TenantId),
    /// A full host name.
    Domain(Domain),
}

impl Name {
    /// Returns the key for a look-up of this name.
    pub fn as_key(&self) -> TenantKey<'_> {
        match self {
            Self::Label(label) => TenantKey::Label(label.as_str()),
            Self::Domain(domain) => TenantKey::Domain(domain.as_str()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_key().fmt(f)
    }
}
