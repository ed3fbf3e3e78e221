//! [`Resolver`]: it finds the tenant of a request.
//!
//! Decisions and their reasons: `docs/design/resolver.md`.

mod answer;
mod builder;
mod caller;
mod cold;
mod engine;
mod error;
mod explain;
mod fresh;
mod hosts;
mod hot;
mod invalid;
mod lookup;
mod memory;
mod name;
mod outcome;
mod proxies;
mod reason;
mod refusal;
mod refuse;
mod reserved;
mod rule;
#[cfg(all(test, shuttle))]
mod shuttle;
mod sources;
mod template;

use std::fmt;
use std::sync::Arc;

pub use answer::{Resolution, Resolved};
pub use builder::ResolverBuilder;
pub use error::ResolveError;
pub use explain::{Explanation, Step};
pub use invalid::InvalidResolver;
pub use reason::Reason;
pub use refusal::Refusal;
pub use rule::{Rule, RuleKind};

use crate::catalog::{Catalog, CatalogError, Changes, Name};
use crate::domain::Domain;
use crate::event::Event;
use crate::host;
use crate::id::{TenantId, Version};
use crate::request::RequestHead;
use caller::{Blocking, NonBlocking, Stopped};
use engine::Engine;
use explain::Steps;
use hosts::HostKind;

/// The resolver: it finds the tenant of a request and the class of its path.
///
/// The answer depends only on the [head](RequestHead) of the request, the catalog and the
/// configuration. Answers come from memory: a replica of the catalog that the change feed keeps up
/// to date, or a bounded cache.
///
/// ```
/// use tenancy_core::{
///     Actor, CatalogWriter, MemoryCatalog, Method, NewTenant, PathClass, RequestHead, Resolution,
///     Resolver, Rule,
/// };
/// let catalog = std::sync::Arc::new(MemoryCatalog::new());
/// catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
/// let resolver = Resolver::builder(catalog)
///     .rule(Rule::subdomain_of("app.test"))
///     .central_domain("app.test")
///     .build()?;
///
/// let head = RequestHead::new(Method::Get, "/orders/9?page=2").host("acme.app.test:8080");
/// let resolved = resolver.resolve(&head)?;
/// assert_eq!(resolved.tenant().map(|t| t.id().as_str()), Some("acme"));
/// assert_eq!(resolved.path, "/orders/9");
///
/// let asset = RequestHead::new(Method::Get, "/assets/app.css").host("acme.app.test");
/// assert_eq!(resolver.resolve(&asset)?.resolution, Resolution::Skip(PathClass::Asset));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "identify")]
#[doc(alias = "routing")]
pub struct Resolver(Engine);

impl Resolver {
    /// Returns a builder of a resolver for this catalog.
    pub fn builder(catalog: impl Catalog) -> ResolverBuilder {
        ResolverBuilder::new(Arc::new(catalog))
    }

    /// Returns the tenant of a request and the class of its path. Blocks only while the catalog is
    /// read: at the first call, when the memory may be out of date, and when a cache lacks the
    /// name.
    ///
    /// # Errors
    /// Returns an error if the request is refused; see [`Reason`].
    #[inline]
    pub fn resolve<'p>(&self, head: &RequestHead<'p, '_>) -> Result<Resolved<'p>, ResolveError> {
        match hot::run(&self.0, head, &mut Blocking) {
            Ok(resolved) => Ok(resolved),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Returns the answer that [`resolve`](Self::resolve) returns, but never blocks. Returns `None`
    /// if the catalog would have to be read. In that case call `resolve` on a thread that may
    /// block.
    ///
    /// ```
    /// use tenancy_core::{
    ///     Actor, CatalogWriter, MemoryCatalog, Method, NewTenant, RequestHead, Resolver, Rule,
    /// };
    /// let catalog = std::sync::Arc::new(MemoryCatalog::new());
    /// catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
    /// let resolver = Resolver::builder(catalog)
    ///     .rule(Rule::subdomain_of("app.test"))
    ///     .build()?;
    /// let head = RequestHead::new(Method::Get, "/").host("acme.app.test");
    /// let answer = match resolver.try_resolve(&head) {
    ///     Some(answer) => answer,
    ///     // The first call, here. In async code: on a thread that may block.
    ///     None => resolver.resolve(&head),
    /// };
    /// assert!(answer?.tenant().is_some());
    /// assert!(resolver.try_resolve(&head).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_resolve<'p>(
        &self,
        head: &RequestHead<'p, '_>,
    ) -> Option<Result<Resolved<'p>, ResolveError>> {
        match hot::run(&self.0, head, &mut NonBlocking) {
            Ok(resolved) => Some(Ok(resolved)),
            Err(Stopped::Refused(error)) => Some(Err(self.refused(error))),
            Err(Stopped::WouldBlock) => None,
        }
    }

