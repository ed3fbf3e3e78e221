//! The marker of a storage root: the file that distinguishes a root from any other directory.
//!
//! An empty mount point, a mistyped path and a root whose creation was killed have no marker. So no
//! such directory is mistaken for a root without tenants.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use crate::disk::files::{Entry, look, remove_if_there, sync_dir};
use crate::disk::hex::random_hex;
use crate::disk::owner::create_new;
use crate::error::{IoError, StorageError};

/// The name of the marker in the root.
const NAME: &str = "tenancy.root";
/// The name of a marker that is not in place yet.
const NEW: &str = "tenancy.root.new";
/// The format of the roots that this version creates. Formats 1 and 2 had no marker.
pub(crate) const FORMAT: u32 = 3;
/// The longest marker, in bytes: a longer file is no marker.
const MAX_BYTES: u64 = 200;

/// The contents of a marker: two lines, `format = 3` and `id = <32 hex>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    format: u32,
    pub(crate) id: Box<str>,
}

impl Marker {
    /// Writes the marker of a new root, durable and not yet in place. Its id is the one that the
    /// catalog has recorded. If there is none, it is the id in the marker that a killed process
    /// left here, as its catalog may have that id. Otherwise it is 128 random bits.
    pub(crate) fn prepare(root: &Path, recorded: Option<Box<str>>) -> Result<Self, IoError> {
        let path = root.join(NEW);
        let left = fs::read_to_string(&path).ok();
        let left = left.and_then(|text| Self::parse(&text));
        let id = match (recorded, left) {
            (None, Some(marker)) => return Ok(marker),
            (Some(id), _) => id,
            (None, None) => random_hex::<16>()?.into(),
        };
        remove_if_there(&path)?;
        let marker = Self { format: FORMAT, id };
        let mut file = create_new(&path)?;
        let written = file.write_all(marker.to_string().as_bytes());
        written.map_err(IoError::at(&path, "written"))?;
        file.sync_all().map_err(IoError::at(&path, "synced"))?;
        sync_dir(root)?;
        Ok(marker)
    }

    /// Puts the prepared marker in place, durable when this returns.
    pub(crate) fn put_in_place(root: &Path) -> Result<(), IoError> {
        let path = root.join(NAME);
        fs::rename(root.join(NEW), &path).map_err(IoError::at(&path, "put in place"))?;
        sync_dir(root)
    }

    /// Reads the marker of a root. Returns `None` if there is none.
    pub(crate) fn read(root: &Path) -> Result<Option<Self>, StorageError> {
        let path = root.join(NAME);
        match look(&path).map_err(IoError::at(&path, "looked at"))? {
            Entry::Missing => return Ok(None),
            Entry::File => {}
            Entry::Other(found) => return Err(damaged(path, found)),
        }
        let meta = fs::symlink_metadata(&path).map_err(IoError::at(&path, "looked at"))?;
        if meta.len() > MAX_BYTES {
            return Err(damaged(path, "too long"));
        }
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(damaged(path, "not text"));
            }
            text => text.map_err(IoError::at(&path, "read"))?,
        };
        match Self::parse(&text) {
            Some(marker) if marker.format <= FORMAT => Ok(Some(marker)),
            Some(marker) => Err(StorageError::NewerRoot {
                path: root.to_owned(),
                found: marker.format,
                known: FORMAT,
            }),
            None => Err(damaged(path, "not two lines, `format = …` and `id = …`")),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (format, id) = text.strip_suffix('\n')?.split_once('\n')?;
        let format = format.strip_prefix("format = ")?.parse().ok()?;
        let id = id.strip_prefix("id = ")?;
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let ours = id.len() == 32 && id.bytes().all(hex);
        ours.then(|| Self {
            format,
            id: id.into(),
        })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "format = {}\nid = {}", self.format, self.id)
    }
}

fn damaged(path: PathBuf, found: &'static str) -> StorageError {
    StorageError::DamagedMarker { path, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_two_lines_and_nothing_else() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let root = dir.path();
        assert_eq!(Marker::read(root)?, None);
        fs::write(root.join(NEW), "torn")?;
        let marker = Marker::prepare(root, None)?;
        assert_eq!(Marker::read(root)?, None, "it is not in place yet");
        let again = Marker::prepare(root, None)?;
        assert_eq!(again, marker, "no second id is drawn");
        Marker::put_in_place(root)?;
        assert_eq!(Marker::read(root)?, Some(marker.clone()));
        assert_eq!(fs::read_dir(root)?.count(), 1, "nothing is left beside it");

        let text = marker.to_string();
        let id = &*marker.id;
        let newer = format!("format = {}\nid = {id}\n", FORMAT + 1);
        let damaged = [
            String::new(),
            text.trim_end().to_owned(),
            format!("{text}\n"),
            text.replace("format = 3", "format = x"),
            text.replace(id, &id[1..]),
            text.replace(
                id,
                &id.to_uppercase().replace(|c: char| c.is_numeric(), "A"),
            ),
            "\0".repeat(60),
            text.repeat(100),
        ];
        for text in damaged {
            fs::write(root.join(NAME), &text)?;
            let read = Marker::read(root);
            assert!(
                matches!(read, Err(StorageError::DamagedMarker { .. })),
                "{text:?}: {read:?}"
            );
        }
        fs::write(root.join(NAME), [0xff, 0xfe])?;
        assert!(matches!(
            Marker::read(root),
            Err(StorageError::DamagedMarker { .. })
        ));
        fs::write(root.join(NAME), newer)?;
        assert!(matches!(
            Marker::read(root),
            Err(StorageError::NewerRoot { found: 4, .. })
        ));
        Ok(())
    }
}
