//! Tenancies in temporary directories, and a driver that fails when it is told to.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tenancy::catalog::{
    Migrated, Placement, ProvisionError, Provisioned, Provisioner, SchemaTarget,
};
use tenancy::pool::{Checkout, Driver};
use tenancy::resolve::{ResolveError, ResolverBuilder};
use tenancy::sqlite::{
    Durability, Migration, Migrations, SqliteDriver, SqliteManager, SqliteStorage,
    SqliteStorageBuilder, StorageError,
};
use tenancy::{Method, RequestHead, Rule, Tenancy, TenancyBuilder, Tenant, TenantId, Upkeep};

/// A step at which a [`FailingDriver`] stops.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum FailAt {
    Never,
    Place,
    BeforeProvision,
    AfterProvision,
    Retire,
    AfterRetire,
    Revive,
    AfterRevive,
    Destroy,
    AfterDestroy,
}

/// A [`SqliteDriver`] that fails at one step, as a crash would.
#[derive(Clone)]
pub struct FailingDriver {
    inner: SqliteDriver,
    at: Arc<AtomicU8>,
    hook: Hook,
}

/// What is to happen once, just before a step.
type Hook = Arc<Mutex<Option<(FailAt, Box<dyn FnOnce() + Send>)>>>;

impl FailingDriver {
    fn step(&self, at: FailAt, id: &TenantId) -> Result<(), ProvisionError> {
        let hook = self
            .hook
            .lock()
            .expect("no panic")
            .take_if(|hook| hook.0 == at);
        if let Some((_, happen)) = hook {
            happen();
        }
        if self.at.load(Ordering::Relaxed) != at as u8 {
            return Ok(());
        }
        let tenant = Tenant::builder(id.clone()).build().expect("a tenant");
        Err(ProvisionError::new(
            &tenant,
            "made",
            format!("told to fail: {at:?}"),
        ))
    }
}

impl Driver for FailingDriver {
    type Manager = SqliteManager;

    fn manager(&self, tenant: &Tenant) -> SqliteManager {
        self.inner.manager(tenant)
    }

    fn descriptors(&self) -> u32 {
        self.inner.descriptors()
    }
}

impl Provisioner for FailingDriver {
    fn place(&self, id: &TenantId) -> Result<Placement, ProvisionError> {
        self.step(FailAt::Place, id)?;
        self.inner.place(id)
    }

    fn provision(&self, tenant: &Tenant) -> Result<Provisioned, ProvisionError> {
        self.step(FailAt::BeforeProvision, tenant.id())?;
        let provisioned = self.inner.provision(tenant)?;
        self.step(FailAt::AfterProvision, tenant.id())?;
        Ok(provisioned)
    }

    fn migrate(&self, tenant: &Tenant, target: SchemaTarget) -> Result<Migrated, ProvisionError> {
        self.inner.migrate(tenant, target)
    }

    fn schema(&self) -> Option<u32> {
        self.inner.schema()
    }

    fn exists(&self, tenant: &Tenant) -> Result<bool, ProvisionError> {
        self.inner.exists(tenant)
    }

    fn retire(&self, tenant: &Tenant, timeout: Duration) -> Result<(), ProvisionError> {
        self.step(FailAt::Retire, tenant.id())?;
        self.inner.retire(tenant, timeout)?;
        self.step(FailAt::AfterRetire, tenant.id())
    }

    fn revive(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        self.step(FailAt::Revive, tenant.id())?;
        self.inner.revive(tenant)?;
        self.step(FailAt::AfterRevive, tenant.id())
    }

    fn destroy(&self, tenant: &Tenant) -> Result<(), ProvisionError> {
        self.step(FailAt::Destroy, tenant.id())?;
        self.inner.destroy(tenant)?;
        self.step(FailAt::AfterDestroy, tenant.id())
    }
}

/// The options of a storage root, to open it with; a new one is made first.
pub fn at(root: impl AsRef<Path>) -> SqliteStorageBuilder {
    let root = root.as_ref();
    if !root.join("tenancy.root").exists() {
        // Another process may be faster.
        let made = SqliteStorage::create(root);
        let there = matches!(made, Ok(_) | Err(StorageError::RootExists { .. }));
        assert!(there, "{made:?}");
    }
    SqliteStorage::builder(root)
}

/// A tenancy over a storage root that goes when this is dropped.
pub struct World {
    tenancy: Tenancy<FailingDriver>,
    fail: Arc<AtomicU8>,
    hook: Hook,
    pub root: Arc<TempDir>,
}

