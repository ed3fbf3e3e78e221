//! The fast check for paths that are in normal form.

use super::bad::MAX_LEN;
use super::walk::{character_len, is_refused, is_unreserved};

/// Returns the length of the path in `target` if the path is surely normal and not ambiguous. For
/// `None`, [`walk`](super::walk::walk) decides.
#[inline]
pub(super) fn clean_len(target: &[u8]) -> Option<usize> {
    if target.first() != Some(&b'/') {
        return None;
    }
    let len = match first_special(target) {
        None => target.len(),
        Some(at) if target.get(at) == Some(&b'?') => at,
        Some(_) => return None,
    };
    (len <= MAX_LEN).then_some(len)
}

/// Returns the same as [`clean_len`], also for a path with encoded bytes in their normal spelling.
pub(super) fn encoded_len(target: &[u8]) -> Option<usize> {
    if target.first() != Some(&b'/') {
        return None;
    }
    // Everything before `at` is normal.
    let mut at = 1;
    let len = loop {
        match next_special(target, at)? {
            None => break target.len(),
            Some((at, b'?')) => break at,
            Some((percent, b'%')) => at = percent + kept_len(target.get(percent..)?)?,
            Some(_) => return None,
        }
    };
    (len <= MAX_LEN).then_some(len)
}

/// Returns the place and the value of the first [special](is_special) byte at `at` or behind it, if
/// there is one. Returns `None` for a target that is shorter than a block.
fn next_special(target: &[u8], mut at: usize) -> Option<Option<(usize, u8)>> {
    let last = target.last_chunk::<{ BLOCK + 1 }>()?;
    let special = loop {
        match target.get(at - 1..).and_then(|rest| rest.first_chunk()) {
            Some(block) => match first_special_of(block) {
                Some(special) => break Some(at - 1 + special),
                None => at += BLOCK,
            },
            None => {
                // The last block, without the marks of bytes before `at`.
                let before = at - (target.len() - BLOCK);
                let marks = u128::from_le_bytes(mark_special(last));
                let marks = marks.checked_shr(8 * before as u32).filter(|m| *m != 0);
                break marks.map(|marks| at + marks.trailing_zeros() as usize / 8);
            }
        }
    };
    Some(special.map(|special| (special, target[special])))
}

/// Returns the length of the encoded character at the front, if it is in normal form and does not
/// make the path ambiguous.
fn kept_len(at: &[u8]) -> Option<usize> {
    match upper_case(at)? {
        0x80.. => character_len(at, upper_case),
        byte => {
            let other = is_refused(byte) || is_unreserved(byte) || matches!(byte, b';' | b'%');
            (!other).then_some(3)
        }
    }
}

/// Returns the byte that a `%XX` at the front encodes, if its digits are in upper case.
fn upper_case(at: &[u8]) -> Option<u8> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let [b'%', high, low, ..] = *at else {
        return None;
    };
    Some(value(high)? << 4 | value(low)?)
}

/// The number of bytes in a vector register.
const BLOCK: usize = 16;
/// A block and the byte before it.
type Block = [u8; BLOCK + 1];

/// Returns the place of the first [special](is_special) byte. The first byte of the target is not
/// checked.
#[inline]
fn first_special(target: &[u8]) -> Option<usize> {
    let Some(last) = target.last_chunk() else {
        return first_special_of_short(target);
    };
    let mut rest = target;
    while let Some(block) = rest.first_chunk() {
        if let Some(special) = first_special_of(block) {
            return Some(target.len() - rest.len() + special);
        }
        rest = &rest[BLOCK..];
    }
    // The last block overlaps the one before.
    first_special_of(last).map(|special| target.len() - last.len() + special)
}

/// Returns the same as [`first_special`] for a target of at most 16 bytes.
#[inline]
fn first_special_of_short(target: &[u8]) -> Option<usize> {
    let special = first_special_of(&short(target))?;
    // The block of a target of 8 to 15 bytes ends with the last eight bytes of the target.
    let moved = (8..BLOCK).contains(&target.len()) && special > 8;
    Some(if moved {
        special + target.len() - (BLOCK + 1)
    } else {
        special
    })
}

#[inline]
fn first_special_of(block: &Block) -> Option<usize> {
    let marks = u128::from_le_bytes(mark_special(block));
    (marks != 0).then(|| 1 + marks.trailing_zeros() as usize / 8)
}

/// Returns all ones for each special byte of `block[1..]`, else zero.
// It has no branch and is not inlined, so that it compiles to 20 vector instructions. Inlined into
// its callers, it would compile to ten times as many.
#[inline(never)]
fn mark_special(block: &Block) -> [u8; BLOCK] {
    let mut marks = [0; BLOCK];
    for i in 0..BLOCK {
        marks[i] = u8::from(is_special(block[i], block[i + 1])).wrapping_neg();
    }
    marks
}

