//! [`NormalPath`]: the one spelling of a path, which is compared with every rule.

mod bad;
mod clean;
mod target;
mod walk;

use std::borrow::Cow;
use std::fmt;

use clean::{clean_len, encoded_len};
use target::Form;
use walk::walk;

pub use bad::BadPath;
pub(crate) use clean::word;
pub use target::Target;

/// The path of a request in normal form, in which each meaning has one spelling. It ends before the
/// first `?`, and is still percent-encoded.
///
/// A `%XX` that encodes an unreserved character (`A-Z a-z 0-9 - . _ ~`) is decoded. Every other
/// `%XX` stays, with upper-case digits. Several slashes in a row become one. So the text is ASCII,
/// only the router decodes it further, and normalising it again changes nothing. A path with a dot
/// segment, an encoded slash or a malformed encoding is refused and never repaired; [`BadPath`]
/// lists the reasons. A path that is normal already is borrowed.
///
/// ```
/// use tenancy_core::NormalPath;
/// let path = NormalPath::parse("/%6frders//9%2c?page=2")?;
/// assert_eq!(path.as_str(), "/orders/9%2C");
/// assert!(NormalPath::parse("/assets/..%2Flogin").is_err());
/// # Ok::<(), tenancy_core::BadPath>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NormalPath<'p> {
    text: Cow<'p, str>,
    ambiguous: bool,
}

impl<'p> NormalPath<'p> {
    /// The bound on the bytes of a path, before it is normalised. Common servers accept request
    /// lines of this length.
    pub const MAX_LEN: usize = bad::MAX_LEN;

    /// Parses the path of a request target. A query is ignored.
    ///
    /// # Errors
    /// Returns an error if the path is refused; [`BadPath`] lists the reasons.
    #[inline]
    pub fn parse(target: impl Into<Target<'p>>) -> Result<Self, BadPath> {
        let target = target.into();
        match Self::clean(target) {
            Some(path) => Ok(path),
            None => Self::parse_slowly(target),
        }
    }

    /// Returns the path of a target if it is surely normal and not ambiguous. For `None`,
    /// [`parse_slowly`](Self::parse_slowly) decides.
    #[inline(always)]
    pub(crate) fn clean(target: Target<'p>) -> Option<Self> {
        clean_len(target.as_bytes()).map(|len| Self::of_start(target, len))
    }

    /// Makes a path of the first `len` bytes of the target, which are a normal path.
    #[inline(always)]
    fn of_start(target: Target<'p>, len: usize) -> Self {
        let text = match target.0 {
            Form::Text(text) => &text[..len],
            Form::Bytes(bytes) => ascii(&bytes[..len]),
        };
        Self {
            text: Cow::Borrowed(text),
            ambiguous: false,
        }
    }

    /// Parses a target that [`clean`](Self::clean) does not accept. If the path is normal after
    /// all, it is borrowed.
    #[cold]
    #[inline(never)]
    pub(crate) fn parse_slowly(target: Target<'p>) -> Result<Self, BadPath> {
        if let Some(len) = encoded_len(target.as_bytes()) {
            return Ok(Self::of_start(target, len));
        }
        let target = target.as_bytes();
        let end = target.iter().position(|b| *b == b'?');
        let path = &target[..end.unwrap_or(target.len())];
        if path.first() != Some(&b'/') {
            return Err(BadPath::NoLeadingSlash);
        }
        if path.len() > Self::MAX_LEN {
            return Err(BadPath::TooLong { len: path.len() });
        }
        // The first walk checks, and the second one writes. So neither a refused path nor a normal
        // path costs an allocation.
        let (mut len, mut same) = (0, true);
        let ambiguous = walk(path, |byte| {
            same &= path.get(len) == Some(&byte);
            len += 1;
        })?;
        let text = if same && len == path.len() {
            Cow::Borrowed(ascii(path))
        } else {
            let mut text = String::with_capacity(len);
            walk(path, |byte| text.push(char::from(byte)))?;
            Cow::Owned(text)
        };
        Ok(Self { text, ambiguous })
    }

    /// Returns the path as text. It is ASCII, and starts with a slash.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the path as text, which is borrowed from the request if the path was normal there.
    #[inline]
    pub fn into_cow(self) -> Cow<'p, str> {
        self.text
    }

    /// Returns whether the path is ambiguous: it holds a `;`, an encoded `;` or `%`, or encoded
    /// bytes that are not UTF-8. Servers read such a path in different ways, so a
    /// [`Classifier`](crate::Classifier) never skips it.
    #[inline]
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// Removes `prefix` and the segment behind it. Returns that segment and the rest of the path,
    /// which is `/` if nothing follows the segment. The rest is borrowed if this path is. Returns
    /// `None` if the path does not start with the segments of `prefix`, or if no segment follows
    /// them.
    ///
    /// ```
    /// use tenancy_core::NormalPath;
    /// let path = NormalPath::parse("/t/acme/assets/x.css")?;
    /// let (tenant, rest) = path.strip_first("/t").expect("a segment follows");
    /// assert_eq!((tenant, rest.as_str()), ("acme", "/assets/x.css"));
    /// assert!(NormalPath::parse("/t/")?.strip_first("/t").is_none());
    /// # Ok::<(), tenancy_core::BadPath>(())
    /// ```
    pub fn strip_first(&self, prefix: &str) -> Option<(&str, NormalPath<'p>)> {
        let behind = self.text.strip_prefix(prefix)?.strip_prefix('/')?;
        let len = behind.find('/').unwrap_or(behind.len());
        if len == 0 {
            return None;
        }
        let at = self.text.len() - behind.len() + len;
        let text = match &self.text {
            _ if len == behind.len() => Cow::Borrowed("/"),
            Cow::Borrowed(text) => Cow::Borrowed(&text[at..]),
            Cow::Owned(text) => Cow::Owned(text[at..].to_owned()),
        };
        let rest = NormalPath {
            text,
            ambiguous: self.ambiguous,
        };
        Some((&behind[..len], rest))
    }
}

impl fmt::Display for NormalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for NormalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NormalPath({:?})", &*self.text)
    }
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("every byte was found to be ASCII")
}
