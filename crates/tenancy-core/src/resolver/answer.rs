//! [`Resolved`]: the answer to a request.

use std::borrow::Cow;

use super::rule::RuleKind;
use crate::classify::{PathClass, RouteMode};
use crate::path::NormalPath;
use crate::request::RequestHead;
use crate::tenant::Tenant;

/// The answer to a request that was not refused.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Resolved<'p> {
    /// The side that serves the request.
    pub resolution: Resolution,
    /// The class of the path.
    pub class: PathClass,
    /// The mode of the path.
    pub mode: RouteMode,
    /// The rule that named the tenant, or `None` if no tenant serves the request.
    pub rule: Option<RuleKind>,
    /// The path for the application. It is in normal form and still percent-encoded. The query and
    /// a [path prefix](super::Rule::path_prefix) with its tenant are removed.
    pub path: Cow<'p, str>,
}

impl Resolved<'_> {
    /// Returns the tenant that serves the request, or `None`.
    pub fn tenant(&self) -> Option<&Tenant> {
        match &self.resolution {
            Resolution::Tenant(tenant) => Some(tenant),
            _ => None,
        }
    }

    /// Returns the prefix that was removed from the path, such as `/t/acme` of `/t/acme/orders`;
    /// see [`Rule::path_prefix`](super::Rule::path_prefix). It is empty if no prefix was removed. A
    /// link to the same tenant starts with it. `head` is the request that was resolved.
    pub fn prefix(&self, head: &RequestHead<'_, '_>) -> String {
        let Ok(path) = NormalPath::parse(head.rooted_target()) else {
            return String::new(); // `head` is another request: it would have been refused
        };
        let path = path.as_str();
        match path.strip_suffix(&*self.path) {
            Some(prefix) => prefix.to_owned(),
            // The path `/t/acme` became `/`.
            None => path.to_owned(),
        }
    }

    /// Returns the target for the application: this path and the query of the request. Returns
    /// `None` if the request has that target already. `head` is the request that was resolved.
    /// Bytes of the query that are not UTF-8 are percent-encoded.
    ///
    /// ```
    /// use tenancy_core::{Method, RequestHead, Resolver, Rule};
    /// # use tenancy_core::{Actor, CatalogWriter, MemoryCatalog, NewTenant};
    /// # let catalog = std::sync::Arc::new(MemoryCatalog::new());
    /// # catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
    /// let resolver = Resolver::builder(catalog)
    ///     .rule(Rule::path_prefix("/t"))
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

    /// Returns the answer with an owned path, so that the answer can outlive the request.
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

/// The side that serves a request.
///
/// ```
/// use tenancy_core::{MemoryCatalog, Method, RequestHead, Resolution, Resolver, Rule};
/// let resolver = Resolver::builder(MemoryCatalog::new())
///     .rule(Rule::subdomain_of("app.test"))
///     .central_domain("app.test")
///     .build()?;
/// let head = RequestHead::new(Method::Get, "/").host("app.test");
/// let served_by = match resolver.resolve(&head)?.resolution {
///     Resolution::Tenant(tenant) => tenant.id().to_string(),
///     Resolution::Central => "the central application".to_string(),
///     Resolution::Skip(class) => format!("a server of {class} files, without a tenant"),
///     _ => "an outcome of a later version".to_string(),
/// };
/// assert_eq!(served_by, "the central application");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Resolution {
    /// This tenant serves the request. The adapter enters it.
    Tenant(Tenant),
    /// The central application serves the request. The adapter enters no tenant.
    Central,
    /// The path has this class, and is served without a tenant. The adapter enters none.
    Skip(PathClass),
}
