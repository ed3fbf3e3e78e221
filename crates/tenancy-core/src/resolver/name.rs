//! [`NameBuf`]: a name in a request.

use crate::catalog::TenantKey;
use crate::host;
use crate::id::check_label;
use crate::key::Kind;

/// A canonical name that is stored inline, without an allocation.
#[derive(Clone, Copy)]
pub(super) struct NameBuf {
    kind: Kind,
    len: usize,
    bytes: [u8; host::MAX_HOST],
}

impl NameBuf {
    /// Returns `text` in lower case, or `None` if it is no name of this kind.
    pub(super) fn lower(kind: Kind, text: &[u8]) -> Option<Self> {
        let mut name = Self {
            kind,
            len: text.len(),
            bytes: [0; host::MAX_HOST],
        };
        let bytes = name.bytes.get_mut(..text.len())?;
        bytes.copy_from_slice(text);
        bytes.make_ascii_lowercase();
        let valid = match kind {
            Kind::Label => check_label(bytes).is_ok(),
            Kind::Domain => bytes.first() != Some(&b'[') && host::check(bytes).is_ok(),
        };
        valid.then_some(name)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn as_key(&self) -> TenantKey<'_> {
        let text = std::str::from_utf8(self.as_bytes()).expect("a checked name is ASCII");
        match self.kind {
            Kind::Label => TenantKey::Label(text),
            Kind::Domain => TenantKey::Domain(text),
        }
    }
}

impl PartialEq for NameBuf {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.as_bytes() == other.as_bytes()
    }
}
