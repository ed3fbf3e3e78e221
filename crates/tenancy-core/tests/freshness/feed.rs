//! What a feed delivers, late, twice, from the start, or never.

use super::*;

#[test]
fn a_replica_that_lags_is_refused_and_not_believed() {
    let w = too_large();
    w.catalog.add("acme");
    w.get("acme.app.test").unwrap();
    let later = Changes {
        since: w.resolver.applied(),
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
        since: Version::ZERO,
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
        since: w.resolver.applied(),
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
fn a_name_of_two_tenants_is_refused_and_observed() {
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
        since: Version(2),
        upto: Version(3),
        items: vec![bound(acme.id()), bound(beta.id())],
        ..Changes::default()
    });
    assert_eq!(w.get("shop.test"), Err(Reason::AmbiguousTenant));
    assert_eq!(*told.lock().unwrap(), ["shop.test acme beta"]);
}

#[test]
fn observers_are_notified_of_applied_changes_outside_every_lock() {
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
fn no_answer_is_older_than_the_applied_changes() {
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
fn malformed_requests_are_refused_while_the_catalog_is_down() {
    let w = world(|builder| {
        let builder = builder.reserved("www");
        builder.rule(Rule::template("{tenant}-api.tpl.test"))
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
            since,
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
            .rule(Rule::domain())
            .build()
            .unwrap();
        let mut failed = 0;
        for _ in 0..3 {
            if let Err(error) = resolver.sync() {
                failed += 1;
                let source = std::error::Error::source(&*error).unwrap().to_string();
                assert_eq!(
                    source,
                    "its change feed promises more after version 0 and does not get beyond it"
                );
            }
        }
        assert!(failed >= 2 && feed.asked.load(Ordering::SeqCst) < 20);
    }
}

/// A stretch of this catalog's feed after one version, up to another.
fn stretch(w: &World, since: u64, upto: u64) -> Changes {
    let max = (upto - since) as usize;
    let mut changes = w.catalog.inner.changes(Version(since), max).unwrap();
    let changes = changes.take().expect("a feed");
    assert_eq!(
        (changes.since, changes.upto),
        (Version(since), Version(upto))
    );
    changes
}

/// A delivery in disorder never loses what it leaves out: the next request asks the feed.
#[test]
fn a_stretch_after_a_gap_makes_a_sync_due() {
    type Deliver = fn(&World) -> Vec<Changes>;
    let cases: [(&str, Deliver, bool); 8] = [
        ("nothing", |_| vec![], false),
        ("all of it", |w| vec![stretch(w, 2, 4)], false),
        ("a gap before it", |w| vec![stretch(w, 3, 4)], true),
        (
            "out of order",
            |w| vec![stretch(w, 3, 4), stretch(w, 2, 3)],
            true,
        ),
        (
            "what was applied, and more",
            |w| vec![stretch(w, 1, 4)],
            true,
        ),
        ("more behind it", |w| vec![stretch(w, 2, 3)], true),
        (
            "it starts over",
            |w| {
                let mut all = stretch(w, 0, 4);
                all.reset = true;
                vec![all]
            },
            true,
        ),
        (
            "a duplicate",
            |w| vec![stretch(w, 2, 4), stretch(w, 1, 2), stretch(w, 2, 4)],
            false,
        ),
    ];
    for (what, deliver, syncs) in cases {
        for (is_copy, w) in [(true, world(|builder| builder)), (false, too_large())] {
            for id in ["acme", "beta"] {
                w.catalog.add(id);
                w.get(&format!("{id}.app.test")).ok();
            }
            w.resolver.sync().unwrap();
            for id in ["acme", "beta"] {
                assert!(w.get(&format!("{id}.app.test")).is_ok(), "{what}");
                w.catalog.set(id, TenantStatus::Suspended);
            }
            let asked = w.catalog.feeds.load(Ordering::SeqCst);
            deliver(&w)
                .iter()
                .for_each(|changes| w.resolver.apply(changes));
            assert_eq!(w.catalog.feeds.load(Ordering::SeqCst), asked, "{what}");
            // One caller that may not block is sent to sync, no more than one.
            let silent = [(); 3].map(|()| try_get(&w.resolver, "acme.app.test").is_none());
            assert!(
                silent == [syncs, false, false] || !is_copy,
                "{what}: {silent:?}"
            );
            let answer = w.get("acme.app.test");
            let again = w.get("beta.app.test");
            let feeds = w.catalog.feeds.load(Ordering::SeqCst) - asked;
            assert_eq!(feeds, usize::from(syncs), "{what}");
            let lost = what == "nothing";
            assert_eq!(answer.is_ok(), lost, "{what}: {answer:?}");
            assert_eq!(again.is_ok(), lost, "{what}: {again:?}");
            assert_eq!(w.resolver.applied() == Version(4), !lost, "{what}");
        }
    }
}

#[test]
fn a_feed_that_leaves_out_changes_is_an_error() {
    for w in [world(|builder| builder), too_large()] {
        w.catalog.add("acme");
        w.get("acme.app.test").unwrap();
        let acme = w.catalog.set("acme", TenantStatus::Suspended);
        *w.catalog.scripted.lock().unwrap() = vec![Changes {
            since: Version(7),
            upto: Version(9),
            items: vec![Change::Tenant(acme)],
            ..Changes::default()
        }];
        let error = w.resolver.sync().unwrap_err();
        let source = std::error::Error::source(&*error).unwrap().to_string();
        assert_eq!(
            source,
            "its change feed was read from version 1 on and starts after version 7"
        );
        w.resolver.sync().unwrap();
        assert_eq!(w.get("acme.app.test"), Err(Reason::Suspended));
    }
}

/// Of the two ways to say that a name has moved, neither shows it without an owner, and an
/// owner from before a feed started over is no second one.
#[test]
fn a_name_that_moves_has_one_owner_before_and_after() {
    let name = Name::Domain("shop.test".parse().unwrap());
    let bound = |id: &TenantId| Change::Bound {
        name: name.clone(),
        id: id.clone(),
    };
    let conflicts = Arc::new(AtomicUsize::new(0));
    let count = conflicts.clone();
    let observer = move |event: &Event<'_>| {
        if matches!(event, Event::NameConflict { .. }) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    let w = world(|builder| builder.observer(Arc::new(observer)));
    let (acme, beta) = (w.catalog.add("acme"), w.catalog.add("beta"));
    w.resolver.sync().unwrap();
    let apply = |version, items| {
        w.resolver.apply(&Changes {
            since: w.resolver.applied(),
            upto: Version(version),
            items,
            ..Changes::default()
        });
        w.get("shop.test").map(|owner| owner.id().clone())
    };
    assert_eq!(apply(3, vec![bound(acme.id())]), Ok(acme.id().clone()));
    let unbound = Change::Unbound { name: name.clone() };
    let moved = apply(4, vec![unbound, bound(beta.id())]);
    assert_eq!(moved, Ok(beta.id().clone()));
    let back = Change::Moved {
        name: name.clone(),
        id: acme.id().clone(),
    };
    assert_eq!(apply(5, vec![back]), Ok(acme.id().clone()));
    *w.catalog.scripted.lock().unwrap() = vec![Changes {
        upto: Version(3),
        reset: true,
        items: vec![
            Change::Tenant(acme.clone()),
            Change::Tenant(beta.clone()),
            bound(beta.id()),
        ],
        ..Changes::default()
    }];
    w.resolver.sync().unwrap();
    let owner = w.get("shop.test").map(|owner| owner.id().clone());
    assert_eq!(owner, Ok(beta.id().clone()));
    assert_eq!(conflicts.load(Ordering::SeqCst), 0);
    assert_eq!(
        apply(4, vec![bound(acme.id())]),
        Err(Reason::AmbiguousTenant)
    );
}
