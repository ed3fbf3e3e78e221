//! Every interleaving of loads, changes and reads that a model checker can think of:
//! no answer is older than what was applied when it was asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::{
    Actor, Catalog, CatalogError, CatalogWriter, Changes, MemoryCatalog, Method, NewTenant,
    RequestHead, Resolver, Rule, Tenant, TenantChange, TenantKey, TenantStatus, Version, Versioned,
};

const SCHEDULES: usize = 10_000;

/// A catalog whose answers take their time: others run between the read and its use.
struct Slow(MemoryCatalog);

impl Catalog for Slow {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        let answer = self.0.lookup(key);
        shuttle::thread::yield_now();
        answer
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let changes = self.0.changes(since, max);
        shuttle::thread::yield_now();
        changes
    }
}

/// One writer that syncs its writes, two readers.
fn race(max_tenants: usize) {
    let by = Actor::new("model");
    let catalog = Arc::new(Slow(MemoryCatalog::new()));
    let new = NewTenant::new("acme".parse().expect("an id"));
    let acme = catalog.0.insert(new, &by).expect("a new tenant");
    let resolver = Resolver::builder(catalog.clone())
        .rule(Rule::Subdomain)
        .subdomains_of("app.test")
        .max_tenants(max_tenants)
        .max_staleness(Duration::from_secs(3600))
        .poll_every(Duration::from_secs(3600))
        .build()
        .expect("a resolver");
    resolver.sync().expect("the catalog answers");
    let resolver = Arc::new(resolver);
    // Every version that the tenant ever had; nobody runs while this is held.
    let history = Arc::new(Mutex::new(vec![acme.version()]));

    let mut threads = Vec::new();
    for _ in 0..2 {
        let (resolver, history) = (resolver.clone(), history.clone());
        threads.push(shuttle::thread::spawn(move || {
            for _ in 0..2 {
                let applied = resolver.applied();
                let head = RequestHead::new(Method::Get, "/").host("acme.app.test");
                let answer = resolver.resolve(&head).expect("active and known");
                let version = answer.tenant().expect("a tenant's").version();
                let history = history.lock().expect("nobody panicked with it");
                let newer = history.iter().find(|v| version < **v && **v <= applied);
                assert_eq!(newer, None, "answered {version} when {applied} was applied");
            }
        }));
    }
    let mut seen = acme.version();
    for _ in 0..2 {
        let change = TenantChange::status(TenantStatus::Active);
        let changed = catalog.0.update(acme.id(), seen, change, &by);
        seen = changed.expect("nobody else writes").version();
        history.lock().expect("nobody panicked with it").push(seen);
        resolver.sync().expect("the catalog answers");
    }
    for thread in threads {
        thread.join().expect("the reader saw no older answer");
    }
}

#[test]
fn a_copy_never_answers_with_less_than_was_applied() {
    shuttle::check_random(|| race(10), SCHEDULES);
}

#[test]
fn a_cache_never_answers_with_less_than_was_applied() {
    shuttle::check_random(|| race(0), SCHEDULES);
}
