//! A catalog and a driver of an embedder's: without a feed, and wrong in every way.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tenancy::catalog::{
    Actor, Binding, Catalog, CatalogError, CatalogWriter, Challenge, Changes, Domain,
    MemoryCatalog, Migrated, Miscounted, Name, NewTenant, Placement, Proof, ProvisionError,
    Provisioned, Provisioner, SchemaTarget, TenantChange, TenantKey, Version, Versioned,
    WriteError,
};
use tenancy::pool::Driver;
use tenancy::resolve::{Clock, ResolverBuilder};
use tenancy::sqlite::{SqliteDriver, SqliteManager, SqliteStorage};
use tenancy::{
    Error, Method, RequestHead, Tenancy, TenancyBuilder, Tenant, TenantId, TenantSpec,
    TenantStatus, Upkeep,
};

use crate::util::{id, rules};

/// The way in which a method is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    OneLess,
    OneMore,
    Nothing,
    AnotherTenant,
}

/// What both have in common: which method lies, and how it is asked.
#[derive(Default)]
struct State {
    lie: Mutex<Option<(&'static str, Lie)>>,
    feedless: AtomicBool,
    lookups: AtomicUsize,
    feeds: AtomicUsize,
    /// How many more times the feed panics.
    panics: AtomicUsize,
}

impl State {
    fn lie(&self, method: &str) -> Option<Lie> {
        let lie = self.lie.lock().expect("no panic").filter(|l| l.0 == method);
        lie.map(|(_, lie)| lie)
    }

    fn wrong<T>(&self, method: &str, mut answers: Vec<T>, more: impl Fn() -> T) -> Vec<T> {
        match self.lie(method) {
            Some(Lie::OneLess) => drop(answers.pop()),
            Some(Lie::OneMore) => answers.push(more()),
            Some(Lie::Nothing) => answers.clear(),
            _ => {}
        }
        answers
    }

    fn wrong_tenant(&self, method: &str, tenant: Tenant) -> Tenant {
        match self.lie(method) {
            Some(Lie::AnotherTenant) => other(),
            _ => tenant,
        }
    }
}

/// A tenant that nobody asked for.
fn other() -> Tenant {
    Tenant::builder(id("zzsecretzz")).build().expect("a tenant")
}

#[derive(Clone, Default)]
struct Odd(Arc<(MemoryCatalog, State)>);

impl Catalog for Odd {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        self.0.1.lookups.fetch_add(1, Ordering::SeqCst);
        self.0.0.lookup(key)
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let state = &self.0.1;
        state.feeds.fetch_add(1, Ordering::SeqCst);
        let left = |left: usize| left.checked_sub(1);
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        assert!(
            state.panics.fetch_update(set, fetch, left).is_err(),
            "cursed"
        );
        match state.feedless.load(Ordering::SeqCst) {
            true => Ok(None),
            false => self.0.0.changes(since, max),
        }
    }
}

impl CatalogWriter for Odd {
    fn record_storage(&self, id: &str) -> Result<(), WriteError> {
        self.0.0.record_storage(id)
    }

    fn insert(&self, new: NewTenant, by: &Actor) -> Result<Tenant, WriteError> {
        self.0.0.insert(new, by)
    }

    fn insert_many(&self, new: Vec<NewTenant>, by: &Actor) -> Vec<Result<Tenant, WriteError>> {
        let tenant = |t| self.0.1.wrong_tenant("insert_many", t);
        let inserted = new.into_iter().map(|new| self.insert(new, by).map(tenant));
        self.0
            .1
            .wrong("insert_many", inserted.collect(), || Ok(other()))
    }

    fn update(
        &self,
        id: &TenantId,
        seen: Version,
        change: TenantChange,
        by: &Actor,
    ) -> Result<Tenant, WriteError> {
        let updated = self.0.0.update(id, seen, change, by)?;
        Ok(self.0.1.wrong_tenant("update", updated))
    }

    fn update_many(
        &self,
        changes: Vec<(Tenant, TenantChange)>,
        by: &Actor,
    ) -> Vec<Result<Tenant, WriteError>> {
        let updated = self.0.0.update_many(changes, by);
        let tenant = |t| self.0.1.wrong_tenant("update_many", t);
        let updated = updated.into_iter().map(|updated| updated.map(tenant));
        self.0
            .1
            .wrong("update_many", updated.collect(), || Ok(other()))
    }

    fn remove(&self, id: &TenantId, seen: Version, by: &Actor) -> Result<Version, WriteError> {
        self.0.0.remove(id, seen, by)
    }

    fn bind(
        &self,
        name: &Name,
        id: &TenantId,
        proof: Proof,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.0.0.bind(name, id, proof, by)
    }

    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.0.0.verify(domain, id, txt, by)
    }

    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.0.0.make_primary(domain, id, by)
    }

    fn rebind(
        &self,
        name: &Name,
        from: &TenantId,
        to: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.0.0.rebind(name, from, to, by)
    }

    fn unbind(&self, name: &Name, id: &TenantId, by: &Actor) -> Result<Version, WriteError> {
        self.0.0.unbind(name, id, by)
    }

    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError> {
        self.0.0.names(id)
    }

    fn page(&self, after: Option<&TenantId>, max: usize) -> Result<Vec<Tenant>, CatalogError> {
        self.0.0.page(after, max)
    }
}

