//! [`NormalPath`], the one spelling of a request's path that every rule looks at.

use std::borrow::Cow;
use std::fmt;

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
/// let path = NormalPath::parse(b"/%6frders//9%2c?page=2")?;
/// assert_eq!(path.as_str(), "/orders/9%2C");
/// assert!(NormalPath::parse(b"/assets/..%2Flogin").is_err());
/// # Ok::<(), tenancy_core::BadPath>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NormalPath<'p> {
    text: Cow<'p, str>,
    ambiguous: bool,
}

impl<'p> NormalPath<'p> {
    /// The longest path, in bytes, before it is normalised: what common servers
    /// take as a request line.
    pub const MAX_LEN: usize = 8192;

    /// Parses a request target: a path, and perhaps a query, which is cut off and
    /// not looked at. Where the target is text already, [`NormalPath::parse_str`]
    /// is quicker.
    ///
    /// # Errors
    /// When the path is refused; [`BadPath`] lists the reasons.
    #[inline]
    pub fn parse(target: &'p [u8]) -> Result<Self, BadPath> {
        match clean_len(target) {
            Some(len) => Ok(Self::borrowed(ascii(&target[..len]))),
            None => Self::parse_slowly(target),
        }
    }

    /// [`NormalPath::parse`] for text: the same answer, without the check that the
    /// bytes are UTF-8.
    ///
    /// # Errors
    /// When the path is refused; [`BadPath`] lists the reasons.
    #[inline]
    pub fn parse_str(target: &'p str) -> Result<Self, BadPath> {
        match clean_len(target.as_bytes()) {
            Some(len) => Ok(Self::borrowed(&target[..len])),
            None => Self::parse_slowly(target.as_bytes()),
        }
    }

    #[inline]
    fn borrowed(text: &'p str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            ambiguous: false,
        }
    }

    /// The way of a target that [`clean_len`] did not answer for: it may still be
    /// normal, and is borrowed then.
    #[cold]
    #[inline(never)]
    fn parse_slowly(target: &'p [u8]) -> Result<Self, BadPath> {
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

    /// The path as text: ASCII, from its leading slash.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path as text, borrowed from the request when it was normal there.
    #[inline]
    pub fn into_cow(self) -> Cow<'p, str> {
        self.text
    }

    /// Does it hold a `;` or an encoded `;` or `%`? Servers disagree about what
    /// such a path means, so it is never skipped.
    #[inline]
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// Takes `prefix` and the segment behind it away: that segment, and the path
    /// that is left, which is at least `/` and borrowed where this one is. Nothing
    /// when the path does not start with the segments of `prefix`, or when no
    /// segment follows them.
    ///
    /// ```
    /// use tenancy_core::NormalPath;
    /// let path = NormalPath::parse(b"/t/acme/assets/x.css")?;
    /// let (tenant, rest) = path.strip_first("/t").expect("a segment follows");
    /// assert_eq!((tenant, rest.as_str()), ("acme", "/assets/x.css"));
    /// assert!(NormalPath::parse(b"/t/")?.strip_first("/t").is_none());
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

/// Why a path is refused. A byte's place is counted from 0, from the leading slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPath {
    /// It is empty or starts with something else, as in `http://host/` or `*`.
    #[error("path has no leading slash; send the target as /path?query")]
    NoLeadingSlash,
    /// It has more than [`NormalPath::MAX_LEN`] bytes.
    #[error("path has {len} bytes, {max} is the most; shorten it, or move data into the query or the body", max = NormalPath::MAX_LEN)]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// A byte that no path has: a control, a space, not ASCII, `#` or `\`.
    #[error(
        "path has byte 0x{byte:02X} at {at}, which no path has; percent-encode what belongs to a name, and separate segments by /"
    )]
    Byte {
        /// The byte.
        byte: u8,
        /// Where it stands.
        at: usize,
    },
    /// A `%` without two hex digits behind it.
    #[error("path has a % without two hex digits at byte {at}; write a percent sign as %25")]
    Percent {
        /// Where the `%` stands.
        at: usize,
    },
    /// An encoded `/`, `\` or control, which some servers decode before they split.
    #[error(
        "path has an encoded 0x{byte:02X} at byte {at}; leave encoded slashes, backslashes and controls out of paths"
    )]
    Encoded {
        /// The byte that it stands for.
        byte: u8,
        /// Where its `%` stands.
        at: usize,
    },
    /// A segment `.` or `..`, in whatever spelling, parameters behind `;` left aside.
    #[error("path has a dot segment at byte {at}; resolve it before sending")]
    DotSegment {
        /// Where the segment starts.
        at: usize,
    },
    /// A segment that starts with a `;`: empty for a server that drops parameters.
    #[error("path has nothing before the ; at byte {at}; give the segment a name")]
    EmptySegment {
        /// Where the segment starts.
        at: usize,
    },
}

