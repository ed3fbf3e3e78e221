//! [`ClassifierBuilder`]: the rules of a classifier, which are checked when it is built.

use std::collections::BTreeMap;

use super::Classifier;
use super::extensions::Extensions;
use super::trie::Trie;
use super::words::{Classified, PathClass, RouteMode};
use crate::path::{BadPath, NormalPath};
use crate::text::quote;

const BUILTIN: [(&str, PathClass); 22] = [
    ("/assets", PathClass::Asset),
    ("/build", PathClass::Asset),
    ("/static", PathClass::Asset),
    ("/css", PathClass::Asset),
    ("/js", PathClass::Asset),
    ("/images", PathClass::Asset),
    ("/img", PathClass::Asset),
    ("/fonts", PathClass::Asset),
    ("/favicon.ico", PathClass::Asset),
    ("/_debugbar", PathClass::Debug),
    ("/_ignition", PathClass::Debug),
    ("/login", PathClass::Auth),
    ("/logout", PathClass::Auth),
    ("/register", PathClass::Auth),
    ("/password", PathClass::Auth),
    ("/forgot-password", PathClass::Auth),
    ("/reset-password", PathClass::Auth),
    ("/verify-email", PathClass::Auth),
    ("/two-factor", PathClass::Auth),
    ("/auth", PathClass::Auth),
    ("/oauth", PathClass::Auth),
    ("/api", PathClass::Api),
];

const EXTENSIONS: [&str; 20] = [
    "css", "js", "mjs", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff",
    "woff2", "ttf", "eot", "otf", "mp4", "webm", "wasm",
];

/// A set of rules for the tool paths of one framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// The paths `/telescope`, `/horizon` and `/pulse` are debug. `/livewire` is no tool, but a
    /// page: logins are sent to it.
    Laravel,
}

impl Preset {
    const fn paths(self) -> &'static [(&'static str, PathClass)] {
        match self {
            Self::Laravel => &[
                ("/telescope", PathClass::Debug),
                ("/horizon", PathClass::Debug),
                ("/pulse", PathClass::Debug),
            ],
        }
    }
}

