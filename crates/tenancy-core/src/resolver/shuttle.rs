//! Random interleavings of loads, changes and reads, which a model checker runs: no answer is older
//! than the changes that were applied when the request began.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::{
    Actor, Catalog, CatalogError, CatalogWriter, Changes, MemoryCatalog, Method, Name, NewTenant,
    Proof, RequestHead, Resolver, Rule, Tenant, TenantChange, TenantKey, TenantStatus, Version,
    Versioned,
};

/// Runs a scenario under as many schedules as `TENANCY_SCHEDULES` says. Defaults to 10,000.
fn check(scenario: impl Fn() + Send + Sync + 'static) {
    let said = std::env::var("TENANCY_SCHEDULES").ok();
    let schedules = said.and_then(|text| text.parse().ok());
    let scheduler = shuttle::scheduler::RandomScheduler::new(schedules.unwrap_or(10_000));
    let mut config = shuttle::Config::default();
    // A resolve that is not optimised needs more than the 32 KiB of the default.
    config.stack_size = 128 * 1024;
    shuttle::Runner::new(scheduler, config).run(scenario);
}

/// A slow catalog: other threads run between a read and the use of its answer.
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

fn resolver(catalog: impl Catalog, max_tenants: usize) -> Arc<Resolver> {
    let hour = Duration::from_secs(3600);
    let resolver = Resolver::builder(catalog)
        .rule(Rule::subdomain_of("app.test"))
        .rule(Rule::domain())
        .max_tenants(max_tenants)
        .max_staleness(hour)
        .poll_every(hour)
        .build()
        .expect("a resolver");
    resolver.sync().expect("the catalog answers");
    Arc::new(resolver)
}

fn added(catalog: &Slow, id: &str) -> Tenant {
    let new = NewTenant::new(id.parse().expect("an id"));
    catalog.0.insert(new, &by()).expect("a new tenant")
}

fn by() -> Actor {
    Actor::new("model")
}

/// Runs `read` twice on each of two threads, while `write` runs on this thread.
fn beside(read: impl Fn() + Send + Sync + 'static, write: impl FnOnce()) {
    let read = Arc::new(read);
    let reader = |_| {
        let read = read.clone();
        shuttle::thread::spawn(move || {
            read();
            read();
        })
    };
    let readers: Vec<_> = (0..2).map(reader).collect();
    // The readers may also read before the first write.
    shuttle::thread::yield_now();
    write();
    for reader in readers {
        reader.join().expect("the reader saw no older answer");
    }
}

/// Runs one writer, which syncs its writes, and two readers.
fn updates(max_tenants: usize) {
    let catalog = Arc::new(Slow(MemoryCatalog::new()));
    let acme = added(&catalog, "acme");
    let resolver = resolver(catalog.clone(), max_tenants);
    // Every version that the tenant ever had. No thread runs between a write and its entry here, as
    // neither lock is the model's.
    let history = Arc::new(Mutex::new(vec![acme.version()]));
    let reading = (resolver.clone(), history.clone());
    let read = move || {
        let (resolver, history) = &reading;
        let applied = resolver.applied();
        let head = RequestHead::new(Method::Get, "/").host("acme.app.test");
        let answer = resolver.resolve(&head).expect("active and known");
        let version = answer.tenant().expect("a tenant's").version();
        let history = history.lock().expect("no thread panicked with it");
        let newer = history.iter().find(|v| version < **v && **v <= applied);
        assert_eq!(newer, None, "answered {version} when {applied} was applied");
    };
    beside(read, || {
        let mut seen = acme.version();
        for _ in 0..2 {
            let change = TenantChange::status(TenantStatus::Active);
            let changed = catalog.0.update(acme.id(), seen, change, &by());
            seen = changed.expect("no other thread writes").version();
            history
                .lock()
                .expect("no thread panicked with it")
                .push(seen);
            resolver.sync().expect("the catalog answers");
        }
    });
}

