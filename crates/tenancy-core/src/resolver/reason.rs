//! [`Reason`]: why a request is refused, in one word.

use std::fmt;

/// Why a request is refused, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// 400: no host, or one that breaks the grammar.
    BadHost,
    /// 400: several hosts, or host and authority differ.
    AmbiguousHost,
    /// 400: an ambiguous or malformed path.
    BadPath,
    /// 404: the host is neither central nor a tenant's.
    NoTenant,
    /// 404: a tenant is named that is not in the catalog.
    UnknownTenant,
    /// 404: a tenant's route on a central host, or a central route for a tenant.
    WrongSide,
    /// 400: two names for different tenants.
    AmbiguousTenant,
    /// 503: down for a while.
    Maintenance,
    /// 403: shut out.
    Suspended,
    /// 503: being made, or on its way to the trash.
    NotReady,
    /// 503: the catalog cannot be asked.
    CatalogUnavailable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::BadHost,
        Self::AmbiguousHost,
        Self::BadPath,
        Self::NoTenant,
        Self::UnknownTenant,
        Self::WrongSide,
        Self::AmbiguousTenant,
        Self::Maintenance,
        Self::Suspended,
        Self::NotReady,
        Self::CatalogUnavailable,
    ];

    /// The word that stands in logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadHost => "bad_host",
            Self::AmbiguousHost => "ambiguous_host",
            Self::BadPath => "bad_path",
            Self::NoTenant => "no_tenant",
            Self::UnknownTenant => "unknown_tenant",
            Self::WrongSide => "wrong_side",
            Self::AmbiguousTenant => "ambiguous_tenant",
            Self::Maintenance => "maintenance",
            Self::Suspended => "suspended",
            Self::NotReady => "not_ready",
            Self::CatalogUnavailable => "catalog_unavailable",
        }
    }

    /// The heading of a page for it. Strangers may read it: it tells neither names nor what
    /// the operator could do.
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadHost | Self::AmbiguousHost | Self::BadPath | Self::AmbiguousTenant => {
                "Bad request"
            }
            Self::NoTenant | Self::UnknownTenant | Self::WrongSide => "Not found",
            Self::Maintenance => "Down for maintenance",
            Self::Suspended => "Not available",
            Self::NotReady | Self::CatalogUnavailable => "Temporarily unavailable",
        }
    }

    /// A sentence below the heading.
    pub(super) const fn advice(self) -> &'static str {
        match self.status() {
            400 => "The address of this page is malformed. Check it and try again.",
            403 => "This site is not available.",
            404 => "There is nothing at this address. Check it and try again.",
            _ => "Please try again later.",
        }
    }

    /// The HTTP status for it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadHost | Self::AmbiguousHost | Self::BadPath | Self::AmbiguousTenant => 400,
            Self::Suspended => 403,
            Self::NoTenant | Self::UnknownTenant | Self::WrongSide => 404,
            Self::Maintenance | Self::NotReady | Self::CatalogUnavailable => 503,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
