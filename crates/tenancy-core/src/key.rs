//! [`Key`], a canonical name of up to 30 bytes in four words, and the word tricks
//! that load it straight from a request.

use std::hash::{Hash, Hasher};

use crate::catalog::TenantKey;
use crate::path::word;

/// The longest name that fits; longer ones take a side path.
pub(crate) const MAX_SHORT: usize = 30;

/// Which table a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Label = 1,
    Domain = 2,
}

/// A canonical name: its bytes padded with zeros, then its length, then its kind.
/// Four words, so that loading, comparing and hashing never loop over bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u64; 4]);

impl Hash for Key {
    /// As two numbers, not as an array: a hasher takes an array for a slice of bytes
    /// of some length, which costs three times as many instructions.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d] = self.0.map(u128::from);
        state.write_u128(a | b << 64);
        state.write_u128(c | d << 64);
    }
}

impl Key {
    /// The key of `name` in lower case; `None` when it is too long. Nothing is
    /// validated: a name that was registered is valid, so a key that is found is.
    #[inline]
    pub(crate) fn load(kind: Kind, name: &[u8]) -> Option<Self> {
        let (first, rest) = match (name.first_chunk(), name.last_chunk()) {
            // The last 16 bytes, without those that are among the first 16.
            (Some(first), Some(last)) if name.len() <= MAX_SHORT => {
                let rest = u128::from_le_bytes(*last) >> (8 * (31 - name.len())) >> 8;
                (lower_two(u128::from_le_bytes(*first)), lower_two(rest))
            }
            (Some(_), _) => return None,
            (None, _) => (lower_two(short(name)), [0, 0]),
        };
        let len_and_kind = (name.len() as u64) << 48 | (kind as u64) << 56;
        Some(Self([first[0], first[1], rest[0], rest[1] | len_and_kind]))
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

    /// The name, written into `buffer`.
    pub(crate) fn text<'b>(&self, buffer: &'b mut [u8; 32]) -> &'b [u8] {
        for (chunk, word) in buffer.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        &buffer[..usize::from(buffer[MAX_SHORT]).min(MAX_SHORT)]
    }
}

/// The table and the text of a name.
pub(crate) fn parts(name: TenantKey<'_>) -> (Kind, &str) {
    match name {
        TenantKey::Label(text) => (Kind::Label, text),
        TenantKey::Domain(text) => (Kind::Domain, text),
    }
}

/// Eight bytes, the first lowest.
#[inline(always)]
fn word_of(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Eight bytes with `A`–`Z` made lower case and every other byte kept.
#[inline]
pub(crate) fn lower(word: u64) -> u64 {
    let low = word & !HIGH;
    // A byte's high bit is set where it is >= 'A' and not > 'Z', and ASCII.
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let above_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    let upper = (from_a ^ above_z) & !word & HIGH;
    word | upper >> 2
}

/// Is there a dot?
#[inline]
pub(crate) fn has_dot(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<8>();
    let whole = chunks.iter().fold(0, |marks, c| marks | dots(word_of(c)));
    let last = match text.last_chunk() {
        _ if rest.is_empty() => 0,
        Some(last) => word_of(last),
        None => word(text),
    };
    whole | dots(last) != 0
}

/// Not zero if one of eight bytes is a dot: the classic test for a zero byte.
#[inline(always)]
fn dots(word: u64) -> u64 {
    let zero = word ^ (ONES * b'.' as u64);
    zero.wrapping_sub(ONES) & !zero & HIGH
}

/// The last 16 bytes in lower case, zeros before a shorter text.
#[inline]
pub(crate) fn tail(text: &[u8]) -> [u64; 2] {
    lower_two(match text.last_chunk() {
        Some(last) => u128::from_le_bytes(*last),
        None => short(text) << (8 * (15 - text.len())) << 8,
    })
}

#[inline]
fn lower_two(words: u128) -> [u64; 2] {
    [lower(words as u64), lower((words >> 64) as u64)]
}

/// At most 15 bytes as a number, the first lowest, filled up with zeros: from two
/// reads that overlap, where both have the same bytes, so that nothing is copied.
#[inline]
fn short(text: &[u8]) -> u128 {
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            let last = u128::from(word_of(last)) << (8 * (text.len() - 8));
            u128::from(word_of(first)) | last
        }
        _ => u128::from(word(text)),
    }
}