/// A builder of a [`Classifier`].
///
/// The built-in rules give these prefixes a class:
///
/// - asset: `/assets`, `/build`, `/static`, `/css`, `/js`, `/images`, `/img`, `/fonts` and
///   `/favicon.ico`
/// - debug: `/_debugbar` and `/_ignition`
/// - auth: `/login`, `/logout`, `/register`, `/password`, `/forgot-password`, `/reset-password`,
///   `/verify-email`, `/two-factor`, `/auth` and `/oauth`
/// - api: `/api`
///
/// The mode of asset and debug defaults to skip, the mode of the other classes to universal. A
/// configured rule replaces a built-in rule or a rule of a preset with the same prefix.
///
/// ```
/// use tenancy_core::{Classifier, PathClass, RouteMode};
/// let classifier = Classifier::builder()
///     .asset_dir("/media")
///     .asset_extension("pdf")
///     .rule("/healthz", PathClass::Debug, None)
///     .mode_of(PathClass::Api, RouteMode::Tenant)
///     .build()?;
/// let everything = Classifier::builder().rule("/", PathClass::Page, Some(RouteMode::Skip));
/// assert!(everything.build().is_err());
/// # Ok::<(), tenancy_core::InvalidRule>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `build`"]
pub struct ClassifierBuilder {
    builtin: Vec<(&'static str, PathClass)>,
    preset: Vec<(&'static str, PathClass)>,
    rules: Vec<(Box<str>, PathClass, Option<RouteMode>)>,
    extensions: Vec<Box<str>>,
    modes: Vec<(PathClass, RouteMode)>,
}

impl ClassifierBuilder {
    pub(super) fn new() -> Self {
        Self {
            builtin: BUILTIN.into(),
            preset: Vec::new(),
            rules: Vec::new(),
            extensions: Vec::new(),
            modes: Vec::new(),
        }
    }

    /// Adds a rule for `prefix` and all paths below it. The prefix is a normal path without a
    /// slash at its end; the prefix `/` stands for every path. Without a mode, the rule has the
    /// [mode of its class](Self::mode_of).
    pub fn rule(
        mut self,
        prefix: impl Into<Box<str>>,
        class: PathClass,
        mode: Option<RouteMode>,
    ) -> Self {
        self.rules.push((prefix.into(), class, mode));
        self
    }

    /// Adds a directory of assets: a [rule](Self::rule) with the class asset, and without a mode.
    pub fn asset_dir(self, prefix: impl Into<Box<str>>) -> Self {
        self.rule(prefix, PathClass::Asset, None)
    }

    /// Adds an extension of assets, without its dot. It has 1–15 letters and digits, whose case
    /// does not matter. Built-in are css, js, mjs, map, png, jpg, jpeg, gif, svg, ico, webp, avif,
    /// woff, woff2, ttf, eot, otf, mp4, webm and wasm.
    pub fn asset_extension(mut self, extension: impl Into<Box<str>>) -> Self {
        self.extensions.push(extension.into());
        self
    }

    /// Sets the mode of a class, for all rules without a mode. A later call for the same class
    /// replaces it.
    pub fn mode_of(mut self, class: PathClass, mode: RouteMode) -> Self {
        self.modes.push((class, mode));
        self
    }

    /// Removes the built-in rules for paths. The built-in extensions and the presets stay.
    pub fn without_builtin_paths(mut self) -> Self {
        self.builtin.clear();
        self
    }

    /// Adds the rules of a preset.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset.extend(preset.paths());
        self
    }

    /// Returns the classifier.
    ///
    /// # Errors
    /// Returns an error if a prefix is malformed or is given twice, if the classes auth or page, or
    /// the prefix `/`, would be skipped, or if an extension is malformed.
    pub fn build(self) -> Result<Classifier, InvalidRule> {
        let bad_mode = self.modes.iter().find(|(class, mode)| never(*class, *mode));
        if let Some(&(class, _)) = bad_mode {
            return Err(InvalidRule::ClassSkipped { class });
        }
        for extension in &self.extensions {
            check_extension(extension)?;
        }
        let given = self.builtin.iter().chain(&self.preset);
        let mut rules: BTreeMap<&str, Classified> = given
            .map(|&(prefix, class)| (prefix, self.classified(class, None)))
            .collect();
        let mut configured = BTreeMap::new();
        for (prefix, class, mode) in &self.rules {
            check_prefix(prefix)?;
            let rule = self.classified(*class, *mode);
            if rule.mode == RouteMode::Skip && **prefix == *"/" {
                return Err(InvalidRule::EverythingSkipped);
            }
            if never(rule.class, rule.mode) {
                let (prefix, class) = (quote(prefix), *class);
                return Err(InvalidRule::Skipped { prefix, class });
            }
            if configured.insert(&**prefix, rule).is_some() {
                return Err(InvalidRule::Twice {
                    prefix: quote(prefix),
                });
            }
        }
        rules.append(&mut configured);
        let page = self.classified(PathClass::Page, None);
        let extensions = self.extensions.iter().map(|extension| &**extension);
        Ok(Classifier {
            trie: Trie::new(page, rules.into_iter()),
            extensions: Extensions::new(EXTENSIONS.into_iter().chain(extensions)),
            page,
        })
    }

    fn classified(&self, class: PathClass, mode: Option<RouteMode>) -> Classified {
        let of_class = || {
            let mut said = self.modes.iter().rev();
            said.find(|(said, _)| *said == class).map(|(_, mode)| *mode)
        };
        let mode = mode.or_else(of_class).unwrap_or(match class {
            PathClass::Asset | PathClass::Debug => RouteMode::Skip,
            PathClass::Api | PathClass::Auth | PathClass::Page => RouteMode::Universal,
        });
        Classified { class, mode }
    }
}

/// Returns whether this class may never have this mode. Sign-in and pages need a tenant, and a
/// skipped path has none.
fn never(class: PathClass, mode: RouteMode) -> bool {
    mode == RouteMode::Skip && matches!(class, PathClass::Auth | PathClass::Page)
}

fn check_prefix(prefix: &str) -> Result<(), InvalidRule> {
    if let Some(byte) = prefix.chars().find(|c| matches!(c, ';' | '%')) {
        return Err(InvalidRule::Parameter {
            prefix: quote(prefix),
            byte,
        });
    }
    let normal = NormalPath::parse(prefix).map_err(|source| InvalidRule::BadPrefix {
        prefix: quote(prefix),
        source,
    })?;
    // Only the root may end with a slash.
    let normal = match normal.as_str() {
        "/" => "/",
        path => path.strip_suffix('/').unwrap_or(path),
    };
    if normal != prefix {
        return Err(InvalidRule::NotNormal {
            prefix: quote(prefix),
            normal: quote(normal),
        });
    }
    Ok(())
}

fn check_extension(extension: &str) -> Result<(), InvalidRule> {
    let plain = extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain || !(1..=Extensions::MAX_LEN).contains(&extension.len()) {
        return Err(InvalidRule::Extension {
            extension: quote(extension),
        });
    }
    Ok(())
}

/// The error for a rule, a mode or an extension that a [`ClassifierBuilder`] refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// The prefix is no path that a request may have, so the rule would match no request.
    #[error(
        "path rule {prefix} can match no request; write its prefix as a path that would be accepted"
    )]
    BadPrefix {
        /// The prefix, quoted.
        prefix: Box<str>,
        /// The reason why such a path is refused.
        source: BadPath,
    },
    /// The prefix is not in normal form, in which paths are compared.
    #[error("path rule {prefix} is not in normal form; write it as {normal}")]
    NotNormal {
        /// The prefix, quoted.
        prefix: Box<str>,
        /// The normal form of the prefix, quoted.
        normal: Box<str>,
    },
    /// The prefix has a `;` or a `%`. Paths are compared without the parameters of their segments,
    /// which begin with `;`, and a prefix is written without percent-encoding.
    #[error("path rule {prefix} has a {byte:?}; write the segments alone, unencoded")]
    Parameter {
        /// The prefix, quoted.
        prefix: Box<str>,
        /// The refused character.
        byte: char,
    },
    /// The rule for `/` has the mode skip, and would skip every path without another rule.
    #[error("path rule \"/\" cannot have mode skip; skip assets and tools by longer prefixes")]
    EverythingSkipped,
    /// Two rules were given for one prefix.
    #[error("path rule {prefix} is given twice; leave one out")]
    Twice {
        /// The prefix, quoted.
        prefix: Box<str>,
    },
    /// A rule would skip sign-in or pages.
    #[error("path rule {prefix} would skip class {class}; skip assets, debug or api alone")]
    Skipped {
        /// The prefix, quoted.
        prefix: Box<str>,
        /// The class that is never skipped.
        class: PathClass,
    },
    /// The mode of a class would skip sign-in or pages.
    #[error("class {class} cannot have mode skip; skip assets, debug or api alone")]
    ClassSkipped {
        /// The class that is never skipped.
        class: PathClass,
    },
    /// An extension is malformed.
    #[error(
        "asset extension {extension} is no extension; use 1-15 letters and digits, without the dot"
    )]
    Extension {
        /// The extension, quoted.
        extension: Box<str>,
    },
}