impl Deref for World {
    type Target = Tenancy<FailingDriver>;
    fn deref(&self) -> &Self::Target {
        &self.tenancy
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// A new one with more said to its builder.
    pub fn with(
        say: impl FnOnce(TenancyBuilder<FailingDriver>) -> TenancyBuilder<FailingDriver>,
    ) -> Self {
        let world = Self::of(
            Arc::new(tempfile::tempdir().expect("a directory")),
            Arc::new(AtomicU8::new(FailAt::Never as u8)),
            say,
        );
        world.expect("a tenancy")
    }

    fn of(
        root: Arc<TempDir>,
        fail: Arc<AtomicU8>,
        say: impl FnOnce(TenancyBuilder<FailingDriver>) -> TenancyBuilder<FailingDriver>,
    ) -> Result<Self, tenancy::Error> {
        let hook = Hook::default();
        let builder = builder(root.path(), fail.clone(), hook.clone());
        Ok(Self {
            tenancy: say(builder).build()?,
            fail,
            hook,
            root,
        })
    }

    /// As after the process has died and was started again.
    pub fn restart(self) -> Self {
        let Self {
            tenancy,
            fail,
            root,
            ..
        } = self;
        drop(tenancy);
        Self::of(root, fail, |builder| builder).expect("a tenancy")
    }

    /// Another one over the same root, as another process would have.
    pub fn beside(&self) -> Self {
        let fail = Arc::new(AtomicU8::new(FailAt::Never as u8));
        Self::of(self.root.clone(), fail, |builder| builder).expect("a tenancy")
    }

    /// Runs this once, when the driver comes to this step.
    pub fn when(&self, at: FailAt, f: impl FnOnce() + Send + 'static) {
        *self.hook.lock().expect("no panic") = Some((at, Box::new(f)));
    }

    pub fn fail_at(&self, at: FailAt) {
        self.fail.store(at as u8, Ordering::Relaxed);
    }

    /// Creates a tenant that must not fail.
    #[track_caller]
    pub fn made(&self, name: &str) -> Tenant {
        self.create(id(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The tenant of a request for this host.
    pub fn ask(&self, host: &str) -> Result<Option<Tenant>, ResolveError> {
        let head = RequestHead::new(Method::Get, "/").host(host);
        Ok(self.resolve(&head)?.tenant().cloned())
    }

    /// The word for the refusal of a request for this host; `tenant` or `central` if
    /// there is none.
    pub fn said(&self, host: &str) -> String {
        match self.ask(host) {
            Ok(Some(tenant)) => tenant.id().to_string(),
            Ok(None) => "central".to_owned(),
            Err(error) => error.reason().to_string(),
        }
    }

    /// Every tenant's file.
    pub fn files(&self) -> Vec<PathBuf> {
        databases(&self.root.path().join("tenants"))
    }
}

fn builder(root: &Path, fail: Arc<AtomicU8>, hook: Hook) -> TenancyBuilder<FailingDriver> {
    let marks = Migration::new("marks", "CREATE TABLE marks (mark TEXT NOT NULL) STRICT");
    let storage = at(root)
        .migrations(Migrations::new([marks]).expect("migrations"))
        .durability(Durability::Normal)
        .open()
        .expect("a root");
    let inner = storage.driver().clone();
    let driver = FailingDriver {
        inner,
        at: fail,
        hook,
    };
    Tenancy::builder((driver, storage.catalog().clone()))
        .resolver(rules)
        .upkeep(Upkeep::Manual)
}

/// SplitMix64: numbers that a seed repeats.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Domains and labels under `app.test`; `www` is reserved.
pub fn rules(resolver: ResolverBuilder) -> ResolverBuilder {
    resolver
        .rule(Rule::domain())
        .rule(Rule::subdomain_of("app.test"))
        .central_domain("app.test")
        .reserved("www")
}

pub fn id(text: &str) -> TenantId {
    text.parse().expect("an id")
}

/// Writes a mark into whatever database this is.
#[track_caller]
pub fn mark<D: Driver<Manager = SqliteManager>>(connection: &Checkout<D>, mark: &str) {
    connection
        .execute("INSERT INTO marks VALUES (?1)", [mark])
        .expect("a mark is written");
}

/// Every mark in it, sorted.
#[track_caller]
pub fn marks<D: Driver<Manager = SqliteManager>>(connection: &Checkout<D>) -> Vec<String> {
    let mut marks = connection
        .prepare("SELECT mark FROM marks ORDER BY mark")
        .expect("SQL");
    let rows = marks.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("marks")
}

fn databases(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(databases(&path)),
            false if path.extension().is_some_and(|e| e == "db") => found.push(path),
            false => {}
        }
    }
    found
}