#[derive(Clone)]
struct OddDriver(SqliteDriver, Odd);

impl Driver for OddDriver {
    type Manager = SqliteManager;

    fn manager(&self, tenant: &Tenant) -> SqliteManager {
        self.0.manager(tenant)
    }

    fn descriptors(&self) -> u32 {
        self.0.descriptors()
    }
}

impl Provisioner for OddDriver {
    fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError> {
        self.0.place(id)
    }

    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError> {
        self.0.provision(tenant)
    }

    fn provision_many(&self, tenants: &[Tenant]) -> Vec<Result<Provisioned, ProvisionError>> {
        let state = &self.1.0.1;
        let made = tenants.iter().map(|tenant| self.provision(tenant));
        state.wrong("provision_many", made.collect(), || Ok(Provisioned::Made))
    }

    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError> {
        self.0.migrate(tenant, target)
    }

    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError> {
        self.0.exists(tenant)
    }

    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        self.0.destroy(tenant)
    }
}

struct World {
    tenancy: Tenancy<OddDriver>,
    catalog: Odd,
    _root: tempfile::TempDir,
}

impl World {
    fn new(upkeep: Upkeep, say: impl FnOnce(ResolverBuilder) -> ResolverBuilder) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let catalog = Odd::default();
        let driver = SqliteStorage::builder(root.path())
            .create_driver()
            .expect("a driver");
        let driver = OddDriver(driver, catalog.clone());
        let builder: TenancyBuilder<_> = Tenancy::builder((driver, catalog.clone()));
        let builder = builder.resolver(|resolver| say(rules(resolver)));
        Self {
            tenancy: builder.upkeep(upkeep).build().expect("a tenancy"),
            catalog,
            _root: root,
        }
    }

    fn state(&self) -> &State {
        &self.catalog.0.1
    }

    fn lie(&self, lie: Option<(&'static str, Lie)>) {
        *self.state().lie.lock().expect("no panic") = lie;
    }

    fn said(&self, host: &str) -> String {
        let head = RequestHead::new(Method::Get, "/").host(host);
        match self.tenancy.resolve(&head) {
            Ok(resolved) => resolved.tenant().expect("a tenant's").id().to_string(),
            Err(error) => error.reason().to_string(),
        }
    }
}

#[test]
fn too_few_and_too_many_answers_are_an_error_that_names_the_method() {
    for method in ["insert_many", "update_many", "provision_many"] {
        for (lie, given) in [(Lie::OneLess, 2), (Lie::OneMore, 4), (Lie::Nothing, 0)] {
            let world = World::new(Upkeep::Manual, |resolver| resolver);
            world.lie(Some((method, lie)));
            let specs = ["acme", "beta", "gamma"].map(|text| TenantSpec::new(id(text)));
            for created in world.tenancy.create_many(&specs) {
                let want = Miscounted {
                    method,
                    asked: 3,
                    given,
                };
                let is_it = matches!(&created, Err(Error::Miscounted(told)) if *told == want);
                assert!(is_it, "{method} {lie:?}: {created:?}");
            }
            let one = world.tenancy.create(id("delta"));
            let is_it = matches!(&one, Err(Error::Miscounted(told)) if told.asked == 1);
            assert!(is_it, "{method} {lie:?}: {one:?}");
            // What was begun is completed by doing it again.
            world.lie(None);
            for text in ["acme", "beta", "gamma", "delta"] {
                match world.tenancy.create(id(text)) {
                    Ok(_) => {}
                    Err(Error::Write(WriteError::Exists { .. })) if method == "update_many" => {}
                    Err(error) => panic!("{method} {lie:?}: {error}"),
                }
                assert_eq!(world.said(&format!("{text}.app.test")), text);
            }
        }
    }
}

#[test]
fn an_answer_about_another_tenant_is_refused() {
    let refused = |created: Result<Tenant, Error>, method: &str| {
        let error = created.expect_err(method);
        let text = error.to_string();
        let is_it = matches!(error, Error::WrongTenant { method: m, .. } if m == method);
        assert!(is_it && !text.contains("zzsecretzz"), "{method}: {text}");
    };
    for method in ["insert_many", "update_many"] {
        let world = World::new(Upkeep::Manual, |resolver| resolver);
        world.lie(Some((method, Lie::AnotherTenant)));
        refused(world.tenancy.create(id("acme")), method);
    }
    let world = World::new(Upkeep::Manual, |resolver| resolver);
    world.tenancy.create(id("acme")).expect("a tenant");
    world.lie(Some(("update", Lie::AnotherTenant)));
    refused(world.tenancy.suspend(&id("acme")), "update");
    let second = Duration::from_secs(1);
    refused(world.tenancy.retire(&id("acme"), second), "update");
}

