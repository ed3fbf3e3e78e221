//! Which file system a storage root is on, by the list of mounts.
//!
//! ext4 makes the name of a new file durable with the file's own sync: with a journal both
//! are of one transaction, without one the sync goes on to the directory (the kernel's
//! `ext4_sync_parent`). POSIX promises neither, so of others nothing is assumed. The number
//! in `statfs(2)` does not tell ext4 from ext2, whose own driver does not do that.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether the directory is on ext4; `false` where that cannot be seen.
pub(crate) fn is_ext4(dir: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo");
    let device = fs::metadata(dir).map(|meta| device(meta.dev()));
    mounts.is_ok_and(|mounts| device.is_ok_and(|device| lists_as_ext4(&mounts, &device)))
}

/// A device as `proc(5)` writes it.
fn device(number: u64) -> String {
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    format!("{major}:{minor}")
}

/// `mountinfo` has the device in its third field, and the type after a lone hyphen.
fn lists_as_ext4(mounts: &str, device: &str) -> bool {
    let on_device = |line: &&str| line.split(' ').nth(2) == Some(device);
    let mut types = mounts.lines().filter(on_device).map(|line| {
        let (_, end) = line.split_once(" - ")?;
        end.split(' ').next()
    });
    types.next() == Some(Some("ext4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_ext4_when_the_mounts_say_so() {
        let mounts = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
31 27 254:1 / /old rw,relatime - ext2 /dev/vdb rw
33 27 254:3 / /x rw - xfs /dev/ext4 rw
34 27 254:4 / /y rw";
        let cases = [
            ("254:0", true),
            ("254:1", false),
            ("254:3", false),
            ("254:4", false),
            ("254:9", false),
            ("0:21", false),
            ("", false),
        ];
        for (device, expected) in cases {
            assert_eq!(lists_as_ext4(mounts, device), expected, "{device}");
        }
    }

    #[test]
    fn memory_is_not_ext4() {
        assert!(!is_ext4(Path::new("/proc")));
        assert!(!is_ext4(Path::new("/nowhere")));
    }
}
