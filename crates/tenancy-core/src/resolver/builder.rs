//! [`ResolverBuilder`]: the configuration of a resolver.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Resolver;
use super::engine::Engine;
use super::fresh::Fresh;
use super::hosts::{Hosts, Pattern};
use super::invalid::InvalidResolver;
use super::memory::Memory;
use super::proxies::{Network, Proxies};
use super::reserved::Reserved;
use super::rule::{Rule, RuleKind, RuleParts, Source};
use super::template::{Template, overlap};
use crate::catalog::Catalog;
use crate::classify::Classifier;
use crate::clock::Clock;
use crate::domain::Domain;
use crate::event::{Observer, Observers};
use crate::host;
use crate::id::TenantId;
use crate::text::{is_token, quote};

/// A builder of a [`Resolver`]. It refuses a configuration that contradicts itself.
///
/// ```
/// use std::time::Duration;
/// use tenancy_core::{InvalidResolver, MemoryCatalog, Resolver, Rule, RuleKind};
/// let resolver = Resolver::builder(MemoryCatalog::new())
///     .rule(Rule::subdomain_of("app.test"))
///     .rule(Rule::header("x-tenant"))
///     .central_domain("app.test")
///     .reserved("www")
///     .max_staleness(Duration::from_secs(1))
///     .build()?;
///
/// // A header is read on central hosts, and here is none.
/// let refused = Resolver::builder(MemoryCatalog::new()).rule(Rule::header("x-tenant")).build();
/// let rule = RuleKind::Header;
/// assert_eq!(refused.unwrap_err(), InvalidResolver::NoCentralDomain { rule });
/// # Ok::<(), InvalidResolver>(())
/// ```
#[must_use = "call `build`"]
pub struct ResolverBuilder {
    catalog: Arc<dyn Catalog>,
    rules: Vec<Rule>,
    central: Vec<Box<str>>,
    reserved: Vec<Box<str>>,
    proxies: Vec<Box<str>>,
    forwarded_host: Box<str>,
    classifier: Classifier,
    poll_every: Duration,
    max_staleness: Duration,
    serve_stale_for: Duration,
    upkeep: Option<Duration>,
    max_tenants: usize,
    max_cached: usize,
    clock: Clock,
    observers: Observers,
}

