//! Without feature `idn`: domains in ASCII. A-labels are not checked.

use crate::host::MAX_HOST;
use crate::id::check_label;

/// The problem of a text that is refused, but breaks no rule that has a message.
pub(super) const REFUSED: &str =
    "is not ASCII; write its A-labels (xn--…), or build with feature idn";

/// Returns the name in lower case.
pub(super) fn to_ascii(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let valid = lower
        .split('.')
        .all(|label| check_label(label.as_bytes()).is_ok());
    (valid && lower.len() <= MAX_HOST).then_some(lower)
}

/// Accepts every name, as only `idna` has the tables for this check.
pub(super) fn check(_ascii: &str) -> Result<(), &'static str> {
    Ok(())
}
