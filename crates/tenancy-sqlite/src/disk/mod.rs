//! Files and directories of a storage root: paths, locks, fsync, staging, trash. This module does
//! not use SQLite.

pub(crate) mod files;
pub(crate) mod flock;
pub(crate) mod hex;
pub(crate) mod holders;
pub(crate) mod image;
pub(crate) mod locks;
pub(crate) mod marker;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod owner;
pub(crate) mod place;
pub(crate) mod quarantine;
pub(crate) mod root;
pub(crate) mod staging;
pub(crate) mod steps;
pub(crate) mod trash;
