//! [`Maintenance`] of a tenant, and the [`Secret`] by which testers bypass it.

use std::fmt;
use std::time::Duration;

use hmac_sha256::Hash;

/// The maintenance of a tenant: the parts of the answer to its visitors, and the secret by which
/// testers bypass the maintenance.
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
    /// The time after which visitors should try again (HTTP `Retry-After`).
    pub retry_after: Option<Duration>,
    /// A sentence for visitors.
    pub message: Option<Box<str>>,
    /// The secret by which a request is served during the maintenance; see
    /// [`admits`](Self::admits).
    pub secret: Option<Secret>,
}

impl Maintenance {
    /// Returns whether a request that brings this word is served. A call takes the same time for
    /// all wrong words of the same length. The empty word is always refused.
    pub fn admits(&self, word: &[u8]) -> bool {
        self.secret.as_ref().is_some_and(|secret| secret.is(word))
    }
}

/// The SHA-256 hash of a secret. The secret itself is not stored.
///
/// Choose a long random secret: a short word can be found by hashing many words.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Hashes a secret.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        Self(Hash::hash(secret.as_ref()))
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
        // The hash of an unset secret admits no request.
        !word.is_empty() && std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The hash is not shown, as it is enough to test guesses.
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    /// Catalogs hold hashes that other programs and versions made.
    #[test]
    fn the_hash_of_a_secret_of_any_length_is_its_sha_256() {
        let text = [b"a secret of some length".as_slice(); 16].concat();
        for len in 0..text.len() {
            let want: [u8; 32] = sha2::Sha256::digest(&text[..len]).into();
            assert_eq!(Secret::new(&text[..len]).hash(), &want, "{len} bytes");
        }
    }
}
