//! The entries of a storage root's directories, by name alone: no file is opened.

use std::ffi::OsStr;
use std::fs;
use std::fs::FileType;
use std::path::{Path, PathBuf};

use crate::disk::place::{Place, PlaceKey};
use crate::disk::quarantine::main_of;
use crate::disk::root::Root;
use crate::disk::trash::Trashed;
use crate::error::IoError;

/// The entries of one directory of tenants' files.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The databases, each with the kind of its entry if it is no plain file.
    pub(super) databases: Vec<(PlaceKey, Option<&'static str>)>,
    /// The sidecars, each with the path of its database.
    pub(super) sidecars: Vec<(PathBuf, PathBuf)>,
    /// The entries that this library did not create.
    pub(super) strays: Vec<PathBuf>,
}

/// The directories of tenants' files, and the entries beside them.
#[derive(Debug, Default)]
pub(super) struct Shards {
    pub(super) dirs: Vec<PathBuf>,
    /// The entries that have the name of such a directory but are none, each with its kind.
    pub(super) unexpected: Vec<(PathBuf, &'static str)>,
    /// The entries with other names.
    pub(super) strays: Vec<PathBuf>,
}

pub(super) fn shards(root: &Root) -> Result<Shards, IoError> {
    let dir = root.tenants();
    let mut shards = Shards::default();
    each(&dir, |name, kind| {
        let is_hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let bytes = name.as_encoded_bytes();
        let path = dir.join(name);
        match bytes.len() == 2 && bytes.iter().all(is_hex) {
            true if kind.is_dir() => shards.dirs.push(path),
            true => shards
                .unexpected
                .push((path, odd(kind).unwrap_or("a file"))),
            false => shards.strays.push(path),
        }
    })?;
    shards.dirs.sort_unstable();
    Ok(shards)
}

/// Returns the entries of one directory of tenants' files.
pub(super) fn survey(shard: &Path) -> Result<Survey, IoError> {
    let mut survey = Survey::default();
    let name = shard.file_name().and_then(OsStr::to_str);
    let number = name.and_then(|name| u8::from_str_radix(name, 16).ok());
    each(shard, |name, kind| {
        // A file in the wrong directory is never opened by its place, so it is a stray.
        let here = |key: &PlaceKey| Some(key.shard()) == number;
        if let Some(key) = Place::key_of(name).filter(here) {
            survey.databases.push((key, odd(kind)));
        } else if let Some(main) = main_of(name).filter(|main| Place::key_of(main).is_some()) {
            survey.sidecars.push((shard.join(name), shard.join(main)));
        } else {
            survey.strays.push(shard.join(name));
        }
    })?;
    Ok(survey)
}

/// A file of the trash, with the kind of entry if it is no plain file.
pub(super) type InTrash = (Trashed, Option<&'static str>);

/// Returns the entries of the trash: retired files, and entries that this library did not create.
pub(super) fn survey_trash(root: &Root) -> Result<(Vec<InTrash>, Vec<PathBuf>), IoError> {
    let dir = root.trash();
    let (mut trashed, mut strays) = (Vec::new(), Vec::new());
    each(&dir, |name, kind| {
        let path = dir.join(name);
        // SQLite creates a sidecar when a program reads a file.
        let is_sidecar = || main_of(name).is_some_and(|main| dir.join(main).exists());
        match Trashed::parse(path.clone()) {
            Some(found) => trashed.push((found, odd(kind))),
            None if is_sidecar() => {}
            None => strays.push(path),
        }
    })?;
    Ok((trashed, strays))
}

fn each(dir: &Path, mut f: impl FnMut(&OsStr, FileType)) -> Result<(), IoError> {
    for entry in fs::read_dir(dir).map_err(IoError::at(dir, "listed"))? {
        let entry = entry.map_err(IoError::at(dir, "listed"))?;
        let kind = entry.file_type().map_err(IoError::at(dir, "listed"))?;
        f(&entry.file_name(), kind);
    }
    Ok(())
}

fn odd(kind: FileType) -> Option<&'static str> {
    match () {
        () if kind.is_file() => None,
        () if kind.is_symlink() => Some("a symbolic link"),
        () if kind.is_dir() => Some("a directory"),
        () => Some("no plain file"),
    }
}
