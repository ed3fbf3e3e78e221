//! An open storage root with its options and its template.

use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::disk::locks::SharedLock;
use crate::disk::root::Root;
use crate::disk::steps::Steps;
use crate::error::{FileError, IoError};
use crate::guard::Hardening;
use crate::guard::limits::Limits;
use crate::guard::quota::Quota;
use crate::raw::OnConnect;
use crate::schema::migrate::Migrations;
use crate::schema::seeds::Seeds;
use crate::schema::template::Template;

/// The moment at which a commit to a tenant's database is on the disk, the commits of migrations
/// included. New files and the catalog do not depend on it: a new file is synced before it is put
/// in place, and the catalog syncs every write whose loss would do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Before the commit returns: `synchronous = FULL`, one fsync of the WAL for each commit.
    #[default]
    Full,
    /// At the next checkpoint: `synchronous = NORMAL`, no fsync for a commit. A power cut may lose
    /// the last commits, but leaves no commit half applied. A crash of the process loses no commit.
    Normal,
}

/// The treatment of a tenant whose schema is older than the newest migration, when a connection to
/// its file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Behind {
    /// Refuse the connection: an operator migrates all tenants.
    #[default]
    Refuse,
    /// Migrate the file before it is used.
    Migrate,
    /// Open the file without a migration: for tools that show a tenant's rows to a person, or
    /// repair the rows on which a migration fails.
    /// [`SqliteConnection::schema`](crate::SqliteConnection::schema) returns the version.
    Open,
}

/// The root, options and template that the driver and its managers share.
pub(crate) struct Store {
    pub(crate) root: Root,
    pub(crate) migrations: Migrations,
    pub(crate) seeds: Seeds,
    pub(crate) busy_timeout: Duration,
    pub(crate) hardening: Hardening,
    pub(crate) limits: Limits,
    pub(crate) behind: Behind,
    pub(crate) trash_retention: Duration,
    pub(crate) snapshot_retention: Duration,
    pub(crate) on_connect: Option<Box<OnConnect>>,
    pub(crate) quota: Quota,
    pub(crate) max_wal_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) page_size: u32,
    /// A digest of the contents of new files: a file of the warm pool fits if it has the same one.
    pub(crate) fingerprint: Box<str>,
    pub(crate) template: OnceCell<Template>,
    pub(crate) steps: Steps,
    pub(crate) lock: SharedLock,
}

impl Store {
    /// Returns the pragmas of a connection as one batch, so that opening runs one batch only.
    ///
    /// The cache is small because there are hundreds of connections: 256 KiB holds the hot pages
    /// of a small database. A WAL that grew during a long read is truncated to 4 MiB, which is
    /// about its size between two checkpoints.
    pub(crate) fn pragmas(&self) -> &'static str {
        match self.durability {
            Durability::Full => {
                "PRAGMA cache_size = -256; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; \
                 PRAGMA journal_size_limit = 4194304"
            }
            Durability::Normal => {
                "PRAGMA cache_size = -256; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; \
                 PRAGMA journal_size_limit = 4194304"
            }
        }
    }

    /// Returns the template, and builds it at the first call.
    pub(crate) fn template(&self) -> Result<&Template, FileError> {
        let build = || {
            let on_connect = self.on_connect.as_deref();
            Template::build(&self.migrations, self.page_size, on_connect, self.limits)
        };
        Ok(self.template.get_or_try_init(build)?)
    }

    /// Reports a named step, at which tests kill the process or let the call fail.
    pub(crate) fn step(&self, name: &'static str) -> Result<(), IoError> {
        self.steps.reach(self.root.path(), name)
    }
}
