//! The file systems that a storage root may be on.

use std::path::Path;

use crate::error::{IoError, StorageError};

/// The file systems that a storage root may be on.
///
/// SQLite's WAL needs memory that all processes share, and reliable locks. Machines on a network
/// have no such memory, and the locks of many file servers are not reliable. Then commits are lost
/// or the file is corrupted, without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FileSystems {
    /// Local file systems. File systems that are known to be on a network or in user space are
    /// refused: NFS, SMB and CIFS, 9p, FUSE, AFS, Ceph, Lustre and others. On systems other than
    /// Linux no file system is recognised, and none is refused.
    #[default]
    Local,
    /// All file systems, at your own risk: use it for one process on one machine, with a file
    /// server whose locks you trust.
    Any,
}

/// Refuses a directory on a file system that may not be used.
pub(crate) fn check(dir: &Path, allowed: FileSystems) -> Result<(), StorageError> {
    if allowed == FileSystems::Any {
        return Ok(());
    }
    match magic_of(dir)?.and_then(network) {
        None => Ok(()),
        Some(found) => Err(StorageError::NetworkFileSystem {
            path: dir.to_owned(),
            found,
        }),
    }
}

#[cfg(target_os = "linux")]
fn magic_of(dir: &Path) -> Result<Option<u32>, IoError> {
    let stat = rustix::fs::statfs(dir);
    let stat = stat.map_err(|e| IoError::new(dir, "asked for its file system", e.into()))?;
    // The number has 32 bits, but the type of the field may have 64, signed or unsigned.
    Ok(Some((stat.f_type as u64 & 0xffff_ffff) as u32))
}

#[cfg(not(target_os = "linux"))]
fn magic_of(_dir: &Path) -> Result<Option<u32>, IoError> {
    Ok(None)
}

/// The refused file systems, by their numbers in `statfs(2)` and the kernel's
/// `magic.h`.
const REFUSED: [(u32, &str); 19] = [
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "kAFS"),
    (0x7375_7245, "Coda"),
    (0x0000_564c, "NCP"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x2003_0528, "OrangeFS"),
    (0x786f_4256, "a VirtualBox shared folder"),
    (0xbacb_acbc, "a VMware shared folder"),
];

fn network(magic: u32) -> Option<&'static str> {
    let known = REFUSED.iter().find(|(refused, _)| *refused == magic);
    known.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_recognised() {
        for (magic, name) in [
            (0x6969, Some("NFS")),
            (0xff53_4d42, Some("CIFS")),
            (0xfe53_4d42, Some("SMB2")),
            (0x517b, Some("SMB")),
            (0x6573_5546, Some("FUSE")),
            (0x0102_1997, Some("9p")),
            // ext4, XFS, btrfs, tmpfs, overlayfs, ZFS, F2FS, ramfs, bcachefs
            (0xef53, None),
            (0x5846_5342, None),
            (0x9123_683e, None),
            (0x0102_1994, None),
            (0x794c_7630, None),
            (0x2fc1_2fc1, None),
            (0xf2f5_2010, None),
            (0x8584_58f6, None),
            (0xca45_1a4e, None),
        ] {
            assert_eq!(network(magic), name, "{magic:#x}");
        }
        for (at, (magic, name)) in REFUSED.iter().enumerate() {
            let again = REFUSED[..at].iter().any(|(other, _)| other == magic);
            assert!(!again, "{name} is there twice");
        }
    }

    #[test]
    fn the_file_system_of_a_directory_is_checked() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        for allowed in [FileSystems::Local, FileSystems::Any] {
            check(dir.path(), allowed)?;
        }
        let missing = dir.path().join("missing");
        let asked = check(&missing, FileSystems::Local);
        assert_eq!(asked.is_err(), cfg!(target_os = "linux"));
        if cfg!(target_os = "linux") {
            // Of proc, which is on no list.
            assert_eq!(magic_of(Path::new("/proc"))?, Some(0x9fa0));
        }
        Ok(())
    }
}
