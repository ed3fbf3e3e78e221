//! A [`Tenancy`] with a SQLite file for each tenant, as `tenancy.toml` says.

use tenancy_core::Actor;
use tenancy_sqlite::{Migrations, Seeds, SqliteDriver, SqliteStorage, SqliteStorageBuilder};

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
    /// let config = Config::load(file)?;
    /// config.sqlite()?.create()?; // once, as `tenancy init` does
    /// let tenancy = Tenancy::from_config(&config)?;
    /// tenancy.create("acme".parse::<TenantId>()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the keys contradict each other, or there is no storage root or it cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        TenancyBuilder::from_config(config)?.build()
    }
}

impl TenancyBuilder<SqliteDriver> {
    /// Starts from what the config says, with the storage that
    /// [`Config::open_sqlite`] opens; what the config has no words for can be added.
    ///
    /// # Errors
    /// As [`Config::open_sqlite`].
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        Self::configured(config.open_sqlite()?, config)
    }

    /// Starts with a storage that is open, and what the config says of the rest.
    ///
    /// # Errors
    /// When the keys contradict each other.
    pub fn configured(storage: SqliteStorage, config: &Config) -> Result<Self, Error> {
        let builder = Self::from(storage).try_resolver(|resolver| config.configure(resolver))?;
        Ok(builder.pools(|pools| config.pool.configure(pools)))
    }
}

impl Config {
    /// Opens the storage that the config describes. If no other process uses its root, the
    /// retirements that a killed one left half done are completed first; see
    /// [`Fleet::recover`](tenancy_sqlite::Fleet::recover).
    ///
    /// # Errors
    /// When keys of the config contradict each other, there is no storage root or it cannot
    /// be used, or its catalog is lost.
    pub fn open_sqlite(&self) -> Result<SqliteStorage, Error> {
        let storage = self.sqlite()?.open()?;
        if storage.driver().was_alone() {
            // What a file refuses is found by a validation: it is nobody else's trouble.
            storage.fleet().recover(&Actor::new("recovery"))?;
        }
        Ok(storage)
    }

    /// The storage that the config describes, to [create](SqliteStorageBuilder::create) or to
    /// [open](SqliteStorageBuilder::open) it.
    ///
    /// # Errors
    /// When keys of the config contradict each other, or its migrations or seeds cannot be
    /// read.
    pub fn sqlite(&self) -> Result<SqliteStorageBuilder, Error> {
        // A config that contradicts itself must not leave a storage root behind.
        self.resolver(tenancy_core::MemoryCatalog::new())?;
        let migrations = match &self.storage.migrations {
            Some(dir) => Migrations::from_dir(dir)?,
            None => Migrations::default(),
        };
        let seeds = match &self.storage.seeds {
            Some(dir) => Seeds::from_dir(dir)?,
            None => Seeds::default(),
        };
        let storage = SqliteStorage::builder(&self.storage.root);
        let mut storage = storage.migrations(migrations).seeds(seeds);
        if let Some(retention) = self.retention.trash {
            storage = storage.trash_retention(retention);
        }
        if let Some(retention) = self.retention.snapshots {
            storage = storage.snapshot_retention(retention);
        }
        Ok(match self.storage.stock {
            0 => storage,
            ready => storage.stock(ready),
        })
    }
}

/// The upkeep keeps as many databases ready as the storage was told to
/// [keep](tenancy_sqlite::SqliteStorageBuilder::stock).
impl From<SqliteStorage> for TenancyBuilder<SqliteDriver> {
    fn from(storage: SqliteStorage) -> Self {
        let mut builder = Self::from((storage.driver().clone(), storage.catalog().clone()));
        if let Some(ready) = storage.stock() {
            let fleet = storage.fleet();
            let fill: Fill = Box::new(move |by| Ok(fleet.fill_stock(ready, by).map(drop)?));
            builder.stock = Some(fill);
        }
        builder
    }
}
