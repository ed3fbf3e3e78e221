//! The grammars of the routing rules, written a second time: plain loops over bytes that share
//! nothing with the library.

/// 1–63 of `a-z`, `0-9` and inner hyphens.
pub fn is_label(bytes: &[u8]) -> bool {
    let alphabet = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(alphabet)
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}
