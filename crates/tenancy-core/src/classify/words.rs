//! The words of the classifier: [`Method`], [`PathClass`], [`RouteMode`].

use std::fmt;
use std::str::FromStr;

use crate::text::quote;

/// The method of a request. Only GET and HEAD requests can be skipped, so all other methods are one
/// variant.
///
/// ```
/// use tenancy_core::Method;
/// assert_eq!(Method::from("HEAD"), Method::Head);
/// assert_eq!(Method::from("get"), Method::Other); // methods are case-sensitive (RFC 9110 §9.1)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// The method `GET`.
    Get,
    /// The method `HEAD`.
    Head,
    /// Any other method, standard or not.
    Other,
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            _ => Self::Other,
        }
    }
}

/// The class of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathClass {
    /// A file that is the same for every tenant: style, script, picture, font.
    Asset,
    /// A path that programs call.
    Api,
    /// A tool for developers.
    Debug,
    /// Sign-in, sign-out, registration and passwords.
    Auth,
    /// Any other path.
    Page,
}

impl PathClass {
    /// The list of all classes.
    // `Page` must be the last class: then a list that lacks one does not compile.
    pub const ALL: [Self; Self::Page as usize + 1] =
        [Self::Asset, Self::Api, Self::Debug, Self::Auth, Self::Page];

    /// Returns the word for this class: `asset`, `api`, `debug`, `auth` or `page`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Api => "api",
            Self::Debug => "debug",
            Self::Auth => "auth",
            Self::Page => "page",
        }
    }
}

impl fmt::Display for PathClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PathClass {
    type Err = UnknownPathClass;
    fn from_str(text: &str) -> Result<Self, UnknownPathClass> {
        let known = Self::ALL.into_iter().find(|class| class.as_str() == text);
        known.ok_or_else(|| UnknownPathClass { text: quote(text) })
    }
}

/// The error for a text that is no [`PathClass`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path class {text} is not known; use asset, api, debug, auth or page")]
pub struct UnknownPathClass {
    text: Box<str>,
}

/// The mode of a path: it decides whether a tenant or the central application serves the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouteMode {
    /// No tenant is looked up and none is entered.
    Skip,
    /// A tenant serves the path. A request that names no tenant is refused.
    Tenant,
    /// The central application serves the path. A request whose host or path names a tenant is
    /// refused. Headers, cookies and the query are not read for a tenant.
    Central,
    /// The tenant that the request names serves the path. If the request names no tenant, the
    /// central application serves it.
    Universal,
}

impl RouteMode {
    /// The list of all modes.
    // `Universal` must be the last mode: then a list that lacks one does not compile.
    pub const ALL: [Self; Self::Universal as usize + 1] =
        [Self::Skip, Self::Tenant, Self::Central, Self::Universal];

    /// Returns the word for this mode: `skip`, `tenant`, `central` or `universal`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Tenant => "tenant",
            Self::Central => "central",
            Self::Universal => "universal",
        }
    }
}

impl fmt::Display for RouteMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RouteMode {
    type Err = UnknownRouteMode;
    fn from_str(text: &str) -> Result<Self, UnknownRouteMode> {
        let known = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| UnknownRouteMode { text: quote(text) })
    }
}

/// The error for a text that is no [`RouteMode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route mode {text} is not known; use skip, tenant, central or universal")]
pub struct UnknownRouteMode {
    text: Box<str>,
}

/// The class and the mode of a path: the answer of
/// [`Classifier::classify`](super::Classifier::classify).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Classified {
    /// The class of the path.
    pub class: PathClass,
    /// The side that serves the path.
    pub mode: RouteMode,
}