    /// Notifies the observers of a refusal.
    #[cold]
    #[inline(never)]
    fn refused(&self, error: ResolveError) -> ResolveError {
        self.0.memory.observers.emit(&Event::Refused {
            reason: error.reason(),
            error: &error,
        });
        error
    }

    /// Returns an explanation of the answer to a request: the rules that were tried, and the result
    /// of each. It runs the same code as [`resolve`](Self::resolve).
    pub fn explain(&self, head: &RequestHead<'_, '_>) -> Explanation {
        let mut steps = Steps::default();
        let outcome = hot::run(&self.0, head, &mut steps);
        steps.finish(outcome)
    }

    /// Returns the host of a request in the form for links: in lower case, without a final dot, and
    /// with the port if the request has one. If a trusted proxy forwards a host, it is that host.
    ///
    /// # Errors
    /// Returns an error if the request has no host or several hosts, or if its host breaks the
    /// grammar.
    pub fn host(&self, head: &RequestHead<'_, '_>) -> Result<String, ResolveError> {
        let forwarded = self.0.forwarded(head);
        let raw = match forwarded.host()? {
            Some(host) => host,
            None => refuse::one_host(head)?,
        };
        let name = host::split(raw).map_err(ResolveError::BadHost)?;
        host::check(name).map_err(|problem| refuse::bad_host(raw, problem))?;
        let port = raw[name.len()..].rsplit(|b| *b == b':').next();
        let mut host = String::from_utf8_lossy(name).to_ascii_lowercase();
        match port.and_then(|port| std::str::from_utf8(port).ok()) {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => {
                host.push(':');
                host.push_str(port);
            }
            _ => {}
        }
        Ok(host)
    }

    /// Returns the name to bind for a domain. If the domain is one label under a base domain, or
    /// fits a template, the name is that label. Otherwise the name is the domain itself.
    pub fn name_for(&self, domain: &Domain) -> Name {
        self.0.hosts.name_for(domain)
    }

    /// Returns whether a host belongs to the central application. Such a host never names a tenant.
    pub fn is_central(&self, domain: &Domain) -> bool {
        self.0.hosts.kind(domain.as_str().as_bytes()) == HostKind::Central
    }

    /// Returns whether a label is [reserved](ResolverBuilder::reserved). Such a label never names a
    /// tenant.
    pub fn is_reserved(&self, label: &TenantId) -> bool {
        self.0.hosts.reserved.contains(label.as_str().as_bytes())
    }

    /// Applies all changes of the catalog since the last sync. Answers after this call are no older
    /// than the call.
    ///
    /// If the catalog has no change feed, there is nothing to apply. Each answer is cached for
    /// [`max_staleness`](ResolverBuilder::max_staleness), and [`apply`](Self::apply) removes single
    /// answers earlier.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read. The resolver continues with its memory.
    pub fn sync(&self) -> Result<Version, Arc<CatalogError>> {
        self.0.memory.sync()
    }

    /// Applies a stretch of the change feed that did not come through [`sync`](Self::sync), for
    /// example a stretch in a message. Before the first load it does nothing.
    ///
    /// A stretch is applied if it starts after the version that was [applied](Self::applied) last,
    /// and ignored if it was applied before. If changes before the stretch are missing, if more
    /// changes follow it, or if the feed starts over, a sync becomes due, and the next
    /// [`resolve`](Self::resolve) runs it.
    ///
    /// If the catalog has no change feed, the cached answers that the items of the stretch change
    /// are removed. The versions of the stretch are ignored.
    pub fn apply(&self, changes: &Changes) {
        self.0.memory.apply(changes);
    }

    /// Returns the version of the catalog up to which every change is applied. It stays at version
    /// 0 if the catalog has no change feed.
    pub fn applied(&self) -> Version {
        self.0.memory.applied()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("hosts", &self.0.hosts)
            .field("sources", &self.0.sources)
            .finish_non_exhaustive()
    }
}
