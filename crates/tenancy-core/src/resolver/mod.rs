//! [`Resolver`]: which tenant is this request for?

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

/// Finds the tenant of a request, and what its path is.
///
/// One function of method, hosts, authority, peer, path, headers, catalog and
/// configuration; no other input. The answer comes from memory: a full copy of the
/// catalog that its change feed keeps up to date, or a bounded cache of it.
///
/// ```
/// use tenancy_core::*;
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
pub struct Resolver(Engine);

impl Resolver {
    /// Starts a resolver that asks this catalog.
    pub fn builder(catalog: impl Catalog) -> ResolverBuilder {
        ResolverBuilder::new(Arc::new(catalog))
    }

    /// Whose request this is and what its path is. Blocks only when the catalog has
    /// to be asked: the first time, and when what is known may be out of date.
    ///
    /// # Errors
    /// When the request is refused; see [`Reason`].
    #[inline]
    pub fn resolve<'p>(&self, head: &RequestHead<'p, '_>) -> Result<Resolved<'p>, ResolveError> {
        match hot::run(&self.0, head, &mut Blocking) {
            Ok(resolved) => Ok(resolved),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// [`resolve`](Self::resolve) for callers that must not block: `None` when the
    /// catalog would have to be asked. Then call `resolve` where blocking is fine.
    ///
    /// ```
    /// use tenancy_core::*;
    /// let catalog = std::sync::Arc::new(MemoryCatalog::new());
    /// catalog.insert(NewTenant::new("acme".parse()?), &Actor::new("docs"))?;
    /// let resolver = Resolver::builder(catalog)
    ///     .rule(Rule::subdomain_of("app.test"))
    ///     .build()?;
    /// let head = RequestHead::new(Method::Get, "/").host("acme.app.test");
    /// let answer = match resolver.try_resolve(&head) {
    ///     Some(answer) => answer,
    ///     // The first one of all, here. In async code: on a thread that may block.
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

    /// Tells the observers of a refusal.
    #[cold]
    #[inline(never)]
    fn refused(&self, error: ResolveError) -> ResolveError {
        self.0.memory.observers.emit(&Event::Refused {
            reason: error.reason(),
            error: &error,
        });
        error
    }

    /// Every step on the way to the answer, the rules that were tried, which one
    /// won and why. It resolves as [`resolve`](Self::resolve) does, by the same code.
    pub fn explain(&self, head: &RequestHead<'_, '_>) -> Explanation {
        let mut steps = Steps::default();
        let outcome = hot::run(&self.0, head, &mut steps);
        steps.finish(outcome)
    }

    /// Returns the host that the request is for, as links to it are written: lower case,
    /// without a final dot, with its port if one was sent. From a trusted proxy it is the
    /// forwarded one.
    ///
    /// # Errors
    /// Returns an error if the request has no host, several, or one that breaks the grammar.
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

    /// How a name is to be bound: one label under a base domain, or what stands for
    /// the tenant in a template, as a label; everything else as a domain.
    pub fn name_for(&self, domain: &Domain) -> Name {
        self.0.hosts.name_for(domain)
    }

    /// Whether this host is of the central application, and so never a tenant's.
    pub fn is_central(&self, domain: &Domain) -> bool {
        self.0.hosts.kind(domain.as_str().as_bytes()) == HostKind::Central
    }

    /// Whether this label is never a tenant.
    pub fn is_reserved(&self, label: &TenantId) -> bool {
        self.0.hosts.reserved.contains(label.as_str().as_bytes())
    }

    /// Applies everything that the catalog has changed since the last time. Afterwards no
    /// answer is older than this call.
    ///
    /// Without a feed there is nothing to ask: each answer is kept as long as `max_staleness`
    /// allows, and [`apply`](Self::apply) forgets those that are known to have changed.
    ///
    /// # Errors
    /// When the catalog cannot be asked; what was known stays.
    pub fn sync(&self) -> Result<Version, Arc<CatalogError>> {
        self.0.memory.sync()
    }

    /// Applies a stretch of the change feed that came by another way than
    /// [`sync`](Self::sync), for example in a message.
    ///
    /// It is applied only if it starts where the last one ended. One that was applied before
    /// is passed over. Any other (changes before it are missing, it says that there are more,
    /// or that the feed starts over) makes a sync due, which the next
    /// [`resolve`](Self::resolve) does. Before the first load there is nothing to apply it to.
    ///
    /// A catalog without a feed has no stretches: here the items tell what to forget, so that
    /// the next answer about it is read anew, whatever their versions.
    pub fn apply(&self, changes: &Changes) {
        self.0.memory.apply(changes);
    }

    /// Returns the version up to which every change was applied.
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
