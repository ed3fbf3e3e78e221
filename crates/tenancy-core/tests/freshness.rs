//! How fresh an answer is, and what it costs the catalog.

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

/// A memory catalog that counts who asks, and can be made to fail.
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
        .rule(Rule::Subdomain)
        .subdomains_of("app.test")
        .rule(Rule::Domain)
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

/// A catalog with a feed that is too large to be copied: a cache that is told.
fn too_large() -> World {
    world(|builder| builder.max_tenants(0))
}

impl World {
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
        w.catalog.set("acme", TenantStatus::Suspended);
        w.resolver.sync().unwrap();
        assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
        w.catalog.add("beta");
        assert!(matches!(
            w.get("beta.app.test"),
            Ok(_) | Err(Reason::UnknownTenant)
        ));
        w.resolver.sync().unwrap();
        assert!(w.get("beta.app.test").is_ok());
    }
}

#[test]
fn memory_is_no_older_than_the_bound_when_the_catalog_is_away() {
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
fn stale_answers_are_not_served_while_the_catalog_can_be_asked() {
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
fn try_resolve_never_asks_the_catalog() {
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
    // Beyond the bound nobody is answered from memory.
    w.clock.advance(T);
    assert_eq!(try_get(&w.resolver, "acme.app.test"), None);
    assert_eq!(try_get(&w.resolver, "acme.app.test"), None);
}

#[test]
fn a_flood_of_unknown_hosts_never_asks_a_copied_catalog() {
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

#[test]
fn a_cache_asks_once_for_a_name_and_once_for_nobody() {
    for w in [feedless(), too_large()] {
        w.catalog.add("acme");
        assert!(w.get("acme.app.test").is_ok());
        assert_eq!(w.get("nobody.test"), Err(Reason::NoTenant));
        let asked = w.catalog.lookups();
        for _ in 0..10 {
            assert!(w.get("ACME.app.test:80").is_ok());
            assert_eq!(w.get("nobody.test"), Err(Reason::NoTenant));
            assert!(try_get(&w.resolver, "acme.app.test").is_some());
        }
        assert_eq!(w.catalog.lookups(), asked);
        assert_eq!(
            try_get(&w.resolver, "other.app.test"),
            None,
            "it would have to ask"
        );
        assert_eq!(w.catalog.lookups(), asked);
    }
}

#[test]
fn without_a_feed_an_answer_is_kept_no_longer_than_the_bound() {
    let w = feedless();
    w.catalog.add("acme");
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(w.get("beta.app.test"), Err(Reason::UnknownTenant));
    w.catalog.set("acme", TenantStatus::Suspended);
    w.catalog.add("beta");
    w.clock.advance(T);
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(w.get("beta.app.test"), Err(Reason::UnknownTenant));
    w.clock.advance(Duration::from_nanos(1));
    assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
    assert!(w.get("beta.app.test").is_ok());
}

#[test]
fn a_cache_never_asks_for_what_is_no_name_or_reserved() {
    let w = world(|builder| builder.reserved("www").max_tenants(0));
    w.catalog.feedless.store(true, Ordering::SeqCst);
    for (host, reason) in [
        ("a_b.app.test", Reason::BadHost),
        ("-a.app.test", Reason::BadHost),
        ("ä.test", Reason::BadHost),
        ("www.app.test", Reason::NoTenant),
        ("[::1]", Reason::NoTenant),
    ] {
        assert_eq!(w.get(host), Err(reason), "{host}");
    }
    assert_eq!(w.catalog.lookups(), 0);
}

#[test]
fn a_flood_of_unknown_hosts_pushes_no_tenant_out_of_a_cache() {
    for w in [feedless(), too_large()] {
        for number in 0..100 {
            w.catalog.add(&format!("t{number}"));
            assert!(w.get(&format!("t{number}.app.test")).is_ok());
        }
        for number in 0..50_000 {
            assert_eq!(w.get(&format!("x{number}.test")), Err(Reason::NoTenant));
        }
        let asked = w.catalog.lookups();
        for number in 0..100 {
            assert!(w.get(&format!("t{number}.app.test")).is_ok());
        }
        assert_eq!(w.catalog.lookups(), asked);
    }
}

#[test]
fn one_load_a_name_at_a_time() {
    let w = feedless();
    w.catalog.add("acme");
    w.get("other.app.test").ok();
    w.catalog.slow_ms.store(200, Ordering::SeqCst);
    let (before, barrier) = (w.catalog.lookups(), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                assert!(w.get("acme.app.test").is_ok());
            });
        }
    });
    assert_eq!(w.catalog.lookups() - before, 1);
}

#[test]
fn a_catalog_that_panics_wedges_nobody() {
    let w = feedless();
    w.catalog.add("acme");
    w.get("other.app.test").ok();
    w.catalog.slow_ms.store(50, Ordering::SeqCst);
    w.catalog.cursed.store(true, Ordering::SeqCst);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let get = std::panic::AssertUnwindSafe(|| w.get("acme.app.test"));
                assert!(std::panic::catch_unwind(get).is_err());
            });
        }
    });
    w.catalog.cursed.store(false, Ordering::SeqCst);
    assert!(w.get("acme.app.test").is_ok());
}

