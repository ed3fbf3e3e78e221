//! [`ResolverBuilder`], which refuses every contradiction.

use std::sync::Arc;
use std::time::Duration;

use super::fresh::Fresh;
use super::hosts::{Hosts, Pattern};
use super::invalid::InvalidResolver;
use super::pattern::{Template, overlap};
use super::proxies::{Network, Proxies};
use super::sources::{Custom, Source};
use super::{DefaultHasher, Resolver, Rule};
use crate::catalog::Catalog;
use crate::classify::Classifier;
use crate::clock::Clock;
use crate::domain::Domain;
use crate::event::{Observer, Observers};
use crate::host;
use crate::id::TenantId;
use crate::request::RequestHead;
use crate::text::quote;

/// Builds a [`Resolver`]; see there for an example.
///
/// A rule is switched on by [`rule`](Self::rule) and takes its parameter from the
/// method of its name. One without the other is an error.
#[must_use = "call `build`"]
pub struct ResolverBuilder<S = DefaultHasher> {
    catalog: Arc<dyn Catalog>,
    rules: Vec<Rule>,
    central: Vec<Box<str>>,
    bases: Vec<Box<str>>,
    templates: Vec<Box<str>>,
    path_prefix: Option<Box<str>>,
    header: Option<Box<str>>,
    query: Option<Box<str>>,
    cookie: Option<Box<str>>,
    custom: Option<Custom>,
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
    hasher: S,
}

impl ResolverBuilder {
    pub(crate) fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self {
            catalog,
            rules: Vec::new(),
            central: Vec::new(),
            bases: Vec::new(),
            templates: Vec::new(),
            path_prefix: None,
            header: None,
            query: None,
            cookie: None,
            custom: None,
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
            hasher: DefaultHasher::default(),
        }
    }
}

impl<S> ResolverBuilder<S> {
    /// Switches a rule on. The order only decides which is reported when several
    /// agree.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds a host of the central application: a name, an IPv4 address or `[IPv6]`.
    pub fn central_domain(mut self, host: &str) -> Self {
        self.central.push(host.into());
        self
    }

    /// Adds a base domain, whose every label is a tenant's.
    pub fn subdomains_of(mut self, base: &str) -> Self {
        self.bases.push(base.into());
        self
    }

    /// Adds a template of hosts: `{tenant}-api.example.com`.
    pub fn host_template(mut self, template: &str) -> Self {
        self.templates.push(template.into());
        self
    }

