//! [`Domain`], a host name that is bound to a tenant, and the [`Challenge`] that proves it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::check_label;
use crate::text::quote;

/// The last character that can be in a name (CJK extension J, Unicode 17). All
/// beyond is unassigned, or ignored by UTS46; the tables of `idna` 1.1 take some of
/// it for valid (U+3D000 to U+3FC3F).
const LAST_ASSIGNED: char = '\u{33479}';

/// A full host name as a catalog stores it: lower case, ASCII (A-labels), without
/// port and final dot.
///
/// ```
/// use tenancy_core::Domain;
/// let shop: Domain = "Shop.Bücher.example".parse()?;
/// assert_eq!(shop.as_str(), "shop.xn--bcher-kva.example");
/// assert!("shop.example:8080".parse::<Domain>().is_err());
/// # Ok::<(), tenancy_core::InvalidDomain>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Registers a name: strict UTS46 processing, then the grammar of a host.
    /// Nothing is trimmed.
    ///
    /// # Errors
    /// When `text` is no host name, or does not survive the way to Unicode and back.
    pub fn new(text: &str) -> Result<Self, InvalidDomain> {
        let invalid = |problem| InvalidDomain {
            text: quote(text),
            problem,
        };
        let ascii = idna::domain_to_ascii_strict(text)
            .map_err(|_| invalid("is no host name by the strict rules of UTS46"))?;
        let (unicode, result) = idna::domain_to_unicode(&ascii);
        let back = result.and_then(|()| idna::domain_to_ascii_strict(&unicode));
        if back.ok().as_ref() != Some(&ascii) {
            return Err(invalid("does not survive the way to Unicode and back"));
        }
        if unicode.chars().any(|c| c > LAST_ASSIGNED) {
            return Err(invalid("has a character that Unicode has not assigned"));
        }
        Ok(Self(ascii.into()))
    }

    /// A host as a request brought it, already in canonical form, or nothing: what
    /// a lookup needs, without the work of a registration.
    pub(crate) fn from_canonical(text: &str) -> Option<Self> {
        let labels = |text: &str| text.split('.').all(|l| check_label(l.as_bytes()).is_ok());
        (text.len() <= 253 && labels(text)).then(|| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "domain {text} {problem}; write it as shop.example.com, without scheme, port and final dot"
)]
pub struct InvalidDomain {
    text: Box<str>,
    problem: &'static str,
}

impl FromStr for Domain {
    type Err = InvalidDomain;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({:?})", &*self.0)
    }
}

/// What a domain's owner puts into a TXT record to prove that it is theirs: random
/// for each attempt, and kept by the catalog with tenant and domain.
///
/// ```
/// use tenancy_core::Challenge;
/// let challenge = Challenge::new()?;
/// assert!(challenge.as_str().starts_with("tenancy-verify="));
/// assert!(challenge.is_met_by(challenge.as_str()));
/// assert!(!challenge.is_met_by(Challenge::new()?.as_str()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(Box<str>);

impl Challenge {
    /// A new attempt: 128 random bits.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn new() -> std::io::Result<Self> {
        let mut random = [0; 16];
        let got = rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())?;
        if got != random.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let hex = u128::from_be_bytes(random);
        Ok(Self(format!("tenancy-verify={hex:032x}").into()))
    }

    /// One that a catalog stored.
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The value of the TXT record.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this the value that was asked for?
    pub fn is_met_by(&self, txt: &str) -> bool {
        !self.0.is_empty() && *self.0 == *txt
    }
}