/// The bug that was found in four products: a read before a change, stored after it.
#[test]
fn an_answer_read_before_a_change_is_not_stored_after_it() {
    for w in [feedless(), too_large()] {
        w.catalog.add("acme");
        w.get("other.app.test").ok();
        w.catalog.slow_ms.store(300, Ordering::SeqCst);
        thread::scope(|scope| {
            let reader = scope.spawn(|| w.get("acme.app.test"));
            // The reader has read and is on its way back.
            thread::sleep(Duration::from_millis(100));
            w.catalog.set("acme", TenantStatus::Suspended);
            w.resolver.sync().unwrap();
            reader.join().unwrap().ok();
        });
        assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
    }
}

#[test]
fn who_asks_after_a_change_is_not_given_what_others_asked_before() {
    for w in [feedless(), too_large()] {
        w.catalog.add("acme");
        w.get("other.app.test").ok();
        w.catalog.slow_ms.store(300, Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| w.get("acme.app.test"));
            thread::sleep(Duration::from_millis(100));
            w.catalog.set("acme", TenantStatus::Suspended);
            w.resolver.sync().unwrap();
            assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
        });
    }
}

#[test]
fn a_replica_that_lags_is_refused_and_not_believed() {
    let w = too_large();
    w.catalog.add("acme");
    w.get("acme.app.test").unwrap();
    let later = Changes {
        upto: Version(1_000),
        items: vec![Change::Unbound {
            name: Name::Label("acme".parse().unwrap()),
        }],
        ..Changes::default()
    };
    w.resolver.apply(&later);
    assert_eq!(w.resolver.applied(), Version(1_000));
    assert_eq!(w.get("acme.app.test"), Err(Reason::CatalogUnavailable));
}

#[test]
fn a_feed_that_starts_over_leaves_nothing_of_before() {
    let w = world(|builder| builder);
    let (acme, _beta) = (w.catalog.add("acme"), w.catalog.add("beta"));
    let shop = Name::Domain("shop.test".parse().unwrap());
    w.catalog
        .inner
        .bind(&shop, acme.id(), Proof::Trusted, &by())
        .unwrap();
    assert!(w.get("beta.app.test").is_ok());
    assert!(w.get("shop.test").is_ok());
    // Rebuilt: it counts from one again, and beta and the shop are not in it.
    *w.catalog.scripted.lock().unwrap() = vec![Changes {
        upto: Version(1),
        reset: true,
        items: vec![Change::Tenant(acme)],
        more: false,
    }];
    w.resolver.sync().unwrap();
    assert_eq!(w.resolver.applied(), Version(1));
    assert!(w.get("acme.app.test").is_ok());
    assert_eq!(w.get("beta.app.test"), Err(Reason::UnknownTenant));
    assert_eq!(w.get("shop.test"), Err(Reason::NoTenant));
}

#[test]
fn changes_that_were_delivered_are_applied_once_and_in_order() {
    let w = world(|builder| builder);
    w.catalog.add("acme");
    w.get("acme.app.test").unwrap();
    let suspended = w.catalog.set("acme", TenantStatus::Suspended);
    let changes = Changes {
        upto: suspended.version(),
        items: vec![Change::Tenant(suspended)],
        ..Changes::default()
    };
    w.resolver.apply(&changes);
    assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
    w.catalog.set("acme", TenantStatus::Active);
    w.resolver.sync().unwrap();
    w.resolver.apply(&changes);
    assert!(
        w.get("acme.app.test").is_ok(),
        "an old delivery changes nothing"
    );
}

#[test]
fn a_name_of_two_tenants_is_refused_and_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let observer = move |event: &Event<'_>| {
        if let Event::NameConflict { name, owner, other } = event {
            tell.lock().unwrap().push(format!("{name} {owner} {other}"));
        }
    };
    let w = world(|builder| builder.observer(Arc::new(observer)));
    let (acme, beta) = (w.catalog.add("acme"), w.catalog.add("beta"));
    w.get("acme.app.test").unwrap();
    let name = Name::Domain("shop.test".parse().unwrap());
    let bound = |id: &TenantId| Change::Bound {
        name: name.clone(),
        id: id.clone(),
    };
    w.resolver.apply(&Changes {
        upto: Version(3),
        items: vec![bound(acme.id()), bound(beta.id())],
        ..Changes::default()
    });
    assert_eq!(w.get("shop.test"), Err(Reason::AmbiguousTenant));
    assert_eq!(*told.lock().unwrap(), ["shop.test acme beta"]);
}

