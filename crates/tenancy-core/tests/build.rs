//! From a case to the real thing: a resolver through its builder, tenants into a
//! catalog, a request into a head, an answer into the reference's words.

use std::net::IpAddr;

use tenancy_core::{
    Actor, Catalog, CatalogError, CatalogWriter, Change, Changes, Classifier, Clock, MemoryCatalog,
    Method, Name, PathClass, Preset, Proof, RequestHead, Resolution, ResolveError, Resolved,
    Resolver, ResolverBuilder, RouteMode, Rule, RuleKind, Tenant, TenantKey, Version, Versioned,
};

use crate::case::{Access, Config, Request, TenantRow};
use crate::doors::Doors;
use crate::reference::{Answer, Key, REASONS, Reason, Reference};

/// The classifier of a configuration.
///
/// # Errors
/// What the builder says.
pub fn classifier(config: &Config) -> Result<Classifier, String> {
    let mut builder = Classifier::builder();
    if !config.builtin_paths {
        builder = builder.without_builtin_paths();
    }
    match config.preset.as_deref() {
        Some("laravel") => builder = builder.preset(Preset::Laravel),
        Some(other) => return Err(format!("no such preset: {other}")),
        None => {}
    }
    for rule in &config.paths {
        let class: PathClass = rule.class.parse().map_err(|e| format!("{e}"))?;
        let mode = rule.mode.as_deref().map(str::parse::<RouteMode>);
        let mode = mode.transpose().map_err(|e| format!("{e}"))?;
        builder = builder.rule(&*rule.prefix, class, mode);
    }
    builder.build().map_err(|error| error.to_string())
}

/// A catalog that cannot be read.
struct DownCatalog;

impl Catalog for DownCatalog {
    fn lookup(&self, _: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        Err(CatalogError::new("down"))
    }
    fn changes(&self, _: Version, _: usize) -> Result<Option<Changes>, CatalogError> {
        Err(CatalogError::new("down"))
    }
}

/// A feed of exactly these changes, also of those that no good catalog would give.
struct FeedCatalog(Vec<Change>);

impl Catalog for FeedCatalog {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        panic!("a resolver that has the feed asked for {key}")
    }
    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        let from = usize::try_from(since.0).expect("a version of this feed");
        let to = from.saturating_add(max).min(self.0.len());
        Ok(Some(Changes {
            since,
            upto: Version(to as u64),
            more: to < self.0.len(),
            reset: false,
            items: self.0[from..to].to_vec(),
        }))
    }
}

/// A catalog without a feed.
struct NoFeed(MemoryCatalog);

impl Catalog for NoFeed {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        self.0.lookup(key)
    }
}

/// The resolver of a configuration over these tenants.
///
/// # Errors
/// What the builders say.
pub fn resolver(config: &Config, tenants: &[TenantRow]) -> Result<Real, String> {
    let builder = match (config.catalog, memory(config, tenants)) {
        (Access::Down, _) => Resolver::builder(DownCatalog),
        (Access::Copied, Some(catalog)) => Resolver::builder(catalog),
        (Access::Copied, None) => Resolver::builder(FeedCatalog(feed(config, tenants))),
        (Access::Cached, Some(catalog)) => Resolver::builder(catalog).max_tenants(0),
        (Access::NoFeed, Some(catalog)) => Resolver::builder(NoFeed(catalog)),
        (access, None) => return Err(format!("a name has two owners, and {access:?}")),
    };
    // The clock stands still: nothing is polled for in the middle of a case.
    let resolver = apply(config, builder)?
        .clock(Clock::manual())
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Real(resolver))
}

