//! [`Key`]: a canonical name of up to 30 bytes in four words, which is loaded from a request
//! without a loop over its bytes.

use std::hash::{Hash, Hasher};

use crate::catalog::TenantKey;
use crate::path::word;

/// The bound on the bytes of a name in a key. Longer names are looked up in another table.
pub(crate) const MAX_SHORT: usize = 30;

/// The table that a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Label = 1,
    Domain = 2,
}

/// A canonical name: its bytes padded with zeros, then its length, then its kind.
/// Four words, so that loading, comparing and hashing never loop over bytes.
#[derive(Debug, Clone, Copy, Eq)]
pub(crate) struct Key([u64; 4]);

impl PartialEq for Key {
    /// Compares word by word: a comparison of arrays would write all words to memory.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
    }
}

impl Hash for Key {
    /// Hashes two numbers instead of an array. A hasher reads an array as a slice of bytes, which
    /// takes three times as many instructions.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Neither this function nor `load` uses `map` of an array: without LTO it is not inlined,
        // and takes a hundred instructions.
        let [a, b, c, d] = self.0;
        state.write_u128(u128::from(a) | u128::from(b) << 64);
        state.write_u128(u128::from(c) | u128::from(d) << 64);
    }
}

impl Key {
    /// Returns the key of `name` in lower case, or `None` if the name is too long. The name is not
    /// checked: the index holds only valid names, so a name that is found there is valid.
    #[inline(always)]
    pub(crate) fn load(kind: Kind, name: &[u8]) -> Option<Self> {
        let (whole, rest) = name.as_chunks::<8>();
        let Some(last) = name.last_chunk().map(word_of) else {
            return Some(Self::pack(kind, name.len(), [lower(word(name)), 0, 0, 0]));
        };
        // The bytes after the whole words.
        let end = last >> (8 * (7 - rest.len() as u32)) >> 8;
        let (words, all) = match *whole {
            [a] => ([word_of(&a), end, 0, 0], word_of(&a)),
            [a, b] => {
                let (a, b) = (word_of(&a), word_of(&b));
                ([a, b, end, 0], a & b)
            }
            [a, b, c] if name.len() <= MAX_SHORT => {
                let (a, b, c) = (word_of(&a), word_of(&b), word_of(&c));
                ([a, b, c, end], a & b & c)
            }
            _ => return None,
        };
        // A byte with bit 5 is no upper-case letter.
        let words = match all & last & BIT_5 == BIT_5 {
            true => words,
            false => {
                let [a, b, c, d] = words;
                let rest = if c == 0 { [c, d] } else { [lower(c), lower(d)] };
                [lower(a), lower(b), rest[0], rest[1]]
            }
        };
        Some(Self::pack(kind, name.len(), words))
    }

    #[inline(always)]
    fn pack(kind: Kind, len: usize, [a, b, c, d]: [u64; 4]) -> Self {
        Self([a, b, c, d | (len as u64) << 48 | (kind as u64) << 56])
    }

    /// Returns a copy that is stored elsewhere; see [`hot`](crate::resolver).
    #[inline(always)]
    pub(crate) fn again(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([a, b, c, d])
    }

    pub(crate) fn of(name: TenantKey<'_>) -> Option<Self> {
        let (kind, text) = parts(name);
        Self::load(kind, text.as_bytes())
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.0[3] >> 56 {
            1 => Kind::Label,
            _ => Kind::Domain,
        }
    }

    /// Writes the name into `buffer`.
    pub(crate) fn text<'b>(&self, buffer: &'b mut [u8; 32]) -> &'b [u8] {
        for (chunk, word) in buffer.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        &buffer[..usize::from(buffer[MAX_SHORT]).min(MAX_SHORT)]
    }
}

/// Returns the table and the text of a name.
pub(crate) fn parts(name: TenantKey<'_>) -> (Kind, &str) {
    match name {
        TenantKey::Label(text) => (Kind::Label, text),
        TenantKey::Domain(text) => (Kind::Domain, text),
    }
}

