//! The facade with real files: the life of a tenant, its names, and that it stays apart.

mod cases;
mod config;
mod embedder;
mod end;
mod fleet;
mod isolation;
mod kills;
mod life;
mod names;
mod outside;
mod scopes;
mod storage;
mod upkeep;
mod util;
mod warm_pool;
mod warm_pool_race;
