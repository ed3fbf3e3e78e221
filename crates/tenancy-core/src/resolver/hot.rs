//! The hot path: the code that resolves most requests, from the head to the tenant.
//!
//! It is compiled to one function whose values stay in registers. Three rules keep it so:
//!
//! - A rare case calls a function that is never inlined and that reads the request again, so that
//!   the hot path holds no value for it.
//! - Such a function gets a reference to a copy, `&{ *head }`. With a reference to the value
//!   itself, the compiler would keep the value in memory from the beginning. The method `again` of
//!   keys and probes makes such a copy.
//! - A call returns a small value, which is matched at once.
//!
//! `scripts/instructions` measures each change of the hot path.

use super::answer::Resolved;
use super::caller::Caller;
use super::cold;
use super::engine::Engine;
use super::error::ResolveError;
use super::explain::step_host;
use super::hosts::HostKind;
use super::lookup::{look, look_long};
use super::outcome::{outcome, skip};
use super::refuse;
use crate::classify::RouteMode;
use crate::host;
use crate::index::Probe;
use crate::key::Key;
use crate::path::NormalPath;
use crate::request::{Hosts as HostValues, RequestHead};

/// Resolves a request.
#[inline(always)]
pub(super) fn run<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    caller: &mut C,
) -> Result<Resolved<'p>, C::Stop> {
    match (head.hosts, head.authority) {
        (HostValues::One(host), None) if !engine.is_forwarded(head) => {
            run_host(engine, head, host, caller)
        }
        _ => run_forwarded(engine, head, caller),
    }
}

/// Resolves a request from a trusted proxy, or a request that does not have exactly one host.
#[cold]
#[inline(never)]
fn run_forwarded<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    caller: &mut C,
) -> Result<Resolved<'p>, C::Stop> {
    let forwarded = engine.forwarded(head);
    if engine.is_forwarded(head) {
        caller.step("proxy", || {
            let header = engine.proxies.header();
            match forwarded.host() {
                Ok(None) => format!("trusted, and forwards no host in {header}"),
                Ok(Some(_)) => format!("trusted: what {header} says is the host"),
                Err(_) => format!("trusted: what {header} says is no one host"),
            }
        });
    }
    match forwarded.host()? {
        Some(host) => run_host(engine, head, host, caller),
        None => run_host(engine, head, refuse::one_host(head)?, caller),
    }
}

#[inline(always)]
fn run_host<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    raw: &[u8],
    caller: &mut C,
) -> Result<Resolved<'p>, C::Stop> {
    match NormalPath::clean(head.target) {
        Some(path) => {
            let host = host::split(raw).map_err(ResolveError::BadHost)?;
            run_path(engine, head, host, path, caller)
        }
        None => run_unclean(engine, &{ *head }, raw, caller),
    }
}

/// Resolves a request whose path has to be normalised first.
#[cold]
#[inline(never)]
fn run_unclean<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    raw: &[u8],
    caller: &mut C,
) -> Result<Resolved<'p>, C::Stop> {
    let host = host::split(raw).map_err(ResolveError::BadHost)?;
    match NormalPath::parse_slowly(head.rooted_target()) {
        Ok(path) => run_path(engine, head, host, path, caller),
        Err(bad) => {
            step_host(&engine.hosts, host, caller);
            // A bad host is reported before a bad path.
            refuse::check(engine.hosts.kind(host), host)?;
            Err(ResolveError::BadPath(bad).into())
        }
    }
}

#[inline(always)]
fn run_path<'p, C: Caller>(
    engine: &Engine,
    head: &RequestHead<'p, '_>,
    host: &[u8],
    path: NormalPath<'p>,
    caller: &mut C,
) -> Result<Resolved<'p>, C::Stop> {
    step_host(&engine.hosts, host, caller);
    let kind = engine.hosts.guess(host);
    let Some(named) = engine.hosts.named(kind) else {
        return match kind {
            HostKind::Central => cold::central(engine, &{ *head }, path, caller),
            _ => Ok(cold::unknown(engine, &{ *head }, host, path, caller)?),
        };
    };
    let classified = engine.classify(head, &path, caller);
    if classified.mode == RouteMode::Skip {
        host::check(host).map_err(|problem| refuse::bad_host(host, problem))?;
        return Ok(skip(classified, path));
    }
    let found = match Key::load(named.kind, named.name) {
        Some(key) => look(engine, Probe::Short(key), caller),
        None => look_long(engine, named.kind, named.name, caller),
    };
    outcome(found, classified, named.rule, path, |found, path| {
        cold::missed(engine, &{ *head }, host, path, found, caller)
    })
}
