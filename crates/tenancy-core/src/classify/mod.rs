//! [`Classifier`]: the classes of paths, and their modes.

mod builder;
mod draft;
mod edge;
mod extensions;
mod trie;
mod words;

use crate::path::NormalPath;
use extensions::Extensions;
use trie::Trie;

pub use builder::{ClassifierBuilder, InvalidRule, Preset};
pub use words::{Classified, Method, PathClass, RouteMode, UnknownPathClass, UnknownRouteMode};

/// A set of rules that give a path its class, and its mode: whether a tenant or the central
/// application serves it.
///
/// Of all rules, built-in and configured, the one with the longest prefix applies. A prefix matches
/// whole segments. A path without a rule is a page. Parameters of segments are ignored: `/admin;x`
/// has the class of `/admin`.
///
/// A path whose rule has the mode skip is served without any tenant if all of these hold:
///
/// - The method is GET or HEAD.
/// - The path is not [ambiguous](NormalPath::is_ambiguous), as `/admin;x` is.
/// - If the class is asset, the last segment has a known extension.
///
/// If one of them does not hold, the path is a page.
///
/// ```
/// use tenancy_core::{Classifier, Method, NormalPath, PathClass, RouteMode};
/// let classifier = Classifier::builder()
///     .rule("/admin", PathClass::Page, Some(RouteMode::Central))
///     .build()?;
/// let is = |path: &'static str| -> Result<_, tenancy_core::BadPath> {
///     let found = classifier.classify(Method::Get, &NormalPath::parse(path)?);
///     Ok((found.class, found.mode))
/// };
/// assert_eq!(is("/assets/app.css")?, (PathClass::Asset, RouteMode::Skip));
/// assert_eq!(is("/admin/users")?, (PathClass::Page, RouteMode::Central));
/// assert_eq!(is("/administrators")?, (PathClass::Page, RouteMode::Universal));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Classifier {
    trie: Trie,
    extensions: Extensions,
    page: Classified,
}

impl Classifier {
    /// Returns a builder that starts with the built-in rules.
    pub fn builder() -> ClassifierBuilder {
        ClassifierBuilder::new()
    }

    /// Returns the class and the mode of a request. Every path has both. The cost does not depend
    /// on the number of rules. Memory is allocated only for an ambiguous path.
    #[inline]
    pub fn classify(&self, method: Method, path: &NormalPath<'_>) -> Classified {
        self.decide(method, path.as_str().as_bytes(), path.is_ambiguous())
    }

    #[inline(always)]
    pub(crate) fn decide(&self, method: Method, path: &[u8], ambiguous: bool) -> Classified {
        if ambiguous {
            return self.decide_ambiguous(path);
        }
        let found = self.trie.longest(path);
        if found.mode == RouteMode::Skip && !self.may_skip(method, path, found.class) {
            return self.page;
        }
        found
    }

    /// Classifies a path without the parameters of its segments, as a server that drops them would
    /// serve `/admin;x` as `/admin`. An ambiguous path is never skipped.
    #[cold]
    #[inline(never)]
    fn decide_ambiguous(&self, path: &[u8]) -> Classified {
        let found = self.trie.longest(&without_parameters(path));
        match found.mode {
            RouteMode::Skip => self.page,
            _ => found,
        }
    }

    #[inline]
    fn may_skip(&self, method: Method, path: &[u8], class: PathClass) -> bool {
        matches!(method, Method::Get | Method::Head)
            && (class != PathClass::Asset || self.extensions.ends(path))
    }
}

/// Returns a normal path with every segment cut at its first `;`, encoded or not.
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let mut cut = Vec::with_capacity(path.len());
    let mut in_parameters = false;
    for (at, byte) in path.iter().enumerate() {
        in_parameters = match byte {
            b'/' => false,
            b';' => true,
            b'%' => in_parameters || path[at..].starts_with(b"%3B"),
            _ => in_parameters,
        };
        if !in_parameters {
            cut.push(*byte);
        }
    }
    cut
}

impl Default for Classifier {
    /// Returns a classifier with the built-in rules.
    fn default() -> Self {
        let built = Self::builder().build();
        built.expect("the built-in rules have been tested")
    }
}
