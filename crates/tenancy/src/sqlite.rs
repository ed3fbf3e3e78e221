//! A [`Tenancy`] with a SQLite file for each tenant, as `tenancy.toml` says.

use tenancy_core::Actor;
use tenancy_sqlite::{Fleet, Migrations, RepairError, Seeds, SqliteCatalog, SqliteDriver, Stock};

use crate::builder::Fill;
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
        Stock::check(config.storage.stock).map_err(RepairError::from)?;
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
        let mut driver = SqliteDriver::builder(root).migrations(migrations);
        if let Some(retention) = config.retention.trash {
            driver = driver.trash_retention(retention);
        }
        if let Some(retention) = config.retention.snapshots {
            driver = driver.snapshot_retention(retention);
        }
        let driver = driver.seeds(seeds).build()?;
        let catalog = SqliteCatalog::open(root)?;
        if driver.was_alone() {
            let fleet = Fleet::new(driver.clone(), catalog.clone());
            // What a file refuses is found by a validation: it is nobody else's trouble.
            fleet.recover(&Actor::new("recovery"))?;
        }
        let mut builder = Tenancy::builder(driver, catalog.clone());
        if config.storage.stock > 0 {
            builder = builder.stock(catalog, config.storage.stock);
        }
        builder = builder.try_resolver(|resolver| config.configure(resolver))?;
        Ok(builder.pools(|pools| config.pool.configure(pools)))
    }

    /// Keeps so many databases, 0 to 10,000, ready for tenants yet to come, in the root of
    /// the driver and this catalog: a sign-up takes one and is one write to the catalog
    /// then. Without this each makes its own. 0 removes what is there. See [`Fleet::fill_stock`], which the upkeep
    /// calls; [`Event::StockFailed`](crate::Event) tells what stops it.
    ///
    /// ```
    /// # use tenancy::*;
    /// # let root = tempfile::tempdir()?;
    /// # let driver = SqliteDriver::builder(root.path()).build()?;
    /// let catalog = SqliteCatalog::open(root.path())?;
    /// let tenancy = Tenancy::builder(driver, catalog.clone())
    ///     .resolver(|r| r.rule(Rule::Domain))
    ///     .stock(catalog, 20)
    ///     .build()?;
    /// # tenancy.maintain();
    /// tenancy.create("acme".parse::<TenantId>()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stock(mut self, catalog: SqliteCatalog, ready: usize) -> Self {
        let fleet = Fleet::new(self.driver().clone(), catalog);
        let fill: Fill = Box::new(move |by| Ok(fleet.fill_stock(ready, by).map(drop)?));
        let bound = Stock::check(ready).map_err(|error| RepairError::from(error).into());
        self.stock = Some(bound.map(|()| fill));
        self
    }
}
