//! Sign-ups that take a database which is ready.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tenancy::catalog::{Actor, MemoryCatalog};
use tenancy::event::Event;
use tenancy::sqlite::{
    Migration, Migrations, Seeds, SqliteCatalog, SqliteDriver, SqliteFleet, SqliteStorage, WarmPool,
};
use tenancy::{Config, Tenancy, Tenant, TenantSpec, TenantStatus, Upkeep};

use crate::util::{id, rules};

struct World {
    tenancy: Tenancy<SqliteDriver>,
    catalog: SqliteCatalog,
    fleet: SqliteFleet,
    /// The steps that the files went through.
    steps: Arc<Mutex<Vec<&'static str>>>,
    failed: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

/// A tenancy that keeps three databases ready.
fn world(upkeep: Upkeep) -> World {
    let dir = tempfile::tempdir().expect("a directory");
    let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT) STRICT");
    let steps = Arc::new(Mutex::new(Vec::new()));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let (seen, told) = (steps.clone(), failed.clone());
    let storage = SqliteStorage::builder(dir.path())
        .migrations(Migrations::new([notes]).expect("a script"))
        .seeds(Seeds::new([("hello", "INSERT INTO notes VALUES ('hello')")]).expect("seeds"))
        .on_step(move |step| {
            seen.lock().expect("no panic").push(step);
            Ok(())
        })
        .warm_pool(3)
        .create()
        .expect("a root");
    let (catalog, fleet) = (storage.catalog().clone(), storage.fleet());
    let tenancy = Tenancy::builder(storage)
        .resolver(rules)
        .upkeep(upkeep)
        .observer(Arc::new(move |event: &Event<'_>| {
            if let Event::WarmPoolFailed { error } = event {
                told.lock().expect("no panic").push(error.to_string());
            }
        }))
        .build()
        .expect("a tenancy");
    World {
        tenancy,
        catalog,
        fleet,
        steps,
        failed,
        dir,
    }
}

impl World {
    fn warm_pool(&self) -> WarmPool {
        let by = Actor::new("test");
        self.fleet.fill_warm_pool(3, &by).expect("filled")
    }

    fn each_file(&self, f: impl Fn(&Path) -> std::io::Result<()>) {
        let list = |dir: &Path| std::fs::read_dir(dir).expect("a directory").flatten();
        for shard in list(&self.dir.path().join("tenants")) {
            list(&shard.path()).for_each(|file| f(&file.path()).expect("done"));
        }
    }

    fn notes(&self, tenant: &Tenant) -> i64 {
        let connection = self.tenancy.checkout(tenant).expect("a connection");
        let count = connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0));
        count.expect("a number")
    }

    fn events_of(&self, tenant: &str) -> Vec<String> {
        let events = self
            .catalog
            .events(tenancy::catalog::Version(0), 100)
            .expect("events");
        let own = events.into_iter().filter(|event| &*event.tenant == tenant);
        own.map(|event| event.what.into()).collect()
    }
}

#[test]
fn a_sign_up_is_one_write_to_the_catalog_and_no_step_of_a_file() {
    let world = world(Upkeep::Manual);
    world.tenancy.maintain();
    world.steps.lock().expect("no panic").clear();
    let acme = world.tenancy.create(id("acme")).expect("a tenant");
    assert_eq!(acme.status(), TenantStatus::Active);
    assert!(world.steps.lock().expect("no panic").is_empty());
    assert_eq!(world.events_of("acme"), ["insert"]);
    assert_eq!(world.notes(&acme), 0);
    world.tenancy.maintain();
    assert_eq!(world.warm_pool().made, 0, "the upkeep has filled it up");
}

#[test]
fn an_empty_warm_pool_makes_each_creation_create_its_database() {
    let world = world(Upkeep::Manual);
    world.tenancy.maintain();
    let ids = ["a", "b", "c", "d", "e"].map(|name| TenantSpec::new(id(name)));
    let created = world.tenancy.create_many(&ids);
    for created in created {
        let tenant = created.expect("a tenant");
        assert_eq!(tenant.status(), TenantStatus::Active);
        assert_eq!(world.notes(&tenant), 0);
    }
    assert_eq!(world.events_of("c"), ["insert"]);
    assert_eq!(world.events_of("d"), ["insert", "update"]);
}

#[test]
fn a_database_from_the_warm_pool_is_seeded_before_its_tenant_is_active() {
    let world = world(Upkeep::Manual);
    world.tenancy.maintain();
    let acme = TenantSpec::new(id("acme"))
        .seeded()
        .attribute("plan", "pro");
    let acme = world.tenancy.create(acme).expect("a tenant");
    assert_eq!(
        (world.notes(&acme), acme.attribute("plan")),
        (1, Some("pro"))
    );
    assert_eq!(world.warm_pool().made, 1, "it came from the warm pool");
    assert_eq!(world.events_of("acme"), ["insert", "update"]);
}

