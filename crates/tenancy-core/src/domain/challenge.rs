//! [`Challenge`]: the proof that a domain belongs to a tenant.

/// The value of the TXT record by which a tenant proves that it owns a domain. It is random for
/// each claim. The catalog stores it with the tenant and the domain.
///
/// ```
/// use tenancy_core::Challenge;
/// let challenge = Challenge::new()?;
/// assert!(challenge.as_str().starts_with("tenancy-verify="));
/// assert!(challenge.is_met_by(challenge.as_str()));
/// assert!(!challenge.is_met_by(Challenge::new()?.as_str()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(Box<str>);

impl Challenge {
    /// Makes a challenge of 128 random bits.
    ///
    /// # Errors
    /// Returns an error if the operating system cannot supply random bytes.
    pub fn new() -> std::io::Result<Self> {
        let mut random = [0; 16];
        let got = rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())?;
        if got != random.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let hex = u128::from_be_bytes(random);
        Ok(Self(format!("tenancy-verify={hex:032x}").into()))
    }

    /// Returns the challenge that a catalog has stored as this text.
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Returns the value of the TXT record.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a TXT record with this value proves the claim.
    pub fn is_met_by(&self, txt: &str) -> bool {
        !self.0.is_empty() && *self.0 == *txt
    }
}
