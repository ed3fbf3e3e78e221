//! The errors of a config file.

use std::io;
use std::path::{Path, PathBuf};

use tenancy_core::{InvalidResolver, InvalidRule, RuleKind};

/// The fault that makes a config unusable. The text names the file, the key and the correction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: the config cannot be read; create one with `tenancy init`, or name another file", file.display())]
    Unreadable {
        /// The config file.
        file: PathBuf,
        /// The cause of the failure.
        source: io::Error,
    },
    /// The text is not TOML, or a value does not fit its key.
    #[error("{} line {line} ({text}): {problem}", file.display())]
    Value {
        /// The config file.
        file: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The text of the line, at most 60 bytes.
        text: Box<str>,
        /// The description of the fault.
        problem: Box<str>,
    },
    /// The config has a key that is not known.
    #[error("{}: key {key} is not known; the nearest known key is {nearest}", file.display())]
    UnknownKey {
        /// The config file.
        file: PathBuf,
        /// The unknown key, with its table.
        key: String,
        /// The known key that resembles it most.
        nearest: String,
    },
    /// A parameter is set whose rule is not listed in `resolve.rules`.
    #[error(
        "{}: resolve.{key} is a parameter of rule {:?}, which resolve.rules does not list; list the rule, or remove {key}",
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
        "{}: resolve.rules lists {:?}, which needs resolve.{key}; set {key}, or remove the rule",
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
    /// `resolve.origin` is `false`, but `resolve.rules` lists `"origin"`.
    #[error(
        "{}: resolve.origin is false and resolve.rules lists \"origin\"; remove one of them",
        file.display()
    )]
    OriginOff {
        /// The config file.
        file: PathBuf,
    },
    /// A `[[path]]` table is not a valid path rule.
    #[error("{}: a [[path]] table is not a valid path rule; see the cause", file.display())]
    Path {
        /// The config file.
        file: PathBuf,
        /// The cause of the failure.
        source: InvalidRule,
    },
    /// The keys of `[resolve]` contradict each other.
    #[error("{}: the keys of [resolve] contradict each other; see the cause", file.display())]
    Resolve {
        /// The config file.
        file: PathBuf,
        /// The cause of the failure.
        source: InvalidResolver,
    },
}

impl ConfigError {
    /// Converts an error of the TOML parser about `text`, and puts its message on one line.
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
