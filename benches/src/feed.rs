//! A catalog whose next change is made by the benchmark.

use parking_lot::Mutex;
use tenancy_core::{
    Catalog, CatalogError, Change, Changes, MemoryCatalog, Tenant, TenantKey, Version, Versioned,
};

use std::sync::Arc;

/// A catalog in memory, followed by changes that are handed out once and kept nowhere.
#[derive(Debug)]
pub struct Feed {
    base: Arc<MemoryCatalog>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    version: Version,
    next: Vec<Change>,
}

impl Feed {
    /// What `base` holds now, and then what is [pushed](Self::push).
    pub fn new(base: &Arc<MemoryCatalog>) -> Self {
        let nobody = base.lookup(TenantKey::Label("nobody"));
        let version = nobody.expect("a catalog in memory can be asked").as_of;
        let state = Mutex::new(State {
            version,
            next: Vec::new(),
        });
        Self {
            base: base.clone(),
            state,
        }
    }

    /// The version that the next change will have.
    pub fn next_version(&self) -> Version {
        Version(self.state.lock().version.0 + 1)
    }

    /// The next change.
    pub fn push(&self, change: Change) {
        let mut state = self.state.lock();
        state.version.0 += 1;
        state.next.push(change);
    }
}

impl Catalog for Feed {
    fn lookup(&self, _key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        Err(CatalogError::new(
            "a resolver with a full copy asks the feed alone",
        ))
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let mut state = self.state.lock();
        let pushed = state.version.0 - state.next.len() as u64;
        if since.0 < pushed {
            return self.base.changes(since, max);
        }
        Ok(Some(Changes {
            since: Version(pushed),
            upto: state.version,
            more: false,
            reset: false,
            items: std::mem::take(&mut state.next),
        }))
    }
}
