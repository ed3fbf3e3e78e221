//! What [`SqliteFleet::validate`](crate::SqliteFleet::validate) finds.

use std::fmt;
use std::path::PathBuf;

use tenancy_core::{Domain, Name, TenantRef, Version};

/// What was compared, and what does not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validation {
    /// How many tenants the catalog has.
    pub tenants: u64,
    /// How many databases there are, those in the trash too.
    pub files: u64,
    /// How many of them are ready for tenants yet to come, made by the driver's own
    /// migrations; see [`SqliteFleet::fill_warm_pool`](crate::SqliteFleet::fill_warm_pool).
    pub warm_pool: u64,
    /// How many others are listed as warm pool: being made or removed, or of another release.
    pub other_warm_pool: u64,
    /// How many files were opened.
    pub opened: u64,
    /// How many events the audit trail has, all of them following from each other
    /// unless a finding says otherwise.
    pub events: u64,
    /// Tenants whose creation is going on or was cut off, by id. Only who asked for
    /// one can say which: creating it again completes it, destroying it clears it away.
    pub unfinished: Vec<TenantRef>,
    /// What does not fit, by tenant and path.
    pub findings: Vec<Finding>,
    /// Facts that an operator should know and that are no fault: they do not make the
    /// root unsound, and [`SqliteFleet::fix`](crate::SqliteFleet::fix) leaves them alone.
    pub warnings: Vec<Finding>,
}

impl Validation {
    /// Whether everything fits.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that does not fit. Its text names it and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// Whose; `None` when it is nobody's.
    pub tenant: Option<TenantRef>,
    /// The file that it is about.
    pub path: Option<PathBuf>,
    /// What it is.
    pub problem: Problem,
}

impl Finding {
    /// Its word, for scripts: see [`Problem::code`].
    pub fn code(&self) -> &'static str {
        self.problem.code()
    }
}

/// What can be wrong with files and rows. More may come, so match with a last `_` arm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Problem {
    /// `missing`: the tenant's file is nowhere. It is never made anew on the way.
    Missing,
    /// `in_trash`: a tenant that is not retired has its file in the trash.
    InTrash,
    /// `half_retired`: a retirement, destruction or revival was cut off.
    HalfRetired,
    /// `gone`: a retired tenant has no file any more: its destruction was cut off.
    Gone,
    /// `expired`, a warning: the retention of a file in the trash has ended: a retired
    /// tenant's, or of an incarnation before a rollback.
    Expired,
    /// `superseded`: a file of an incarnation before a rollback is still in its place.
    Superseded,
    /// `not_a_file`: a link or a directory stands where the file belongs.
    NotAFile {
        /// What stands there.
        found: &'static str,
    },
    /// `placement`: the row names a place that is none of this driver's.
    Placement,
    /// `orphan`: a database that no row names.
    Orphan,
    /// `duplicate`: a database that no row names says that it is this tenant's, which
    /// has another.
    Duplicate,
    /// `sidecar`: a `-wal`, `-shm` or `-journal` without its database.
    Sidecar,
    /// `stray`: something among the files that is none of ours.
    Stray,
    /// `foreign`: the file says that it is another's.
    Foreign {
        /// What it says it is.
        found: Box<str>,
    },
    /// `closed`: the file of a tenant that is not retired says that it is closed.
    Closed,
    /// `no_wal`: the file is not in WAL mode: readers and writers block each other.
    NoWal,
    /// `behind`: the schema is older than the migrations.
    Behind {
        /// Its version.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// `ahead`: the schema is newer than the migrations.
    Ahead {
        /// Its version.
        found: u32,
        /// The newest migration.
        newest: u32,
    },
    /// `diverged`: a migration was applied by another script than this one.
    Diverged {
        /// Which.
        version: u32,
    },
    /// `drifted`: the schema is not the one that its migrations make: an object was
    /// dropped, added or changed by other SQL. Looked for at [`Depth::Quick`] and
    /// [`Depth::Full`].
    ///
    /// [`Depth::Quick`]: crate::Depth::Quick
    /// [`Depth::Full`]: crate::Depth::Full
    Drifted {
        /// The schema version of the file.
        version: u32,
        /// The first differences.
        what: Box<str>,
    },
    /// `planted`: a table of the file refers to one of the library's, or bears a name of the
    /// library's.
    Planted {
        /// Which, and how.
        what: Box<str>,
    },
    /// `damaged`: SQLite finds fault with the file.
    Damaged {
        /// What it says first.
        says: Box<str>,
    },
    /// `owner`: a file or directory belongs to another user than the root: it is closed to
    /// the application, or open to that user.
    Owner {
        /// The id of the user that it belongs to.
        found: u32,
        /// The id of the user that the root belongs to.
        expected: u32,
    },
    /// `mode`: a file or directory has other permissions than its owner's alone.
    Mode {
        /// Its permissions.
        found: u32,
        /// Those that it should have, `0o600` or `0o700`.
        expected: u32,
    },
    /// `unreadable`: the file cannot be opened.
    Unreadable {
        /// Why, with its causes.
        why: Box<str>,
    },
    /// `reserved`: a label is reserved and so routes to nobody.
    Reserved {
        /// The label.
        label: Box<str>,
    },
    /// `central`: a domain is of the central application and so routes to nobody.
    Central {
        /// The domain.
        domain: Domain,
    },
    /// `shadowed`: a domain is looked up as a label, because it is below a base domain
    /// or fits a template.
    Shadowed {
        /// The domain.
        domain: Domain,
        /// What it is looked up as.
        by: Name,
    },
    /// `no_journal`, a warning: the storage root is on ext4 without a journal. A power cut may
    /// damage files there, and put rows of one tenant into the file of another.
    NoJournal,
    /// `broken_chain`: the audit trail was changed by hand.
    BrokenChain {
        /// The first event that does not follow.
        at: Version,
    },
}

