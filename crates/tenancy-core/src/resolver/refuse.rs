//! The refusals of requests. They are cold functions, which are called where the reason is known.

use super::error::ResolveError;
use super::hosts::{HostKind, Hosts};
use super::name::NameBuf;
use super::outcome::for_tenant;
use super::rule::RuleKind;
use crate::classify::{Classified, RouteMode};
use crate::host::{self, HostProblem, bad};
use crate::index::Found;
use crate::key::Kind;
use crate::path::NormalPath;
use crate::request::{Hosts as HostValues, RequestHead};
use crate::tenant::{Tenant, TenantStatus};
use crate::text::Excerpt;

/// Returns the refusal of a name without a tenant that is served on this route.
#[cold]
#[inline(never)]
pub(super) fn unserved(
    found: Found,
    classified: Classified,
    rule: RuleKind,
    name: &[u8],
    path: NormalPath<'_>,
    without_tenant: impl FnOnce() -> ResolveError,
) -> ResolveError {
    match found {
        Found::Tenant(tenant) => not_served(tenant, classified, rule, path),
        Found::NoTenant => without_tenant(),
        Found::Contested => ResolveError::ContestedName {
            name: Excerpt::new(name),
        },
    }
}

/// Returns the refusal of a host whose name belongs to no tenant.
#[cold]
#[inline(never)]
pub(super) fn without_tenant(
    hosts: &Hosts,
    rule: RuleKind,
    name: &[u8],
    host: &[u8],
) -> ResolveError {
    let or_else = || match rule {
        RuleKind::Domain => no_tenant(hosts, host),
        _ => unknown(rule, name),
    };
    malformed(hosts, rule, name, host).unwrap_or_else(or_else)
}

/// Returns the refusal of a host that is not central and belongs to no tenant.
#[cold]
pub(super) fn no_tenant(hosts: &Hosts, host: &[u8]) -> ResolveError {
    let advice = match host.first() {
        Some(b'[') => "list it as central if it is",
        _ if hosts.domains => "bind it as a domain first",
        _ => "list it as central, or switch rule domain on and bind it",
    };
    ResolveError::NoTenant {
        host: Excerpt::new(host),
        advice,
    }
}

/// Returns the refusal of a host that is refused whatever the catalog holds: it is no host name, or
/// its label is reserved or malformed.
#[cold]
#[inline(never)]
pub(super) fn malformed(
    hosts: &Hosts,
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
    if hosts.is_reserved(label) {
        return Some(reserved(rule, label));
    }
    // The part of a valid label that a template leaves may be invalid: `a-` of `a--api`.
    let label_is_valid = NameBuf::lower(Kind::Label, label).is_some();
    (!label_is_valid).then(|| unknown(rule, label))
}

/// Returns the reason why this route does not serve this tenant now.
fn not_served(
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
            let resolved = for_tenant(tenant.clone(), classified, rule, path).into_owned();
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
pub(super) fn bad_host(host: &[u8], problem: HostProblem) -> ResolveError {
    ResolveError::BadHost(bad(host, problem))
}

/// Checks the grammar of a host. A central host was checked when it was configured.
pub(super) fn check(kind: HostKind<'_>, host: &[u8]) -> Result<(), ResolveError> {
    match kind {
        HostKind::Central => Ok(()),
        _ => host::check(host).map_err(|problem| bad_host(host, problem)),
    }
}

/// Returns the one host of a request, from its Host header or its authority.
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

/// Returns whether two hosts are equal. The case, the ports and a final dot are ignored. Different
/// spellings of one IPv6 address are equal.
fn same_host(a: &[u8], b: &[u8]) -> bool {
    match (host::split(a), host::split(b)) {
        (Ok(a), Ok(b)) => {
            a.eq_ignore_ascii_case(b) || (host::v6(a).is_some() && host::v6(a) == host::v6(b))
        }
        _ => a.eq_ignore_ascii_case(b),
    }
}
