//! The words of the classifier: [`Method`], [`PathClass`], [`RouteMode`].

use std::fmt;
use std::str::FromStr;

use crate::text::quote;

/// The method of a request, as far as it matters here: only GET and HEAD are ever
/// skipped.
///
/// ```
/// use tenancy_core::Method;
/// assert_eq!(Method::from("HEAD"), Method::Head);
/// assert_eq!(Method::from("get"), Method::Other); // methods are case-sensitive (RFC 9110 §9.1)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// Every other one, also those that nobody has heard of.
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

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathClass {
    /// A file that is the same for every tenant: style, script, picture, font.
    Asset,
    /// Called by programs.
    Api,
    /// A developer's tool.
    Debug,
    /// Sign-in and what belongs to it.
    Auth,
    /// Everything else.
    Page,
}

impl PathClass {
    /// Every class, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Asset, Self::Api, Self::Debug, Self::Auth, Self::Page];

    /// The word for it: `asset`, `api`, `debug`, `auth` or `page`.
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

/// A text that is no [`PathClass`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path class {text} is not known; use asset, api, debug, auth or page")]
pub struct UnknownPathClass {
    text: Box<str>,
}

/// Who may serve a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouteMode {
    /// Nobody in particular: no tenant is looked up and none is entered.
    Skip,
    /// A tenant; refused where none is named.
    Tenant,
    /// The central application; refused where a tenant is named.
    Central,
    /// The tenant that is named, else the central application.
    Universal,
}

impl RouteMode {
    /// Every mode, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Skip, Self::Tenant, Self::Central, Self::Universal];

    /// The word for it: `skip`, `tenant`, `central` or `universal`.
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

/// A text that is no [`RouteMode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route mode {text} is not known; use skip, tenant, central or universal")]
pub struct UnknownRouteMode {
    text: Box<str>,
}

/// The class of a path and its mode: the answer of [`Classifier::classify`](super::Classifier::classify).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Classified {
    /// What the path is.
    pub class: PathClass,
    /// Who may serve it.
    pub mode: RouteMode,
}
