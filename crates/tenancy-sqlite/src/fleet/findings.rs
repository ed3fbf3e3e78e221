//! The findings of [`SqliteFleet::validate`](crate::SqliteFleet::validate).

use std::fmt;
use std::path::PathBuf;

use tenancy_core::{Domain, Name, TenantRef, Version};

/// The result of a validation: the compared numbers, the findings and the warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// The number of tenants in the catalog.
    pub tenants: u64,
    /// The number of databases, including those in the trash.
    pub files: u64,
    /// The number of databases of the warm pool that are ready for later tenants, created by the
    /// driver's migrations; see
    /// [`SqliteFleet::fill_warm_pool`](crate::SqliteFleet::fill_warm_pool).
    pub warm_pool: u64,
    /// The number of other databases of the warm pool: those that are being created or removed, and
    /// those of other migrations.
    pub other_warm_pool: u64,
    /// The number of files that were opened.
    pub opened: u64,
    /// The number of events of the audit trail; 0 if their chain is broken, which is a finding.
    pub events: u64,
    /// The tenants whose creation is in progress or was interrupted, by id; only the process that
    /// creates a tenant knows which. Creating the tenant again completes the creation; destroying
    /// the tenant undoes it.
    pub unfinished: Vec<TenantRef>,
    /// The faults, sorted by tenant and path.
    pub findings: Vec<Finding>,
    /// The facts that an operator should know and that are no faults: the root is sound with them,
    /// and [`SqliteFleet::fix`](crate::SqliteFleet::fix) does not repair them.
    pub warnings: Vec<Finding>,
}

impl Validation {
    /// Returns whether there are no findings.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A fault with its tenant and file. The text of a finding names both and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// The tenant; `None` if the finding concerns no tenant.
    pub tenant: Option<TenantRef>,
    /// The path of the file or directory; `None` if the finding concerns no file.
    pub path: Option<PathBuf>,
    /// The kind of fault.
    pub problem: Problem,
}

impl Finding {
    /// Returns the code of the problem, for scripts; see [`Problem::code`].
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }
}

/// The kind of a fault of files and rows. The text of a problem says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// `missing`: the tenant has no file. An open does not create a new one.
    #[error("is missing; restore it, or destroy the tenant")]
    Missing,
    /// `in_trash`: a tenant that is not retired has its file in the trash.
    #[error("is in the trash, though the tenant is not retired; a fix puts it back")]
    InTrash,
    /// `half_retired`: a retirement, destruction or revival was interrupted.
    #[error(
        "is in its place, though the tenant is retiring; retire, revive or destroy it again, or a fix retires it"
    )]
    HalfRetired,
    /// `gone`: a retired tenant no longer has a file, as its destruction was interrupted.
    #[error("is gone, though the tenant is only retired; destroy it again")]
    Gone,
    /// `expired`, a warning: the retention of a file in the trash has ended. The file is a retired
    /// tenant's, or that of an incarnation before a rollback.
    #[error(
        "is past its retention; emptying the trash destroys it, and the tenant if it is retired"
    )]
    Expired,
    /// `superseded`: the file of an incarnation before a rollback is still in its place.
    #[error("is of an earlier incarnation; a fix moves it to the trash")]
    Superseded,
    /// `not_a_file`: another kind of entry, such as a link, is in the place of a file or a
    /// directory.
    #[error("is {found}; links are not followed, put the file itself there")]
    NotAFile {
        /// The kind of entry that is there.
        found: &'static str,
    },
    /// `placement`: the row names a place of another driver.
    #[error("its place is none of this driver's; correct the row")]
    Placement,
    /// `orphan`: a database in a place that no row has.
    #[error("is no tenant's; a fix moves it to quarantine")]
    Orphan,
    /// `duplicate`: a database in a place that no row has, with the stamp of this tenant. The row
    /// of the tenant has another place.
    #[error("says it is this tenant's, which has another file; a fix moves it to quarantine")]
    Duplicate,
    /// `sidecar`: a `-wal`, `-shm` or `-journal` without its database.
    #[error("has lost its database; a fix moves it to quarantine")]
    Sidecar,
    /// `stray`: an entry that this library did not create, in a directory of its files.
    #[error("is none of ours; a fix moves it to quarantine")]
    Stray,
    /// `foreign`: the file has the stamp of another tenant, or no valid stamp.
    #[error("is {found}; restore the tenant's own file")]
    Foreign {
        /// A description of the stamp.
        found: Box<str>,
    },
    /// `closed`: the file of a tenant that is not retired has a closed stamp.
    #[error("is closed, though the tenant is not retired; a fix opens it")]
    Closed,
    /// `no_wal`: the file is not in WAL mode, so that readers and writers block each other.
    #[error(
        "is in rollback-journal mode, where readers block writers; its next opening or a fix switches it to WAL"
    )]
    NoWal,
    /// `behind`: the schema is older than the newest migration.
    #[error("is at schema version {found} of {newest}; migrate it")]
    Behind {
        /// The version of the file.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// `ahead`: the schema is newer than the newest migration.
    #[error(
        "is at schema version {found}, the newest known is {newest}; use a newer program or roll back"
    )]
    Ahead {
        /// The version of the file.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// `diverged`: a migration was applied by a script that differs from the program's.
    #[error(
        "was migrated to version {version} by another script; undo the edit and add a new migration"
    )]
    Diverged {
        /// The version that the migration leads to.
        version: u32,
    },
    /// `drifted`: the schema differs from the one that its migrations create, as other SQL dropped,
    /// added or changed an object. Found at [`Depth::Quick`] and [`Depth::Full`].
    ///
    /// [`Depth::Quick`]: crate::Depth::Quick
    /// [`Depth::Full`]: crate::Depth::Full
    #[error(
        "has another schema than its migrations make for version {version} ({what}); undo that with SQL, or add a migration that makes it every tenant's"
    )]
    Drifted {
        /// The schema version of the file.
        version: u32,
        /// The first differences.
        what: Box<str>,
    },
    /// `planted`: a table of the file refers to a table of this library, or has a reserved name.
    #[error(
        "has a {what}, which SQL of the tenant's made; drop it, and look for the SQL that did it"
    )]
    Planted {
        /// A description of the table and of its reference or name.
        what: Box<str>,
    },
    /// `damaged`: SQLite finds faults in the file, by its check or while it reads the file.
    #[error("is damaged ({says}); restore a backup")]
    Damaged {
        /// The first fault.
        says: Box<str>,
    },
    /// `owner`: a file or directory belongs to another user than the root does. Either the
    /// application cannot open it, or that user can.
    #[error(
        "belongs to user {found}, the storage root to user {expected}; a fix by root gives it back"
    )]
    Owner {
        /// The id of the owner of the file or directory.
        found: u32,
        /// The id of the owner of the root.
        expected: u32,
    },
    /// `mode`: a file does not have mode 0600, or a directory does not have mode 0700.
    #[error("has mode {found:04o}; a fix sets it to {expected:04o}")]
    Mode {
        /// The permissions of the file or directory.
        found: u32,
        /// The expected permissions, `0o600` or `0o700`.
        expected: u32,
    },
    /// `unreadable`: the file cannot be opened or read.
    #[error("cannot be read ({why})")]
    Unreadable {
        /// The text of the error with its causes.
        why: Box<str>,
    },
    /// `reserved`: a label is reserved, so that it routes to no tenant.
    #[error(
        "label {label} is reserved and routes to nobody; unbind it, or take it off the reserved ones"
    )]
    Reserved {
        /// The label that is reserved.
        label: Box<str>,
    },
    /// `central`: a domain belongs to the central application, so that it routes to no tenant.
    #[error("domain {domain} is central and routes to nobody; unbind it")]
    Central {
        /// The domain that routes to no tenant.
        domain: Domain,
    },
    /// `shadowed`: a domain is looked up as a label, because it is below a base domain
    /// or fits a template.
    #[error("domain {domain} is looked up as label {by}; bind it as that, and unbind the domain")]
    Shadowed {
        /// The domain that is not looked up as a domain.
        domain: Domain,
        /// The label under which it is looked up.
        by: Name,
    },
    /// `no_journal`, a warning: the storage root is on ext4 without a journal. A power cut may
    /// damage files there, and put rows of one tenant into the file of another.
    #[error(
        "is on ext4 without a journal: a power cut may damage files, and put rows of one tenant into the file of another; move it to a file system with a journal, or add one"
    )]
    NoJournal,
    /// `broken_chain`: the audit trail was changed by other means than this library.
    #[error(
        "the audit trail was changed by hand: the event at version {at} does not follow; restore the catalog from a backup"
    )]
    BrokenChain {
        /// The version of the first event whose hash is wrong.
        at: Version,
    },
}

