//! [`Maintenance`]: a tenant that is down for a while, and the secret that lets testers in.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// What visitors of a tenant in maintenance are told, and who is let in all the same.
///
/// ```
/// use tenancy_core::{Maintenance, Secret};
/// let mut down = Maintenance::default();
/// assert!(!down.admits(b""));
/// down.secret = Some(Secret::new("let me in"));
/// assert!(down.admits(b"let me in"));
/// assert!(!down.admits(b"let me in "));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintenance {
    /// When to try again (HTTP `Retry-After`).
    pub retry_after: Option<Duration>,
    /// A sentence for the page.
    pub message: Option<Box<str>>,
    /// Requests that bring this secret are let in by the adapter; see [`admits`](Self::admits).
    pub secret: Option<Secret>,
}

impl Maintenance {
    /// Whether requests that bring this word are let in. Takes the same time for every wrong
    /// word of one length. The empty word is never let in.
    pub fn admits(&self, word: &[u8]) -> bool {
        self.secret.as_ref().is_some_and(|secret| secret.is(word))
    }
}

/// The SHA-256 hash of a secret; the secret itself is not kept.
///
/// Choose a long random one: a short word can be found from its hash by trying.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Hashes a secret.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Returns the secret of this hash, as a catalog stored it.
    pub fn from_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Returns the hash, for a catalog to store.
    pub fn hash(&self) -> &[u8; 32] {
        &self.0
    }

    fn is(&self, word: &[u8]) -> bool {
        let own = Self::new(word).0;
        let differing = own.iter().zip(&self.0).fold(0, |d, (a, b)| d | (a ^ b));
        // An unset secret that was hashed all the same opens no door.
        !word.is_empty() && std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even the hash is shown: it can be tried against.
        f.write_str("Secret(…)")
    }
}
