//! [`Bounded`]: a map with a bound on its entries.

use std::hash::BuildHasher;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::Probe;
use crate::key::{Key, Kind};
use crate::sync::{AtomicBool, RwLock};

/// The number of shards of a large map. A small map has fewer, so that each shard has room for an
/// entry.
const MAX_SHARDS: usize = 64;

/// An owned [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kept {
    Short(Key),
    Long(Kind, Box<str>),
}

impl From<Probe<'_>> for Kept {
    fn from(name: Probe<'_>) -> Self {
        match name {
            Probe::Short(key) => Self::Short(key),
            Probe::Long(kind, text) => Self::Long(kind, text.into()),
        }
    }
}

impl Kept {
    pub(crate) fn as_probe(&self) -> Probe<'_> {
        match self {
            Self::Short(key) => Probe::Short(*key),
            Self::Long(kind, text) => Probe::Long(*kind, text),
        }
    }

    fn is(&self, name: Probe<'_>) -> bool {
        match (self, name) {
            (Self::Short(a), Probe::Short(b)) => *a == b,
            (Self::Long(kind, text), Probe::Long(k, t)) => *kind == k && **text == *t,
            _ => false,
        }
    }
}

/// A map of at most `max` names. The clock algorithm chooses the entry to evict: the next entry
/// that was not read since the hand passed it.
pub(crate) struct Bounded<V> {
    /// The hasher, with a random seed, as tenants choose the names.
    hasher: RandomState,
    max_per_shard: usize,
    shards: Box<[RwLock<Shard<V>>]>,
}

struct Shard<V> {
    /// Indices of `entries`, by the hash of the names.
    table: HashTable<usize>,
    /// Invariant: never longer than `max_per_shard`.
    entries: Vec<Entry<V>>,
    hand: usize,
}

struct Entry<V> {
    hash: u64,
    name: Kept,
    value: V,
    read: AtomicBool,
}

impl<V: Clone> Bounded<V> {
    pub(crate) fn new(max: usize) -> Self {
        let shards = (max / 16).clamp(1, MAX_SHARDS);
        let shard = || Shard {
            table: HashTable::new(),
            entries: Vec::new(),
            hand: 0,
        };
        Self {
            hasher: RandomState::default(),
            max_per_shard: (max / shards).max(1),
            shards: (0..shards).map(|_| RwLock::new(shard())).collect(),
        }
    }

    fn hash(&self, name: Probe<'_>) -> u64 {
        match name {
            Probe::Short(key) => self.hasher.hash_one(key),
            Probe::Long(kind, text) => self.hasher.hash_one((kind, text)),
        }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard<V>> {
        &self.shards[(hash >> 40) as usize % self.shards.len()]
    }

    pub(crate) fn get(&self, name: Probe<'_>) -> Option<V> {
        let hash = self.hash(name);
        let shard = self.shard(hash).read();
        let at = *shard
            .table
            .find(hash, |at| shard.entries[*at].name.is(name))?;
        let entry = &shard.entries[at];
        entry.read.store(true, Ordering::Relaxed);
        Some(entry.value.clone())
    }

    /// Puts a value if `still` returns true. If an entry is evicted, `evicted` is called with it.
    /// Both closures run while the shard of the name is locked.
    pub(crate) fn put_if(
        &self,
        name: Probe<'_>,
        value: V,
        still: impl FnOnce() -> bool,
        evicted: impl FnOnce(&Kept, &V),
    ) {
        let hash = self.hash(name);
        let mut shard = self.shard(hash).write();
        if !still() {
            return;
        }
        let gone = shard.take(hash, name);
        let full = shard.entries.len() >= self.max_per_shard;
        let evicted_entry = full.then(|| shard.evict());
        if let Some((name, value)) = &evicted_entry {
            evicted(name, value);
        }
        shard.push(hash, name.into(), value);
        drop(shard);
        // The old values are dropped outside the lock.
        drop((gone, evicted_entry));
    }

    /// Removes a name. `removed` runs while its shard is locked.
    pub(crate) fn del(&self, name: Probe<'_>, removed: impl FnOnce(&Kept, &V)) {
        let hash = self.hash(name);
        let mut shard = self.shard(hash).write();
        let gone = shard.take(hash, name);
        if let Some((name, value)) = &gone {
            removed(name, value);
        }
        drop(shard);
        drop(gone);
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.table.clear();
            let gone = std::mem::take(&mut shard.entries);
            shard.hand = 0;
            drop(shard);
            drop(gone);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|s| s.read().entries.len()).sum()
    }
}

