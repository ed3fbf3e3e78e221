//! [`ResolveError`]: the error for a refused request.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Resolved;
use super::reason::Reason;
use super::refusal::Refusal;
use super::rule::RuleKind;
use crate::catalog::CatalogError;
use crate::classify::{PathClass, RouteMode};
use crate::host::BadHost;
use crate::path::BadPath;
use crate::tenant::Tenant;
use crate::text::Excerpt;

/// The error for a refused request. An adapter sends the [`refusal`](Self::refusal), or makes a
/// response from the [`reason`](Self::reason) and the [`status`](Self::status).
///
/// ```
/// use tenancy_core::{MemoryCatalog, Method, Reason, RequestHead, Resolver, Rule};
/// let resolver = Resolver::builder(MemoryCatalog::new())
///     .rule(Rule::subdomain_of("app.test"))
///     .build()?;
/// let head = RequestHead::new(Method::Get, "/").host("acme.app.test");
/// let refused = resolver.resolve(&head).unwrap_err();
/// assert_eq!(refused.reason(), Reason::UnknownTenant);
/// assert_eq!((refused.reason().as_str(), refused.status()), ("unknown_tenant", 404));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The host breaks the grammar or is missing.
    #[error(transparent)]
    BadHost(BadHost),
    /// The request has several hosts: several Host headers, several forwarded hosts, or a Host that
    /// differs from the authority.
    #[error("the request names more than one host; send one Host, equal to the authority")]
    AmbiguousHost,
    /// The path is refused, for example because it has a dot segment.
    #[error(transparent)]
    BadPath(BadPath),
    /// The host is not central, and belongs to no tenant.
    #[error("host {host} is neither central nor a tenant's; {advice}")]
    NoTenant {
        /// The host that was sent.
        host: Excerpt,
        /// Advice to the operator.
        advice: &'static str,
    },
    /// The label is reserved, and so names no tenant, even if a tenant has it.
    #[error(
        "label {name}, named by {rule}, is reserved and no tenant's; take it off `reserved`, or use another"
    )]
    Reserved {
        /// The rule that found the label.
        rule: RuleKind,
        /// The reserved label.
        name: Excerpt,
    },
    /// The request names a tenant that is not in the catalog, or its name is no tenant id.
    #[error("{name}, named by {rule}, is no tenant; check the spelling, or create it")]
    UnknownTenant {
        /// The rule that found the name.
        rule: RuleKind,
        /// The name without a tenant.
        name: Excerpt,
    },
    /// A tenant must serve the path, but the request names none. Or the central application must
    /// serve it, but the host or the path names a tenant.
    #[error("{}", wrong_side(*class, *mode))]
    WrongSide {
        /// The class of the path.
        class: PathClass,
        /// The side that serves the path.
        mode: RouteMode,
    },
    /// The request names two tenants.
    #[error("{first} and {second} name different tenants; send one name")]
    AmbiguousTenant {
        /// The rule that found the first name.
        first: RuleKind,
        /// The rule that found the second name.
        second: RuleKind,
    },
    /// Two tenants own the name.
    #[error("{name} belongs to two tenants; unbind it from one of them")]
    ContestedName {
        /// The name with two owners.
        name: Excerpt,
    },
    /// The tenant is in maintenance.
    #[error("tenant {} is down for maintenance; {}", tenant.id(), come_back(tenant))]
    Maintenance {
        /// The tenant that was found. Its [`maintenance`](Tenant::maintenance) holds the message,
        /// the time after which to try again, and the secret.
        tenant: Tenant,
        /// The answer that replaces this error for a request that brings the secret.
        resolved: Box<Resolved<'static>>,
    },
    /// The tenant is suspended.
    #[error("tenant {} is suspended; resume it to let requests in", tenant.id())]
    Suspended {
        /// The tenant that was found.
        tenant: Tenant,
    },
    /// The tenant is being provisioned or retired.
    #[error("tenant {} is {} and not ready; try again when it is active", tenant.id(), tenant.status())]
    NotReady {
        /// The tenant that was found.
        tenant: Tenant,
    },
    /// The catalog cannot be read, and the resolver's memory lacks the name or is too old.
    #[error("the catalog cannot be read and the last answers are too old; try again")]
    CatalogUnavailable {
        /// The catalog's error.
        source: Arc<CatalogError>,
    },
}

fn wrong_side(class: PathClass, mode: RouteMode) -> String {
    match mode {
        RouteMode::Central => {
            format!("this {class} route is central; ask for it on a central host, without a tenant")
        }
        _ => format!("this {class} route is a tenant's; ask for it on a host of the tenant"),
    }
}

fn come_back(tenant: &Tenant) -> String {
    let maintenance = tenant.maintenance();
    if let Some(message) = maintenance.and_then(|m| m.message.as_deref()) {
        return message.to_string();
    }
    match maintenance.and_then(|m| m.retry_after) {
        Some(after) => format!("try again in {} s", after.as_secs()),
        None => "try again later".to_string(),
    }
}

impl ResolveError {
    /// Returns the reason in one word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::BadHost(_) => Reason::BadHost,
            Self::AmbiguousHost => Reason::AmbiguousHost,
            Self::BadPath(_) => Reason::BadPath,
            Self::NoTenant { .. } => Reason::NoTenant,
            // The host of a reserved label is an unknown host, as no tenant can have it.
            Self::Reserved {
                rule: RuleKind::Subdomain | RuleKind::Template,
                ..
            } => Reason::NoTenant,
            Self::UnknownTenant { .. } | Self::Reserved { .. } => Reason::UnknownTenant,
            Self::WrongSide { .. } => Reason::WrongSide,
            Self::AmbiguousTenant { .. } | Self::ContestedName { .. } => Reason::AmbiguousTenant,
            Self::Maintenance { .. } => Reason::Maintenance,
            Self::Suspended { .. } => Reason::Suspended,
            Self::NotReady { .. } => Reason::NotReady,
            Self::CatalogUnavailable { .. } => Reason::CatalogUnavailable,
        }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.reason().status()
    }

    /// Returns the tenant that was found but is not served.
    pub fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::Maintenance { tenant, .. }
            | Self::Suspended { tenant }
            | Self::NotReady { tenant } => Some(tenant),
            _ => None,
        }
    }

    /// Returns the time after which the client should try again (HTTP `Retry-After`), if the
    /// operator set one.
    pub fn retry_after(&self) -> Option<Duration> {
        self.tenant()?.maintenance()?.retry_after
    }

    /// Returns the response to the request. `accept` is the value of its `Accept` header. If that
    /// prefers `application/problem+json` (RFC 9457) or `application/json` to HTML, the body is
    /// `application/problem+json`, or else HTML.
    pub fn refusal(&self, accept: &str) -> Refusal {
        let down = self.tenant().and_then(|tenant| tenant.maintenance());
        let down = down.filter(|_| matches!(self, Self::Maintenance { .. }));
        Refusal::new(self.reason(), down, accept)
    }
}
