//! How the tests account for every line of a file from outside the project.

use std::collections::BTreeMap;

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

    pub fn deviates(&mut self, reason: &'static str) {
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