/// What an operator removed by hand is made anew, as nobody has been told of it.
#[test]
fn a_file_of_the_warm_pool_that_is_gone_is_made_anew() {
    let world = world(Upkeep::Manual);
    world.tenancy.maintain();
    world.each_file(|file| std::fs::remove_file(file));
    let acme = world.tenancy.create(id("acme")).expect("a tenant");
    assert_eq!(acme.status(), TenantStatus::Active);
    assert_eq!(world.notes(&acme), 0);
}

/// It says what is in the way, and goes on when that is gone.
#[test]
fn a_creation_whose_file_cannot_be_looked_at_can_be_repeated() {
    let world = world(Upkeep::Manual);
    world.tenancy.maintain();
    world.each_file(|file| std::fs::remove_file(file).and_then(|()| std::fs::create_dir(file)));
    let error = world.tenancy.create(id("acme")).expect_err("a directory");
    assert!(format!("{error:?}").contains("NotAFile"), "{error:?}");
    let acme = world.tenancy.tenant(&id("acme")).expect("a row");
    assert_eq!(acme.status(), TenantStatus::Provisioning);
    world.each_file(|file| std::fs::remove_dir(file));
    let acme = world.tenancy.create(id("acme")).expect("a tenant");
    assert_eq!(world.notes(&acme), 0);
}

/// It keeps none, and who asks for one waits for its own.
#[test]
fn a_catalog_in_memory_has_no_warm_pool() {
    let world = world(Upkeep::Manual);
    let driver = world.tenancy.pools().driver().clone();
    let tenancy = Tenancy::builder((driver, MemoryCatalog::new()))
        .resolver(rules)
        .upkeep(Upkeep::Manual)
        .build()
        .expect("a tenancy");
    tenancy.maintain();
    let acme = tenancy.create(id("acme")).expect("a tenant");
    assert_eq!(acme.status(), TenantStatus::Active);
    drop(tenancy.checkout(&acme).expect("a connection"));
    assert_eq!(world.warm_pool().ready, 3);
}

#[test]
fn a_given_placement_takes_no_database_from_the_warm_pool() {
    let world = world(Upkeep::Manual);
    world.tenancy.maintain();
    let mut spec = TenantSpec::new(id("acme"));
    let place = tenancy::catalog::Placement::new("sqlite", "5".repeat(32));
    spec.placement = Some(place.clone());
    let acme = world.tenancy.create(spec).expect("a tenant");
    assert_eq!(acme.placement(), &place);
    assert_eq!(world.warm_pool().ready, 3);
}

#[test]
fn the_upkeep_thread_fills_the_warm_pool_and_reports_errors() {
    let world = world(Upkeep::Every(Duration::from_millis(5)));
    let wait = |what: &str, until: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !until() {
            assert!(began.elapsed() < Duration::from_secs(10), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let is_filled = || {
        let created = world.events_of("");
        !created.is_empty()
    };
    wait("nobody fills it", &is_filled);
    // Two events a filling: begun, ready.
    wait("it is not made", &|| world.events_of("").len() == 2);
    let acme = world.tenancy.create(id("acme")).expect("a tenant");
    assert_eq!(world.events_of("acme"), ["insert"]);
    assert_eq!(world.notes(&acme), 0);
    wait("it is not filled up", &|| world.events_of("").len() >= 4);
    assert!(world.failed.lock().expect("no panic").is_empty());
    let staging = world.dir.path().join("staging");
    std::fs::remove_dir_all(&staging).expect("removed");
    world.tenancy.create(id("beta")).expect("there is one more");
    wait("nobody is told", &|| {
        !world.failed.lock().expect("no panic").is_empty()
    });
    let told = world.failed.lock().expect("no panic");
    assert!(told[0].contains("staging"), "{told:?}");
}

#[test]
fn the_config_sets_the_size_of_the_warm_pool() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tenancy.toml");
    let text = "[storage]\nroot = \"data\"\nwarm_pool = 2\n";
    let config = Config::parse(text, &file).expect("a config");
    assert_eq!(Config::default().storage.warm_pool, 0);
    let storage = config.sqlite().expect("options").create().expect("a root");
    let tenancy = tenancy::TenancyBuilder::from_config(&config).expect("a builder");
    let tenancy = tenancy.upkeep(Upkeep::Manual).build().expect("a tenancy");
    tenancy.maintain();
    let warm_pool = storage
        .fleet()
        .fill_warm_pool(2, &Actor::new("test"))
        .expect("filled");
    assert_eq!((warm_pool.ready, warm_pool.made), (2, 0));
}

#[test]
fn a_warm_pool_that_would_fill_the_disk_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "[storage]\nroot = \"data\"\nwarm_pool = 10001\n";
    let file = dir.path().join("tenancy.toml");
    let config = Config::parse(text, &file).expect("a config");
    let error = config
        .sqlite()
        .expect("options")
        .create()
        .expect_err("too many");
    let want = "a warm pool of 10001 databases is out of bounds; use 0 to 10000";
    assert_eq!(error.to_string(), want);
    assert!(!config.storage.root.exists(), "nothing was made");
}
