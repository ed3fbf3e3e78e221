//! The config of a command, and the storage that it opens.

use std::path::{Path, PathBuf};

use tenancy::catalog::Actor;
use tenancy::sqlite::{Behind, SqliteDriver, SqliteFleet, StorageError};
use tenancy::{Config, Tenancy, TenancyBuilder, Upkeep};

use crate::args::Global;
use crate::failure::Failure;

pub type Project = Tenancy<SqliteDriver>;

/// Loads the config that `--config` names, or `tenancy.toml` in the current directory.
pub fn config(global: &Global) -> Result<Config, Failure> {
    let file = global
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from(Config::FILE_NAME));
    Ok(Config::load(file)?)
}

/// Opens the tenancy of the config without threads for the upkeep: a command ends before they
/// would have work.
pub fn open(config: &Config) -> Result<Project, Failure> {
    Ok(open_with_fleet(config)?.0)
}

/// Opens the tenancy so that tenants with an older schema can be checked out.
pub fn open_behind(config: &Config) -> Result<Project, Failure> {
    let storage = config.sqlite()?.behind(Behind::Open).open();
    let storage = storage.map_err(tenancy::Error::from)?;
    let builder = TenancyBuilder::configured(storage, config)?;
    Ok(builder.actor(actor()).upkeep(Upkeep::Manual).build()?)
}

/// Opens the fleet of the config's storage root.
pub fn fleet(config: &Config) -> Result<SqliteFleet, Failure> {
    Ok(config.open_sqlite()?.fleet())
}

/// Opens the fleet together with the tenancy.
pub fn open_with_fleet(config: &Config) -> Result<(Project, SqliteFleet), Failure> {
    let storage = config.open_sqlite()?;
    let fleet = storage.fleet();
    let builder = TenancyBuilder::configured(storage, config)?;
    let project = builder.actor(actor()).upkeep(Upkeep::Manual).build()?;
    Ok((project, fleet))
}

/// Creates the config's storage root if it does not exist.
pub fn make_root(config: &Config) -> Result<(), Failure> {
    match config.sqlite()?.create() {
        Ok(_) | Err(StorageError::RootExists { .. }) => Ok(()),
        Err(error) => Err(tenancy::Error::from(error).into()),
    }
}

/// Returns the config's directory of seeds, or refuses a config without one.
pub fn seeds(config: &Config) -> Result<&Path, Failure> {
    let seeds = config.storage.seeds.as_deref();
    seeds.ok_or_else(|| {
        Failure::usage(format!(
            "the config names no seeds; set their directory in {}: [storage] seeds = \"seeds\"",
            config.file.display()
        ))
    })
}

/// Returns the actor for the audit trail: the user in the environment variable `USER`.
pub fn actor() -> Actor {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    Actor::new(&format!("cli:{user}"))
}
