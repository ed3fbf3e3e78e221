//! Feature `idn`: domains in Unicode, by strict UTS46 processing.

use std::borrow::Cow;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// The problem of a text that is refused, but breaks no rule that has a message.
pub(super) const REFUSED: &str = "is no host name by the strict rules of UTS46";

/// The last character that a name can have (CJK extension J, Unicode 17). All later characters are
/// unassigned, or ignored by UTS46. They are refused here, as the tables of `idna` 1.1 accept some
/// of them (U+3D000 to U+3FC3F).
const LAST_ASSIGNED: char = '\u{33479}';

/// Returns a name with its labels as A-labels. ASCII labels may have hyphens at places 3 and 4.
pub(super) fn to_ascii(text: &str) -> Option<String> {
    let (deny, hyphens) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    let ascii = Uts46::new().to_ascii(text.as_bytes(), deny, hyphens, DnsLength::Verify);
    ascii.ok().map(Cow::into_owned)
}

/// Checks the Unicode labels that the A-labels of a name encode.
pub(super) fn check(ascii: &str) -> Result<(), &'static str> {
    let (unicode, result) = idna::domain_to_unicode(ascii);
    let back = result.ok().and_then(|()| to_ascii(&unicode));
    if back.as_deref() != Some(ascii) {
        return Err("does not survive the way to Unicode and back");
    }
    let unexpected = |label: &str| !label.is_ascii() && has_hyphens_3_and_4(label);
    if unicode.split('.').any(unexpected) {
        return Err("has hyphens at places 3 and 4 of a label that is not ASCII");
    }
    if unicode.chars().any(|c| c > LAST_ASSIGNED) {
        return Err("has a character that Unicode has not assigned");
    }
    Ok(())
}

fn has_hyphens_3_and_4(label: &str) -> bool {
    let mut third = label.chars().skip(2);
    third.next() == Some('-') && third.next() == Some('-')
}
