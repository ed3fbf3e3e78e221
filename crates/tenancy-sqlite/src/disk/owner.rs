//! The owner and the mode of new files and directories.
//!
//! New files and directories are closed to other users. So a file that the user root creates in an
//! application's storage root is given to the owner of its directory; otherwise the application
//! could not open it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
};
use std::path::Path;
use std::{fs, io};

use crate::error::IoError;

pub(crate) const DIR_MODE: u32 = 0o700;
pub(crate) const FILE_MODE: u32 = 0o600;
const PERMISSIONS: u32 = 0o777;

/// Creates a file. SQLite gives its `-wal` and `-shm` the same mode and owner.
pub(crate) fn create_new(path: &Path) -> Result<File, IoError> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(FILE_MODE);
    let file = no_follow(options).open(path);
    let file = file.map_err(IoError::at(path, "created"))?;
    give_to_owner(&file, path)?;
    Ok(file)
}

/// Opens a lock file, which is created if it is missing.
pub(crate) fn open_or_create(path: &Path) -> Result<File, IoError> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true);
    let options = options.truncate(false).mode(FILE_MODE);
    let file = no_follow(options).open(path);
    let file = file.map_err(IoError::at(path, "opened"))?;
    give_to_owner(&file, path)?;
    Ok(file)
}

/// Creates a directory if it is missing, and refuses a link to one.
pub(crate) fn mkdir(path: &Path) -> Result<(), IoError> {
    match DirBuilder::new().mode(DIR_MODE).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(IoError::new(path, "created", error));
        }
        // A killed process may have left an existing directory with another owner.
        _ => {}
    }
    let dir = open_dir(path).map_err(IoError::at(path, "opened as a directory"))?;
    give_to_owner(&dir, path)
}

/// Gives a file or directory that the user root created to the owner of the parent directory.
fn give_to_owner(file: &File, path: &Path) -> Result<(), IoError> {
    let give = || {
        let own = file.metadata()?;
        // A file may have a second name outside of the storage root, so its owner stays.
        let has_second_name = own.is_file() && own.nlink() > 1;
        if own.uid() != 0 || has_second_name {
            return Ok(());
        }
        let dir = fs::metadata(path.parent().unwrap_or(path))?;
        match owner(&own) == owner(&dir) {
            true => Ok(()),
            false => fchown(file, Some(dir.uid()), Some(dir.gid())),
        }
    };
    give().map_err(IoError::at(path, "given to the owner of its directory"))
}

fn owner(meta: &Metadata) -> (u32, u32) {
    (meta.uid(), meta.gid())
}

/// Returns the permissions of a file or directory.
pub(crate) fn mode(meta: &Metadata) -> u32 {
    meta.mode() & PERMISSIONS
}

/// Gives a file or directory to the owner of the storage root. Only the user root may do this.
pub(crate) fn give_to_owner_of(path: &Path, root: &Path) -> Result<(), IoError> {
    let give = || {
        let root = fs::metadata(root)?;
        refuse_links(&fs::symlink_metadata(path)?)?;
        lchown(path, Some(root.uid()), Some(root.gid()))
    };
    give().map_err(IoError::at(path, "given to the owner of the root"))
}

/// Sets the permissions of a file or directory.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), IoError> {
    let set = || {
        refuse_links(&fs::symlink_metadata(path)?)?;
        fs::set_permissions(path, Permissions::from_mode(mode))
    };
    set().map_err(IoError::at(path, "closed to other users"))
}

/// Refuses a link, and a file with a second name, which may be outside of the storage root.
fn refuse_links(meta: &Metadata) -> io::Result<()> {
    match meta.is_dir() || meta.is_file() && meta.nlink() == 1 {
        true => Ok(()),
        false => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it has another name; look at it, and remove one of them",
        )),
    }
}

fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits();
    options.custom_flags(flags.cast_signed())
}

/// Opens a directory, and refuses a link to one.
pub(super) fn open_dir(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY;
    let mut options = OpenOptions::new();
    options.read(true);
    options.custom_flags(flags.bits().cast_signed()).open(path)
}
