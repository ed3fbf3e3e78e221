//! The errors of a config file.

use std::io;
use std::path::{Path, PathBuf};

use tenancy_core::{InvalidResolver, InvalidRule, RuleKind};

/// A config that cannot be used: the file, the key, the fault and its cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: the config cannot be read; write one with `tenancy init`, or name another", file.display())]
    Unreadable {
        /// The config file.
        file: PathBuf,
        /// The cause of the failure.
        source: io::Error,
    },
    /// The text is no TOML, or a value does not fit its key.
    #[error("{} line {line} ({text}): {problem}", file.display())]
    Value {
        /// The config file.
        file: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The text of the line, at most 60 bytes.
        text: Box<str>,
        /// The fault in the line, in words.
        problem: Box<str>,
    },
    /// There is no such key.
    #[error("{}: key {key} is not known; the nearest known key is {nearest}", file.display())]
    UnknownKey {
        /// The config file.
        file: PathBuf,
        /// The key, with its table.
        key: String,
        /// The known key that resembles it most.
        nearest: String,
    },
    /// A parameter is given for a rule that is not switched on.
    #[error(
        "{}: resolve.{key} is for rule {:?}, which resolve.rules does not list; list it, or remove {key}",
        file.display(), rule.as_str()
    )]
    RuleNotListed {
        /// The config file.
        file: PathBuf,
        /// The key of the parameter.
        key: &'static str,
        /// The rule that the parameter belongs to.
        rule: RuleKind,
    },
    /// A rule is listed without its parameter.
    #[error(
        "{}: resolve.rules lists {:?}, which needs resolve.{key}; set it, or remove the rule",
        file.display(), rule.as_str()
    )]
    NoParameter {
        /// The config file.
        file: PathBuf,
        /// The key of the parameter.
        key: &'static str,
        /// The rule without a parameter.
        rule: RuleKind,
    },
    /// `origin = false` stands beside a list of rules with `"origin"` in it.
    #[error(
        "{}: resolve.origin is false and resolve.rules lists \"origin\"; remove one of them",
        file.display()
    )]
    OriginOff {
        /// The config file.
        file: PathBuf,
    },
    /// A `[[path]]` table is no valid rule.
    #[error("{}: a [[path]] is no rule; see the cause", file.display())]
    Path {
        /// The config file.
        file: PathBuf,
        /// The cause of the failure.
        source: InvalidRule,
    },
    /// The keys of `[resolve]` contradict each other.
    #[error("{}: [resolve] makes no resolver; see the cause", file.display())]
    Resolve {
        /// The config file.
        file: PathBuf,
        /// The cause of the failure.
        source: InvalidResolver,
    },
}

impl ConfigError {
    /// Returns the error of the TOML parser or of serde about `text`, on one line.
    pub(super) fn value(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = &text.as_bytes()[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let found = text.lines().nth(line - 1).unwrap_or_default().trim();
        let cut = found.floor_char_boundary(60);
        let rest = if cut < found.len() { "…" } else { "" };
        let problem: Vec<_> = error.message().split_whitespace().collect();
        Self::Value {
            file: file.into(),
            line,
            text: format!("{}{rest}", &found[..cut]).into(),
            problem: problem.join(" ").into(),
        }
    }
}