/// A lower-case text that others are compared with from their ends, two words
/// first.
#[derive(Debug, Clone)]
pub(crate) struct Suffix {
    text: Box<[u8]>,
    tail: [u64; 2],
    mask: [u64; 2],
    /// The first 16 bytes of a text that has more.
    head: [u64; 2],
}

impl Suffix {
    pub(crate) fn new(text: &str) -> Self {
        let text: Box<[u8]> = text.to_ascii_lowercase().into_bytes().into();
        let mut ones = [0; 16];
        ones[16 - text.len().min(16)..].fill(0xff);
        let (chunks, _) = ones.as_chunks::<8>();
        Self {
            tail: tail(&text),
            head: text.first_chunk::<16>().map_or([0; 2], |first| tail(first)),
            mask: [0, 1].map(|at| u64::from_le_bytes(chunks[at])),
            text,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Does `host`, whose tail is `tail`, end with this, without case?
    #[inline]
    pub(crate) fn ends(&self, host: &[u8], tail: [u64; 2]) -> bool {
        (tail[1] & self.mask[1]) == self.tail[1]
            && (tail[0] & self.mask[0]) == self.tail[0]
            && host.len() >= self.text.len()
            && (self.text.len() <= 16 || self.ends_slowly(host))
    }

    /// What is before the last 16 bytes, which are equal: of a text of up to 32 bytes
    /// it is among the first 16.
    #[inline(never)]
    fn ends_slowly(&self, host: &[u8]) -> bool {
        let end = &host[host.len() - self.text.len()..];
        end.first_chunk::<16>().map(|first| tail(first)) == Some(self.head)
            && (self.text.len() <= 32 || end.eq_ignore_ascii_case(&self.text))
    }

    /// Is `host` this, without case?
    #[inline]
    pub(crate) fn is(&self, host: &[u8], tail: [u64; 2]) -> bool {
        host.len() == self.text.len() && self.ends(host, tail)
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
            // Something else stands behind the name, as in a request.
            let key = Key::load(Kind::Domain, &name[..len]).expect("short");
            let mut buffer = [0; 32];
            let want = name[..len].to_ascii_lowercase();
            assert_eq!(key.text(&mut buffer), want, "{len} bytes");
        }
    }

    #[test]
    fn a_tail_is_the_last_16_bytes_behind_zeros() {
        let text = b"ABCDEFGHijklmnopQRSTUVWX";
        for len in 0..=text.len() {
            let text = &text[..len];
            let mut want = [0; 16];
            for (to, from) in want.iter_mut().rev().zip(text.iter().rev()) {
                *to = from.to_ascii_lowercase();
            }
            let got = tail(text).map(u64::to_le_bytes).concat();
            assert_eq!(got, want, "{len} bytes");
        }
    }

    #[test]
    fn a_dot_is_found_wherever_it_stands_and_nothing_else_is() {
        for len in 0..40 {
            for other in [b'a', b'-', b'/', b'.' | 0x80, 0, 0xff] {
                let mut text = vec![other; len];
                assert!(!has_dot(&text), "{len} bytes of {other:#x}");
                for at in 0..len {
                    text[at] = b'.';
                    assert!(has_dot(&text), "{other:#x}, a dot at {at} of {len}");
                    text[at] = other;
                }
            }
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
    fn a_suffix_is_found_at_the_end_whatever_the_case() {
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
                assert_eq!(wanted.ends(host, tail(host)), ends, "{suffix} {host:?}");
            }
        }
    }
}
