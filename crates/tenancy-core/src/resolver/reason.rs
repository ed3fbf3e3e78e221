//! [`Reason`]: the reason of a refusal.

use std::fmt;

/// The reason of a refusal in one word, with its HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// 400: the host is missing or breaks the grammar.
    BadHost,
    /// 400: the request has several hosts, or its host differs from its authority.
    AmbiguousHost,
    /// 400: the path is refused; see [`BadPath`](crate::BadPath).
    BadPath,
    /// 404: the host is not central, and belongs to no tenant.
    NoTenant,
    /// 404: the named tenant is not in the catalog.
    UnknownTenant,
    /// 404: a tenant must serve the path, but the request names none. Or the central application
    /// must serve it, but the host or the path names a tenant.
    WrongSide,
    /// 400: the request names two tenants, or two tenants own the name.
    AmbiguousTenant,
    /// 503: the tenant is in maintenance.
    Maintenance,
    /// 403: the tenant is suspended.
    Suspended,
    /// 503: the tenant is being provisioned or retired.
    NotReady,
    /// 503: the catalog cannot be read.
    CatalogUnavailable,
}

impl Reason {
    /// The list of all reasons.
    // `CatalogUnavailable` must be the last reason: then a list that lacks one does not compile.
    pub const ALL: [Self; Self::CatalogUnavailable as usize + 1] = [
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

    /// Returns the word for this reason in logs and answers.
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

    /// Returns the heading of a page for this reason. Any visitor may read it, so it holds no name
    /// and no advice to the operator.
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

    /// Returns the sentence below the heading.
    pub(super) const fn advice(self) -> &'static str {
        match self.status() {
            400 => "The address of this page is malformed. Check it and try again.",
            403 => "This site is not available.",
            404 => "There is nothing at this address. Check it and try again.",
            _ => "Please try again later.",
        }
    }

    /// Returns the HTTP status for this reason.
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
