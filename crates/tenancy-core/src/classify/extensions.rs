//! [`Extensions`]: the extensions of assets.

use crate::path::word;

/// A set of extensions without their dot, compared without case.
#[derive(Debug, Clone)]
pub(super) struct Extensions {
    /// The extensions of up to seven bytes in an open-addressed table. An empty place is 0.
    /// Invariant: the length is a power of two, and at most a quarter of the places are in use.
    short: Box<[u64]>,
    /// The longer extensions, in lower case.
    long: Box<[Box<str>]>,
}

impl Extensions {
    /// The bound on the bytes of an extension.
    pub const MAX_LEN: usize = 15;

    /// Makes the set of these extensions, which are letters and digits.
    pub fn new<'a>(extensions: impl Iterator<Item = &'a str>) -> Self {
        let (short, long): (Vec<&str>, Vec<&str>) = extensions.partition(|e| e.len() < 8);
        let mut set = Self {
            short: vec![0; (4 * short.len()).next_power_of_two()].into(),
            long: long.iter().map(|e| e.to_ascii_lowercase().into()).collect(),
        };
        for extension in short {
            // Packed as `ends` packs the extension of a path, which is behind a dot.
            let (packed, _) = behind_dot(format!(".{extension}").as_bytes()).expect("has a dot");
            if let Err(free) = set.probe(packed) {
                set.short[free] = packed;
            }
        }
        set
    }

    /// Returns whether the last segment of `path`, a normal path, ends with one of these extensions
    /// and has a name before its dot.
    #[inline]
    pub fn ends(&self, path: &[u8]) -> bool {
        let Some((packed, dot)) = behind_dot(path) else {
            return !self.long.is_empty() && self.ends_long(path);
        };
        let before = dot.checked_sub(1).and_then(|at| path.get(at));
        before.is_some_and(|byte| *byte != b'/') && self.probe(packed).is_ok()
    }

    #[cold]
    #[inline(never)]
    fn ends_long(&self, path: &[u8]) -> bool {
        let mut parts = path.rsplitn(2, |byte| *byte == b'.');
        let (Some(extension), Some(before)) = (parts.next(), parts.next()) else {
            return false;
        };
        let mut long = self.long.iter().map(|long| long.as_bytes());
        before.last() != Some(&b'/') && long.any(|long| long.eq_ignore_ascii_case(extension))
    }

    /// Returns the place of an extension, or as an error the free place where it would be.
    #[inline]
    fn probe(&self, packed: u64) -> Result<usize, usize> {
        let mask = self.short.len() - 1;
        let mut at = (packed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        loop {
            match self.short[at & mask] {
                0 => return Err(at & mask),
                found if found == packed => return Ok(at & mask),
                _ => at += 1,
            }
        }
    }
}

/// Returns the text behind the last dot as one word, without case, and the place of that dot, if it
/// is among the last eight bytes. Setting bit 5 of each byte ignores the case. It makes no other
/// text equal to a known extension, which has only letters and digits.
#[inline]
fn behind_dot(path: &[u8]) -> Option<(u64, usize)> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // The last byte lowest.
    let end = match path.last_chunk() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => word(path).swap_bytes() >> (8 * (8 - path.len())),
    };
    // As in `head` of the trie, the lowest mark is right. It marks the last dot.
    let marks = (end ^ (ONES * b'.' as u64)).wrapping_sub(ONES) & (ONES << 7);
    let dot = marks & marks.wrapping_neg();
    let len = marks.trailing_zeros() as usize / 8;
    let packed = (end | ONES << 5) & (dot >> 7).wrapping_sub(1);
    (marks != 0).then(|| (packed, path.len() - 1 - len))
}
