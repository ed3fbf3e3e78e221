//! The rules that refuse SQL of a tenant, and their refusals.

use std::fmt;

/// A rule by which a statement is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyRule {
    /// ATTACH, DETACH, and VACUUM, which attaches a file internally.
    Attach,
    /// A PRAGMA that is not on the list of allowed ones, or a new value for one that may only be
    /// read.
    Pragma,
    /// A function that reaches out of the database: it loads code, or writes to the log of the
    /// process.
    Function,
    /// A function whose time or memory grows with the square of its arguments, and which no
    /// deadline interrupts: `json_patch`, `jsonb_patch`, and `highlight`, `snippet`, `offsets` and
    /// `matchinfo` of full-text search. [`Hardening::Trusted`](crate::Hardening::Trusted) allows
    /// these functions, and so do migrations and seeds.
    Cost,
    /// A virtual table of a module that is not on the list of allowed ones.
    VirtualTable,
    /// A table of this library, or a new object with a name that is reserved for the library.
    Reserved,
    /// Transaction control inside a migration or a seed.
    Transaction,
    /// A commit while the WAL is longer than [`max_wal_bytes`] and a reader of an older state
    /// prevents the checkpoint.
    ///
    /// [`max_wal_bytes`]: crate::SqliteStorageBuilder::max_wal_bytes
    Wal,
    /// A commit into a file that is no longer the tenant's, because a snapshot was restored.
    Superseded,
    /// A statement whose deadline passed while it was prepared or while it ran.
    Deadline,
    /// A value or row longer than [`max_value_bytes`], or a statement of more than 1 MiB.
    ///
    /// [`max_value_bytes`]: crate::SqliteStorageBuilder::max_value_bytes
    Length,
    /// A statement whose program has more steps than [`max_statement_steps`].
    ///
    /// [`max_statement_steps`]: crate::SqliteStorageBuilder::max_statement_steps
    Steps,
    /// An action of a kind that this library does not know.
    Unknown,
}

impl DenyRule {
    const fn why(self) -> &'static str {
        match self {
            Self::Attach => {
                "a tenant's connection sees one file (VACUUM works by attaching, too); maintenance has its own"
            }
            Self::Pragma => {
                "it is not on the list of harmless pragmas; set it in the driver's options"
            }
            Self::Function => "it reaches out of the database; register functions in `on_connect`",
            Self::Cost => {
                "its cost has no bound and no deadline ends it; compute it in the application, or trust the SQL (`Hardening::Trusted`)"
            }
            Self::VirtualTable => "only fts3, fts4, fts5, fts5vocab and rtree are allowed",
            Self::Reserved => "names that begin with _tenancy_ belong to the library",
            Self::Transaction => "a migration already runs in a transaction",
            Self::Wal => {
                "the log is longer than `max_wal_bytes`, and who reads an older state keeps it from being moved; end transactions that stay open, then try again"
            }
            Self::Superseded => {
                "a copy was restored, and the tenant has another file by now; resolve it again"
            }
            Self::Deadline => "its deadline has passed; give it more time or ask for less",
            Self::Length => {
                "a value, a row or the statement is too long; raise `max_value_bytes`, store it in parts, or bind it as a parameter"
            }
            Self::Steps => {
                "its program is too long, or memory is used up (SQLite says the same of both); join fewer views and expressions, write fewer values, or raise `max_statement_steps`"
            }
            Self::Unknown => {
                "SQLite gave no name for it; an ATTACH with a parameter looks like this"
            }
        }
    }
}

/// A statement that was refused; see [`SqliteConnection::refusal`].
///
/// [`SqliteConnection::refusal`]: crate::SqliteConnection::refusal
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The rule that refused the statement.
    pub rule: DenyRule,
    /// The refused action, for example `PRAGMA hard_heap_limit`.
    pub what: Box<str>,
}

impl Refusal {
    pub(crate) fn new(rule: DenyRule, what: impl Into<Box<str>>) -> Self {
        Self {
            rule,
            what: what.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused: {}", self.what, self.rule.why())
    }
}