impl Problem {
    /// Returns the code of the problem, a stable word for scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::InTrash => "in_trash",
            Self::HalfRetired => "half_retired",
            Self::Gone => "gone",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::NotAFile { .. } => "not_a_file",
            Self::Placement => "placement",
            Self::Orphan => "orphan",
            Self::Duplicate => "duplicate",
            Self::Sidecar => "sidecar",
            Self::Stray => "stray",
            Self::Foreign { .. } => "foreign",
            Self::Closed => "closed",
            Self::NoWal => "no_wal",
            Self::Behind { .. } => "behind",
            Self::Ahead { .. } => "ahead",
            Self::Diverged { .. } => "diverged",
            Self::Drifted { .. } => "drifted",
            Self::Planted { .. } => "planted",
            Self::Damaged { .. } => "damaged",
            Self::Owner { .. } => "owner",
            Self::Mode { .. } => "mode",
            Self::Unreadable { .. } => "unreadable",
            Self::Reserved { .. } => "reserved",
            Self::Central { .. } => "central",
            Self::Shadowed { .. } => "shadowed",
            Self::NoJournal => "no_journal",
            Self::BrokenChain { .. } => "broken_chain",
        }
    }

    /// Returns whether the problem concerns an existing file, or no file.
    pub(super) const fn is_about_a_file_that_is_there(&self) -> bool {
        !matches!(self, Self::Missing | Self::Gone)
    }

    /// Returns whether [`SqliteFleet::fix`](crate::SqliteFleet::fix) repairs the problem.
    pub const fn is_fixable(&self) -> bool {
        matches!(
            self,
            Self::InTrash
                | Self::HalfRetired
                | Self::Superseded
                | Self::Orphan
                | Self::Duplicate
                | Self::Sidecar
                | Self::Stray
                | Self::Closed
                | Self::NoWal
                | Self::Owner { .. }
                | Self::Mode { .. }
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tenant) = &self.tenant {
            write!(f, "tenant {tenant}: ")?;
        }
        if let Some(path) = &self.path {
            write!(f, "{} ", path.display())?;
        }
        self.problem.fmt(f)
    }
}
