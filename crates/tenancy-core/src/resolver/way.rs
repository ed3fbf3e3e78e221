//! [`Way`]: a request is resolved by one code, in three ways.

use std::sync::Arc;

use super::store::Store;
use super::{ResolveError, Resolver};
use crate::catalog::CatalogError;
use crate::index::cache::Cache;
use crate::index::{Found, Probe};

/// How a request is resolved: blocking or not, explaining or not.
pub(crate) trait Way {
    type Stop: From<ResolveError> + From<Self::Halt>;
    /// Why a name is not answered for: small, so that what was found stays in
    /// registers.
    type Halt;
    /// Whether nobody reads the steps.
    const IS_SILENT: bool = true;

    /// What is known, once that is fresh enough.
    fn ready<'r>(&mut self, resolver: &'r Resolver, now: u64) -> Result<&'r Store, Self::Halt>;

    /// Looks a name up that may have to be loaded first.
    fn cached(
        &mut self,
        resolver: &Resolver,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Self::Halt>;

    #[inline]
    fn step(&mut self, _what: &'static str, _found: impl FnOnce() -> String) {}
}

/// The way of [`Resolver::resolve`].
pub(crate) struct Block;

/// The catalog cannot be asked, and what is known is too old.
pub(crate) struct Unavailable(pub(super) Arc<CatalogError>);

impl From<Unavailable> for ResolveError {
    fn from(Unavailable(source): Unavailable) -> Self {
        Self::CatalogUnavailable { source }
    }
}

impl Way for Block {
    type Stop = ResolveError;
    type Halt = Unavailable;

    #[inline(always)]
    fn ready<'r>(&mut self, resolver: &'r Resolver, now: u64) -> Result<&'r Store, Unavailable> {
        let store = match resolver.store.get() {
            Some(store) => store,
            None => resolver.load_first()?,
        };
        if resolver.fresh.is_due(now) {
            resolver.refresh(store, now)?;
        }
        Ok(store)
    }

    #[cold]
    fn cached(
        &mut self,
        resolver: &Resolver,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Unavailable> {
        resolver.find_or_load(cache, name, now)
    }
}

/// The way of [`Resolver::try_resolve`].
pub(crate) struct Try;

pub(crate) enum WouldBlock {
    Yes,
    Refused(ResolveError),
}

/// The catalog would have to be asked.
pub(crate) struct Blocks;

impl From<Blocks> for WouldBlock {
    fn from(Blocks: Blocks) -> Self {
        Self::Yes
    }
}

impl From<ResolveError> for WouldBlock {
    fn from(error: ResolveError) -> Self {
        Self::Refused(error)
    }
}

impl Way for Try {
    type Stop = WouldBlock;
    type Halt = Blocks;

    #[inline(always)]
    fn ready<'r>(&mut self, resolver: &'r Resolver, now: u64) -> Result<&'r Store, Blocks> {
        let store = resolver.store.get().ok_or(Blocks)?;
        let due = resolver.fresh.is_due(now) && store.has_feed();
        if due && !resolver.fresh.may_answer(now) {
            return Err(Blocks);
        }
        Ok(store)
    }

    #[cold]
    fn cached(
        &mut self,
        _: &Resolver,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Blocks> {
        match cache.find(name, now) {
            Some(found) => Ok(found),
            // The catalog would not be asked for what is no name.
            None if name.as_key(&mut [0; 32]).is_none() => Ok(Found::Nobody),
            None => Err(Blocks),
        }
    }
}