/// A domain moves from one tenant to none and to another, and the first is removed.
fn moves(max_tenants: usize) {
    let catalog = Arc::new(Slow(MemoryCatalog::new()));
    let [acme, beta] = ["acme", "beta"].map(|id| added(&catalog, id));
    let shop = Name::Domain("shop.test".parse().expect("a domain"));
    let bind = |to: &Tenant| {
        let bound = catalog.0.bind(&shop, to.id(), Proof::Trusted, &by());
        bound.expect("no tenant has it")
    };
    let first = bind(&acme);
    let resolver = resolver(catalog.clone(), max_tenants);
    // The owners of the domain, each with the version from which on it is the owner.
    let history = Arc::new(Mutex::new(vec![(first, Some(acme.id().clone()))]));
    let reading = (resolver.clone(), history.clone());
    let read = move || {
        let (resolver, history) = &reading;
        let applied = resolver.applied();
        let head = RequestHead::new(Method::Get, "/").host("shop.test");
        let answer = resolver.resolve(&head).ok();
        let owner = answer.and_then(|answer| answer.tenant().map(|t| t.id().clone()));
        let history = history.lock().expect("no thread panicked with it");
        let current = history.iter().rposition(|(from, _)| *from <= applied);
        let since = &history[current.expect("the first was applied")..];
        let known = since.iter().any(|(_, whose)| *whose == owner);
        assert!(known, "{owner:?} at {applied}, of {since:?}");
    };
    beside(read, || {
        let say = |from, whose| {
            let mut history = history.lock().expect("no thread panicked with it");
            history.push((from, whose));
        };
        let unbound = catalog.0.unbind(&shop, acme.id(), &by());
        say(unbound.expect("it was acme's"), None);
        resolver.sync().expect("the catalog answers");
        say(bind(&beta), Some(beta.id().clone()));
        let removed = catalog.0.remove(acme.id(), acme.version(), &by());
        removed.expect("no other thread writes");
        resolver.sync().expect("the catalog answers");
    });
}

/// A domain goes back and forth between two tenants, in one write each or by two rows of one
/// stretch. It always has exactly one owner.
fn rebinds(max_tenants: usize, by_rows: bool) {
    let catalog = Arc::new(Slow(MemoryCatalog::new()));
    let [acme, beta] = ["acme", "beta"].map(|id| added(&catalog, id));
    let shop = Name::Domain("shop.test".parse().expect("a domain"));
    let bound = catalog.0.bind(&shop, acme.id(), Proof::Trusted, &by());
    bound.expect("no tenant has it");
    let resolver = resolver(catalog.clone(), max_tenants);
    let reading = resolver.clone();
    let read = move || {
        let head = RequestHead::new(Method::Get, "/").host("shop.test");
        let answer = reading.resolve(&head).expect("one of the two");
        assert!(answer.tenant().is_some());
    };
    beside(read, || {
        for (from, to) in [(&acme, &beta), (&beta, &acme)] {
            match by_rows {
                false => {
                    let moved = catalog.0.rebind(&shop, from.id(), to.id(), &by());
                    moved.expect("it was there");
                }
                true => {
                    let bind = |id| catalog.0.bind(&shop, id, Proof::Trusted, &by());
                    let unbound = catalog.0.unbind(&shop, from.id(), &by());
                    unbound.expect("it was there");
                    bind(to.id()).expect("no tenant has it");
                }
            }
            resolver.sync().expect("the catalog answers");
        }
    });
}

#[test]
fn a_replica_never_shows_a_name_without_an_owner_while_it_moves() {
    check(|| rebinds(10, false));
    check(|| rebinds(10, true));
}

#[test]
fn a_cache_never_shows_a_name_without_an_owner_while_it_moves() {
    check(|| rebinds(0, false));
}

#[test]
fn a_replica_never_answers_with_less_than_was_applied() {
    check(|| updates(10));
}

#[test]
fn a_cache_never_answers_with_less_than_was_applied() {
    check(|| updates(0));
}

#[test]
fn a_replica_never_gives_a_name_to_a_tenant_that_lost_it() {
    check(|| moves(10));
}

#[test]
fn a_cache_never_gives_a_name_to_a_tenant_that_lost_it() {
    check(|| moves(0));
}
