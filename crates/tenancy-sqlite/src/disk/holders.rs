//! The processes that have a file open, by the system's list of locks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The number of attempts to read the list. The kernel returns it in pieces, and locks that change
/// between two pieces can hide a line.
const TRIES: usize = 4;

/// Returns the processes that hold locks on a file, as far as the system lists them. The file is
/// not opened, as its close would drop the locks of this process.
pub(crate) fn processes_with(path: &Path) -> Box<[u32]> {
    let inode = fs::symlink_metadata(path).map(|meta| meta.ino());
    let Ok(inode) = inode else {
        return Box::default();
    };
    for _ in 0..TRIES {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let found = processes_in(&locks, inode);
        if !found.is_empty() {
            return found;
        }
    }
    Box::default()
}

/// Returns the processes with a lock on an inode. In a line like
/// `1: POSIX  ADVISORY  READ 4711 fe:01:131090 1073741826 1073742335` the fifth word is the
/// process, and the sixth ends with the inode. The device is not compared: some file systems show
/// two.
fn processes_in(locks: &str, inode: u64) -> Box<[u32]> {
    let holder = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let process = words.nth(4)?.parse().ok().filter(|id| *id > 0)?;
        let (_, locked) = words.next()?.rsplit_once(':')?;
        (locked.parse() == Ok(inode)).then_some(process)
    };
    let mut all: Vec<u32> = locks.lines().filter_map(holder).collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}

#[cfg(test)]
mod tests {
    use crate::disk::holders::processes_in;

    #[test]
    fn processes_with_several_locks_are_listed_once() {
        let locks = "1: POSIX  ADVISORY  READ 4711 fe:01:131090 1073741826 1073742335\n\
                     1: -> POSIX  ADVISORY  WRITE 9 fe:01:131090 0 0\n\
                     2: POSIX  ADVISORY  WRITE 4711 fe:01:131090 120 120\n\
                     3: FLOCK  ADVISORY  WRITE 12 fe:01:131091 0 EOF\n\
                     4: POSIX  ADVISORY  READ 0 fe:01:131090 0 EOF\n\
                     nonsense\n\
                     5: POSIX  ADVISORY  READ 17 00:2b:131090 0 EOF\n";
        assert_eq!(*processes_in(locks, 131_090), [17, 4711]);
        assert!(processes_in(locks, 1).is_empty());
        assert!(processes_in("", 1).is_empty());
    }
}
