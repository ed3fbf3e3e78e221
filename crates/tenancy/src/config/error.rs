//! [`ConfigError`].

use std::io;
use std::path::{Path, PathBuf};

use tenancy_core::{InvalidResolver, InvalidRule, RuleKind};

/// A config that cannot be used: which file, which key, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: the config cannot be read; write one with `tenancy init`, or name another", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is no TOML, or a value does not fit its key.
    #[error("{} line {line} ({text}): {problem}", file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What stands there.
        text: Box<str>,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// There is no such key.
    #[error("{}: key {key} is not known; the nearest known key is {nearest}", file.display())]
    UnknownKey {
        /// Which file.
        file: PathBuf,
        /// The key, with its table.
        key: String,
        /// The one that was probably meant.
        nearest: String,
    },
    /// A parameter is given for a rule that is not switched on.
    #[error(
        "{}: resolve.{key} is for rule {:?}, which resolve.rules does not list; list it, or remove {key}",
        file.display(), rule.as_str()
    )]
    RuleNotListed {
        /// Which file.
        file: PathBuf,
        /// The parameter.
        key: &'static str,
        /// The rule it is for.
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
        /// The rule.
        rule: RuleKind,
    },
    /// `origin = false` stands beside a list of rules with `"origin"` in it.
    #[error(
        "{}: resolve.origin is false and resolve.rules lists \"origin\"; remove one of them",
        file.display()
    )]
    OriginOff {
        /// Which file.
        file: PathBuf,
    },
    /// A `[[path]]` is no rule.
    #[error("{}: a [[path]] is no rule; see the cause", file.display())]
    Path {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: InvalidRule,
    },
    /// The keys of `[resolve]` contradict each other.
    #[error("{}: [resolve] makes no resolver; see the cause", file.display())]
    Resolve {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: InvalidResolver,
    },
}

impl ConfigError {
    /// What TOML or serde said about `text`, in one line.
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