/// How many bytes of `target` its path has, when the path is borrowed as it is and
/// is not ambiguous. `None` says nothing yet: the slow way looks again.
#[inline]
fn clean_len(target: &[u8]) -> Option<usize> {
    if target.first() != Some(&b'/') {
        return None;
    }
    let mut at = 1;
    while let Some(block) = target[at - 1..].first_chunk() {
        let odd = odd_bytes(block);
        if odd != 0 {
            return ends_at(target, at + odd.trailing_zeros() as usize / 8);
        }
        at += BLOCK;
        if at > NormalPath::MAX_LEN {
            return None;
        }
    }
    // The last block overlaps the one before, or is filled up.
    let odd = match target.last_chunk() {
        Some(block) => {
            at = target.len() - BLOCK;
            odd_bytes(block)
        }
        None => {
            let mut block = [b'a'; BLOCK + 1];
            block[..target.len()].copy_from_slice(target);
            odd_bytes(&block)
        }
    };
    if odd != 0 {
        return ends_at(target, at + odd.trailing_zeros() as usize / 8);
    }
    (target.len() <= NormalPath::MAX_LEN).then_some(target.len())
}

#[inline]
fn ends_at(target: &[u8], at: usize) -> Option<usize> {
    (target.get(at) == Some(&b'?') && at <= NormalPath::MAX_LEN).then_some(at)
}

/// Bytes looked at in one step.
const BLOCK: usize = 16;

/// A byte of ones for each byte of `block[1..]` that the fast way does not answer
/// for, in order from the lowest. Written without a branch, so that it compiles to
/// a few vector instructions.
///
/// These are all that a path cannot have, `?`, `;`, `%`, a `/` or `.` behind a `/`,
/// and for the sake of one comparison the rare `!"$&'`.
#[inline]
fn odd_bytes(block: &[u8; BLOCK + 1]) -> u128 {
    let odd: [u8; BLOCK] = std::array::from_fn(|i| {
        let (before, byte) = (block[i], block[i + 1]);
        let outside = byte.wrapping_sub(b'(') > b'~' - b'(';
        let cut = byte | 4 == b'?' || byte == b'\\'; // `;` is `?` without that bit
        let segment = before == b'/' && byte | 1 == b'/'; // and `.` is `/` without this
        u8::from(outside | cut | segment).wrapping_neg()
    });
    u128::from_le_bytes(odd)
}

/// Gives the bytes of the normal form to `emit`, and says whether the path is
/// ambiguous.
fn walk(path: &[u8], mut emit: impl FnMut(u8)) -> Result<bool, BadPath> {
    let mut ambiguous = false;
    let mut segment = Segment::starting_at(0);
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        if byte != b'%' {
            if !(0x21..=0x7E).contains(&byte) || matches!(byte, b'#' | b'\\') {
                return Err(BadPath::Byte { byte, at });
            }
            ambiguous |= byte == b';';
            // Of slashes in a row the first is emitted.
            let again = byte == b'/' && at > 0 && path[at - 1] == b'/';
            if !again {
                emit(byte);
            }
            segment.push(byte, at)?;
            at += 1;
            continue;
        }
        let byte = decode(path, at)?;
        match byte {
            b'/' | b'\\' | 0..0x20 | 0x7F => return Err(BadPath::Encoded { byte, at }),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => emit(byte),
            _ => {
                ambiguous |= matches!(byte, b';' | b'%');
                emit(b'%');
                path[at + 1..at + 3]
                    .iter()
                    .for_each(|digit| emit(digit.to_ascii_uppercase()));
            }
        }
        segment.push(byte, at)?;
        at += 3;
    }
    segment.end()?;
    Ok(ambiguous)
}

/// The byte that the `%XX` at `at` stands for.
fn decode(path: &[u8], at: usize) -> Result<u8, BadPath> {
    let digit = |offset: usize| {
        let byte = *path.get(at + offset)?;
        char::from(byte).to_digit(16).map(|digit| digit as u8)
    };
    let (high, low) = (digit(1), digit(2));
    let byte = high.zip(low).map(|(high, low)| high << 4 | low);
    byte.ok_or(BadPath::Percent { at })
}

/// What the current segment is called so far, up to its `;`.
struct Segment {
    start: usize,
    name: SegmentName,
}

#[derive(Clone, Copy)]
enum SegmentName {
    Empty,
    Dot,
    DotDot,
    Other,
}

impl Segment {
    fn starting_at(start: usize) -> Self {
        Self {
            start,
            name: SegmentName::Empty,
        }
    }

    /// Adds the meaning of the byte at `at`, whatever its spelling.
    fn push(&mut self, byte: u8, at: usize) -> Result<(), BadPath> {
        self.name = match (byte, self.name) {
            (b'/', _) => {
                self.end()?;
                *self = Self::starting_at(at + 1);
                return Ok(());
            }
            (b';', SegmentName::Empty) => return Err(BadPath::EmptySegment { at: self.start }),
            (b';', _) => {
                self.end()?;
                SegmentName::Other
            }
            (b'.', SegmentName::Empty) => SegmentName::Dot,
            (b'.', SegmentName::Dot) => SegmentName::DotDot,
            _ => SegmentName::Other,
        };
        Ok(())
    }

    fn end(&self) -> Result<(), BadPath> {
        match self.name {
            SegmentName::Dot | SegmentName::DotDot => Err(BadPath::DotSegment { at: self.start }),
            SegmentName::Empty | SegmentName::Other => Ok(()),
        }
    }
}