impl<V> Shard<V> {
    fn push(&mut self, hash: u64, name: Kept, value: V) {
        let at = self.entries.len();
        self.entries.push(Entry {
            hash,
            name,
            value,
            read: AtomicBool::new(false),
        });
        let entries = &self.entries;
        self.table.insert_unique(hash, at, |at| entries[*at].hash);
    }

    fn take(&mut self, hash: u64, name: Probe<'_>) -> Option<(Kept, V)> {
        let entries = &self.entries;
        let at = *self.table.find(hash, |at| entries[*at].name.is(name))?;
        Some(self.remove(at))
    }

    fn evict(&mut self) -> (Kept, V) {
        // Every step clears a flag, so the loop ends in the second round at the latest.
        loop {
            self.hand = (self.hand + 1) % self.entries.len();
            if !std::mem::take(self.entries[self.hand].read.get_mut()) {
                return self.remove(self.hand);
            }
        }
    }

    fn remove(&mut self, at: usize) -> (Kept, V) {
        let hash = self.entries[at].hash;
        if let Ok(found) = self.table.find_entry(hash, |known| *known == at) {
            found.remove();
        }
        let gone = self.entries.swap_remove(at);
        // The last entry was moved to `at`.
        if let Some(moved) = self.entries.get(at) {
            let from = self.entries.len();
            if let Some(known) = self.table.find_mut(moved.hash, |known| *known == from) {
                *known = at;
            }
        }
        (gone.name, gone.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TenantKey;
    use std::collections::HashMap;

    fn name(number: u64) -> String {
        // Every third name is too long for a key.
        let pad = if number.is_multiple_of(3) {
            "-too-long-for-a-key-of-thirty-bytes"
        } else {
            ""
        };
        format!("n{number}{pad}")
    }

    #[test]
    fn a_bounded_map_is_a_map_that_forgets() {
        let map = Bounded::new(40);
        let mut model = HashMap::new();
        let mut seed = 1u64;
        for step in 0..20_000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let (number, what) = (seed >> 40 & 127, seed >> 60);
            let text = name(number);
            let probe = Probe::of(TenantKey::Label(&text));
            match what {
                0..8 => {
                    let mut left = None;
                    let evicted = |gone: &Kept, value: &u64| left = Some((gone.clone(), *value));
                    map.put_if(probe, step, || true, evicted);
                    if let Some((gone, value)) = left {
                        let of = model.iter().find(|(_, kept)| **kept == value);
                        let gone_name = of.map(|(name, _): (&String, _)| name.clone());
                        let gone_name = gone_name.expect("what left was there");
                        assert!(gone.is(Probe::of(TenantKey::Label(&gone_name))));
                        model.remove(&gone_name);
                    }
                    model.insert(text, step);
                }
                8..10 => {
                    map.del(probe, |_, _| {});
                    model.remove(&text);
                }
                10 => map.put_if(probe, 0, || false, |_, _| panic!("nothing was kept")),
                _ => assert_eq!(map.get(probe), model.get(&text).copied(), "step {step}"),
            }
            assert_eq!(map.len(), model.len(), "step {step}");
            assert!(map.len() <= 40);
        }
    }

    #[test]
    fn read_entries_stay_longer_than_unread_ones() {
        let map = Bounded::new(8);
        let hot = "hot";
        let hot = Probe::of(TenantKey::Label(hot));
        map.put_if(hot, 0, || true, |_, _| {});
        for number in 0..1000 {
            let text = name(number);
            map.put_if(Probe::of(TenantKey::Label(&text)), 1, || true, |_, _| {});
            assert_eq!(map.get(hot), Some(0), "after {number}");
        }
    }
}
