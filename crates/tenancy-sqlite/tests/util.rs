//! What the tests share.

use r2d2::ManageConnection;
use tempfile::TempDir;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::Driver;
use tenancy_sqlite::{
    Migration, Migrations, OpenError, SqliteConnection, SqliteDriver, SqliteDriverBuilder,
};

/// Two steps with their ways back.
pub fn notes() -> Migrations {
    Migrations::new([
        Migration::new(
            "notes",
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;",
        )
        .down("DROP TABLE notes"),
        Migration::new("marks", "ALTER TABLE notes ADD COLUMN mark INTEGER")
            .down("ALTER TABLE notes DROP COLUMN mark"),
    ])
    .expect("the scripts are not empty")
}

/// A storage root that goes away, and its driver.
pub struct Root {
    pub driver: SqliteDriver,
    pub dir: TempDir,
}

impl Root {
    pub fn new() -> Self {
        Self::with(|builder| builder.migrations(notes()))
    }

    pub fn with(options: impl FnOnce(SqliteDriverBuilder) -> SqliteDriverBuilder) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let driver = options(SqliteDriver::builder(dir.path())).build();
        let driver = driver.expect("a driver");
        Self { driver, dir }
    }

    /// A tenant that has a place, and no file yet.
    #[track_caller]
    pub fn placed(&self, id: &str) -> Tenant {
        let id = id.parse().expect("an id");
        let place = self.driver.place(&id).expect("a place");
        let tenant = Tenant::builder(id).placement(place).build();
        tenant.expect("a tenant")
    }

    /// A tenant that has its file.
    #[track_caller]
    pub fn made(&self, id: &str) -> Tenant {
        let tenant = self.placed(id);
        self.driver.provision(&tenant).expect("a file");
        tenant
    }

    pub fn connect(&self, tenant: &Tenant) -> Result<SqliteConnection, OpenError> {
        self.driver.manager(tenant).connect()
    }

    /// Where a tenant's file is, by the layout that is documented.
    pub fn path(&self, tenant: &Tenant) -> std::path::PathBuf {
        let locator = &*tenant.placement().locator;
        let mut path = self.driver.root().join("tenants");
        path.push(&locator[..2]);
        path.push(format!("{locator}.{}.db", tenant.epoch()));
        path
    }
}