impl ResolverBuilder {
    pub(crate) fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self {
            catalog,
            rules: Vec::new(),
            central: Vec::new(),
            reserved: Vec::new(),
            proxies: Vec::new(),
            forwarded_host: "x-forwarded-host".into(),
            classifier: Classifier::default(),
            poll_every: Duration::from_millis(500),
            max_staleness: Duration::from_secs(2),
            serve_stale_for: Duration::ZERO,
            upkeep: None,
            max_tenants: 1_000_000,
            max_cached: 100_000,
            clock: Clock::system(),
            observers: Observers::default(),
        }
    }

    /// Adds a rule. The order of the rules never decides the tenant. It decides only which rules an
    /// answer or an error names.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds a host of the central application: a name, an IPv4 address or `[IPv6]`.
    #[doc(alias = "landlord")]
    pub fn central_domain(mut self, host: &str) -> Self {
        self.central.push(host.into());
        self
    }

    /// Adds a label that never names a tenant.
    pub fn reserved(mut self, label: &str) -> Self {
        self.reserved.push(label.into());
        self
    }

    /// Adds a trusted proxy, whose [forwarded host](Self::forwarded_host) replaces the host of a
    /// request. `network` is an address, or a network such as `10.0.0.0/8`. An IPv4-mapped IPv6
    /// address counts as the IPv4 address.
    pub fn trusted_proxy(mut self, network: &str) -> Self {
        self.proxies.push(network.into());
        self
    }

    /// Sets the header in which trusted proxies forward the host. Of the header `forwarded`
    /// (RFC 7239), the parameter `host` is read. Every other header must hold only the host.
    /// Defaults to `x-forwarded-host`.
    pub fn forwarded_host(mut self, header: &str) -> Self {
        self.forwarded_host = header.to_ascii_lowercase().into();
        self
    }

    /// Sets the classifier of paths. Defaults to the built-in rules.
    pub fn classifier(mut self, classifier: Classifier) -> Self {
        self.classifier = classifier;
        self
    }

    /// Sets the interval at which the change feed is polled. Defaults to 500 ms. It must not be
    /// longer than [`max_staleness`](Self::max_staleness).
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.poll_every = every;
        self
    }

    /// Sets the interval at which a thread of the embedder calls [`Resolver::sync`]. Then requests
    /// poll the change feed only if the last sync is two intervals old, as the thread may have
    /// ended, or if answers would become older than [`max_staleness`](Self::max_staleness). Without
    /// this interval, which is the default, requests poll every
    /// [`poll_every`](Self::poll_every).
    pub fn synced_every(mut self, every: Duration) -> Self {
        self.upkeep = Some(every);
        self
    }

    /// Sets the bound on the age of an answer from memory, while the catalog can be read. If the
    /// catalog has no change feed, an answer is cached for this time. Defaults to 2 s.
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.max_staleness = age;
        self
    }

    /// Sets the bound on the age of an answer while the catalog cannot be read. Defaults to
    /// [`max_staleness`](Self::max_staleness), which is also its minimum.
    pub fn serve_stale_for(mut self, age: Duration) -> Self {
        self.serve_stale_for = age;
        self
    }

    /// Sets the bound on the tenants of a catalog that is kept in memory as a whole. A catalog with
    /// more tenants at the first load is cached in part. The bound does not apply to tenants that
    /// are added later. Defaults to 1,000,000.
    pub fn max_tenants(mut self, tenants: usize) -> Self {
        self.max_tenants = tenants;
        self
    }

    /// Sets the bound on the cached names that have a tenant. It applies to a catalog that is
    /// cached in part, or has no change feed. The bound on cached names without a tenant is an
    /// eighth of this one. Defaults to 100,000.
    pub fn max_cached(mut self, names: usize) -> Self {
        self.max_cached = names;
        self
    }

    /// Sets the clock that freshness is measured with. Defaults to the clock of the operating
    /// system.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds an observer of this resolver.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Returns the resolver. The catalog is not read yet.
    ///
    /// # Errors
    /// Returns an error if the configuration contradicts itself, or if a parameter is malformed.
    pub fn build(self) -> Result<Resolver, InvalidResolver> {
        let (hosts, sources) = self.check_rules()?;
        let proxies = self.parse_proxies()?;
        if self.poll_every.is_zero() || self.poll_every > self.max_staleness {
            return Err(InvalidResolver::PollEvery {
                poll_every: self.poll_every,
                max_staleness: self.max_staleness,
            });
        }
        let fresh = Fresh::new(
            self.poll_every,
            self.max_staleness,
            self.serve_stale_for,
            self.upkeep,
        );
        let memory = Memory {
            catalog: self.catalog,
            reserved: hosts.reserved.clone(),
            clock: self.clock,
            fresh,
            max_tenants: self.max_tenants,
            max_cached: self.max_cached,
            observers: self.observers,
            store: OnceLock::new(),
        };
        Ok(Resolver(Engine {
            classifier: self.classifier,
            hosts,
            proxies,
            sources,
            memory,
        }))
    }

    /// Separates the rules by host from the rules for central hosts, and checks their parameters.
    fn check_rules(&self) -> Result<(Hosts, Vec<Source>), InvalidResolver> {
        if self.rules.is_empty() {
            return Err(InvalidResolver::NoRules);
        }
        let mut hosts = self.own_hosts()?;
        let (mut templates, mut sources) = (Vec::new(), Vec::new());
        for rule in &self.rules {
            match &rule.0 {
                RuleParts::Domain => hosts.domains = true,
                RuleParts::Subdomain(base) => templates.push((rule.kind(), under(base)?)),
                RuleParts::Template(text) => templates.push((rule.kind(), Template::parse(text)?)),
                RuleParts::Source(_) if self.central.is_empty() => {
                    return Err(InvalidResolver::NoCentralDomain { rule: rule.kind() });
                }
                RuleParts::Source(source) => {
                    sources.push(checked(source.clone(), &self.forwarded_host)?);
                }
            }
        }
        if let Some((first, second)) = overlap(templates.iter().map(|(_, template)| template)) {
            return Err(InvalidResolver::Overlap {
                first: first.to_string(),
                second: second.to_string(),
            });
        }
        hosts.patterns = templates
            .into_iter()
            .map(|(rule, template)| Pattern::new(rule, &template.prefix, &template.suffix))
            .collect();
        Ok((hosts, sources))
    }

    /// Returns the central hosts and the reserved labels.
    fn own_hosts(&self) -> Result<Hosts, InvalidResolver> {
        let mut hosts = Hosts::default();
        for central in &self.central {
            match host::v6(central.as_bytes()) {
                Some(address) => hosts.central_v6.push(address),
                None => hosts.add_central(&configured_host(central)?),
            }
        }
        let label = |label: &str| {
            TenantId::new(label).map_err(|_| InvalidResolver::Reserved {
                label: quote(label),
            })
        };
        let reserved: Result<Vec<_>, _> = self.reserved.iter().map(|text| label(text)).collect();
        hosts.reserved = Arc::new(Reserved::new(reserved?));
        Ok(hosts)
    }

    fn parse_proxies(&self) -> Result<Proxies, InvalidResolver> {
        let header = &*self.forwarded_host;
        let token = !header.is_empty() && header.bytes().all(is_token);
        if !token || header == "host" {
            return Err(InvalidResolver::ForwardedHost {
                header: quote(header),
            });
        }
        let network = |text: &str| {
            text.parse::<Network>()
                .map_err(|()| InvalidResolver::Proxy {
                    network: quote(text),
                })
        };
        let networks: Result<_, _> = self.proxies.iter().map(|text| network(text)).collect();
        Ok(Proxies::new(networks?, header))
    }
}

