//! The file system of a storage root, by the list of mounts.
//!
//! On ext4 the fsync of a new file makes its name durable, too. With a journal both are in one
//! transaction; without a journal the fsync includes the directory (the kernel's
//! `ext4_sync_parent`). POSIX does not promise this, so it is not assumed of other file systems.
//! The number in `statfs(2)` is the same for ext4 and for ext2, whose driver does not do this.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{env, fs};

use parking_lot::Mutex;

/// The properties of a directory's file system; all `false` where the system does not report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileSystem {
    /// Whether the fsync of a new file makes its name durable, too.
    pub(crate) syncs_names: bool,
    /// Whether a power cut may leave the blocks of one file in another.
    pub(crate) lacks_journal: bool,
    device: u64,
}

impl FileSystem {
    /// Returns the properties of the file system of a canonical directory. A directory for
    /// temporary files need not survive a power cut, so a missing journal does not count there.
    pub(crate) fn of(dir: &Path) -> Self {
        let Ok(meta) = fs::metadata(dir) else {
            return Self::default();
        };
        let is_temporary =
            fs::canonicalize(env::temp_dir()).is_ok_and(|temp| dir.starts_with(temp));
        let system = System {
            proc: Path::new("/proc"),
            sys: Path::new("/sys"),
        };
        let device = device(meta.dev());
        let is_ext4 = system.is_ext4(&device);
        Self {
            syncs_names: is_ext4,
            lacks_journal: is_ext4 && !is_temporary && system.lacks_journal(&device),
            device: meta.dev(),
        }
    }

    /// Returns whether to emit a warning of a missing journal, once per process and file system.
    pub(crate) fn needs_warning(&self) -> bool {
        static WARNED: Mutex<Vec<u64>> = Mutex::new(Vec::new());
        let mut warned = WARNED.lock();
        let is_new = self.lacks_journal && !warned.contains(&self.device);
        if is_new {
            warned.push(self.device);
        }
        is_new
    }
}

/// The directories in which the kernel describes file systems.
struct System<'s> {
    proc: &'s Path,
    sys: &'s Path,
}

impl System<'_> {
    fn is_ext4(&self, device: &str) -> bool {
        let mounts = fs::read_to_string(self.proc.join("self/mountinfo"));
        mounts.is_ok_and(|mounts| lists_as_ext4(&mounts, device))
    }

    /// Returns whether an ext4 has no journal. A journal is listed by the name of its device; one
    /// on another device shows in the options, which contain `data=` only with a journal.
    fn lacks_journal(&self, device: &str) -> bool {
        let lacks = || {
            let block = fs::read_link(self.sys.join("dev/block").join(device)).ok()?;
            let name = block.file_name()?.to_str()?;
            let prefix = format!("{name}-");
            for journal in fs::read_dir(self.proc.join("fs/jbd2")).ok()? {
                let journal = journal.ok()?.file_name();
                let number = journal.to_str()?.strip_prefix(&prefix);
                if number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit())) {
                    return Some(false);
                }
            }
            let options = self.proc.join("fs/ext4").join(name).join("options");
            let options = fs::read_to_string(options).ok()?;
            Some(!options.lines().any(|option| option.starts_with("data=")))
        };
        lacks().unwrap_or(false)
    }
}

/// Returns a device as `proc(5)` writes it.
fn device(number: u64) -> String {
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    format!("{major}:{minor}")
}

/// Returns whether `mountinfo` lists a device as ext4: the device is the third field, and the type
/// follows a lone hyphen.
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
    fn a_device_is_ext4_if_the_mounts_list_it_so() {
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
        assert_eq!(FileSystem::of(Path::new("/nowhere")), FileSystem::default());
        let memory = FileSystem::of(Path::new("/proc"));
        assert!(!memory.syncs_names && !memory.lacks_journal);
    }

    #[test]
    fn a_journal_is_missing_only_if_the_kernel_shows_that() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (proc, sys) = (&dir.path().join("proc"), &dir.path().join("sys"));
        let system = System { proc, sys };
        assert!(!system.lacks_journal("254:0"), "the kernel shows nothing");
        fs::create_dir_all(sys.join("dev/block"))?;
        for (number, name) in [("254:0", "vda"), ("254:1", "vda1"), ("253:3", "dm-3")] {
            let target = Path::new("../../devices/block").join(name);
            std::os::unix::fs::symlink(target, sys.join("dev/block").join(number))?;
            let ext4 = proc.join("fs/ext4").join(name);
            fs::create_dir_all(&ext4)?;
            fs::write(ext4.join("options"), "rw\nerrors=continue\n")?;
        }
        assert!(!system.lacks_journal("254:0"), "no list of journals");
        for journal in ["vda1-8", "dm-3-8"] {
            fs::create_dir_all(proc.join("fs/jbd2").join(journal))?;
        }
        assert!(system.lacks_journal("254:0"), "others have one");
        assert!(!system.lacks_journal("254:1"));
        assert!(!system.lacks_journal("253:3"));
        assert!(!system.lacks_journal("7:0"), "an unknown device");
        fs::write(proc.join("fs/ext4/vda/options"), "rw\ndata=ordered\n")?;
        assert!(!system.lacks_journal("254:0"), "on another device");
        Ok(())
    }

    #[test]
    fn a_process_is_warned_once_of_each_file_system() {
        let of = |device, lacks_journal| FileSystem {
            syncs_names: true,
            lacks_journal,
            device,
        };
        // Numbers that no device of a test has.
        let warned = [
            (u64::MAX, false),
            (u64::MAX, true),
            (u64::MAX, true),
            (u64::MAX - 1, true),
        ];
        let warned = warned.map(|(device, lacks)| of(device, lacks).needs_warning());
        assert_eq!(warned, [false, true, false, true]);
    }
}
