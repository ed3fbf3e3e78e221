//! What the tests share: data from outside the project, and seeded randomness.

use std::path::PathBuf;

/// A file of `../shared/`, or `None` with a word about it. A clone of the project
/// alone has none; with `TENANCY_CORPORA=required` that is a failure.
#[track_caller]
pub fn shared(file: &str) -> Option<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    match std::fs::read(root.join(file)) {
        Ok(bytes) => Some(bytes),
        Err(error) if std::env::var("TENANCY_CORPORA").as_deref() == Ok("required") => {
            panic!("../shared/{file} is required and cannot be read: {error}")
        }
        Err(_) => {
            println!("left out: ../shared/{file} is not there");
            None
        }
    }
}

/// The lines of a file of `../shared/`, as [`shared`]. Bytes that are no UTF-8
/// become U+FFFD.
#[track_caller]
pub fn shared_lines(file: &str) -> Option<Vec<String>> {
    let bytes = shared(file)?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.lines().map(str::to_owned).collect())
}

/// The JSON lines of a file of `../shared/`, as [`shared`].
#[track_caller]
pub fn shared_rows(file: &str) -> Option<Vec<serde_json::Value>> {
    let row = |line: String| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    Some(shared_lines(file)?.into_iter().map(row).collect())
}

/// Splitmix64: small, seeded, the same on every machine.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    #[track_caller]
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// The number in this environment variable, or `default`.
#[track_caller]
pub fn env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}