#[test]
fn observers_are_told_of_what_was_applied_outside_every_lock() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let resolver: Arc<std::sync::OnceLock<Arc<Resolver>>> = Arc::default();
    let (tell, inside) = (log.clone(), resolver.clone());
    let observer = move |event: &Event<'_>| {
        // Would deadlock inside a lock of the resolver's.
        if let Some(resolver) = inside.get() {
            resolver.sync().unwrap();
        }
        let line = match event {
            Event::TenantChanged { tenant } => format!("changed {tenant:?}"),
            Event::TenantRemoved { id, epoch } => format!("removed {id}@{epoch}"),
            _ => return,
        };
        tell.lock().unwrap().push(line);
    };
    let w = world(|builder| builder.observer(Arc::new(observer)));
    w.catalog.add("acme");
    w.get("acme.app.test").unwrap();
    let shared = Arc::new(w.resolver);
    resolver.set(shared.clone()).unwrap();
    let acme = w.catalog.set("acme", TenantStatus::Suspended);
    w.catalog
        .inner
        .remove(acme.id(), acme.version(), &by())
        .unwrap();
    shared.sync().unwrap();
    assert_eq!(
        *log.lock().unwrap(),
        ["changed Tenant(acme@1 suspended)", "removed acme@1"]
    );
}

/// Readers against writers: an answer is never older than what was applied when it
/// was asked for.
#[test]
fn no_answer_is_older_than_what_was_applied() {
    for (name, w) in [("copy", world(|b| b)), ("cache", too_large())] {
        let ids: Vec<String> = (0..4).map(|number| format!("t{number}")).collect();
        // Every version that each tenant ever had.
        let history: Vec<Mutex<Vec<u64>>> = ids
            .iter()
            .map(|id| Mutex::new(vec![w.catalog.add(id).version().0]))
            .collect();
        w.get("t0.app.test").unwrap();
        let done = AtomicBool::new(false);
        let answers = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut turn = 0;
                    while !done.load(Ordering::SeqCst) {
                        turn = (turn + 1) % ids.len();
                        let applied = w.resolver.applied().0;
                        let answer = w.get(&format!("{}.app.test", ids[turn])).unwrap();
                        let newer = |v: &u64| answer.version().0 < *v && *v <= applied;
                        let history = history[turn].lock().unwrap();
                        assert!(!history.iter().any(newer), "{name}: {answer:?}, {applied}");
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let began = std::time::Instant::now();
            for step in 0.. {
                let enough = step >= 2_000 && answers.load(Ordering::SeqCst) >= 500;
                if enough || began.elapsed() > Duration::from_secs(30) {
                    break;
                }
                let at = step % ids.len();
                let mut history = history[at].lock().unwrap();
                history.push(w.catalog.set(&ids[at], TenantStatus::Active).version().0);
                drop(history);
                if step % 3 == 0 {
                    w.resolver.sync().unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        assert!(answers.load(Ordering::SeqCst) >= 500, "{name}");
    }
}

#[test]
fn what_is_wrong_whatever_the_catalog_says_is_told_while_it_is_away() {
    let w = world(|builder| {
        let builder = builder.reserved("www").rule(Rule::Template);
        builder.host_template("{tenant}-api.tpl.test")
    });
    w.catalog.down.store(true, Ordering::SeqCst);
    for (host, reason) in [
        ("", Reason::BadHost),
        ("-a.app.test", Reason::BadHost),
        ("www.app.test", Reason::NoTenant),
        ("a--api.tpl.test", Reason::UnknownTenant),
        ("acme.app.test", Reason::CatalogUnavailable),
    ] {
        assert_eq!(w.get(host), Err(reason), "{host}");
        let told = try_get(&w.resolver, host);
        assert!(
            told.is_none() == (reason == Reason::CatalogUnavailable),
            "{host}"
        );
    }
}

/// The mistake of a feed that pages by position and forgets to move it.
struct StuckFeed {
    reset: bool,
    asked: AtomicUsize,
}

impl Catalog for StuckFeed {
    fn lookup(&self, _: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        Err(CatalogError::new(
            "a resolver that has the feed asks nothing else",
        ))
    }

    fn changes(&self, since: Version, _: usize) -> Result<Option<Changes>, CatalogError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(asked < 1_000, "asked for ever");
        Ok(Some(Changes {
            upto: since,
            more: self.reset || asked > 0,
            reset: self.reset && asked > 0,
            items: Vec::new(),
        }))
    }
}

#[test]
fn a_feed_that_says_more_and_does_not_move_is_an_error_and_no_endless_loop() {
    for reset in [false, true] {
        let asked = AtomicUsize::new(0);
        let feed = Arc::new(StuckFeed { reset, asked });
        let resolver = Resolver::builder(feed.clone())
            .rule(Rule::Domain)
            .build()
            .unwrap();
        let mut failed = 0;
        for _ in 0..3 {
            if let Err(error) = resolver.sync() {
                failed += 1;
                let source = std::error::Error::source(&*error).unwrap().to_string();
                assert_eq!(
                    source,
                    "its change feed says that there is more after version 0 and does not get beyond it"
                );
            }
        }
        assert!(failed >= 2 && feed.asked.load(Ordering::SeqCst) < 20);
    }
}
