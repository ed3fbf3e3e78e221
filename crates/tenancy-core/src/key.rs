//! [`Key`], a canonical name of up to 30 bytes in four words, and the word tricks
//! that load it straight from a request.

use crate::catalog::TenantKey;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u64; 4]);

impl Key {
    /// The key of `name` in lower case; `None` when it is too long. Nothing is
    /// validated: a name that was registered is valid, so a key that is found is.
    #[inline]
    pub(crate) fn load(kind: Kind, name: &[u8]) -> Option<Self> {
        if name.len() > MAX_SHORT {
            return None;
        }
        let mut bytes = [0; 32];
        bytes[..name.len()].copy_from_slice(name);
        let mut words = words(&bytes).map(lower);
        words[3] |= (name.len() as u64) << 48 | (kind as u64) << 56;
        Some(Self(words))
    }

    pub(crate) fn of(name: TenantKey<'_>) -> Option<Self> {
        let (kind, text) = parts(name);
        Self::load(kind, text.as_bytes())
    }

    pub(crate) fn words(&self) -> [u64; 4] {
        self.0
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

#[inline]
fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let (chunks, _) = bytes.as_chunks::<8>();
    [0, 1, 2, 3].map(|at| u64::from_le_bytes(chunks[at]))
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

/// The last 16 bytes in lower case, zeros before a shorter text.
#[inline]
pub(crate) fn tail(text: &[u8]) -> [u64; 2] {
    let mut bytes = [0; 16];
    match text.last_chunk::<16>() {
        Some(last) => bytes = *last,
        None => bytes[16 - text.len()..].copy_from_slice(text),
    }
    let (chunks, _) = bytes.as_chunks::<8>();
    [0, 1].map(|at| lower(u64::from_le_bytes(chunks[at])))
}

/// A lower-case text that others are compared with from their ends, two words
/// first.
#[derive(Debug, Clone)]
pub(crate) struct Suffix {
    text: Box<[u8]>,
    tail: [u64; 2],
    mask: [u64; 2],
}

impl Suffix {
    pub(crate) fn new(text: &str) -> Self {
        let text: Box<[u8]> = text.to_ascii_lowercase().into_bytes().into();
        let mut ones = [0; 16];
        ones[16 - text.len().min(16)..].fill(0xff);
        let (chunks, _) = ones.as_chunks::<8>();
        Self {
            tail: tail(&text),
            mask: [0, 1].map(|at| u64::from_le_bytes(chunks[at])),
            text,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Does `host`, whose tail is `tail`, end with this, without case?
    #[inline]
    pub(crate) fn ends(&self, host: &[u8], tail: [u64; 2]) -> bool {
        (tail[1] & self.mask[1]) == self.tail[1]
            && (tail[0] & self.mask[0]) == self.tail[0]
            && host.len() >= self.text.len()
            && (self.text.len() <= 16 || self.ends_slowly(host))
    }

    #[inline(never)]
    fn ends_slowly(&self, host: &[u8]) -> bool {
        host[host.len() - self.text.len()..].eq_ignore_ascii_case(&self.text)
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
            ".a-long-base-domain.example.com",
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
