//! The outcome of a request, from the owner of a name and the class of a path.

use super::answer::{Resolution, Resolved};
use super::rule::RuleKind;
use crate::classify::{Classified, RouteMode};
use crate::index::Found;
use crate::path::NormalPath;
use crate::tenant::Tenant;

/// Returns the outcome for the owner of a name and the class of a path. If the name has no tenant
/// that is served on this route, `or_else` decides.
#[inline(always)]
pub(super) fn outcome<'p, H, E>(
    found: Result<Found, H>,
    classified: Classified,
    rule: RuleKind,
    path: NormalPath<'p>,
    or_else: impl FnOnce(Result<Found, H>, NormalPath<'p>) -> Result<Resolved<'p>, E>,
) -> Result<Resolved<'p>, E> {
    match found {
        Ok(Found::Tenant(tenant)) if is_served(&tenant, classified) => {
            Ok(for_tenant(tenant, classified, rule, path))
        }
        found => or_else(found, path),
    }
}

/// Returns whether this route serves this tenant now.
#[inline(always)]
fn is_served(tenant: &Tenant, classified: Classified) -> bool {
    classified.mode != RouteMode::Central && tenant.is_open()
}

#[inline(always)]
pub(super) fn for_tenant<'p>(
    tenant: Tenant,
    classified: Classified,
    rule: RuleKind,
    path: NormalPath<'p>,
) -> Resolved<'p> {
    resolved(Resolution::Tenant(tenant), classified, Some(rule), path)
}

#[inline(always)]
pub(super) fn skip(classified: Classified, path: NormalPath<'_>) -> Resolved<'_> {
    resolved(Resolution::Skip(classified.class), classified, None, path)
}

pub(super) fn central(classified: Classified, path: NormalPath<'_>) -> Resolved<'_> {
    resolved(Resolution::Central, classified, None, path)
}

#[inline(always)]
fn resolved<'p>(
    resolution: Resolution,
    classified: Classified,
    rule: Option<RuleKind>,
    path: NormalPath<'p>,
) -> Resolved<'p> {
    Resolved {
        resolution,
        class: classified.class,
        mode: classified.mode,
        rule,
        path: path.into_cow(),
    }
}
