//! How fresh an answer is, and what it costs the catalog.

mod cache;
mod feed;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use tenancy_core::{
    Actor, Catalog, CatalogError, CatalogWriter, Change, Changes, Clock, Event, MemoryCatalog,
    Method, Name, NewTenant, Proof, Reason, RequestHead, ResolveError, Resolver, ResolverBuilder,
    Rule, Tenant, TenantChange, TenantId, TenantKey, TenantStatus, Version, Versioned,
};

const POLL: Duration = Duration::from_millis(500);
const T: Duration = Duration::from_secs(2);

/// A memory catalog that counts its reads, and can be made to fail.
#[derive(Default)]
struct Counting {
    inner: MemoryCatalog,
    lookups: AtomicUsize,
    feeds: AtomicUsize,
    down: AtomicBool,
    feedless: AtomicBool,
    /// Look-ups panic.
    cursed: AtomicBool,
    /// Milliseconds that a look-up takes, after it has read.
    slow_ms: AtomicUsize,
    /// What the feed answers next, instead of the truth.
    scripted: Mutex<Vec<Changes>>,
}

impl Catalog for Counting {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        assert!(!self.cursed.load(Ordering::SeqCst), "a cursed catalog");
        self.refuse_when_down()?;
        let answer = self.inner.lookup(key);
        let slow = self.slow_ms.load(Ordering::SeqCst) as u64;
        thread::sleep(Duration::from_millis(slow));
        answer
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        self.feeds.fetch_add(1, Ordering::SeqCst);
        self.refuse_when_down()?;
        if self.feedless.load(Ordering::SeqCst) {
            return Ok(None);
        }
        if let Some(scripted) = self.scripted.lock().unwrap().pop() {
            return Ok(Some(scripted));
        }
        self.inner.changes(since, max)
    }
}

