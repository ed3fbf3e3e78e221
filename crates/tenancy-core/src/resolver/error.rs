//! [`ResolveError`]: a request that is refused.

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

/// A request that is refused. [`reason`](Self::reason) and
/// [`status`](Self::status) are the same words and codes for every adapter.
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
    /// The host breaks the grammar, or there is none.
    #[error(transparent)]
    BadHost(BadHost),
    /// More than one Host, or a Host that differs from the authority.
    #[error("the request names more than one host; send one Host, equal to the authority")]
    AmbiguousHost,
    /// The path is ambiguous or malformed.
    #[error(transparent)]
    BadPath(BadPath),
    /// The host is neither central nor a tenant's.
    #[error("host {host} is neither central nor a tenant's; {advice}")]
    NoTenant {
        /// The host.
        host: Excerpt,
        /// What an operator can do.
        advice: &'static str,
    },
    /// The label that names a tenant is reserved, whether or not a tenant has it.
    #[error(
        "label {name}, named by {rule}, is reserved and no tenant's; take it off `reserved`, or use another"
    )]
    Reserved {
        /// What it was named by.
        rule: RuleKind,
        /// The label.
        name: Excerpt,
    },
    /// A tenant is named that is not in the catalog.
    #[error("{name}, named by {rule}, is no tenant; check the spelling, or create it")]
    UnknownTenant {
        /// What it was named by.
        rule: RuleKind,
        /// The name.
        name: Excerpt,
    },
    /// A tenant's route on a central host, or a central route for a tenant.
    #[error("{}", wrong_side(*class, *mode))]
    WrongSide {
        /// The class of the path.
        class: PathClass,
        /// Who may serve it.
        mode: RouteMode,
    },
    /// Two names in one request.
    #[error("{first} and {second} name different tenants; send one name")]
    AmbiguousTenant {
        /// What named the first.
        first: RuleKind,
        /// What named another.
        second: RuleKind,
    },
    /// Two tenants own one name.
    #[error("{name} belongs to two tenants; unbind it from one of them")]
    ContestedName {
        /// The name.
        name: Excerpt,
    },
    /// The tenant is down for a while.
    #[error("tenant {} is down for maintenance; {}", tenant.id(), come_back(tenant))]
    Maintenance {
        /// The tenant. Its [`maintenance`](Tenant::maintenance) holds the message, when to try
        /// again, and the check of the secret that lets testers in.
        tenant: Tenant,
        /// The answer to serve instead for a request that brings the secret.
        resolved: Box<Resolved<'static>>,
    },
    /// The tenant is shut out.
    #[error("tenant {} is suspended; resume it to let requests in", tenant.id())]
    Suspended {
        /// The tenant.
        tenant: Tenant,
    },
    /// The tenant is being made, or on its way to the trash.
    #[error("tenant {} is {} and not ready; try again when it is active", tenant.id(), tenant.status())]
    NotReady {
        /// The tenant.
        tenant: Tenant,
    },
    /// The catalog cannot be asked, and what is known is too old.
    #[error("the catalog cannot be asked and what is known is too old; try again")]
    CatalogUnavailable {
        /// Why.
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
    /// The word for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::BadHost(_) => Reason::BadHost,
            Self::AmbiguousHost => Reason::AmbiguousHost,
            Self::BadPath(_) => Reason::BadPath,
            Self::NoTenant { .. } => Reason::NoTenant,
            // A host that nobody can have is an unknown one.
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

    /// The HTTP status for it.
    pub fn status(&self) -> u16 {
        self.reason().status()
    }

    /// The tenant that was found but may not be served.
    pub fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::Maintenance { tenant, .. }
            | Self::Suspended { tenant }
            | Self::NotReady { tenant } => Some(tenant),
            _ => None,
        }
    }

    /// When to try again (HTTP `Retry-After`), where that was said.
    pub fn retry_after(&self) -> Option<Duration> {
        self.tenant()?.maintenance()?.retry_after
    }

    /// Returns the response to this request: `application/problem+json` (RFC 9457) if its
    /// `Accept` header prefers that or `application/json` to HTML, else HTML.
    pub fn refusal(&self, accept: &str) -> Refusal {
        let down = self.tenant().and_then(|tenant| tenant.maintenance());
        let down = down.filter(|_| matches!(self, Self::Maintenance { .. }));
        Refusal::new(self.reason(), down, accept)
    }
}
