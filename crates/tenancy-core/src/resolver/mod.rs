//! [`Resolver`]: which tenant is this request for?

mod answer;
mod builder;
mod error;
mod explain;
mod fresh;
mod hosts;
mod invalid;
mod pattern;
mod proxies;
mod refusal;
mod refuse;
mod rule;
#[cfg(all(test, shuttle))]
mod shuttle;
mod sources;
mod store;
mod way;

use std::fmt;
use std::sync::{Arc, OnceLock};

pub use answer::{Resolution, Resolved};
pub use builder::ResolverBuilder;
pub use error::{Reason, ResolveError};
pub use explain::{Explanation, Step};
pub use invalid::InvalidResolver;
pub use refusal::Refusal;
pub use rule::{Rule, RuleKind};

use crate::catalog::{Catalog, Name, TenantKey};
use crate::classify::{Classified, Classifier, RouteMode};
use crate::clock::Clock;
use crate::domain::Domain;
use crate::event::{Event, Observers};
use crate::host;
use crate::id::TenantId;
use crate::index::{Found, Probe};
use crate::key::{Key, Kind};
use crate::path::NormalPath;
use crate::request::{Hosts as HostValues, RequestHead};
use crate::tenant::Tenant;
use explain::{Steps, describe_path};
use fresh::Fresh;
use hosts::{HostKind, Hosts, Named};
use proxies::Proxies;
use sources::{NameBuf, Sighted, Source};
use store::Store;
use way::{Block, Try, Way, WouldBlock};

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
pub struct Resolver {
    catalog: Arc<dyn Catalog>,
    classifier: Classifier,
    hosts: Hosts,
    proxies: Proxies,
    /// In the order of the rules.
    sources: Vec<Source>,
    clock: Clock,
    fresh: Fresh,
    store: OnceLock<Store>,
    max_tenants: usize,
    max_cached: usize,
    observers: Observers,
}

impl Resolver {
    /// Starts a resolver that asks this catalog.
    pub fn builder(catalog: impl Catalog) -> ResolverBuilder {
        ResolverBuilder::new(Arc::new(catalog))
    }
}