/// Returns the template that each host with one label under a base domain fits.
fn under(base: &str) -> Result<Template, InvalidResolver> {
    let name = configured_host(base)?;
    match host::is_v4(name.as_bytes()) {
        true => Err(InvalidResolver::AddressAsBase { base: quote(base) }),
        false => Ok(Template::under(&name)),
    }
}

/// Returns a configured host in lower case.
fn configured_host(text: &str) -> Result<String, InvalidResolver> {
    let name = text.to_ascii_lowercase();
    match Domain::from_canonical(&name) {
        Some(_) => Ok(name),
        None => Err(InvalidResolver::Host { host: quote(text) }),
    }
}

/// Checks the parameter of a rule, and returns it in the form that requests are compared with.
fn checked(source: Source, forwarded_host: &str) -> Result<Source, InvalidResolver> {
    match &source {
        Source::Path(prefix) => check_path_prefix(prefix)?,
        Source::Header(name) => {
            check_token(source.kind(), name)?;
            let name = name.to_ascii_lowercase();
            if ["host", "cookie", "forwarded", forwarded_host].contains(&&*name) {
                return Err(InvalidResolver::TakenHeader {
                    header: quote(&name),
                });
            }
            return Ok(Source::Header(name.into()));
        }
        Source::Query(name) | Source::Cookie(name) => check_token(source.kind(), name)?,
        Source::Origin | Source::Custom(_) => {}
    }
    Ok(source)
}

fn check_path_prefix(prefix: &str) -> Result<(), InvalidResolver> {
    let refuse = |problem| {
        Err(InvalidResolver::PathPrefix {
            prefix: quote(prefix),
            problem,
        })
    };
    let Some(segment) = prefix.strip_prefix('/') else {
        return refuse("has no leading slash");
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    match segment {
        "" => refuse("names no segment"),
        "." | ".." => refuse("is a dot segment"),
        _ if segment.ends_with('/') => refuse("ends with a slash"),
        _ if segment.contains('/') => refuse("has more than one segment"),
        _ if !segment.bytes().all(plain) => {
            refuse("has a byte other than letters, digits, '-', '.', '_' and '~'")
        }
        _ => Ok(()),
    }
}

fn check_token(rule: RuleKind, name: &str) -> Result<(), InvalidResolver> {
    match !name.is_empty() && name.bytes().all(is_token) {
        true => Ok(()),
        false => Err(InvalidResolver::ParameterName {
            rule,
            name: quote(name),
        }),
    }
}
