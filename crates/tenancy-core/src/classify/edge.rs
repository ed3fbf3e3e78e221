//! [`Edge`]: a segment of the prefixes in a trie.

use super::words::Classified;
use crate::path::word;

/// The number of bytes at the start of a segment that are its head.
pub(super) const HEAD: usize = 8;

/// An edge from a node to the one below it. Nodes are numbers; the root is 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    /// See [`head`].
    pub head: u64,
    /// The last eight bytes of the segment, or 0 if it is shorter.
    pub last: u64,
    pub parent: u32,
    /// The node below, or 0 if no edge starts there.
    pub node: u32,
    /// The place of the segment in the trie's `long`, if it has more than 16 bytes.
    pub long: u32,
    /// The length of the segment; a path has at most 8,192 bytes.
    pub len: u16,
    /// The answer of the longest rule that ends here or above.
    pub answer: Classified,
}

impl Edge {
    pub fn new(parent: usize, segment: &str, answer: Classified) -> Self {
        let bytes = segment.as_bytes();
        Self {
            head: head(bytes, bytes),
            last: bytes
                .last_chunk()
                .map_or(0, |last| u64::from_le_bytes(*last)),
            parent: number(parent),
            node: 0,
            long: 0,
            len: u16::try_from(bytes.len()).expect("a path has at most 8,192 bytes"),
            answer,
        }
    }

    /// Returns whether the segment at the front of `rest` has the length and the last bytes of this
    /// one. The caller has checked that their heads are equal.
    #[inline(always)]
    pub fn ends(&self, rest: &[u8]) -> bool {
        let len = usize::from(self.len);
        if len < HEAD {
            return true; // a head with zeros in it is the whole segment
        }
        let (Some(segment), None | Some(b'/')) = (rest.get(..len), rest.get(len)) else {
            return false;
        };
        let last = segment.last_chunk();
        last.is_some_and(|last| u64::from_le_bytes(*last) == self.last)
    }
}

pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).expect("there are fewer than 4 GiB of rules")
}

/// Returns the head of the segment at the front of `rest`, which is the end of `path`: its first
/// bytes, at most eight, as a number with the first byte lowest. A shorter segment is filled up
/// with zeros, and no segment gives 0. No byte of a path is 0.
#[inline(always)]
pub(super) fn head(path: &[u8], rest: &[u8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; HEAD]);
    let first = match rest.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => match path.last_chunk() {
            Some(last) => u64::from_le_bytes(*last) >> (8 * (7 - rest.len())) >> 8,
            None => word(rest),
        },
    };
    // The classic test for a zero byte. Its lowest mark is always right. A path is ASCII, so no
    // byte has its high bit set.
    let marks = (first ^ (ONES * b'/' as u64)).wrapping_sub(ONES) & (ONES << 7);
    let slash = marks & marks.wrapping_neg();
    // Keeps the bytes before the slash, or all bytes if there is no slash.
    first & (slash >> 7).wrapping_sub(1)
}
