//! What creations leave behind for those who migrate all tenants.

use tenancy::catalog::{CatalogWriter, NewTenant, Provisioner};
use tenancy::sqlite::{Migration, Migrations, Seeds, SqliteDriver, SqliteStorage};
use tenancy::{Config, Rule, Tenancy, TenantSpec, TenantStatus, Upkeep};

use crate::util::{at, id};

fn storage(root: &std::path::Path, steps: usize) -> SqliteStorage {
    let step = |n| Migration::new(format!("t{n}"), format!("CREATE TABLE t{n} (x)"));
    let migrations = Migrations::new((0..steps).map(step)).expect("no script is empty");
    at(root).migrations(migrations).open().expect("a root")
}

fn tenancy(storage: SqliteStorage) -> Tenancy<SqliteDriver> {
    let builder = Tenancy::builder(storage).upkeep(Upkeep::Manual);
    let builder = builder.resolver(|rules| rules.rule(Rule::domain()));
    builder.build().expect("a tenancy")
}

#[test]
fn a_created_tenant_is_known_to_be_at_its_schema() {
    let dir = tempfile::tempdir().expect("a directory");
    let storage = storage(dir.path(), 2);
    let tenancy = tenancy(storage.clone());
    tenancy.create(id("one")).expect("a tenant");
    let specs = ["two", "three"].map(|name| TenantSpec::new(id(name)));
    for created in tenancy.create_many(&specs) {
        created.expect("a tenant");
    }
    let counts = storage.fleet().check().expect("counts");
    assert_eq!((counts.newest, counts.current), (2, 3));
    assert!(counts.all_current());
}

#[test]
fn a_creation_that_an_older_program_began_ends_at_the_newest_schema() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = storage(dir.path(), 1);
    let mut new = NewTenant::new(id("acme"));
    new.status = TenantStatus::Provisioning;
    new.placement = old.driver().place(&new.id).expect("a place");
    let begun = old
        .catalog()
        .insert(new, &tenancy::catalog::Actor::new("test"));
    old.driver()
        .provision(&begun.expect("a row"))
        .expect("a file");

    let tenancy = tenancy(storage(dir.path(), 2));
    let acme = tenancy.create(id("acme")).expect("a tenant");
    let connection = tenancy.checkout(&acme).expect("it is not behind");
    connection
        .execute("INSERT INTO t1 VALUES (1)", [])
        .expect("its second step");
}

/// A storage whose one seed is this statement.
fn seeding(root: &std::path::Path, sql: &str) -> SqliteStorage {
    let table = Migration::new("t", "CREATE TABLE t (x INTEGER NOT NULL) STRICT");
    let seeds = Seeds::new([("first", sql)]).expect("a seed");
    let builder = at(root).seeds(seeds);
    let builder = builder.migrations(Migrations::new([table]).expect("a script"));
    builder.open().expect("a root")
}

fn rows(tenancy: &Tenancy<SqliteDriver>, tenant: &tenancy::Tenant) -> i64 {
    let connection = tenancy.checkout(tenant).expect("a connection");
    let count = connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
    count.expect("a count")
}

#[test]
fn a_tenant_is_seeded_before_it_is_active_if_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let spec = |name| TenantSpec::new(id(name)).seeded();
    let sql = "INSERT INTO t VALUES (1); INSERT INTO t VALUES ('no')";
    let bad = tenancy(seeding(dir.path(), sql));
    let error = bad.create(spec("acme")).expect_err("its seed fails");
    assert_eq!(
        error.to_string(),
        "tenant acme@1: its database could not be seeded; see the cause and run it again"
    );
    let begun = bad.tenant(&id("acme")).expect("a row");
    assert_eq!(begun.status(), TenantStatus::Provisioning);

    let good = tenancy(seeding(dir.path(), "INSERT INTO t VALUES (1)"));
    let acme = good.create(spec("acme")).expect("a tenant");
    assert_eq!(
        (acme.status(), rows(&good, &acme)),
        (TenantStatus::Active, 1)
    );
    let plain = good.create(id("plain")).expect("a tenant");
    assert_eq!(rows(&good, &plain), 0);
    for created in good.create_many(&[spec("b"), TenantSpec::new(id("c")), spec("d")]) {
        let tenant = created.expect("a tenant");
        let seeded = i64::from(tenant.id().as_str() != "c");
        assert_eq!(rows(&good, &tenant), seeded, "{tenant:?}");
    }
}

#[test]
fn the_config_names_the_directory_of_seeds() {
    let dir = tempfile::tempdir().expect("a directory");
    for sub in ["migrations", "seeds"] {
        std::fs::create_dir(dir.path().join(sub)).expect("a directory");
    }
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text);
    write("migrations/0001_t.sql", "CREATE TABLE t (x INTEGER) STRICT").expect("a file");
    write("seeds/one.sql", "INSERT INTO t VALUES (1)").expect("a file");
    let text = "[storage]\nmigrations = \"migrations\"\nseeds = \"seeds\"";
    let config = Config::parse(text, &dir.path().join("tenancy.toml")).expect("a config");
    config.sqlite().expect("options").create().expect("a root");
    let tenancy = Tenancy::from_config(&config).expect("a tenancy");
    let acme = tenancy
        .create(TenantSpec::new(id("acme")).seeded())
        .expect("a tenant");
    assert_eq!(rows(&tenancy, &acme), 1);
}
