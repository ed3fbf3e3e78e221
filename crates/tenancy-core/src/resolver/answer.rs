//! [`Resolved`]: what a request gets.

use std::borrow::Cow;

use super::rule::RuleKind;
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
    pub rule: Option<RuleKind>,
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

    /// Returns what was cut off the path of this request: `/t/acme` of `/t/acme/orders` with
    /// [`Rule::path_prefix("/t")`](super::Rule::path_prefix), else nothing. A link that starts with it leads back to the same
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
