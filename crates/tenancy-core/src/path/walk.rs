//! The full check of paths: byte by byte, with every refusal.

use super::bad::BadPath;

/// Calls `emit` with each byte of the normal form, and returns whether the path is ambiguous.
pub(super) fn walk(path: &[u8], mut emit: impl FnMut(u8)) -> Result<bool, BadPath> {
    let mut ambiguous = false;
    // Encoded bytes before this place belong to a character that was checked to be UTF-8.
    let mut utf8_end = 0;
    let mut segment = Segment::starting_at(0);
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        if byte != b'%' {
            if !(0x21..=0x7E).contains(&byte) || matches!(byte, b'#' | b'\\') {
                return Err(BadPath::Byte { byte, at });
            }
            ambiguous |= byte == b';';
            // Of several slashes in a row, only the first is emitted.
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
            0xC0 | 0xC1 | 0xF5.. => return Err(BadPath::NotUtf8 { byte, at }),
            _ if is_refused(byte) => return Err(BadPath::Encoded { byte, at }),
            _ if is_unreserved(byte) => emit(byte),
            _ => {
                ambiguous |= matches!(byte, b';' | b'%');
                if byte >= 0x80 && at >= utf8_end {
                    match character_len(&path[at..], |rest| decode(rest, 0).ok()) {
                        Some(len) => utf8_end = at + len,
                        None => ambiguous = true,
                    }
                }
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

/// Returns the length of the encoded character at the front, if it is valid UTF-8 of more than one
/// byte. `byte` decodes a `%XX`.
pub(super) fn character_len(at: &[u8], byte: impl Fn(&[u8]) -> Option<u8>) -> Option<usize> {
    let len = match byte(at)? {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let mut character = [0; 4];
    for (n, part) in character.iter_mut().take(len).enumerate() {
        *part = byte(at.get(3 * n..).filter(|at| at.first() == Some(&b'%'))?)?;
    }
    let valid = std::str::from_utf8(&character[..len]).is_ok();
    valid.then_some(3 * len)
}

/// Returns whether a path with this encoded byte is refused.
pub(super) fn is_refused(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | 0..0x20 | 0x7F)
}

/// Returns whether a byte is unreserved (RFC 3986 §2.3), so that the normal form decodes it.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes the `%XX` at `at`.
fn decode(path: &[u8], at: usize) -> Result<u8, BadPath> {
    let digit = |offset: usize| {
        let byte = *path.get(at + offset)?;
        char::from(byte).to_digit(16).map(|digit| digit as u8)
    };
    let (high, low) = (digit(1), digit(2));
    let byte = high.zip(low).map(|(high, low)| high << 4 | low);
    byte.ok_or(BadPath::Percent { at })
}

/// The name of the current segment so far, up to its `;`.
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

    /// Adds the decoded byte at `at`.
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