fn apply(config: &Config, mut builder: ResolverBuilder) -> Result<ResolverBuilder, String> {
    let listed = |word| config.rules.iter().any(|rule| rule == word);
    for kind in RuleKind::ALL {
        let rules = rules_of(config, kind);
        if listed(kind.as_str()) == rules.is_empty() {
            return Err(format!(
                "{kind} is listed without its parameter, or the reverse"
            ));
        }
    }
    for word in &config.rules {
        let kind = RuleKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        let kind = kind.ok_or_else(|| format!("no such rule: {word}"))?;
        builder = rules_of(config, kind)
            .into_iter()
            .fold(builder, ResolverBuilder::rule);
    }
    for domain in &config.central_domains {
        builder = builder.central_domain(domain);
    }
    for label in &config.reserved {
        builder = builder.reserved(label);
    }
    if let Some(header) = &config.forwarded_host {
        builder = builder.forwarded_host(header);
    }
    for proxy in &config.trusted_proxies {
        builder = builder.trusted_proxy(proxy);
    }
    Ok(builder.classifier(classifier(config)?))
}

/// The closure of these tests: what a header says first.
fn first_value(head: &RequestHead<'_, '_>, header: &str) -> Option<String> {
    let mut first = None;
    head.each_header(header, &mut |value| {
        first.get_or_insert_with(|| String::from_utf8_lossy(value).into_owned());
    });
    first
}

/// Returns the rules of one kind that a configuration describes.
fn rules_of(config: &Config, kind: RuleKind) -> Vec<Rule> {
    let listed = config.rules.iter().any(|rule| rule == kind.as_str());
    let each = |values: &[String], rule: fn(&str) -> Rule| {
        values.iter().map(|value| rule(value)).collect()
    };
    match kind {
        RuleKind::Domain => listed.then(Rule::domain).into_iter().collect(),
        RuleKind::Subdomain => each(&config.subdomains_of, Rule::subdomain_of),
        RuleKind::Template => each(&config.host_templates, Rule::template),
        RuleKind::Path => each(config.path_prefix.as_slice(), Rule::path_prefix),
        RuleKind::Header => each(config.header.as_slice(), Rule::header),
        RuleKind::Query => each(config.query.as_slice(), Rule::query),
        RuleKind::Cookie => each(config.cookie.as_slice(), Rule::cookie),
        RuleKind::Origin => (listed || config.origin)
            .then(Rule::origin)
            .into_iter()
            .collect(),
        RuleKind::Custom => {
            let custom = config.custom.clone().map(|header| {
                Rule::custom(move |head: &RequestHead<'_, '_>| first_value(head, &header))
            });
            custom.into_iter().collect()
        }
        other => panic!("a rule that the tests do not know: {other}"),
    }
}

fn tenant(row: &TenantRow) -> Tenant {
    let builder = Tenant::builder(row.id.parse().expect("an id"));
    builder
        .status(row.status.parse().expect("a status"))
        .maintenance(row.maintenance.then(Default::default))
        .build()
        .expect("no attributes")
}

/// A name as it is bound: one label under a base as a label, else as a domain.
pub fn name_bound_by(config: &Config, domain: &str) -> Name {
    match Reference::new(config, &[]).bound_as(domain) {
        Key::Label(label) => Name::Label(label.parse().expect("a label")),
        Key::Domain(domain) => Name::Domain(domain.parse().expect("a domain")),
    }
}

fn names<'a>(config: &'a Config, row: &'a TenantRow) -> impl Iterator<Item = Name> + 'a {
    let labels = row
        .labels
        .iter()
        .map(|label| Name::Label(label.parse().expect("a label")));
    labels.chain(
        row.domains
            .iter()
            .map(|domain| name_bound_by(config, domain)),
    )
}

/// `None` where two tenants have one name: this catalog refuses that.
fn memory(config: &Config, tenants: &[TenantRow]) -> Option<MemoryCatalog> {
    let (catalog, by) = (MemoryCatalog::new(), Actor::new("test"));
    for row in tenants {
        catalog.put(&tenant(row)).ok()?;
    }
    for row in tenants {
        let id = row.id.parse().expect("an id");
        for name in names(config, row) {
            catalog.bind(&name, &id, Proof::Trusted, &by).ok()?;
        }
    }
    Some(catalog)
}

