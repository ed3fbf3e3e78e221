//! [`Caller`]: the same code resolves requests for callers that may block, for callers that must
//! not block, and for explanations.

use super::error::ResolveError;
use super::memory::{Memory, Store, Unavailable};
use crate::index::cache::Cache;
use crate::index::{Found, Probe};

/// A caller of the resolver: it decides whether to block, and whether steps are recorded.
pub(super) trait Caller {
    type Stop: From<ResolveError> + From<Self::Halt>;
    /// The reason why a name cannot be looked up. The type is small, as its values share registers
    /// with the answer.
    type Halt;
    /// Whether steps are not recorded.
    const IS_SILENT: bool = true;

    /// Returns the memory's store once it is fresh enough.
    fn ready<'m>(&mut self, memory: &'m Memory, now: u64) -> Result<&'m Store, Self::Halt>;

    /// Looks up a name that may have to be loaded from the catalog.
    fn cached(
        &mut self,
        memory: &Memory,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Self::Halt>;

    /// Records a step on the way to the answer.
    #[inline]
    fn step(&mut self, _what: &'static str, _found: impl FnOnce() -> String) {}
}

/// The caller of [`Resolver::resolve`](super::Resolver::resolve).
pub(super) struct Blocking;

impl Caller for Blocking {
    type Stop = ResolveError;
    type Halt = Unavailable;

    #[inline(always)]
    fn ready<'m>(&mut self, memory: &'m Memory, now: u64) -> Result<&'m Store, Unavailable> {
        let store = match memory.store() {
            Some(store) => store,
            None => memory.load_first()?,
        };
        if memory.fresh.is_due(now) {
            memory.refresh(store, now)?;
        }
        Ok(store)
    }

    #[cold]
    fn cached(
        &mut self,
        memory: &Memory,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Unavailable> {
        memory.find_or_load(cache, name, now)
    }
}

/// The caller of [`Resolver::try_resolve`](super::Resolver::try_resolve).
pub(super) struct NonBlocking;

/// The reason why a caller that must not block gets no answer.
pub(super) enum Stopped {
    WouldBlock,
    Refused(ResolveError),
}

/// The catalog would have to be read, which may block.
pub(super) struct WouldBlock;

impl From<WouldBlock> for Stopped {
    fn from(WouldBlock: WouldBlock) -> Self {
        Self::WouldBlock
    }
}

impl From<ResolveError> for Stopped {
    fn from(error: ResolveError) -> Self {
        Self::Refused(error)
    }
}

impl Caller for NonBlocking {
    type Stop = Stopped;
    type Halt = WouldBlock;

    #[inline(always)]
    fn ready<'m>(&mut self, memory: &'m Memory, now: u64) -> Result<&'m Store, WouldBlock> {
        let store = memory.store().ok_or(WouldBlock)?;
        let due = memory.fresh.is_due(now) && store.has_feed();
        if due && !memory.fresh.may_answer(now) {
            return Err(WouldBlock);
        }
        Ok(store)
    }

    #[cold]
    fn cached(
        &mut self,
        _: &Memory,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, WouldBlock> {
        match cache.find(name, now) {
            Some(found) => Ok(found),
            // The catalog is never read for a text that is no name.
            None if name.as_key(&mut [0; 32]).is_none() => Ok(Found::NoTenant),
            None => Err(WouldBlock),
        }
    }
}
