//! The look-up of a name in the memory or the catalog.

use super::caller::Caller;
use super::engine::Engine;
use super::explain::step_lookup;
use super::memory::Store;
use super::name::NameBuf;
use crate::index::{Found, Probe};
use crate::key::Kind;

/// Looks up a canonical name.
// The hot path calls it once; all other calls are in cold functions.
#[inline(always)]
pub(super) fn look<C: Caller>(
    engine: &Engine,
    name: Probe<'_>,
    caller: &mut C,
) -> Result<Found, C::Halt> {
    let memory = &engine.memory;
    let now = memory.now();
    let found = match caller.ready(memory, now) {
        Ok(Store::Replica(replica)) => Ok(replica.find(name)),
        Ok(Store::Cache { cache, .. }) => caller.cached(memory, cache, name.again(), now),
        Err(halt) => Err(halt),
    };
    if !C::IS_SILENT {
        step_lookup(name, &found, &engine.hosts, caller);
    }
    found
}

/// Looks up a name that is too long for a key. Its letters may be in any case.
#[cold]
#[inline(never)]
pub(super) fn look_long<C: Caller>(
    engine: &Engine,
    kind: Kind,
    name: &[u8],
    caller: &mut C,
) -> Result<Found, C::Halt> {
    match NameBuf::lower(kind, name) {
        Some(name) => look(engine, Probe::of(name.as_key()), caller),
        None => Ok(Found::NoTenant),
    }
}
