//! [`Domain`], a host name that is bound to a tenant, and the [`Challenge`] that proves it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::host::MAX_HOST;
use crate::id::{BadLabel, TenantId, check_label};
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
    /// Nothing is trimmed. ASCII labels may have hyphens at places 3 and 4 (`v1--site`), which
    /// UTS46 leaves to registries.
    ///
    /// # Errors
    /// Returns an error if `text` is no host name, or does not survive the way to Unicode and
    /// back. It says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, InvalidDomain> {
        let invalid = |problem: Cow<'static, str>| InvalidDomain {
            text: quote(text),
            problem,
        };
        let ascii = to_ascii(text).ok_or_else(|| invalid(broken_rule(text)))?;
        let (unicode, result) = idna::domain_to_unicode(&ascii);
        let back = result.ok().and_then(|()| to_ascii(&unicode));
        if back.as_ref() != Some(&ascii) {
            return Err(invalid(
                "does not survive the way to Unicode and back".into(),
            ));
        }
        let odd = |label: &str| !label.is_ascii() && has_hyphens_3_and_4(label);
        if unicode.split('.').any(odd) {
            return Err(invalid(
                "has hyphens at places 3 and 4 of a label that is not ASCII".into(),
            ));
        }
        if unicode.chars().any(|c| c > LAST_ASSIGNED) {
            return Err(invalid(
                "has a character that Unicode has not assigned".into(),
            ));
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

/// Strict UTS46 processing, but for hyphens at places 3 and 4.
fn to_ascii(text: &str) -> Option<String> {
    let (deny, hyphens) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    let ascii = Uts46::new().to_ascii(text.as_bytes(), deny, hyphens, DnsLength::Verify);
    ascii.ok().map(Cow::into_owned)
}

fn has_hyphens_3_and_4(label: &str) -> bool {
    let mut third = label.chars().skip(2);
    third.next() == Some('-') && third.next() == Some('-')
}

/// The rule that a text which is no host name breaks; the first of several.
fn broken_rule(text: &str) -> Cow<'static, str> {
    let find = |chars: &[char]| text.chars().find(|c| chars.contains(c));
    if text.is_empty() {
        return "is empty".into();
    }
    if text.contains("://") {
        return "has a scheme".into();
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return "has a space or control character".into();
    }
    match find(&['/', '?', '#', '@', ':', '*', '_']) {
        Some(':') => return "has a colon; leave the port out".into(),
        Some('*') => return "has a wildcard".into(),
        Some('@') => return "has a user name".into(),
        Some(c @ ('/' | '?' | '#')) => return format!("has a path ({c:?})").into(),
        Some(c) => return format!("has {c:?}, which no host name has").into(),
        None => {}
    }
    if let Some(name) = text.strip_suffix('.')
        && to_ascii(name).is_some()
    {
        return "ends with a dot".into();
    }
    let of_label = |label: &str| {
        let lower = label.to_ascii_lowercase();
        match check_label(lower.as_bytes()) {
            Err(BadLabel::Empty) => Some("has an empty label".into()),
            Err(BadLabel::HyphenFirst) => {
                Some(format!("has a label that starts with a hyphen ({label:?})"))
            }
            Err(BadLabel::HyphenLast) => {
                Some(format!("has a label that ends with a hyphen ({label:?})"))
            }
            Err(BadLabel::TooLong) => {
                let (len, max) = (label.len(), TenantId::MAX_LEN);
                Some(format!("has a label of {len} bytes, {max} is the most"))
            }
            Err(BadLabel::Byte(at)) => {
                let odd = label[at..].chars().next().filter(char::is_ascii);
                odd.map(|c| format!("has {c:?}, which no host name has"))
            }
            Ok(()) if to_ascii(label).is_none() => {
                Some(format!("has {label:?}, which stands for no Unicode label"))
            }
            Ok(()) => None,
        }
    };
    if let Some(problem) = text.split('.').find_map(of_label) {
        return problem.into();
    }
    if text.is_ascii() && text.len() > MAX_HOST {
        return format!("has {} bytes, {MAX_HOST} is the most", text.len()).into();
    }
    "is no host name by the strict rules of UTS46".into()
}

/// A text that is not a [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "domain {text} {problem}; write it as shop.example.com, without scheme, port and final dot"
)]
pub struct InvalidDomain {
    text: Box<str>,
    problem: Cow<'static, str>,
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