/// A catalog without a feed: the writes of this process show at once, and a cache that is
/// young enough is never forgotten by the upkeep.
#[test]
fn without_a_feed_own_writes_show_at_once_and_the_cache_is_kept() {
    let clock = Clock::manual();
    let world = World::new(Upkeep::Every(Duration::from_millis(5)), |resolver| {
        resolver.clock(clock.clone())
    });
    world.state().feedless.store(true, Ordering::SeqCst);
    let tenancy = &world.tenancy;
    assert_eq!(world.said("acme.app.test"), "unknown_tenant");
    assert_eq!(world.said("shop.test"), "no_tenant");
    let spec = TenantSpec::new(id("acme")).name("shop.test");
    tenancy.create(spec).expect("a tenant");
    tenancy.create(id("beta")).expect("a tenant");
    for (host, owner) in [("acme.app.test", "acme"), ("shop.test", "acme")] {
        assert_eq!(world.said(host), owner);
    }
    let shop = tenancy.name("shop.test").expect("a domain");
    tenancy
        .rebind(&shop, &id("acme"), &id("beta"))
        .expect("it was acme's");
    assert_eq!(world.said("shop.test"), "beta");
    tenancy.unbind(&shop, &id("beta")).expect("beta's");
    assert_eq!(world.said("shop.test"), "no_tenant");
    let proof = Challenge::new().expect("random bytes");
    let pending = Proof::Pending(proof.clone());
    tenancy
        .bind("shop.test", &id("acme"), pending)
        .expect("free");
    assert_eq!(world.said("shop.test"), "no_tenant");
    let Name::Domain(domain) = &shop else {
        panic!("{shop} is a domain")
    };
    tenancy
        .verify(domain, &id("acme"), proof.as_str())
        .expect("proven");
    assert_eq!(world.said("shop.test"), "acme");
    tenancy.suspend(&id("acme")).expect("active");
    for host in ["acme.app.test", "shop.test"] {
        assert_eq!(world.said(host), "suspended");
    }
    tenancy.resume(&id("acme")).expect("suspended");
    for host in ["acme.app.test", "shop.test", "beta.app.test"] {
        world.said(host);
    }
    // Many rounds of the upkeep later nothing has been forgotten.
    let asked = world.state().lookups.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(200));
    for host in ["acme.app.test", "shop.test", "beta.app.test"] {
        world.said(host);
    }
    assert_eq!(world.state().lookups.load(Ordering::SeqCst), asked);
    tenancy
        .destroy(&id("acme"), Duration::from_secs(5))
        .expect("gone");
    assert_eq!(world.said("acme.app.test"), "unknown_tenant");
    assert_eq!(world.said("shop.test"), "no_tenant");
}

/// An upkeep that does not come leaves the feed to the requests again, in time.
#[test]
fn with_upkeep_requests_ask_the_feed_only_when_it_is_late() {
    let hour = Upkeep::Every(Duration::from_secs(3600));
    let half = Duration::from_millis(500);
    for (upkeep, polls) in [(Upkeep::Manual, [1, 1, 1]), (hour, [0, 0, 1])] {
        let clock = Clock::manual();
        let world = World::new(upkeep, |resolver| resolver.clock(clock.clone()));
        world.tenancy.create(id("acme")).expect("a tenant");
        world.said("acme.app.test");
        for polls in polls {
            clock.advance(half);
            let before = world.state().feeds.load(Ordering::SeqCst);
            for _ in 0..3 {
                assert_eq!(world.said("acme.app.test"), "acme");
            }
            let feeds = world.state().feeds.load(Ordering::SeqCst) - before;
            assert_eq!(feeds, polls, "{upkeep:?} at {:?}", clock.now());
        }
    }
}

#[test]
fn a_catalog_that_panics_does_not_end_the_upkeep() {
    let world = World::new(Upkeep::Every(Duration::from_millis(5)), |resolver| resolver);
    world.tenancy.create(id("acme")).expect("a tenant");
    world.state().panics.store(3, Ordering::SeqCst);
    let suspended = TenantChange::status(TenantStatus::Suspended);
    let began = Instant::now();
    let panicked = || world.state().panics.load(Ordering::SeqCst) == 0;
    while !panicked() {
        assert!(began.elapsed() < Duration::from_secs(30), "no round came");
        std::thread::sleep(Duration::from_millis(5));
    }
    let row = world.tenancy.tenant(&id("acme")).expect("acme");
    let by = Actor::new("test");
    let update = world
        .catalog
        .0
        .0
        .update(row.id(), row.version(), suspended, &by);
    let written = update.expect("nobody else writes").version();
    while world.tenancy.resolver().applied() < written {
        assert!(began.elapsed() < Duration::from_secs(30), "no round came");
        std::thread::sleep(Duration::from_millis(5));
    }
}
