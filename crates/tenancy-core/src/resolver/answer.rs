//! [`Resolved`]: what a request gets.

use std::borrow::Cow;
use std::fmt;

use crate::classify::{PathClass, RouteMode};
use crate::path::NormalPath;
use crate::request::RequestHead;
use crate::tenant::Tenant;

/// What a request gets, unless it is refused.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Resolved<'p> {
    /// Whose it is.
    pub resolution: Resolution,
    /// What its path is.
    pub class: PathClass,
    /// Who may serve it.
    pub mode: RouteMode,
    /// The rule that named the tenant.
    pub rule: Option<Rule>,
    /// The path that the application is to see: normalised, still percent-encoded,
    /// without query and path prefix.
    pub path: Cow<'p, str>,
}

impl Resolved<'_> {
    /// The tenant, if the request is one's.
    pub fn tenant(&self) -> Option<&Tenant> {
        match &self.resolution {
            Resolution::Tenant(tenant) => Some(tenant),
            _ => None,
        }
    }

    /// Returns what was cut off the path of this request: `/t/acme` of `/t/acme/orders` where
    /// `path_prefix` is `/t`, else nothing. A link that starts with it leads back to the same
    /// tenant. `head` is the request that was resolved.
    pub fn prefix(&self, head: &RequestHead<'_, '_>) -> String {
        let Ok(path) = NormalPath::parse(head.rooted_target()) else {
            return String::new(); // another request: this one was refused
        };
        let path = path.as_str();
        match path.strip_suffix(&*self.path) {
            Some(prefix) => prefix.to_owned(),
            // Of `/t/acme` nothing was left.
            None => path.to_owned(),
        }
    }

    /// Returns the target to hand on to the application, this path with the query as it came,
    /// or `None` if that is the target of `head` already. `head` is the request that was
    /// resolved. Bytes of a query that are not UTF-8 are percent-encoded.
    ///
    /// ```
    /// # use tenancy_core::*;
    /// # let catalog = std::sync::Arc::new(MemoryCatalog::new());
    /// # catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
    /// let resolver = Resolver::builder(catalog)
    ///     .rule(Rule::Path)
    ///     .path_prefix("/t")
    ///     .central_domain("app.test")
    ///     .build()?;
    /// let head = RequestHead::new(Method::Get, "/t/acme//orders?page=2").host("app.test");
    /// let resolved = resolver.resolve(&head)?;
    /// assert_eq!(resolved.prefix(&head), "/t/acme");
    /// assert_eq!(resolved.target(&head).as_deref(), Some("/orders?page=2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn target(&self, head: &RequestHead<'_, '_>) -> Option<String> {
        let came = head.target();
        let end = came.iter().position(|b| *b == b'?').unwrap_or(came.len());
        let (path, query) = came.split_at(end);
        if path == self.path.as_bytes() {
            return None;
        }
        let mut target = self.path.to_string();
        for chunk in query.utf8_chunks() {
            target.push_str(chunk.valid());
            for byte in chunk.invalid() {
                target.push_str(&format!("%{byte:02X}"));
            }
        }
        Some(target)
    }

    /// Returns the same answer without a borrow of the request, so that it can outlive it or
    /// come back from another thread. Copies the path if it is borrowed.
    pub fn into_owned(self) -> Resolved<'static> {
        Resolved {
            resolution: self.resolution,
            class: self.class,
            mode: self.mode,
            rule: self.rule,
            path: Cow::Owned(self.path.into_owned()),
        }
    }
}

/// Whose a request is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Resolution {
    /// This tenant's: enter it.
    Tenant(Tenant),
    /// The central application's: nobody is to be entered.
    Central,
    /// A path of this class that needs no tenant: serve it, enter nobody.
    Skip(PathClass),
}

/// One way of finding the tenant of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// The whole host is a domain that is bound to the tenant.
    Domain,
    /// The host is one label under a base domain.
    Subdomain,
    /// The host fits a template.
    Template,
    /// The path begins with the prefix and the tenant.
    Path,
    /// A header carries the tenant.
    Header,
    /// A parameter of the query carries it.
    Query,
    /// A cookie carries it.
    Cookie,
    /// The host of the Origin header is the tenant's.
    Origin,
    /// A closure of the embedder's names it.
    Custom,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 9] = [
        Self::Domain,
        Self::Subdomain,
        Self::Template,
        Self::Path,
        Self::Header,
        Self::Query,
        Self::Cookie,
        Self::Origin,
        Self::Custom,
    ];

    /// The word that stands in configurations and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Subdomain => "subdomain",
            Self::Template => "template",
            Self::Path => "path",
            Self::Header => "header",
            Self::Query => "query",
            Self::Cookie => "cookie",
            Self::Origin => "origin",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
