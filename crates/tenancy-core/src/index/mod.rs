//! The owners of names: a [`Replica`](replica::Replica) of the whole catalog, which its change feed
//! updates, or a bounded [`Cache`](cache::Cache).

mod bounded;
pub(crate) mod cache;
pub(crate) mod replica;

use crate::catalog::TenantKey;
use crate::host;
use crate::id::check_label;
use crate::key::{Key, Kind, parts};
use crate::tenant::Tenant;

/// A canonical name for a look-up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe<'a> {
    Short(Key),
    Long(Kind, &'a str),
}

impl<'a> Probe<'a> {
    pub(crate) fn of(name: TenantKey<'a>) -> Self {
        match Key::of(name) {
            Some(key) => Self::Short(key),
            None => {
                let (kind, text) = parts(name);
                Self::Long(kind, text)
            }
        }
    }

    /// Returns a copy that is stored elsewhere; see [`hot`](crate::resolver).
    #[inline(always)]
    pub(crate) fn again(self) -> Self {
        match self {
            Self::Short(key) => Self::Short(key.again()),
            Self::Long(kind, text) => Self::Long(kind, text),
        }
    }

    /// Returns the key for a look-up in the catalog, or `None` if the text is no name. A short name
    /// is written to `buffer`.
    pub(crate) fn as_key(self, buffer: &'a mut [u8; 32]) -> Option<TenantKey<'a>> {
        let (kind, text) = match self {
            Self::Short(key) => (key.kind(), std::str::from_utf8(key.text(buffer)).ok()?),
            Self::Long(kind, text) => (kind, text),
        };
        match kind {
            Kind::Label => check_label(text.as_bytes())
                .ok()
                .map(|()| TenantKey::Label(text)),
            Kind::Domain => host::check(text.as_bytes())
                .ok()
                .map(|()| TenantKey::Domain(text)),
        }
    }
}

/// The owner of a name.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Tenant(Tenant),
    /// Two tenants claim the name.
    Contested,
    /// No tenant has the name.
    NoTenant,
}
