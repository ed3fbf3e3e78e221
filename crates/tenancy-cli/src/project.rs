//! The config of this call and what it opens.

use std::path::{Path, PathBuf};

use tenancy::catalog::Actor;
use tenancy::sqlite::{Behind, SqliteDriver, SqliteFleet, StorageError};
use tenancy::{Config, Tenancy, TenancyBuilder, Upkeep};

use crate::args::Global;
use crate::failure::Failure;

pub type Project = Tenancy<SqliteDriver>;

/// The config that was named, or the one in this directory.
pub fn config(global: &Global) -> Result<Config, Failure> {
    let file = global
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from(Config::FILE_NAME));
    Ok(Config::load(file)?)
}

/// Everything that the config ties together. A command is over before a thread of
/// its own would have anything to do.
pub fn open(config: &Config) -> Result<Project, Failure> {
    Ok(open_with_fleet(config)?.0)
}

/// The same, where tenants that are behind are opened as they are.
pub fn open_behind(config: &Config) -> Result<Project, Failure> {
    let storage = config.sqlite()?.behind(Behind::Open).open();
    let storage = storage.map_err(tenancy::Error::from)?;
    let builder = TenancyBuilder::configured(storage, config)?;
    Ok(builder.actor(actor()).upkeep(Upkeep::Manual).build()?)
}

/// All tenants of the config's storage root, for what is done to many.
pub fn fleet(config: &Config) -> Result<SqliteFleet, Failure> {
    Ok(config.open_sqlite()?.fleet())
}

/// The same with everything else that the config ties together.
pub fn open_with_fleet(config: &Config) -> Result<(Project, SqliteFleet), Failure> {
    let storage = config.open_sqlite()?;
    let fleet = storage.fleet();
    let builder = TenancyBuilder::configured(storage, config)?;
    let project = builder.actor(actor()).upkeep(Upkeep::Manual).build()?;
    Ok((project, fleet))
}

/// Makes the config's storage root, unless there is one.
pub fn make_root(config: &Config) -> Result<(), Failure> {
    match config.sqlite()?.create() {
        Ok(_) | Err(StorageError::RootExists { .. }) => Ok(()),
        Err(error) => Err(tenancy::Error::from(error).into()),
    }
}

/// The directory of seeds, where they are asked for.
pub fn seeds(config: &Config) -> Result<&Path, Failure> {
    let seeds = config.storage.seeds.as_deref();
    seeds.ok_or_else(|| {
        Failure::usage(format!(
            "there are no seeds; name their directory in {}: [storage] seeds = \"seeds\"",
            config.file.display()
        ))
    })
}

/// Who writes, for the audit: the one who is signed in here.
pub fn actor() -> Actor {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    Actor::new(&format!("cli:{user}"))
}
