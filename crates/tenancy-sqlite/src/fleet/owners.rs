//! The checks of owners and modes. If the user root created a file, or a person copied it into the
//! root, the application may be unable to open it, or other users may be able to.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tenancy_core::Tenant;

use super::findings::{Finding, Problem};
use super::validate::Comparison;
use crate::disk::files::{Entry, SIDECARS, look};
use crate::disk::owner::{DIR_MODE, FILE_MODE, mode};
use crate::error::{IoError, RepairError};

/// The directories of a root, and the files in it that belong to no tenant.
const DIRS: [&str; 5] = ["tenants", "staging", "trash", "snapshots", "quarantine"];
const FILES: [&str; 4] = ["tenancy.root", "tenancy.lock", "runs.lock", "catalog.db"];

impl Comparison<'_> {
    /// Checks every entry of a root except tenants' files in use or in the trash.
    pub(super) fn own_files(&mut self) -> Result<(), RepairError> {
        let root = &self.fleet.driver().store.root;
        if root.file_system.lacks_journal {
            self.out.warnings.push(Finding {
                tenant: None,
                path: Some(root.path().to_owned()),
                problem: Problem::NoJournal,
            });
        }
        for name in DIRS.into_iter().chain(FILES) {
            self.access(None, &root.path().join(name))?;
        }
        for suffix in SIDECARS {
            let catalog = root.path().join(format!("catalog.db{suffix}"));
            self.access(None, &catalog)?;
        }
        // A file in quarantine keeps its mode, but the directories there are this library's.
        for dir in ["staging", "snapshots", "quarantine"] {
            for path in entries(&root.path().join(dir))? {
                self.access(None, &path)?;
            }
        }
        for copy in root.all_snapshots()? {
            self.access(None, &copy.path)?;
        }
        Ok(())
    }

    /// Checks the owner and mode of a file or directory, if it exists.
    pub(super) fn access(&mut self, row: Option<usize>, path: &Path) -> Result<(), RepairError> {
        if !self.problems_of_access(path)?.is_empty() {
            self.suspects.push((row, path.to_owned()));
        }
        Ok(())
    }

    /// Reports the suspects that are still unexpected: a process of the user root changes the owner
    /// of a file only a moment after it has created the file.
    pub(super) fn owners(&mut self) -> Result<(), RepairError> {
        let rows = self.rows;
        for (row, path) in std::mem::take(&mut self.suspects) {
            let tenant: Option<&Tenant> = row.map(|row| &rows[row]);
            for problem in self.problems_of_access(&path)? {
                self.find(tenant, Some(&path), problem);
            }
        }
        Ok(())
    }

    fn problems_of_access(&self, path: &Path) -> Result<Vec<Problem>, IoError> {
        let meta = match fs::symlink_metadata(path) {
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            meta => meta.map_err(IoError::at(path, "looked at"))?,
        };
        let expected = match meta.file_type() {
            kind if kind.is_file() => FILE_MODE,
            kind if kind.is_dir() => DIR_MODE,
            // For another kind of entry there is another finding.
            _ => return Ok(Vec::new()),
        };
        let mut problems = Vec::new();
        if meta.uid() != self.owner {
            let (found, expected) = (meta.uid(), self.owner);
            problems.push(Problem::Owner { found, expected });
        }
        if mode(&meta) != expected {
            let found = mode(&meta);
            problems.push(Problem::Mode { found, expected });
        }
        Ok(problems)
    }
}

/// Returns whether the file was moved or removed meanwhile.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, IoError> {
    if look(dir).map_err(IoError::at(dir, "looked at"))? == Entry::Missing {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(dir).map_err(IoError::at(dir, "listed"))?;
    let path = |entry: io::Result<fs::DirEntry>| Ok(entry?.path());
    let paths: io::Result<_> = entries.map(path).collect();
    paths.map_err(IoError::at(dir, "listed"))
}
