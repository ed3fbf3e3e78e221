//! Names and numbers that identify a tenant: [`TenantId`], [`Epoch`], [`Version`], [`TenantRef`].

use std::borrow::Borrow;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

use crate::text::quote;

/// The permanent name of a tenant. It has 1–63 characters: `a-z`, `0-9`, and hyphens that are
/// neither first nor last. So every id is also a DNS label.
///
/// Cloning is cheap. The parser accepts reserved ids; they are refused when a tenant is created.
///
/// ```
/// use tenancy_core::TenantId;
/// let id: TenantId = "acme-inc".parse()?;
/// assert_eq!(id.as_str(), "acme-inc");
/// assert!("Acme".parse::<TenantId>().is_err());
/// # Ok::<(), tenancy_core::InvalidTenantId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The longest id, in bytes: the longest DNS label (RFC 1035 §2.3.4).
    pub const MAX_LEN: usize = 63;

    /// Parses an id.
    ///
    /// # Errors
    /// Returns an error if `text` does not have the form of an id; see [`TenantId`].
    pub fn new(text: &str) -> Result<Self, InvalidTenantId> {
        check_label(text.as_bytes()).map_err(|problem| InvalidTenantId {
            text: quote(text),
            problem: problem.describe(text),
        })?;
        Ok(Self(text.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule that a label breaks. The same rules hold for a [`TenantId`] and for a label of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadLabel {
    Empty,
    TooLong,
    Byte(usize),
    HyphenFirst,
    HyphenLast,
}

impl BadLabel {
    fn describe(self, text: &str) -> Box<str> {
        match self {
            Self::Empty => "is empty".into(),
            Self::TooLong => format!(
                "has {} bytes, {} is the most",
                text.len(),
                TenantId::MAX_LEN
            )
            .into(),
            Self::Byte(at) => {
                // Every byte before `at` was ASCII, so a character starts here.
                let c = text[at..].chars().next().unwrap_or('\u{fffd}');
                format!("has {c:?} at byte {at}").into()
            }
            Self::HyphenFirst => "starts with a hyphen".into(),
            Self::HyphenLast => "ends with a hyphen".into(),
        }
    }
}

/// Checks that a text has 1–63 characters of `a-z`, `0-9` and `-`, and no hyphen at an end.
pub(crate) fn check_label(bytes: &[u8]) -> Result<(), BadLabel> {
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Err(BadLabel::Empty);
    };
    let refused = |b: &u8| !matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if let Some(at) = bytes.iter().take(TenantId::MAX_LEN + 1).position(refused) {
        return Err(BadLabel::Byte(at));
    }
    if bytes.len() > TenantId::MAX_LEN {
        return Err(BadLabel::TooLong);
    }
    if *first == b'-' {
        return Err(BadLabel::HyphenFirst);
    }
    if *last == b'-' {
        return Err(BadLabel::HyphenLast);
    }
    Ok(())
}

/// The error for a text that is no [`TenantId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant id {text} {problem}; use lowercase letters, digits and inner hyphens")]
pub struct InvalidTenantId {
    text: Box<str>,
    problem: Box<str>,
}

impl FromStr for TenantId {
    type Err = InvalidTenantId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({:?})", &*self.0)
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TenantId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The incarnation of a tenant. It is 1 for a new id. It rises by 1 at each restore, each import
/// over the tenant, each return to a snapshot, each re-creation and each move. It never decreases.
///
/// ```
/// use tenancy_core::Epoch;
/// assert!(Epoch::FIRST.next() > Epoch::FIRST);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(NonZeroU64);

impl Epoch {
    /// The epoch of a new tenant.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// Returns the epoch with this number, or `None` for 0.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the number, which is at least 1.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Returns the epoch of the next incarnation.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a catalog: a counter that every write raises in its transaction. So the order of
/// versions is the order of commits.
///
/// ```
/// use tenancy_core::Version;
/// assert!(Version::ZERO < Version(1));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version before the first write.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A reference to one incarnation of a tenant, for a job, a link or a message. As text it is the
/// id and the epoch: `acme@3`.
///
/// ```
/// use tenancy_core::TenantRef;
/// let job: TenantRef = "acme@3".parse()?;
/// assert_eq!(job.id.as_str(), "acme");
/// assert_eq!(job.to_string(), "acme@3");
/// # Ok::<(), tenancy_core::InvalidTenantRef>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantRef {
    /// The permanent name of the tenant.
    pub id: TenantId,
    /// The incarnation of the tenant.
    pub epoch: Epoch,
}

impl fmt::Display for TenantRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.epoch)
    }
}

/// The error for a text that is no [`TenantRef`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTenantRef {
    /// The text before the `@` is no tenant id.
    #[error(transparent)]
    Id(#[from] InvalidTenantId),
    /// There is no `@`, or the text after it is no epoch: a number of at least 1, without leading
    /// zeros.
    #[error("tenant reference {text} has no epoch; write it as acme@1")]
    Epoch {
        /// The text, quoted.
        text: Box<str>,
    },
}

impl FromStr for TenantRef {
    type Err = InvalidTenantRef;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_epoch = || InvalidTenantRef::Epoch { text: quote(text) };
        let (id, digits) = text.split_once('@').ok_or_else(no_epoch)?;
        // Only digits, and no leading zero, so that a reference has exactly one spelling.
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        let number = digits.parse().ok().filter(|_| plain);
        let epoch = number.and_then(Epoch::new).ok_or_else(no_epoch)?;
        Ok(Self {
            id: id.parse()?,
            epoch,
        })
    }
}
