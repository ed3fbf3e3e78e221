//! Why a request is refused: off the way of those that are served.

use super::hosts::{HostKind, Hosts};
use super::sources::NameBuf;
use super::{Resolution, ResolveError, RuleKind, answer};
use crate::classify::{Classified, RouteMode};
use crate::host::{self, HostProblem, bad};
use crate::key::Kind;
use crate::path::NormalPath;
use crate::request::{Hosts as HostValues, RequestHead};
use crate::tenant::{Tenant, TenantStatus};
use crate::text::Excerpt;

impl Hosts {
    /// Why a host whose name nobody owns is refused.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_nobody(&self, rule: RuleKind, name: &[u8], host: &[u8]) -> ResolveError {
        let or_else = || match rule {
            RuleKind::Domain => self.no_tenant(host),
            _ => unknown(rule, name),
        };
        let malformed = self.refuse_malformed(rule, name, host);
        malformed.unwrap_or_else(or_else)
    }

    /// A host that is neither central nor a tenant's.
    #[cold]
    pub(super) fn no_tenant(&self, host: &[u8]) -> ResolveError {
        let advice = match host.first() {
            Some(b'[') => "list it as central if it is",
            _ if self.domains => "bind it as a domain first",
            _ => "list it as central, or switch rule domain on and bind it",
        };
        ResolveError::NoTenant {
            host: Excerpt::new(host),
            advice,
        }
    }

    /// Why a host is refused whatever the catalog says: it is no host name, or its
    /// label is reserved or none.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_malformed(
        &self,
        rule: RuleKind,
        label: &[u8],
        host: &[u8],
    ) -> Option<ResolveError> {
        if let Err(problem) = host::check(host) {
            return Some(bad_host(host, problem));
        }
        if rule == RuleKind::Domain {
            return None;
        }
        if self.is_reserved(label) {
            return Some(reserved(rule, label));
        }
        // What a template leaves of a valid label may be none: `a-` of `a--api`.
        let label_is_valid = NameBuf::lower(Kind::Label, label).is_some();
        (!label_is_valid).then(|| unknown(rule, label))
    }
}

/// Returns why this route does not serve this tenant, now.
#[cold]
#[inline(never)]
pub(super) fn not_served(
    tenant: Tenant,
    classified: Classified,
    rule: RuleKind,
    path: NormalPath<'_>,
) -> ResolveError {
    let Classified { class, mode } = classified;
    match tenant.status() {
        _ if mode == RouteMode::Central => ResolveError::WrongSide { class, mode },
        TenantStatus::Suspended => ResolveError::Suspended { tenant },
        TenantStatus::Active => {
            let served = Resolution::Tenant(tenant.clone());
            let resolved = answer(served, classified, Some(rule), path).into_owned();
            ResolveError::Maintenance {
                tenant,
                resolved: Box::new(resolved),
            }
        }
        TenantStatus::Provisioning | TenantStatus::Retiring => ResolveError::NotReady { tenant },
    }
}

#[cold]
pub(super) fn reserved(rule: RuleKind, label: &[u8]) -> ResolveError {
    ResolveError::Reserved {
        rule,
        name: Excerpt::new(label),
    }
}

#[cold]
pub(super) fn unknown(rule: RuleKind, name: &[u8]) -> ResolveError {
    ResolveError::UnknownTenant {
        rule,
        name: Excerpt::new(name),
    }
}

#[cold]
pub(super) fn contested(name: &[u8]) -> ResolveError {
    ResolveError::ContestedName {
        name: Excerpt::new(name),
    }
}

#[cold]
pub(super) fn bad_host(host: &[u8], problem: HostProblem) -> ResolveError {
    ResolveError::BadHost(bad(host, problem))
}

/// The grammar of a host. A central one was checked when it was configured.
pub(super) fn check(kind: HostKind<'_>, host: &[u8]) -> Result<(), ResolveError> {
    match kind {
        HostKind::Central => Ok(()),
        _ => host::check(host).map_err(|problem| bad_host(host, problem)),
    }
}

/// The host of a request with none, several, or an authority.
pub(super) fn one_host<'h>(head: &RequestHead<'_, 'h>) -> Result<&'h [u8], ResolveError> {
    let host = match head.hosts {
        HostValues::None => None,
        HostValues::One(host) => Some(host),
        HostValues::Several => return Err(ResolveError::AmbiguousHost),
    };
    match (host, head.authority) {
        (None, None) => Err(bad_host(b"", HostProblem::Missing)),
        (Some(host), Some(authority)) if !same_host(host, authority) => {
            Err(ResolveError::AmbiguousHost)
        }
        (Some(host), _) | (None, Some(host)) => Ok(host),
    }
}

/// Without case, ports and one final dot, and whatever the spelling of an address.
fn same_host(a: &[u8], b: &[u8]) -> bool {
    match (host::split(a), host::split(b)) {
        (Ok(a), Ok(b)) => {
            a.eq_ignore_ascii_case(b) || (host::v6(a).is_some() && host::v6(a) == host::v6(b))
        }
        _ => a.eq_ignore_ascii_case(b),
    }
}