    /// The path under which the next segment is the tenant: `/t`.
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        self.path_prefix = Some(prefix.into());
        self
    }

    /// The header that carries a tenant, on central hosts. Switching it on is the
    /// trust: whoever sends it chooses the tenant.
    pub fn header(mut self, name: &str) -> Self {
        self.header = Some(name.into());
        self
    }

    /// The parameter of the query that carries a tenant, on central hosts.
    pub fn query(mut self, name: &str) -> Self {
        self.query = Some(name.into());
        self
    }

    /// The cookie that carries a tenant, on central hosts.
    pub fn cookie(mut self, name: &str) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// A closure that names the tenant of a request, on central hosts.
    pub fn custom(
        mut self,
        name: impl Fn(&RequestHead<'_, '_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.custom = Some(Arc::new(name));
        self
    }

    /// Adds a label that is never a tenant.
    pub fn reserved(mut self, label: &str) -> Self {
        self.reserved.push(label.into());
        self
    }

    /// Adds a proxy whose [forwarded host](Self::forwarded_host) counts: an address, or a
    /// network as `10.0.0.0/8`. An IPv4-mapped IPv6 one is the IPv4 one.
    pub fn trusted_proxy(mut self, network: &str) -> Self {
        self.proxies.push(network.into());
        self
    }

    /// Sets the header in which trusted proxies forward the host: `forwarded`, of which
    /// `host=` is read (RFC 7239), or one that holds nothing but the host. Defaults to
    /// `x-forwarded-host`.
    pub fn forwarded_host(mut self, header: &str) -> Self {
        self.forwarded_host = header.to_ascii_lowercase().into();
        self
    }

    /// How paths are classified; the built-in rules unless said.
    pub fn classifier(mut self, classifier: Classifier) -> Self {
        self.classifier = classifier;
        self
    }

    /// How often the change feed is asked; 500 ms unless said.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.poll_every = every;
        self
    }

    /// A thread of the caller's own calls [`Resolver::sync`] this often: requests leave the
    /// polling to it. They poll when it is late by as much again, so that a thread that died
    /// is missed by nobody; and in time for `max_staleness`, however seldom it syncs. Defaults
    /// to none: requests poll after `poll_every`.
    pub fn synced_every(mut self, every: Duration) -> Self {
        self.upkeep = Some(every);
        self
    }

    /// How old an answer from memory may be; 2 s unless said. Without a feed, how
    /// long an answer is kept.
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.max_staleness = age;
        self
    }

    /// How old an answer may be while the catalog cannot be asked; no older than
    /// [`max_staleness`](Self::max_staleness) unless said.
    pub fn serve_stale_for(mut self, age: Duration) -> Self {
        self.serve_stale_for = age;
        self
    }

    /// Up to this many tenants at the first load the whole catalog is copied; a
    /// larger one is cached in part. 1,000,000 unless said. A copy that was begun
    /// grows with its catalog.
    pub fn max_tenants(mut self, tenants: usize) -> Self {
        self.max_tenants = tenants;
        self
    }

    /// How many names are cached of a catalog that is not copied, and an eighth of
    /// that of names that nobody has. 100,000 unless said.
    pub fn max_cached(mut self, names: usize) -> Self {
        self.max_cached = names;
        self
    }

    /// The clock that freshness is measured with; the system's unless said.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds an observer of this resolver.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Another hash for the index. Tenants choose names: take one that is seeded.
    pub fn hasher<T>(self, hasher: T) -> ResolverBuilder<T> {
        ResolverBuilder {
            catalog: self.catalog,
            rules: self.rules,
            central: self.central,
            bases: self.bases,
            templates: self.templates,
            path_prefix: self.path_prefix,
            header: self.header,
            query: self.query,
            cookie: self.cookie,
            custom: self.custom,
            reserved: self.reserved,
            proxies: self.proxies,
            forwarded_host: self.forwarded_host,
            classifier: self.classifier,
            poll_every: self.poll_every,
            max_staleness: self.max_staleness,
            serve_stale_for: self.serve_stale_for,
            upkeep: self.upkeep,
            max_tenants: self.max_tenants,
            max_cached: self.max_cached,
            clock: self.clock,
            observers: self.observers,
            hasher,
        }
    }

    /// The resolver. The catalog is not asked yet.
    ///
    /// # Errors
    /// On every contradiction and every parameter that is malformed.
    pub fn build(self) -> Result<Resolver<S>, InvalidResolver> {
        self.check_rules()?;
        let hosts = self.hosts()?;
        let sources = self.sources()?;
        let proxies = self.parse_proxies()?;
        if self.poll_every.is_zero() || self.poll_every > self.max_staleness {
            return Err(InvalidResolver::PollEvery {
                poll_every: self.poll_every,
                max_staleness: self.max_staleness,
            });
        }
        Ok(Resolver {
            fresh: Fresh::new(
                self.poll_every,
                self.max_staleness,
                self.serve_stale_for,
                self.upkeep,
            ),
            catalog: self.catalog,
            classifier: self.classifier,
            hosts,
            proxies,
            path_prefix: self.path_prefix,
            sources,
            clock: self.clock,
            store: once_cell::sync::OnceCell::new(),
            hasher: self.hasher,
            max_tenants: self.max_tenants,
            max_cached: self.max_cached,
            observers: self.observers,
        })
    }

    /// Whether the parameter of a rule was given; `None` where a rule has none.
    fn has_parameter(&self, rule: Rule) -> Option<bool> {
        match rule {
            Rule::Domain | Rule::Origin => None,
            Rule::Subdomain => Some(!self.bases.is_empty()),
            Rule::Template => Some(!self.templates.is_empty()),
            Rule::Path => Some(self.path_prefix.is_some()),
            Rule::Header => Some(self.header.is_some()),
            Rule::Query => Some(self.query.is_some()),
            Rule::Cookie => Some(self.cookie.is_some()),
            Rule::Custom => Some(self.custom.is_some()),
        }
    }

    fn check_rules(&self) -> Result<(), InvalidResolver> {
        if self.rules.is_empty() {
            return Err(InvalidResolver::NoRules);
        }
        for (at, rule) in self.rules.iter().enumerate() {
            if self.rules[..at].contains(rule) {
                return Err(InvalidResolver::RuleTwice { rule: *rule });
            }
        }
        for rule in Rule::ALL {
            match (self.rules.contains(&rule), self.has_parameter(rule)) {
                (true, Some(false)) => return Err(InvalidResolver::NoParameter { rule }),
                (false, Some(true)) => return Err(InvalidResolver::NotListed { rule }),
                _ => {}
            }
        }
        // These are read on central hosts alone.
        let by_host = |rule: &Rule| matches!(rule, Rule::Domain | Rule::Subdomain | Rule::Template);
        match self.rules.iter().find(|rule| !by_host(rule)) {
            Some(rule) if self.central.is_empty() => {
                Err(InvalidResolver::NoCentralDomain { rule: *rule })
            }
            _ => Ok(()),
        }
    }

    fn hosts(&self) -> Result<Hosts, InvalidResolver> {
        let mut hosts = Hosts {
            domains: self.rules.contains(&Rule::Domain),
            ..Hosts::default()
        };
        for central in &self.central {
            match host::v6(central.as_bytes()) {
                Some(address) => hosts.central_v6.push(address),
                None => hosts.add_central(&configured_host(central)?),
            }
        }
        let mut templates = Vec::new();
        for base in &self.bases {
            let name = configured_host(base)?;
            if host::is_v4(name.as_bytes()) {
                return Err(InvalidResolver::AddressAsBase { base: quote(base) });
            }
            templates.push((Rule::Subdomain, Template::under(&name)));
        }
        for template in &self.templates {
            templates.push((Rule::Template, Template::parse(template)?));
        }
        if let Some((first, second)) = overlap(templates.iter().map(|(_, template)| template)) {
            return Err(InvalidResolver::Overlap {
                first: first.to_string(),
                second: second.to_string(),
            });
        }
        hosts.patterns = templates
            .into_iter()
            .map(|(rule, template)| Pattern::new(rule, &template))
            .collect();
        for label in &self.reserved {
            TenantId::new(label).map_err(|_| InvalidResolver::Reserved {
                label: quote(label),
            })?;
            hosts.reserved.insert(label.clone());
        }
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

    fn sources(&self) -> Result<Vec<Source>, InvalidResolver> {
        if let Some(prefix) = &self.path_prefix {
            check_path_prefix(prefix)?;
        }
        let token = |rule, name: &Option<Box<str>>| {
            let name = name.as_deref().unwrap_or_default();
            match !name.is_empty() && name.bytes().all(is_token) {
                true => Ok(Box::<str>::from(name)),
                false => Err(InvalidResolver::ParameterName {
                    rule,
                    name: quote(name),
                }),
            }
        };
        let mut sources = Vec::new();
        for rule in &self.rules {
            sources.push(match rule {
                Rule::Path => Source::Path,
                Rule::Header => {
                    let name = token(*rule, &self.header)?.to_ascii_lowercase();
                    let taken = ["host", "cookie", "forwarded", &*self.forwarded_host];
                    if taken.contains(&&*name) {
                        return Err(InvalidResolver::TakenHeader {
                            header: quote(&name),
                        });
                    }
                    Source::Header(name.into())
                }
                Rule::Query => Source::Query(token(*rule, &self.query)?),
                Rule::Cookie => Source::Cookie(token(*rule, &self.cookie)?),
                Rule::Origin => Source::Origin,
                Rule::Custom => match &self.custom {
                    Some(custom) => Source::Custom(custom.clone()),
                    None => continue,
                },
                Rule::Domain | Rule::Subdomain | Rule::Template => continue,
            });
        }
        Ok(sources)
    }
}

/// A configured host, as it is stored.
pub(crate) fn configured_host(text: &str) -> Result<String, InvalidResolver> {
    let name = text.to_ascii_lowercase();
    match Domain::from_canonical(&name) {
        Some(_) => Ok(name),
        None => Err(InvalidResolver::Host { host: quote(text) }),
    }
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

/// A character of a token (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
