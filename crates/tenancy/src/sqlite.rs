//! A [`Tenancy`] with a SQLite file for each tenant, as `tenancy.toml` says.

use tenancy_core::Actor;
use tenancy_sqlite::{Fleet, Migrations, Seeds, SqliteCatalog, SqliteDriver};

use crate::{Config, Error, Tenancy, TenancyBuilder};

impl Tenancy<SqliteDriver> {
    /// Everything as the config says.
    ///
    /// ```
    /// use tenancy::{Config, Tenancy, TenantId};
    /// # let dir = tempfile::tempdir()?;
    /// # let file = dir.path().join("tenancy.toml");
    /// # std::fs::write(&file, "[resolve]\nrules = [\"subdomain\"]\nsubdomains_of = [\"app.test\"]")?;
    /// let tenancy = Tenancy::from_config(&Config::load(file)?)?;
    /// tenancy.create("acme".parse::<TenantId>()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the keys contradict each other, or the storage cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        TenancyBuilder::from_config(config)?.build()
    }
}

impl TenancyBuilder<SqliteDriver> {
    /// Starts from what the config says; what it has no words for can be added. If no
    /// other process uses the storage root, the retirements that a killed one left half
    /// done are completed first; see [`Fleet::recover`].
    ///
    /// # Errors
    /// When the keys contradict each other, the storage cannot be used, or its catalog
    /// is lost.
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        // A config that contradicts itself must not leave a storage root behind.
        config.resolver(tenancy_core::MemoryCatalog::new())?;
        let migrations = match &config.storage.migrations {
            Some(dir) => Migrations::from_dir(dir)?,
            None => Migrations::default(),
        };
        let root = &config.storage.root;
        SqliteCatalog::refuse_lost(root)?;
        let seeds = match &config.storage.seeds {
            Some(dir) => Seeds::from_dir(dir)?,
            None => Seeds::default(),
        };
        let driver = SqliteDriver::builder(root).migrations(migrations);
        let driver = driver.seeds(seeds).build()?;
        let catalog = SqliteCatalog::open(root)?;
        if driver.was_alone() {
            let fleet = Fleet::new(driver.clone(), catalog.clone());
            // What a file refuses is found by a validation: it is nobody else's trouble.
            fleet.recover(&Actor::new("recovery"))?;
        }
        let mut builder = Tenancy::builder(driver, catalog);
        builder = builder.try_resolver(|resolver| config.configure(resolver))?;
        Ok(builder.pools(|pools| config.pool.configure(pools)))
    }
}
