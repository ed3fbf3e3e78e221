//! How the tests account for every line of a file from outside the project.

use std::collections::BTreeMap;

/// Every reason that there is for a row to come out otherwise than its source says: a
/// new one has to be argued here.
const REASONS: [&str; 36] = [
    // A host of a request is not what a URL takes for one.
    "the row's authority is cut at white space that a URL drops",
    "userinfo is no part of a Host",
    "percent-encoding is no part of a Host",
    "not ASCII: browsers and DNS send A-labels",
    "empty, or an empty label",
    "a bare IPv6 address stands in brackets in a Host",
    "a port may be empty",
    "numbers are a plain name, never read as an address",
    "only letters, digits and inner hyphens stand in a label",
    "cannot be registered by UTS46, so nobody has it",
    // A domain is registered strictly.
    "a final dot, or an empty label",
    "a label over 63 bytes, or a name over 253",
    "a character that no host has, `_` too (STD3)",
    "an A-label of no valid name, which browsers take as it comes",
    "a hyphen first or last in a label",
    "hyphens third and fourth in a label",
    "both are refused",
    "one is refused",
    "two names: UTS46 keeps ß and the final sigma",
    // Public suffixes.
    "a comment or empty, no rule",
    "a comment or empty, no test",
    "a null name: no text",
    "a leading dot is no domain",
    "a suffix by the implicit rule alone",
    // A path has one spelling, or is refused.
    "cut at its ?",
    "normal: another percent-encoding",
    "normal: // merged",
    "normal: another percent-encoding, // merged",
    "refused: a byte that no path has",
    "refused: % without two hex digits",
    "refused: an encoded slash, backslash or control",
    "refused: a dot segment",
    "refused: a byte that UTF-8 never has",
    "refused: nothing before a ;",
    "refused: no leading slash",
    "refused: longer than 8192 bytes",
];

/// Rows that came out as the source says, and those that did not, by reason.
pub struct Tally {
    file: &'static str,
    equal: usize,
    deviating: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn of(file: &'static str) -> Self {
        Self {
            file,
            equal: 0,
            deviating: BTreeMap::new(),
        }
    }

    pub fn equal(&mut self) {
        self.equal += 1;
    }

    #[track_caller]
    pub fn deviates(&mut self, reason: &'static str) {
        assert!(REASONS.contains(&reason), "{}: {reason}", self.file);
        *self.deviating.entry(reason).or_default() += 1;
    }

    /// Prints it all; every one of these rows has to stand in it once.
    #[track_caller]
    pub fn report(self, rows: usize) {
        let Self {
            file,
            equal,
            deviating,
        } = self;
        println!("{file}: {rows} rows, {equal} equal");
        for (reason, count) in &deviating {
            println!("  {count} deviating: {reason}");
        }
        assert_eq!(equal + deviating.values().sum::<usize>(), rows, "{file}");
    }
}