impl Counting {
    fn refuse_when_down(&self) -> Result<(), CatalogError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(CatalogError::new("down")),
            false => Ok(()),
        }
    }

    fn add(&self, id: &str) -> Tenant {
        self.inner
            .insert(NewTenant::new(id.parse().unwrap()), &by())
            .unwrap()
    }

    fn set(&self, id: &str, status: TenantStatus) -> Tenant {
        let seen = self
            .inner
            .lookup(TenantKey::Label(id))
            .unwrap()
            .value
            .unwrap();
        let change = TenantChange::status(status);
        self.inner
            .update(seen.id(), seen.version(), change, &by())
            .unwrap()
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

fn by() -> Actor {
    Actor::new("test")
}

struct World {
    catalog: Arc<Counting>,
    clock: Clock,
    resolver: Resolver,
}

fn world(configure: impl FnOnce(ResolverBuilder) -> ResolverBuilder) -> World {
    let (catalog, clock) = (Arc::new(Counting::default()), Clock::manual());
    let builder = Resolver::builder(catalog.clone())
        .rule(Rule::subdomain_of("app.test"))
        .rule(Rule::domain())
        .clock(clock.clone());
    let resolver = configure(builder).build().unwrap();
    World {
        catalog,
        clock,
        resolver,
    }
}

/// A catalog without a feed: a cache.
fn feedless() -> World {
    let world = world(|builder| builder);
    world.catalog.feedless.store(true, Ordering::SeqCst);
    world
}

/// A catalog with a feed that is too large for a replica: a cache with changes.
fn too_large() -> World {
    world(|builder| builder.max_tenants(0))
}

impl World {
    /// Applies a write to the resolver, as its writer does.
    fn apply_write(&self, written: Tenant) {
        self.resolver.sync().unwrap();
        self.resolver.apply(&Changes {
            items: vec![Change::Tenant(written)],
            ..Changes::default()
        });
    }

    #[track_caller]
    fn get(&self, host: &str) -> Result<Tenant, Reason> {
        get(&self.resolver, host)
    }
}

fn get(resolver: &Resolver, host: &str) -> Result<Tenant, Reason> {
    let answer = resolver.resolve(&RequestHead::new(Method::Get, "/").host(host));
    answer
        .map(|r| r.tenant().unwrap().clone())
        .map_err(|e| e.reason())
}

fn try_get(resolver: &Resolver, host: &str) -> Option<Result<(), Reason>> {
    let answer = resolver.try_resolve(&RequestHead::new(Method::Get, "/").host(host))?;
    Some(answer.map(drop).map_err(|e| e.reason()))
}

#[test]
fn a_change_shows_when_the_feed_is_polled() {
    let w = world(|builder| builder);
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    w.catalog.set("acme", TenantStatus::Suspended);
    w.clock.advance(POLL - Duration::from_nanos(1));
    assert!(w.get("acme.app.test").is_ok(), "not polled yet");
    w.clock.advance(Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
}

#[test]
fn a_change_that_is_synced_shows_in_the_next_resolve() {
    for w in [world(|builder| builder), feedless(), too_large()] {
        w.catalog.add("acme");
        assert!(w.get("acme.app.test").is_ok());
        w.apply_write(w.catalog.set("acme", TenantStatus::Suspended));
        assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
        assert_eq!(w.get("beta.app.test"), Err(Reason::UnknownTenant));
        w.apply_write(w.catalog.add("beta"));
        assert!(w.get("beta.app.test").is_ok());
    }
}

#[test]
fn memory_is_no_older_than_the_bound_while_the_catalog_is_down() {
    let w = world(|builder| builder);
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    w.catalog.down.store(true, Ordering::SeqCst);
    w.clock.advance(T);
    assert!(w.get("acme.app.test").is_ok(), "at the bound");
    w.clock.advance(Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::CatalogUnavailable));
    assert_eq!(w.get("nobody.app.test"), Err(Reason::CatalogUnavailable));
    // What needs no tenant needs no catalog.
    let asset = RequestHead::new(Method::Get, "/assets/app.css").host("acme.app.test");
    assert!(w.resolver.resolve(&asset).is_ok());
    w.catalog.down.store(false, Ordering::SeqCst);
    assert!(w.get("acme.app.test").is_ok(), "it is back");
}

#[test]
fn stale_answers_are_served_as_long_as_that_was_allowed() {
    let w = world(|builder| builder.serve_stale_for(Duration::from_secs(60)));
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    w.catalog.down.store(true, Ordering::SeqCst);
    w.clock.advance(Duration::from_secs(60));
    assert!(w.get("acme.app.test").is_ok());
    w.clock.advance(Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::CatalogUnavailable));
}

#[test]
fn stale_answers_are_not_served_while_the_catalog_can_be_read() {
    let w = world(|builder| builder.serve_stale_for(Duration::from_secs(60)));
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    w.catalog.set("acme", TenantStatus::Suspended);
    w.clock.advance(T + Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
}

#[test]
fn a_catalog_that_was_never_reached_is_unavailable_and_nothing_is_kept_of_that() {
    for w in [world(|builder| builder), feedless(), too_large()] {
        w.catalog.add("acme");
        w.catalog.down.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(w.get("acme.app.test"), Err(Reason::CatalogUnavailable));
        }
        w.catalog.down.store(false, Ordering::SeqCst);
        assert!(w.get("acme.app.test").is_ok());
    }
}

#[test]
fn unavailable_names_its_cause_and_is_observed() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let observer = move |event: &Event<'_>| {
        if matches!(event, Event::CatalogUnavailable { .. }) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    let w = world(|builder| builder.observer(Arc::new(observer)));
    w.catalog.down.store(true, Ordering::SeqCst);
    let head = RequestHead::new(Method::Get, "/").host("acme.app.test");
    let error = w.resolver.resolve(&head).unwrap_err();
    let ResolveError::CatalogUnavailable { source } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        std::error::Error::source(&**source).unwrap().to_string(),
        "down"
    );
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn try_resolve_never_reads_the_catalog() {
    let w = world(|builder| builder);
    w.catalog.add("acme");
    assert_eq!(
        try_get(&w.resolver, "acme.app.test"),
        None,
        "nothing is loaded"
    );
    assert_eq!(w.catalog.feeds.load(Ordering::SeqCst), 0);
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(try_get(&w.resolver, "acme.app.test"), Some(Ok(())));
    assert_eq!(
        try_get(&w.resolver, "nobody.test"),
        Some(Err(Reason::NoTenant))
    );
    // What needs no tenant needs no catalog.
    let bad = RequestHead::new(Method::Get, "no-slash").host("acme.app.test");
    assert!(matches!(w.resolver.try_resolve(&bad), Some(Err(_))));
}