/// Returns whether the fast check stops at a byte. It stops at all bytes that a path cannot have,
/// at `?`, `;` and `%`, and at a `/` or `.` behind a `/`. To save comparisons it also stops at the
/// rare `!"$&'{`.
#[inline(always)]
fn is_special(before: u8, byte: u8) -> bool {
    let outside = (byte as i8) < b'(' as i8; // also bytes outside ASCII
    let cut = byte | 0x44 == 0x7F || byte == b'\\'; // `?`, `;`, `{` and 0x7F
    let segment = before == b'/' && byte | 1 == b'/'; // and `.` is `/` without this
    outside | cut | segment
}

/// Returns a block with all bytes of a target of at most 16 bytes, filled up with letters. Each
/// byte is behind its predecessor or behind a letter. The first byte of the target is a `/`.
#[inline]
fn short(target: &[u8]) -> Block {
    let mut block = [b'a'; BLOCK + 1];
    if let Some(all) = target.first_chunk::<BLOCK>() {
        block[..BLOCK].copy_from_slice(all);
    } else if let (Some(first), Some(last)) = (target.first_chunk::<8>(), target.last_chunk::<8>())
    {
        block[..8].copy_from_slice(first);
        block[BLOCK + 1 - 8..].copy_from_slice(last);
    } else {
        let letters = u64::from_le_bytes([b'a'; 8]) << (8 * target.len());
        block[..8].copy_from_slice(&(word(target) | letters).to_le_bytes());
    }
    block
}

/// Returns at most 8 bytes as a number. The first byte is the lowest, and missing bytes are 0.
#[inline]
pub(crate) fn word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let last = u64::from(u32::from_le_bytes(*last));
        return u64::from(u32::from_le_bytes(*first)) | last << (8 * (bytes.len() - 4));
    }
    match *bytes {
        [a, b, c, ..] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a] => u64::from(a),
        [] => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::walk;
    use super::*;

    /// Returns the length of a path that is normal and not ambiguous by [`walk`].
    fn slowly(target: &[u8]) -> Option<usize> {
        let path = target.split(|b| *b == b'?').next()?;
        let mut normal = Vec::new();
        let ambiguous = walk(path, |byte| normal.push(byte)).ok()?;
        let fits = path.first() == Some(&b'/') && path.len() <= MAX_LEN;
        (fits && !ambiguous && normal == path).then_some(path.len())
    }

    #[test]
    fn the_fast_checks_agree_with_the_full_check() {
        let long = b"/a-segment/another.one/and/a-third~of_them/99";
        let (mut clean, mut encoded) = (0, 0);
        for len in 0..=long.len() {
            for at in 0..=len {
                for byte in 0..=255u8 {
                    for text in [vec![byte], format!("%{byte:02X}").into_bytes()] {
                        let target = [&long[..at], &text, &long[at..len]].concat();
                        let want = slowly(&target);
                        for (got, count) in [
                            (clean_len(&target), &mut clean),
                            (encoded_len(&target), &mut encoded),
                        ] {
                            *count += usize::from(got.is_some());
                            let shown = target.escape_ascii();
                            assert!(got.is_none() || got == want, "{shown}: {got:?} {want:?}");
                        }
                    }
                }
            }
        }
        // Most normal paths are found by a fast check; no byte above 0x7F is alone.
        assert!(clean > 60_000 && encoded > 95_000, "{clean} {encoded}");
    }

    #[test]
    fn a_fast_check_accepts_exactly_the_paths_whose_encoded_characters_are_utf8() {
        let long = b"/a-segment/another.one/and/a-third~of_them/99";
        let mut found = 0;
        for text in [
            "%C3%A9",
            "%E2%82%AC",
            "%F0%9F%98%80",
            "%C3%A9%C3%A9",
            "%C3",
            "%C3x",
            "%E2%82",
            "%80",
            "%ED%A0%80",
            "%E0%80%AF",
            "%F4%90%80%80",
            "%C3%a9",
            "%C0%AF",
            "%F5",
            "%A9%C3",
        ] {
            for len in 17..=long.len() {
                for at in 1..=len {
                    let target = [&long[..at], text.as_bytes(), &long[at..len]].concat();
                    let (got, want) = (encoded_len(&target), slowly(&target));
                    assert_eq!(got, want, "{}", target.escape_ascii());
                    found += usize::from(got.is_some());
                }
            }
        }
        assert_eq!(
            found,
            4 * (17..=long.len()).sum::<usize>(),
            "all of the first four"
        );
    }
}
