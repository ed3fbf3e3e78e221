//! Text of clients and operators in error messages.

use std::fmt;

/// The bound on the characters of a foreign text in an error. They are enough to recognise the
/// text, and too few to flood a log file.
const MAX_QUOTED: usize = 80;

/// Returns `text` in quotes, escaped and cut after [`MAX_QUOTED`] characters.
pub(crate) fn quote(text: &str) -> Box<str> {
    let mut out = String::from("\"");
    let mut chars = text.chars();
    for c in chars.by_ref().take(MAX_QUOTED) {
        out.extend(c.escape_debug());
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out.push('"');
    out.into()
}

/// The first 30 bytes of a text that a client sent. They are stored inline, so that an error with
/// an excerpt allocates no memory.
///
/// An excerpt is displayed in quotes and escaped. A longer text ends with `…`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Self::MAX],
    /// The length of the whole text, or 255 if it is longer.
    len: u8,
}

impl Excerpt {
    /// The bound on the bytes of an excerpt.
    pub const MAX: usize = 30;

    pub(crate) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX];
        let kept = text.len().min(Self::MAX);
        bytes[..kept].copy_from_slice(&text[..kept]);
        Self {
            bytes,
            len: u8::try_from(text.len()).unwrap_or(u8::MAX),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = usize::from(self.len);
        let kept = &self.bytes[..len.min(Self::MAX)];
        let cut = if len > Self::MAX { "…" } else { "" };
        write!(f, "\"{}{cut}\"", kept.escape_ascii())
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns whether a token may hold this byte (RFC 9110 §5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