#[test]
fn try_resolve_leaves_the_sync_to_one_caller() {
    let w = world(|builder| builder);
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    w.catalog.set("acme", TenantStatus::Suspended);
    w.clock.advance(POLL);
    assert_eq!(
        try_get(&w.resolver, "acme.app.test"),
        None,
        "one has to sync"
    );
    for _ in 0..5 {
        assert_eq!(
            try_get(&w.resolver, "acme.app.test"),
            Some(Ok(())),
            "the others need not"
        );
    }
    // Its call of `resolve` syncs, for all.
    assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
    assert_eq!(
        try_get(&w.resolver, "acme.app.test"),
        Some(Err(Reason::Suspended))
    );
}

#[test]
fn a_claim_that_is_never_kept_goes_to_the_next_caller() {
    let w = world(|builder| builder);
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    w.clock.advance(POLL);
    assert_eq!(try_get(&w.resolver, "acme.app.test"), None);
    w.clock.advance(POLL - Duration::from_nanos(1));
    assert_eq!(try_get(&w.resolver, "acme.app.test"), Some(Ok(())));
    w.clock.advance(Duration::from_nanos(1));
    assert_eq!(try_get(&w.resolver, "acme.app.test"), None);
    // Beyond the bound no request is answered from memory.
    w.clock.advance(T);
    assert_eq!(try_get(&w.resolver, "acme.app.test"), None);
    assert_eq!(try_get(&w.resolver, "acme.app.test"), None);
}

#[test]
fn a_flood_of_unknown_hosts_never_reads_a_catalog_with_a_replica() {
    let w = world(|builder| builder);
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    let feeds = w.catalog.feeds.load(Ordering::SeqCst);
    for number in 0..100_000 {
        assert_eq!(
            w.get(&format!("x{number}.app.test")),
            Err(Reason::UnknownTenant)
        );
        assert_eq!(w.get(&format!("x{number}.test")), Err(Reason::NoTenant));
    }
    assert_eq!(w.catalog.lookups(), 0);
    assert_eq!(w.catalog.feeds.load(Ordering::SeqCst), feeds);
}

/// With a thread that syncs, requests ask the feed only when that thread is late, and in time
/// for the bound, however seldom it comes.
#[test]
fn requests_leave_the_feed_to_a_thread_that_is_not_late() {
    let ms = Duration::from_millis;
    for (every, late) in [(100, 500), (500, 1_000), (700, 1_400), (60_000, 1_500)] {
        let w = world(|builder| builder.synced_every(ms(every)));
        w.catalog.add("acme");
        assert!(w.get("acme.app.test").is_ok());
        // A thread that is in time, or a little late: requests are answered from memory.
        for _ in 0..10 {
            let feeds = w.catalog.feeds.load(Ordering::SeqCst);
            w.clock.advance(ms(late - 1));
            assert_eq!(try_get(&w.resolver, "acme.app.test"), Some(Ok(())));
            assert!(w.get("acme.app.test").is_ok());
            assert_eq!(w.catalog.feeds.load(Ordering::SeqCst), feeds, "{every}");
            w.resolver.sync().unwrap();
        }
        // One that has died: one request claims the sync, as without a thread.
        w.catalog.set("acme", TenantStatus::Suspended);
        w.clock.advance(ms(late));
        assert_eq!(try_get(&w.resolver, "acme.app.test"), None, "{every}");
        assert_eq!(try_get(&w.resolver, "acme.app.test"), Some(Ok(())));
        assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
        // What is known to be missing is not left to it.
        let gap = Changes {
            since: Version(50),
            upto: Version(60),
            ..Changes::default()
        };
        w.resolver.apply(&gap);
        assert_eq!(try_get(&w.resolver, "acme.app.test"), None, "{every}");
    }
}
