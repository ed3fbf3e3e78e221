//! [`NormalPath`]: the one spelling of a path that every rule is compared with.

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

/// A request's path in normal form: cut at the first `?`, still percent-encoded,
/// with one spelling for each meaning.
///
/// `%XX` of an unreserved character (`A-Z a-z 0-9 - . _ ~`) is decoded, every other
/// kept with upper-case digits, `//` is merged. So the text is ASCII, the router's
/// own decoding is the only one, and normalising twice changes nothing. Paths that
/// two parsers could read differently are refused, never repaired. A path that is
/// normal already is borrowed.
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
    /// The longest path, in bytes, before it is normalised: what common servers
    /// accept as a request line.
    pub const MAX_LEN: usize = bad::MAX_LEN;

    /// Parses a request target: a path, and perhaps a query, which is ignored.
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

    /// Returns the path of a target if it is surely normal and not ambiguous. If not,
    /// [`parse_slowly`](Self::parse_slowly) decides.
    #[inline(always)]
    pub(crate) fn clean(target: Target<'p>) -> Option<Self> {
        clean_len(target.as_bytes()).map(|len| Self::of_start(target, len))
    }

    /// Makes a path of the first `len` bytes, which are a normal path.
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

    /// Parses a target that [`clean`](Self::clean) does not accept. It may be normal, and is
    /// borrowed then.
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
        // Once to check and once to write, so that neither a refused path nor a
        // normal one costs an allocation.
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

    /// Returns the path as text: ASCII, from its leading slash.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the path as text, borrowed from the request if it was normal there.
    #[inline]
    pub fn into_cow(self) -> Cow<'p, str> {
        self.text
    }

    /// Returns whether the path holds a `;`, an encoded `;` or `%`, or encoded bytes that are not
    /// UTF-8. Servers read such a path differently, so it is never skipped.
    #[inline]
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// Removes `prefix` and the segment behind it. Returns that segment and the path below it,
    /// which is at least `/`, and borrowed if this one is. Returns `None` if the path does not
    /// start with the segments of `prefix`, or no segment follows them.
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