/// Returns eight bytes as a word whose lowest byte is the first.
#[inline(always)]
fn word_of(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const BIT_5: u64 = 0x2020_2020_2020_2020;

/// Returns eight bytes with `A`–`Z` in lower case.
// It is not inlined, so that the words of a key stay in registers. One of twenty hosts has an
// upper-case letter.
#[cold]
#[inline(never)]
fn lower(word: u64) -> u64 {
    let low = word & !HIGH;
    // The high bit of a byte of `upper` is set if the byte of `word` is 'A' to 'Z'.
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let above_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    let upper = (from_a ^ above_z) & !word & HIGH;
    word | upper >> 2
}

/// Returns the last eight bytes of a text as a word. A shorter text is filled up with zeros at its
/// front.
#[inline(always)]
pub(crate) fn tail(text: &[u8]) -> u64 {
    match text.last_chunk() {
        Some(last) => word_of(last),
        None => word(text) << (8 * (7 - text.len())) << 8,
    }
}

/// Eight bytes for comparisons with other bytes, without case and without a loop.
#[derive(Debug, Clone, Copy)]
struct Folded {
    /// The bits to set in each byte: bit 5 for a letter, which makes it lower case, and all bits
    /// for a byte that is not compared.
    fold: u64,
    want: u64,
}

impl Folded {
    /// Makes the value for the last eight bytes of `text`, which is in lower case.
    fn new(text: &[u8]) -> Self {
        let (mut fold, mut want) = ([0xff; 8], [0xff; 8]);
        for (at, byte) in text.iter().rev().take(8).enumerate() {
            want[7 - at] = *byte;
            fold[7 - at] = u8::from(byte.is_ascii_lowercase()) << 5;
        }
        Self {
            fold: word_of(&fold),
            want: word_of(&want),
        }
    }

    #[inline(always)]
    fn is(self, word: u64) -> bool {
        word | self.fold == self.want
    }
}

/// A lower-case text that is compared with the ends of other texts.
#[derive(Debug, Clone)]
pub(crate) struct Suffix {
    text: Box<[u8]>,
    /// The last eight bytes.
    tail: Folded,
    /// The eight bytes before the tail.
    middle: Folded,
    /// The first eight bytes, for a text of more than 16 bytes.
    head: Folded,
}

impl Suffix {
    pub(crate) fn new(text: &str) -> Self {
        let text: Box<[u8]> = text.to_ascii_lowercase().into_bytes().into();
        Self {
            tail: Folded::new(&text),
            middle: Folded::new(&text[..text.len().saturating_sub(8)]),
            head: Folded::new(&text[..text.len().min(8)]),
            text,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Returns the part of `host` before this suffix, or `None` if the host does not end with it.
    /// The case is ignored. `tail` is the [`tail`] of the host.
    #[inline(always)]
    pub(crate) fn before<'h>(&self, host: &'h [u8], tail: u64) -> Option<&'h [u8]> {
        // The tail is compared first, as most hosts differ there.
        if !self.tail.is(tail) {
            return None;
        }
        let (before, end) = host.split_at(host.len().checked_sub(self.text.len())?);
        let equal = match host.last_chunk::<16>() {
            Some(last) if end.len() <= 24 => {
                let [middle, head] = [last.first_chunk(), end.first_chunk()];
                middle.is_some_and(|middle| self.middle.is(word_of(middle)))
                    && (end.len() <= 16 || head.is_some_and(|head| self.head.is(word_of(head))))
            }
            _ => self.is_end(end),
        };
        equal.then_some(before)
    }

    #[cold]
    #[inline(never)]
    fn is_end(&self, end: &[u8]) -> bool {
        end.eq_ignore_ascii_case(&self.text)
    }

    /// Returns whether `host` is equal to this text, without case.
    #[inline(always)]
    pub(crate) fn is(&self, host: &[u8], tail: u64) -> bool {
        host.len() == self.text.len() && self.before(host, tail).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_changes_upper_case_letters_and_nothing_else() {
        for byte in 0..=255u8 {
            for beside in [0u8, b'A', b'Z', 0x7f, 0x80, 0xff] {
                let bytes = [beside, byte, beside, byte, byte, beside, byte, beside];
                let want = bytes.map(|b| b.to_ascii_lowercase());
                let got = lower(u64::from_le_bytes(bytes)).to_le_bytes();
                assert_eq!(got, want, "byte {byte:#x} beside {beside:#x}");
            }
        }
    }

    #[test]
    fn a_key_of_any_length_gives_its_name_back_in_lower_case() {
        let name = b"ABCDEFGHijklmnopQRSTUVWXyz-01.";
        for len in 0..=MAX_SHORT {
            // Other bytes follow the name, as in a request.
            let key = Key::load(Kind::Domain, &name[..len]).expect("short");
            let mut buffer = [0; 32];
            let want = name[..len].to_ascii_lowercase();
            assert_eq!(key.text(&mut buffer), want, "{len} bytes");
        }
    }

    #[test]
    fn a_tail_is_the_last_8_bytes_behind_zeros() {
        let text = b"ABCDEFGHijklmnopQRSTUVWX";
        for len in 0..=text.len() {
            let text = &text[..len];
            let mut want = [0; 8];
            for (to, from) in want.iter_mut().rev().zip(text.iter().rev()) {
                *to = *from;
            }
            let got = tail(text).to_le_bytes();
            assert_eq!(got, want, "{len} bytes");
        }
    }

    #[test]
    fn keys_differ_by_kind_and_length() {
        let key = |kind, name: &[u8]| Key::load(kind, name).expect("short");
        assert_eq!(key(Kind::Label, b"ACME"), key(Kind::Label, b"acme"));
        assert_ne!(key(Kind::Label, b"acme"), key(Kind::Domain, b"acme"));
        assert_ne!(key(Kind::Label, b"acme"), key(Kind::Label, b"acme\0"));
        assert!(Key::load(Kind::Label, &[b'a'; 31]).is_none());
        assert!(Key::load(Kind::Label, &[b'a'; 30]).is_some());
    }

    #[test]
    fn a_suffix_is_found_at_the_end_in_any_case() {
        for suffix in [
            ".t",
            ".app.test",
            ".0123456789abcde",
            ".sites.example.net",
            ".a-long-base-domain.example.com",
            ".a-base-domain-of-more-than-32-bytes.example.com",
        ] {
            let wanted = Suffix::new(suffix);
            for (host, ends) in [
                (format!("acme{suffix}"), true),
                (format!("ACME{}", suffix.to_uppercase()), true),
                (suffix.to_string(), true),
                (suffix[1..].to_string(), false),
                (format!("acme{suffix}x"), false),
                (format!("acme{}", suffix.replacen('.', "x", 1)), false),
            ] {
                let host = host.as_bytes();
                assert_eq!(
                    wanted.before(host, tail(host)).is_some(),
                    ends,
                    "{suffix} {host:?}"
                );
            }
        }
    }
}
