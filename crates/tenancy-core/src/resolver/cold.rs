//! The requests that leave the [hot path](super::hot): those for central hosts, for unknown hosts,
//! and for names without a tenant.

use super::answer::Resolved;
use super::caller::Caller;
use super::engine::Engine;
use super::error::ResolveError;
use super::explain::reserved_label;
use super::lookup::{look, look_long};
use super::name::NameBuf;
use super::outcome::{self, outcome, skip};
use super::refuse;
use super::rule::{RuleKind, Source};
use super::sources::SourceNames;
use crate::catalog::TenantKey;
use crate::classify::RouteMode;
use crate::host;
use crate::index::{Found, Probe};
use crate::key::Kind;
use crate::path::NormalPath;
use crate::request::RequestHead;

/// Resolves a request whose host has no tenant that is served on this route.
#[cold]
#[inline(never)]
pub(super) fn missed<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    host: &[u8],
    path: NormalPath<'p>,
    mut found: Result<Found, C::Halt>,
    caller: &mut C,
) -> Result<Resolved<'p>, C::Stop> {
    let kind = engine.hosts.kind(host);
    let Some(named) = engine.hosts.named(kind) else {
        return Ok(unknown(engine, head, host, path, caller)?);
    };
    // If the catalog could not be read, it is not read again.
    if found.is_ok() && kind != engine.hosts.guess(host) {
        found = look_long(engine, named.kind, named.name, caller);
    }
    let classified = engine.classifier.classify(head.method, &path);
    outcome(found, classified, named.rule, path, |found, path| {
        let (rule, name) = (named.rule, named.name);
        let without_tenant = || refuse::without_tenant(&engine.hosts, rule, name, host);
        Err(match found {
            Ok(found) => {
                refuse::unserved(found, classified, rule, name, path, without_tenant).into()
            }
            Err(halt) => match refuse::malformed(&engine.hosts, rule, name, host) {
                Some(malformed) => malformed.into(),
                None => halt.into(),
            },
        })
    })
}

/// Resolves a request for a host that cannot belong to a tenant.
#[cold]
#[inline(never)]
pub(super) fn unknown<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    host: &[u8],
    path: NormalPath<'p>,
    caller: &mut C,
) -> Result<Resolved<'p>, ResolveError> {
    let classified = engine.classify(head, &path, caller);
    host::check(host).map_err(|problem| refuse::bad_host(host, problem))?;
    match classified.mode {
        RouteMode::Skip => Ok(skip(classified, path)),
        _ => Err(refuse::no_tenant(&engine.hosts, host)),
    }
}

/// Resolves a request for a central host.
#[cold]
#[inline(never)]
pub(super) fn central<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    path: NormalPath<'p>,
    caller: &mut C,
) -> Result<Resolved<'p>, C::Stop> {
    let (by_path, path) = cut_prefix(engine, path, caller)?;
    let classified = engine.classify(head, &path, caller);
    let (class, mode) = (classified.class, classified.mode);
    if mode == RouteMode::Skip {
        return Ok(skip(classified, path));
    }
    let Some((rule, name)) = named(engine, head, by_path, mode, caller)? else {
        return match mode {
            RouteMode::Tenant => Err(ResolveError::WrongSide { class, mode }.into()),
            _ => Ok(outcome::central(classified, path)),
        };
    };
    if let TenantKey::Label(label) = name.as_key()
        && engine.hosts.is_reserved(label.as_bytes())
    {
        caller.step("lookup", || reserved_label(label));
        return Err(refuse::reserved(rule, name.as_bytes()).into());
    }
    let found = look(engine, Probe::of(name.as_key()), caller);
    outcome(found, classified, rule, path, |found, path| {
        let without_tenant = || refuse::unknown(rule, name.as_bytes());
        let found = found?;
        Err(refuse::unserved(
            found,
            classified,
            rule,
            name.as_bytes(),
            path,
            without_tenant,
        )
        .into())
    })
}

/// Returns the name behind a path prefix, if there is one, and the rest of the path.
fn cut_prefix<'p, C: Caller>(
    engine: &Engine,
    path: NormalPath<'p>,
    caller: &mut C,
) -> Result<(Option<NameBuf>, NormalPath<'p>), ResolveError> {
    for prefix in engine.sources.iter().filter_map(Source::path_prefix) {
        let Some((id, rest)) = path.strip_first(prefix) else {
            caller.step("path prefix", || format!("{prefix} names no tenant"));
            continue;
        };
        caller.step("path prefix", || format!("{prefix} names {id}"));
        let malformed = || refuse::unknown(RuleKind::Path, id.as_bytes());
        // A label has no upper case, and the case of a path matters, so upper case is refused.
        crate::id::check_label(id.as_bytes()).map_err(|_| malformed())?;
        let name = NameBuf::lower(Kind::Label, id.as_bytes()).ok_or_else(malformed)?;
        return Ok((Some(name), rest));
    }
    Ok((None, path))
}

/// Returns the one name that the sources of a request for a central host bring.
fn named<C: Caller>(
    engine: &Engine,
    head: &RequestHead<'_, '_>,
    by_path: Option<NameBuf>,
    mode: RouteMode,
    caller: &mut C,
) -> Result<Option<(RuleKind, NameBuf)>, ResolveError> {
    if mode == RouteMode::Central {
        caller.step("sources", || "not read: the route is central".into());
        return Ok(by_path.map(|name| (RuleKind::Path, name)));
    }
    let mut names = SourceNames::default();
    for source in &engine.sources {
        match (source, &by_path) {
            (Source::Path(_), Some(name)) => names.add(RuleKind::Path, *name),
            _ => names.read(source, head, &engine.hosts),
        }
        caller.step(source.kind().as_str(), || names.describe(source.kind()));
    }
    names.finish()
}
