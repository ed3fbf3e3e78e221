//! [`Classifier`]: what a path is, and who may serve it.

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

/// Decides by method and path what a request is and who may serve it.
///
/// The longest prefix of whole segments wins, over built-in and configured rules
/// together; a path without a rule is a page. A path is *skipped*, that is, served
/// without any tenant, only for GET and HEAD, never when it is
/// [ambiguous](NormalPath::is_ambiguous), and as an asset only when its last segment
/// has a known extension: else it is a page like any other. Parameters of segments do not
/// count: `/admin;x` is what `/admin` is, but never skipped.
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
    /// Starts one that has the built-in rules.
    pub fn builder() -> ClassifierBuilder {
        ClassifierBuilder::new()
    }

    /// What the request is and who may serve it. There is an answer to every path,
    /// nothing is allocated, and the cost does not depend on the number of rules.
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

    /// The rules hold for segments with and without parameters: a server that drops them
    /// would serve `/admin;x` as `/admin`. Such a path is never skipped.
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

/// A normal path with every segment cut at its first `;`, encoded or not.
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
    /// The built-in rules alone.
    fn default() -> Self {
        let built = Self::builder().build();
        built.expect("the built-in rules have been tested")
    }
}
