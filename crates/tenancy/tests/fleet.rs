//! What creations leave behind for those who migrate all tenants.

use tenancy::{
    CatalogWriter, Fleet, Migration, Migrations, NewTenant, Provisioner, Rule, SqliteCatalog,
    SqliteDriver, Tenancy, TenantSpec, TenantStatus, Upkeep,
};

use crate::util::id;

fn driver(root: &std::path::Path, steps: usize) -> SqliteDriver {
    let step = |n| Migration::new(format!("t{n}"), format!("CREATE TABLE t{n} (x)"));
    let migrations = Migrations::new((0..steps).map(step)).expect("no script is empty");
    let driver = SqliteDriver::builder(root).migrations(migrations);
    driver.build().expect("a driver")
}

fn tenancy(driver: SqliteDriver, catalog: SqliteCatalog) -> Tenancy<SqliteDriver> {
    let builder = Tenancy::builder(driver, catalog).upkeep(Upkeep::Manual);
    let builder = builder.resolver(|rules| rules.rule(Rule::Domain));
    builder.build().expect("a tenancy")
}

#[test]
fn a_created_tenant_is_known_to_be_at_its_schema() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = SqliteCatalog::open(dir.path()).expect("a catalog");
    let driver = driver(dir.path(), 2);
    let tenancy = tenancy(driver.clone(), catalog.clone());
    tenancy.create(id("one")).expect("a tenant");
    let specs = ["two", "three"].map(|name| TenantSpec::new(id(name)));
    for created in tenancy.create_many(&specs) {
        created.expect("a tenant");
    }
    let counts = Fleet::new(driver, catalog).check().expect("counts");
    assert_eq!((counts.newest, counts.current), (2, 3));
    assert!(counts.all_current());
}

#[test]
fn a_creation_that_an_older_program_began_ends_at_the_newest_schema() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = SqliteCatalog::open(dir.path()).expect("a catalog");
    let old = driver(dir.path(), 1);
    let mut new = NewTenant::new(id("acme"));
    new.status = TenantStatus::Provisioning;
    new.placement = old.place(&new.id).expect("a place");
    let begun = catalog.insert(new, &tenancy::Actor::new("test"));
    old.provision(&begun.expect("a row")).expect("a file");

    let driver = driver(dir.path(), 2);
    let tenancy = tenancy(driver, catalog);
    let acme = tenancy.create(id("acme")).expect("a tenant");
    let connection = tenancy.checkout(&acme).expect("it is not behind");
    connection
        .execute("INSERT INTO t1 VALUES (1)", [])
        .expect("its second step");
}
