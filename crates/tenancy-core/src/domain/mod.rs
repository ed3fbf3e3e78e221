//! [`Domain`], a host name that is bound to a tenant.

#[cfg(not(feature = "idn"))]
mod ascii;
mod challenge;
#[cfg(feature = "idn")]
mod unicode;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(not(feature = "idn"))]
use ascii::{REFUSED, check, to_ascii};
pub use challenge::Challenge;
#[cfg(feature = "idn")]
use unicode::{REFUSED, check, to_ascii};

use crate::host::MAX_HOST;
use crate::id::{BadLabel, TenantId, check_label};
use crate::text::quote;

/// A full host name in the form that a catalog stores: in lower case and ASCII (with A-labels),
/// without a port and without a final dot.
///
/// With the feature `idn`, which is on by default, names in Unicode are converted, and A-labels
/// are checked. Without the feature a name must be ASCII, and A-labels are not checked.
///
/// ```
/// use tenancy_core::Domain;
/// let shop: Domain = "Shop.Example".parse()?;
/// assert_eq!(shop.as_str(), "shop.example");
/// # #[cfg(feature = "idn")]
/// assert_eq!("Bücher.example".parse::<Domain>()?.as_str(), "xn--bcher-kva.example");
/// assert!("shop.example:8080".parse::<Domain>().is_err());
/// # Ok::<(), tenancy_core::InvalidDomain>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Converts a name to its stored form. With the feature `idn` it is converted by the strict
    /// rules of UTS46. The result must fit the grammar of a host. White space and a final dot are
    /// refused, not trimmed. An ASCII label may have hyphens at places 3 and 4 (`v1--site`), which
    /// UTS46 leaves to registries.
    ///
    /// # Errors
    /// Returns an error if `text` is no host name, or if it changes when it is converted to Unicode
    /// and back. The error names the rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, InvalidDomain> {
        let invalid = |problem: Cow<'static, str>| InvalidDomain {
            text: quote(text),
            problem,
        };
        let ascii = to_ascii(text).ok_or_else(|| invalid(broken_rule(text)))?;
        check(&ascii).map_err(|problem| invalid(problem.into()))?;
        Ok(Self(ascii.into()))
    }

    /// Returns the domain of a text that is in canonical form already, or `None` if it is not. The
    /// check of A-labels by [`new`](Self::new) is not needed for a look-up.
    pub(crate) fn from_canonical(text: &str) -> Option<Self> {
        let labels = |text: &str| text.split('.').all(|l| check_label(l.as_bytes()).is_ok());
        (text.len() <= 253 && labels(text)).then(|| Self(text.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the problem of a text that is no host name: the first rule that it breaks.
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
                let refused = label[at..].chars().next().filter(char::is_ascii);
                refused.map(|c| format!("has {c:?}, which no host name has"))
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
    REFUSED.into()
}

/// The error for a text that is no [`Domain`].
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
