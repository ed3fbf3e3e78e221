//! A [`Tenancy`] with one SQLite file per tenant, configured by `tenancy.toml`.

use tenancy_core::Actor;
use tenancy_sqlite::{Migrations, Seeds, SqliteDriver, SqliteStorage, SqliteStorageBuilder};

use crate::builder::Fill;
use crate::{Config, Error, Tenancy, TenancyBuilder};

impl Tenancy<SqliteDriver> {
    /// Opens the storage that a config describes, and builds the tenancy.
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
    /// Returns an error if the keys contradict each other, or if the storage root does not exist or
    /// cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        TenancyBuilder::from_config(config)?.build()
    }
}

impl TenancyBuilder<SqliteDriver> {
    /// Returns a builder with the settings of a config and the storage that
    /// [`Config::open_sqlite`] opens. Settings without a key in the config can be added to the builder.
    ///
    /// # Errors
    /// Returns the errors of [`Config::open_sqlite`].
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        Self::configured(config.open_sqlite()?, config)
    }

    /// Returns a builder with an open storage and with all settings of a config except those of
    /// the storage.
    ///
    /// # Errors
    /// Returns an error if the keys contradict each other.
    pub fn configured(storage: SqliteStorage, config: &Config) -> Result<Self, Error> {
        let builder = Self::from(storage).try_resolver(|resolver| config.configure(resolver))?;
        Ok(builder.pools(|pools| config.pool.configure(pools)))
    }
}

impl Config {
    /// Opens the storage that the config describes. If no other process uses its root, this first
    /// completes the retirements that a killed process left unfinished; see
    /// [`SqliteFleet::recover`](tenancy_sqlite::SqliteFleet::recover).
    ///
    /// # Errors
    /// Returns an error if keys contradict each other, if the storage root does not exist or cannot
    /// be used, or if its catalog is lost.
    pub fn open_sqlite(&self) -> Result<SqliteStorage, Error> {
        let storage = self.sqlite()?.open()?;
        if storage.driver().was_alone() {
            // A file that cannot be repaired is reported by `validate`, and does not keep the
            // storage from being opened.
            storage.fleet().recover(&Actor::new("recovery"))?;
        }
        Ok(storage)
    }

    /// Returns a builder of the storage that the config describes. The caller then
    /// [creates](SqliteStorageBuilder::create) or [opens](SqliteStorageBuilder::open) the storage.
    ///
    /// # Errors
    /// Returns an error if keys contradict each other, or if the migrations or seeds cannot be
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
        Ok(match self.storage.warm_pool {
            0 => storage,
            ready => storage.warm_pool(ready),
        })
    }
}

/// Converts a storage to a builder. If the storage has a warm pool, the upkeep fills it.
impl From<SqliteStorage> for TenancyBuilder<SqliteDriver> {
    fn from(storage: SqliteStorage) -> Self {
        let mut builder = Self::from((storage.driver().clone(), storage.catalog().clone()));
        if let Some(ready) = storage.warm_pool() {
            let fleet = storage.fleet();
            let fill: Fill = Box::new(move |by| Ok(fleet.fill_warm_pool(ready, by).map(drop)?));
            builder.warm_pool = Some(fill);
        }
        builder
    }
}