impl Resolver {
    /// Whose request this is and what its path is. Blocks only when the catalog has
    /// to be asked: the first time, and when what is known may be out of date.
    ///
    /// # Errors
    /// When the request is refused; see [`Reason`].
    #[inline]
    pub fn resolve<'p>(&self, head: &RequestHead<'p, '_>) -> Result<Resolved<'p>, ResolveError> {
        match self.run(head, &mut Block) {
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
        match self.run(head, &mut Try) {
            Ok(resolved) => Some(Ok(resolved)),
            Err(WouldBlock::Refused(error)) => Some(Err(self.refused(error))),
            Err(WouldBlock::Yes) => None,
        }
    }

    /// Tells the observers of a refusal.
    #[cold]
    #[inline(never)]
    fn refused(&self, error: ResolveError) -> ResolveError {
        self.observers.emit(&Event::Refused {
            reason: error.reason(),
            error: &error,
        });
        error
    }

    /// Every step on the way to the answer, the rules that were tried, which one
    /// won and why. It resolves as [`resolve`](Self::resolve) does, by the same code.
    pub fn explain(&self, head: &RequestHead<'_, '_>) -> Explanation {
        let mut steps = Steps::default();
        let outcome = self.run(head, &mut steps);
        steps.finish(outcome)
    }

    /// Returns the host that the request is for, as links to it are written: lower case,
    /// without a final dot, with its port if one was sent. From a trusted proxy it is the
    /// forwarded one.
    ///
    /// # Errors
    /// Returns an error if the request has no host, several, or one that breaks the grammar.
    pub fn host(&self, head: &RequestHead<'_, '_>) -> Result<String, ResolveError> {
        let forwarded = self.forwarded(head);
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
        self.hosts.name_for(domain)
    }

    /// Whether this host is of the central application, and so never a tenant's.
    pub fn is_central(&self, domain: &Domain) -> bool {
        self.hosts.kind(domain.as_str().as_bytes()) == HostKind::Central
    }

    /// Whether this label is never a tenant.
    pub fn is_reserved(&self, label: &TenantId) -> bool {
        self.hosts.reserved.contains(label.as_str())
    }

    #[inline(always)]
    fn run<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        way: &mut W,
    ) -> Result<Resolved<'p>, W::Stop> {
        match (head.hosts, head.authority) {
            (HostValues::One(host), None) if !self.is_forwarded(head) => {
                self.run_host(head, host, way)
            }
            _ => self.run_rarely(head, way),
        }
    }

    /// Whether the request comes from a trusted proxy.
    #[inline(always)]
    fn is_forwarded(&self, head: &RequestHead<'_, '_>) -> bool {
        head.peer.is_some_and(|peer| self.proxies.trusts(peer))
    }

    /// Returns what a trusted proxy forwards; nothing from anybody else.
    fn forwarded(&self, head: &RequestHead<'_, '_>) -> proxies::Forwarded {
        match self.is_forwarded(head) {
            true => self.proxies.forwarded(head),
            false => proxies::Forwarded::default(),
        }
    }

    /// For a request that is forwarded, or has not just one host.
    #[cold]
    #[inline(never)]
    fn run_rarely<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        way: &mut W,
    ) -> Result<Resolved<'p>, W::Stop> {
        let forwarded = self.forwarded(head);
        if self.is_forwarded(head) {
            way.step("proxy", || {
                let header = self.proxies.header();
                match forwarded.host() {
                    Ok(None) => format!("trusted, and forwards no host in {header}"),
                    Ok(Some(_)) => format!("trusted: what {header} says is the host"),
                    Err(_) => format!("trusted: what {header} says is no one host"),
                }
            });
        }
        match forwarded.host()? {
            Some(host) => self.run_host(head, host, way),
            None => self.run_host(head, refuse::one_host(head)?, way),
        }
    }

    /// Where most requests go. What is rare leaves for a function of its own that is
    /// not inlined and starts from the request again, so that little has to be kept
    /// for it meanwhile.
    #[inline(always)]
    fn run_host<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        raw: &[u8],
        way: &mut W,
    ) -> Result<Resolved<'p>, W::Stop> {
        match NormalPath::clean(head.target) {
            Some(path) => {
                let host = host::split(raw).map_err(ResolveError::BadHost)?;
                self.run_path(head, host, path, way)
            }
            None => self.run_unclean(&{ *head }, raw, way),
        }
    }

    #[cold]
    #[inline(never)]
    fn run_unclean<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        raw: &[u8],
        way: &mut W,
    ) -> Result<Resolved<'p>, W::Stop> {
        let host = host::split(raw).map_err(ResolveError::BadHost)?;
        match NormalPath::parse_slowly(head.rooted_target()) {
            Ok(path) => self.run_path(head, host, path, way),
            Err(bad) => {
                self.step_host(host, way);
                // The host comes first.
                refuse::check(self.hosts.kind(host), host)?;
                Err(ResolveError::BadPath(bad).into())
            }
        }
    }

    #[inline(always)]
    fn step_host<W: Way>(&self, host: &[u8], way: &mut W) {
        way.step("host", || self.hosts.kind(host).describe(host));
        self.hosts.step_rules(host, way);
    }

    #[inline(always)]
    fn run_path<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        host: &[u8],
        path: NormalPath<'p>,
        way: &mut W,
    ) -> Result<Resolved<'p>, W::Stop> {
        self.step_host(host, way);
        let kind = self.hosts.guess(host);
        let Some(named) = self.hosts.named(kind) else {
            return match kind {
                HostKind::Central => self.run_central(&{ *head }, path, way),
                _ => Ok(self.run_unknown(&{ *head }, host, path, way)?),
            };
        };
        let classified = self.classifier.classify(head.method, &path);
        if classified.mode == RouteMode::Skip {
            way.step("path", || describe_path(&path, classified));
            host::check(host).map_err(|problem| refuse::bad_host(host, problem))?;
            let skip = Resolution::Skip(classified.class);
            return Ok(answer(skip, classified, None, path));
        }
        way.step("path", || describe_path(&path, classified));
        let found = match Key::load(named.kind, named.name) {
            Some(key) => self.look(Probe::Short(key), way),
            None => self.look_long(named.kind, named.name, way),
        };
        match found {
            Ok(Found::Tenant(tenant)) if is_served(&tenant, classified) => {
                let tenant = Resolution::Tenant(tenant);
                Ok(answer(tenant, classified, Some(named.rule), path))
            }
            found => self.run_missed(&{ *head }, host, path, found, way),
        }
    }

    /// For a host whose name led to no tenant that is served.
    #[cold]
    #[inline(never)]
    fn run_missed<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        host: &[u8],
        path: NormalPath<'p>,
        mut found: Result<Found, W::Halt>,
        way: &mut W,
    ) -> Result<Resolved<'p>, W::Stop> {
        let kind = self.hosts.kind(host);
        let Some(named) = self.hosts.named(kind) else {
            return Ok(self.run_unknown(head, host, path, way)?);
        };
        // A catalog that cannot be asked is not asked again.
        if found.is_ok() && kind != self.hosts.guess(host) {
            found = self.look_long(named.kind, named.name, way);
        }
        let classified = self.classifier.classify(head.method, &path);
        let Named { rule, name, .. } = named;
        match found {
            Ok(Found::Tenant(tenant)) if is_served(&tenant, classified) => {
                let tenant = Resolution::Tenant(tenant);
                Ok(answer(tenant, classified, Some(rule), path))
            }
            Ok(Found::Tenant(tenant)) => {
                Err(refuse::not_served(tenant, classified, rule, path).into())
            }
            Ok(Found::Nobody) => Err(self.hosts.refuse_nobody(rule, name, host).into()),
            Ok(Found::Contested) => Err(refuse::contested(name).into()),
            Err(halt) => Err(match self.hosts.refuse_malformed(rule, name, host) {
                Some(malformed) => malformed.into(),
                None => halt.into(),
            }),
        }
    }

    /// For a host that can be no tenant's.
    #[cold]
    #[inline(never)]
    fn run_unknown<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        host: &[u8],
        path: NormalPath<'p>,
        way: &mut W,
    ) -> Result<Resolved<'p>, ResolveError> {
        let classified = self.classifier.classify(head.method, &path);
        way.step("path", || describe_path(&path, classified));
        host::check(host).map_err(|problem| refuse::bad_host(host, problem))?;
        match classified.mode {
            RouteMode::Skip => {
                let skip = Resolution::Skip(classified.class);
                Ok(answer(skip, classified, None, path))
            }
            _ => Err(self.hosts.no_tenant(host)),
        }
    }

    /// Looks up a canonical name.
    // Where a request is resolved there is one call; the others are cold.
    #[inline(always)]
    fn look<W: Way>(&self, name: Probe<'_>, way: &mut W) -> Result<Found, W::Halt> {
        let now = self.clock.nanos();
        let found = match way.ready(self, now) {
            Ok(Store::Copy(copy)) => Ok(copy.find(name)),
            Ok(Store::Cache { cache, .. }) => way.cached(self, cache, name.again(), now),
            Err(halt) => Err(halt),
        };
        if !W::IS_SILENT {
            explain::step_lookup(name, &found, &self.hosts, way);
        }
        found
    }

    /// Looks up a name that is longer than a key, as it stands in the request, in
    /// whatever case.
    #[cold]
    #[inline(never)]
    fn look_long<W: Way>(&self, kind: Kind, name: &[u8], way: &mut W) -> Result<Found, W::Halt> {
        match NameBuf::lower(kind, name) {
            Some(name) => self.look(Probe::of(name.as_key()), way),
            None => Ok(Found::Nobody),
        }
    }

    #[cold]
    #[inline(never)]
    fn run_central<'p, W: Way>(
        &self,
        head: &RequestHead<'p, '_>,
        path: NormalPath<'p>,
        way: &mut W,
    ) -> Result<Resolved<'p>, W::Stop> {
        let (by_path, path) = self.cut_prefix(path, way)?;
        let classified = self.classifier.classify(head.method, &path);
        way.step("path", || describe_path(&path, classified));
        let Classified { class, mode } = classified;
        if mode == RouteMode::Skip {
            return Ok(answer(Resolution::Skip(class), classified, None, path));
        }
        let Some((rule, name)) = self.named(head, by_path, mode, way)? else {
            if mode == RouteMode::Tenant {
                return Err(ResolveError::WrongSide { class, mode }.into());
            }
            return Ok(answer(Resolution::Central, classified, None, path));
        };
        if let TenantKey::Label(label) = name.as_key()
            && self.hosts.is_reserved(label.as_bytes())
        {
            way.step("lookup", || explain::reserved(label));
            return Err(refuse::reserved(rule, name.as_bytes()).into());
        }
        match self.look(Probe::of(name.as_key()), way)? {
            Found::Tenant(tenant) if is_served(&tenant, classified) => Ok(answer(
                Resolution::Tenant(tenant),
                classified,
                Some(rule),
                path,
            )),
            Found::Tenant(tenant) => Err(refuse::not_served(tenant, classified, rule, path).into()),
            Found::Nobody => Err(refuse::unknown(rule, name.as_bytes()).into()),
            Found::Contested => Err(refuse::contested(name.as_bytes()).into()),
        }
    }

    /// What the path names, and the path below that.
    fn cut_prefix<'p, W: Way>(
        &self,
        path: NormalPath<'p>,
        way: &mut W,
    ) -> Result<(Option<NameBuf>, NormalPath<'p>), ResolveError> {
        let mut found = None;
        for prefix in self.sources.iter().filter_map(Source::path_prefix) {
            found = path.strip_first(prefix);
            way.step("path prefix", || match &found {
                Some((id, _)) => format!("{prefix} names {id}"),
                None => format!("{prefix} names nobody"),
            });
            if found.is_some() {
                break;
            }
        }
        let Some((id, rest)) = found else {
            return Ok((None, path));
        };
        let malformed = || refuse::unknown(RuleKind::Path, id.as_bytes());
        // Labels have no upper case, and paths are compared with case.
        crate::id::check_label(id.as_bytes()).map_err(|_| malformed())?;
        let name = NameBuf::lower(Kind::Label, id.as_bytes()).ok_or_else(malformed)?;
        Ok((Some(name), rest))
    }

    /// The one name that the sources of a central host bring.
    fn named<W: Way>(
        &self,
        head: &RequestHead<'_, '_>,
        by_path: Option<NameBuf>,
        mode: RouteMode,
        way: &mut W,
    ) -> Result<Option<(RuleKind, NameBuf)>, ResolveError> {
        if mode == RouteMode::Central {
            way.step("sources", || "not read: the route is central".into());
            return Ok(by_path.map(|name| (RuleKind::Path, name)));
        }
        let mut seen = Sighted::default();
        for source in &self.sources {
            match (source, &by_path) {
                (Source::Path(_), Some(name)) => seen.name(RuleKind::Path, *name),
                _ => source.sight(head, &self.hosts, &mut seen),
            }
            way.step(source.kind().as_str(), || seen.describe(source.kind()));
        }
        seen.finish()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("hosts", &self.hosts)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

#[inline(always)]
fn answer<'p>(
    resolution: Resolution,
    classified: Classified,
    rule: Option<RuleKind>,
    path: NormalPath<'p>,
) -> Resolved<'p> {
    Resolved {
        resolution,
        class: classified.class,
        mode: classified.mode,
        rule,
        path: path.into_cow(),
    }
}

/// Does this route serve this tenant, now?
#[inline(always)]
fn is_served(tenant: &Tenant, classified: Classified) -> bool {
    classified.mode != RouteMode::Central && tenant.is_open()
}