impl Problem {
    /// Its word, for scripts.
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

    /// Whether it is about a file that is where it should not be, or about none.
    pub(super) const fn is_about_a_file_that_is_there(&self) -> bool {
        !matches!(self, Self::Missing | Self::Gone)
    }

    /// Whether [`SqliteFleet::fix`](crate::SqliteFleet::fix) knows what to do.
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Missing => "is missing; restore it, or destroy the tenant",
            Self::InTrash => {
                "is in the trash, though the tenant is not retired; a fix puts it back"
            }
            Self::HalfRetired => {
                "is in its place, though the tenant is retiring; retire, revive or destroy it \
                 again, or a fix retires it"
            }
            Self::Gone => "is gone, though the tenant is only retired; destroy it again",
            Self::Expired => {
                "is past its retention; emptying the trash destroys it, and the tenant if it is retired"
            }
            Self::Superseded => "is of an earlier incarnation; a fix moves it to the trash",
            Self::NotAFile { found } => {
                return write!(
                    f,
                    "is {found}; links are not followed, put the file itself there"
                );
            }
            Self::NoJournal => {
                "is on ext4 without a journal: a power cut may damage files, and put rows of one tenant \
                 into the file of another; move it to a file system with a journal, or add one"
            }
            Self::Placement => "its place is none of this driver's; correct the row",
            Self::Orphan => "is no tenant's; a fix moves it to quarantine",
            Self::Duplicate => {
                "says it is this tenant's, which has another file; a fix moves it to quarantine"
            }
            Self::Sidecar => "has lost its database; a fix moves it to quarantine",
            Self::Stray => "is none of ours; a fix moves it to quarantine",
            Self::Foreign { found } => {
                return write!(f, "is {found}; restore the tenant's own file");
            }
            Self::Closed => "is closed, though the tenant is not retired; a fix opens it",
            Self::NoWal => {
                "is in rollback-journal mode, where readers block writers; its next opening or a fix switches it to WAL"
            }
            Self::Behind { found, newest } => {
                return write!(f, "is at schema version {found} of {newest}; migrate it");
            }
            Self::Ahead { found, newest } => {
                return write!(
                    f,
                    "is at schema version {found}, the newest known is {newest}; use a newer program or roll back"
                );
            }
            Self::Diverged { version } => {
                return write!(
                    f,
                    "was migrated to version {version} by another script; take back the edit and add a new migration"
                );
            }
            Self::Drifted { version, what } => {
                return write!(
                    f,
                    "has another schema than its migrations make for version {version} ({what}); \
                     undo that with SQL, or add a migration that makes it every tenant's"
                );
            }
            Self::Planted { what } => {
                return write!(
                    f,
                    "has a {what}, which SQL of the tenant's made; drop it, and look who did it"
                );
            }
            Self::Damaged { says } => return write!(f, "is damaged ({says}); restore a backup"),
            Self::Owner { found, expected } => {
                return write!(
                    f,
                    "belongs to user {found}, the storage root to user {expected}; a fix by root gives it back"
                );
            }
            Self::Mode { found, expected } => {
                return write!(f, "has mode {found:04o}; a fix sets it to {expected:04o}");
            }
            Self::Unreadable { why } => return write!(f, "cannot be read ({why})"),
            Self::Reserved { label } => {
                return write!(
                    f,
                    "label {label} is reserved and routes to nobody; unbind it, or take it off the reserved ones"
                );
            }
            Self::Central { domain } => {
                return write!(
                    f,
                    "domain {domain} is central and routes to nobody; unbind it"
                );
            }
            Self::Shadowed { domain, by } => {
                return write!(
                    f,
                    "domain {domain} is looked up as label {by}; bind it as that, and unbind the domain"
                );
            }
            Self::BrokenChain { at } => {
                return write!(
                    f,
                    "the audit trail was changed by hand: the event at version {at} does not follow; restore the catalog from a backup"
                );
            }
        };
        f.write_str(text)
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
