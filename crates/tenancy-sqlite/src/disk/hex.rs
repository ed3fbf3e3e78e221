//! Bytes and random bytes as lower-case hexadecimal text.

use std::io;

use crate::error::IoError;

/// Returns `N` random bytes in lower-case hex.
pub(crate) fn random_hex<const N: usize>() -> Result<String, IoError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| IoError::new("random bytes", "drawn", io::Error::other(e)))?;
    Ok(hex(&bytes))
}

/// Returns bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
