//! The quick way: is this path normal as it stands?

use super::NormalPath;

/// How many bytes of `target` its path has, when that is normal as it stands and
/// not ambiguous. `None` says nothing yet: the slow way looks again.
#[inline]
pub(super) fn clean_len(target: &[u8]) -> Option<usize> {
    if target.first() != Some(&b'/') {
        return None;
    }
    if any_odd(target) {
        return len_before_query(target);
    }
    (target.len() <= NormalPath::MAX_LEN).then_some(target.len())
}

/// Bytes that a vector holds.
const BLOCK: usize = 16;
/// A block and the byte before it.
type Block = [u8; BLOCK + 1];
/// For each byte of a block, is it odd? All ones if it is, else zero.
type Marks = [u8; BLOCK];

/// Is there a byte that the quick way does not answer for?
#[inline]
fn any_odd(target: &[u8]) -> bool {
    // The two blocks overlap unless there are 33 bytes.
    match (target.first_chunk(), target.last_chunk()) {
        (Some(first), Some(last)) if target.len() <= 2 * BLOCK + 1 => any(mark_two(first, last)),
        (Some(_), _) => any_odd_in_long(target),
        (None, _) => any(mark(&short(target))),
    }
}

#[inline(never)]
fn any_odd_in_long(target: &[u8]) -> bool {
    let mut rest = target;
    while let (Some(first), Some(second)) = (
        rest.first_chunk(),
        rest.get(BLOCK..).and_then(|rest| rest.first_chunk()),
    ) {
        if any(mark_two(first, second)) {
            return true;
        }
        rest = &rest[2 * BLOCK..];
    }
    let (first, last) = (rest.first_chunk(), target.last_chunk());
    let last = last.expect("a long target has a block");
    any(mark_two(first.unwrap_or(last), last))
}

/// [`clean_len`] of a target with an odd byte: that may be its `?`.
#[inline(never)]
fn len_before_query(target: &[u8]) -> Option<usize> {
    let mut start = 0;
    let at = loop {
        let rest = &target[start..];
        // What fills a block up is odd, so that this ends.
        let marks = match rest.first_chunk() {
            Some(block) => mark(block),
            None => {
                let mut block = [0; BLOCK + 1];
                block[..rest.len()].copy_from_slice(rest);
                mark(&block)
            }
        };
        match u128::from_le_bytes(marks) {
            0 => start += BLOCK,
            marks => break start + 1 + marks.trailing_zeros() as usize / 8,
        }
    };
    (at <= NormalPath::MAX_LEN && target.get(at) == Some(&b'?')).then_some(at)
}

// The two functions below are without branches and not inlined, so that each
// compiles to 20 vector instructions a block; together with what looks at their
// result they would be taken apart into ten times as many.

#[inline(never)]
fn mark(block: &Block) -> Marks {
    let mut marks = [0; BLOCK];
    for i in 0..BLOCK {
        marks[i] = u8::from(is_odd(block[i], block[i + 1])).wrapping_neg();
    }
    marks
}

/// Which places are odd in either.
#[inline(never)]
fn mark_two(a: &Block, b: &Block) -> Marks {
    let mut marks = [0; BLOCK];
    for i in 0..BLOCK {
        let odd = is_odd(a[i], a[i + 1]) | is_odd(b[i], b[i + 1]);
        marks[i] = u8::from(odd).wrapping_neg();
    }
    marks
}

/// Odd are all bytes that a path cannot have, `?`, `;`, `%`, a `/` or `.` behind a
/// `/`, and for the sake of one comparison the rare `!"$&'`.
#[inline(always)]
fn is_odd(before: u8, byte: u8) -> bool {
    let outside = byte.wrapping_sub(b'(') > b'~' - b'(';
    let cut = byte | 4 == b'?' || byte == b'\\'; // `;` is `?` without that bit
    let segment = before == b'/' && byte | 1 == b'/'; // and `.` is `/` without this
    outside | cut | segment
}

#[inline(always)]
fn any(marks: Marks) -> bool {
    u128::from_le_bytes(marks) != 0
}

/// All bytes of a target of at most 16, each behind the one before it or behind a
/// letter, filled up with letters. The first byte is a `/`.
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

/// At most 8 bytes as a number, the first lowest, filled up with zeros.
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