fn feed(config: &Config, tenants: &[TenantRow]) -> Vec<Change> {
    let bound = |row| {
        let id = tenant(row).id().clone();
        names(config, row).map(move |name| Change::Bound {
            name,
            id: id.clone(),
        })
    };
    let all = tenants.iter().map(|row| Change::Tenant(tenant(row)));
    all.chain(tenants.iter().flat_map(bound)).collect()
}

/// The real resolver of a configuration.
pub struct Real(Resolver);

impl Real {
    /// How a name is to be bound, by the real resolver.
    pub fn name_for(&self, domain: &str) -> Name {
        self.0.name_for(&domain.parse().expect("a domain"))
    }

    /// What the real resolver answers.
    pub fn answer(&self, request: &Request) -> Answer {
        with_head(request, |head| word(self.0.resolve(head)))
    }

    /// What it says by each of its doors.
    pub fn doors(&self, request: &Request) -> Doors {
        with_head(request, |head| Doors {
            cold: self.0.try_resolve(head).map(word),
            resolved: word(self.0.resolve(head)),
            warm: self.0.try_resolve(head).map(word),
            explained: self.0.explain(head),
        })
    }
}

fn with_head<R>(request: &Request, use_it: impl FnOnce(&RequestHead<'_, '_>) -> R) -> R {
    let hosts: Vec<&[u8]> = request.hosts.iter().map(Vec::as_slice).collect();
    let headers = |name: &str, each: &mut dyn FnMut(&[u8])| {
        request.values_of(name).for_each(each);
    };
    let method = Method::from(request.method.as_str());
    let mut head = RequestHead::new(method, &request.path)
        .hosts(&hosts)
        .headers(&headers);
    if let Some(authority) = &request.authority {
        head = head.authority(authority);
    }
    if let Some(peer) = &request.peer {
        head = head.peer(peer.parse::<IpAddr>().expect("an address"));
    }
    use_it(&head)
}

/// The answer in the reference's words.
fn word(answer: Result<Resolved<'_>, ResolveError>) -> Answer {
    let resolved = match answer {
        Ok(resolved) => resolved,
        Err(error) => return Answer::Refused(reason(&error)),
    };
    let (class, mode) = (resolved.class.to_string(), resolved.mode.to_string());
    let path = resolved.path.into_owned();
    match resolved.resolution {
        Resolution::Tenant(tenant) => Answer::Tenant {
            tenant: tenant.id().to_string(),
            rule: resolved.rule.expect("a rule that won").as_str().to_owned(),
            class,
            mode,
            path,
        },
        Resolution::Central => Answer::Central { class, mode, path },
        Resolution::Skip(skipped) => {
            assert_eq!((skipped, mode.as_str()), (resolved.class, "skip"));
            Answer::Skip { class, path }
        }
        other => panic!("an outcome that the tests do not know: {other:?}"),
    }
}

fn reason(error: &ResolveError) -> Reason {
    let word = error.reason().as_str();
    let known = REASONS.iter().find(|reason| reason.0 == word);
    let known = known.unwrap_or_else(|| panic!("a reason that the tests do not know: {word}"));
    assert_eq!(error.status(), known.1, "the status of {word}");
    *known
}

/// What a Host header is to the real resolver: `want` when it is that name (it is
/// listed as central, then), `another` when it is one, else the reason.
pub fn host_word(host: &[u8], want: Option<&str>) -> String {
    let central = want.filter(|want| *want != "bad_host");
    let config = Config {
        central_domains: central.into_iter().map(str::to_owned).collect(),
        rules: vec!["domain".to_owned()],
        ..Config::default()
    };
    let resolver = resolver(&config, &[]).expect("a configuration");
    match resolver.answer(&Request::get(host, "/")) {
        Answer::Central { .. } => want.expect("listed").to_owned(),
        Answer::Refused(Reason("no_tenant", _)) => "another".to_owned(),
        Answer::Refused(reason) => reason.0.to_owned(),
        other => panic!("{other:?}"),
    }
}
