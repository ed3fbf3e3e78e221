//! [`Classifier`]: what a path is, and who may serve it.

mod builder;
mod trie;
mod words;

use crate::path::NormalPath;
use trie::Trie;

pub use builder::{ClassifierBuilder, InvalidRule, Preset};
pub use words::{Method, PathClass, RouteMode, UnknownPathClass, UnknownRouteMode};

/// What [`Classifier::classify`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Classified {
    /// What the path is.
    pub class: PathClass,
    /// Who may serve it.
    pub mode: RouteMode,
}

/// Decides by method and path what a request is and who may serve it.
///
/// The longest prefix of whole segments wins, over built-in and configured rules
/// together; a path without a rule is a page. A path is *skipped*, that is, served
/// without any tenant, only for GET and HEAD, never when it is
/// [ambiguous](NormalPath::is_ambiguous), and as an asset only when its last segment
/// has a known extension: else it is a page like any other.
///
/// ```
/// use tenancy_core::{Classifier, Method, NormalPath, PathClass, RouteMode};
/// let classifier = Classifier::builder()
///     .rule("/admin", PathClass::Page, Some(RouteMode::Central))
///     .build()?;
/// let is = |path: &'static str| -> Result<_, tenancy_core::BadPath> {
///     let found = classifier.classify(Method::Get, &NormalPath::parse_str(path)?);
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
        let found = self.trie.longest(path.as_str().as_bytes());
        if found.mode == RouteMode::Skip && !self.may_skip(method, path, found.class) {
            return self.page;
        }
        found
    }

    fn may_skip(&self, method: Method, path: &NormalPath<'_>, class: PathClass) -> bool {
        matches!(method, Method::Get | Method::Head)
            && !path.is_ambiguous()
            && (class != PathClass::Asset || self.extensions.end(path.as_str().as_bytes()))
    }
}

impl Default for Classifier {
    /// The built-in rules alone.
    fn default() -> Self {
        let built = Self::builder().build();
        built.expect("the built-in rules have been tested")
    }
}

/// Extensions without their dot, in lower case and sorted.
#[derive(Debug, Clone)]
struct Extensions(Box<[u128]>);

impl Extensions {
    /// The longest: what fits into a `u128` with the dot before it.
    const MAX_LEN: usize = 15;

    /// Packs an extension so that it is compared without case; only letters and
    /// digits have one packing each.
    fn pack(bytes: impl Iterator<Item = u8>) -> u128 {
        bytes.fold(0, |packed, byte| packed << 8 | u128::from(byte | 0x20))
    }

    fn new<'a>(extensions: impl Iterator<Item = &'a str>) -> Self {
        let mut packed: Vec<u128> = extensions.map(|e| Self::pack(e.bytes())).collect();
        packed.sort_unstable();
        packed.dedup();
        Self(packed.into())
    }

    /// Does the last segment of `path` end with one of them, behind a name?
    fn end(&self, path: &[u8]) -> bool {
        let from_end = path.iter().rev().take(Self::MAX_LEN + 1);
        let Some(len) = from_end.clone().position(|byte| *byte == b'.') else {
            return false;
        };
        // A `/` behind the dot is in no known extension; one before it leaves no name.
        let start = path.len() - len;
        let named = start >= 2 && path[start - 2] != b'/';
        let packed = Self::pack(path[start..].iter().copied());
        named && self.0.binary_search(&packed).is_ok()
    }
}
