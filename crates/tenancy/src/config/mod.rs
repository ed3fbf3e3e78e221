//! The config of an application: the types behind `tenancy.toml`.

mod error;
mod keys;
mod value;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tenancy_core::{
    Catalog, Classifier, PathClass, Preset, Resolver, ResolverBuilder, RouteMode, Rule, RuleKind,
};

pub use error::ConfigError;

/// The config in `tenancy.toml`: the storage root, the rules that resolve requests, the bounds on
/// connections, the retention.
///
/// Every key is optional. An unknown key is an error, which names the most similar known key.
/// Relative paths start at the directory of the file.
///
/// ```
/// use std::path::Path;
/// use tenancy::Config;
/// let text = r#"
///     [storage]
///     root = "data"
///     [resolve]
///     central_domains = ["app.test"]
///     rules = ["subdomain"]
///     subdomains_of = ["app.test"]
/// "#;
/// let config = Config::parse(text, Path::new("/srv/app/tenancy.toml"))?;
/// assert_eq!(config.storage.root, Path::new("/srv/app/data"));
///
/// let typo = Config::parse("[resolve]\nheadr = \"x-tenant\"", Path::new("tenancy.toml"));
/// assert_eq!(
///     typo.unwrap_err().to_string(),
///     "tenancy.toml: key resolve.headr is not known; the nearest known key is resolve.header"
/// );
/// # Ok::<(), tenancy::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Config {
    /// The file that the config was read from.
    #[serde(skip)]
    pub file: PathBuf,
    /// The table `[storage]`.
    pub storage: StorageConfig,
    /// The table `[resolve]`.
    pub resolve: ResolveConfig,
    /// The tables `[[path]]`.
    #[serde(rename = "path")]
    pub paths: Vec<PathRule>,
    /// The table `[pool]`.
    pub pool: PoolConfig,
    /// The table `[retention]`.
    pub retention: RetentionConfig,
}

/// The table `[storage]`: the storage root and its migrations.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StorageConfig {
    /// The directory of `catalog.db` and the tenants' files. Defaults to `data`.
    pub root: PathBuf,
    /// The directory of the migrations, files like `0001_name.sql`. Without this key, a new
    /// tenant's database is empty.
    pub migrations: Option<PathBuf>,
    /// The directory of the seeds for new tenants.
    pub seeds: Option<PathBuf>,
    /// The number of databases provisioned in advance, each a file: at most 10,000. Defaults to 0.
    /// If the number is set back to 0, databases that are ready remain and are used.
    pub warm_pool: usize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            root: "data".into(),
            migrations: None,
            seeds: None,
            warm_pool: 0,
        }
    }
}

/// The table `[resolve]`: how a request finds its tenant.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ResolveConfig {
    /// The hosts of the central application, which belong to no tenant.
    pub central_domains: Vec<String>,
    /// The rules in use. Defaults to `["domain"]`.
    #[serde(deserialize_with = "value::words")]
    pub rules: Vec<RuleKind>,
    /// The base domains under which one label names a tenant.
    pub subdomains_of: Vec<String>,
    /// Templates of hosts, like `{tenant}-api.example.com`.
    pub host_templates: Vec<String>,
    /// The prefix of the path rule, like `/t`: `/t/acme/orders` is `/orders` of tenant `acme`.
    pub path_prefix: Option<String>,
    /// The request header that names a tenant on central domains.
    pub header: Option<String>,
    /// The query parameter that names a tenant on central domains.
    pub query: Option<String>,
    /// The cookie that names a tenant on central domains.
    pub cookie: Option<String>,
    /// Whether the Origin header names a tenant on central domains. Defaults to whether `rules`
    /// lists `"origin"`; a value that contradicts `rules` is refused.
    pub origin: Option<bool>,
    /// The labels that no tenant can have.
    pub reserved: Vec<String>,
    /// Whether the built-in path classes apply. Defaults to `true`.
    pub builtin_paths: bool,
    /// The framework whose tool paths are added to the path classes, like `laravel`.
    #[serde(deserialize_with = "value::maybe_word")]
    pub preset: Option<Preset>,
    /// The addresses and networks (CIDR) of the proxies whose forwarded host is trusted.
    pub trusted_proxies: Vec<String>,
    /// The header with the forwarded host: `x-forwarded-host`, `forwarded`, or another header that
    /// the proxy sets. Defaults to `x-forwarded-host`.
    pub forwarded_host: Option<String>,
}

impl Default for ResolveConfig {
    fn default() -> Self {
        Self {
            central_domains: Vec::new(),
            rules: vec![RuleKind::Domain],
            subdomains_of: Vec::new(),
            host_templates: Vec::new(),
            path_prefix: None,
            header: None,
            query: None,
            cookie: None,
            origin: None,
            reserved: Vec::new(),
            builtin_paths: true,
            preset: None,
            trusted_proxies: Vec::new(),
            forwarded_host: None,
        }
    }
}

/// A table `[[path]]`: the class of the paths below a prefix.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct PathRule {
    /// The prefix, which consists of whole path segments, like `/assets`.
    pub prefix: String,
    /// The class of the paths.
    #[serde(deserialize_with = "value::word")]
    pub class: PathClass,
    /// The route mode of the paths. Defaults to that of the class.
    #[serde(default, deserialize_with = "value::maybe_word")]
    pub mode: Option<RouteMode>,
}

/// The table `[pool]`: bounds on connections.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The largest number of connections of all tenants together. Defaults to the number that the
    /// process's file descriptors allow, at most 256.
    pub max_connections: Option<NonZeroU32>,
    /// The largest number of connections of one tenant. Defaults to 4.
    pub max_per_tenant: Option<NonZeroU32>,
    /// The time-out of a check-out. Defaults to 5 s.
    #[serde(deserialize_with = "value::maybe_duration")]
    pub checkout_timeout: Option<Duration>,
}

/// The table `[retention]`: the minimum time for which retired tenants and snapshots are kept.
/// Nothing is removed automatically when the time has passed: an operator removes the files.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RetentionConfig {
    /// The retention of retired tenants' databases in the trash. Defaults to 30 days.
    #[serde(deserialize_with = "value::maybe_duration")]
    pub trash: Option<Duration>,
    /// The retention of the snapshots that migrations and rollbacks take. Defaults to 30 days.
    #[serde(deserialize_with = "value::maybe_duration")]
    pub snapshots: Option<Duration>,
}

impl Config {
    /// The file name that commands look for by default.
    pub const FILE_NAME: &'static str = "tenancy.toml";

    /// Reads a config file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if [`parse`](Self::parse) refuses its text.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
            file: file.into(),
            source,
        })?;
        Self::parse(&text, file)
    }

    /// Reads the text of a config. `file` is used in errors and for relative paths; it is not
    /// opened.
    ///
    /// # Errors
    /// Returns an error if the text is not TOML, if a key is not known or a value does not fit its
    /// key, if a listed rule lacks its parameter, or if a parameter is set whose rule is not
    /// listed.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let wrong = |error| ConfigError::value(file, text, &error);
        keys::check(&toml::from_str(text).map_err(wrong)?, &known_keys(), file)?;
        let mut config: Self = toml::from_str(text).map_err(wrong)?;
        config.file = file.into();
        config.resolve.checked_rules(file)?;
        config
            .storage
            .make_relative_to(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Builds the resolver that `[resolve]` and `[[path]]` describe, for the tenants of a
    /// catalog.
    ///
    /// # Errors
    /// Returns an error if a path rule is invalid, or if keys contradict each other.
    pub fn resolver(&self, catalog: impl Catalog) -> Result<Resolver, ConfigError> {
        let builder = self.configure(Resolver::builder(catalog))?;
        builder.build().map_err(|source| ConfigError::Resolve {
            file: self.file.clone(),
            source,
        })
    }

    /// Applies `[resolve]` and `[[path]]` to a resolver's builder.
    ///
    /// # Errors
    /// Returns an error if a path rule is invalid, a listed rule lacks its parameter, or a
    /// parameter is set whose rule is not listed. The builder's `build` refuses all other
    /// contradictions.
    pub fn configure(&self, builder: ResolverBuilder) -> Result<ResolverBuilder, ConfigError> {
        let resolve = &self.resolve;
        let mut builder = builder.classifier(self.classifier()?);
        for rule in resolve.checked_rules(&self.file)? {
            builder = builder.rule(rule);
        }
        for host in &resolve.central_domains {
            builder = builder.central_domain(host);
        }
        for label in &resolve.reserved {
            builder = builder.reserved(label);
        }
        if let Some(header) = &resolve.forwarded_host {
            builder = builder.forwarded_host(header);
        }
        for network in &resolve.trusted_proxies {
            builder = builder.trusted_proxy(network);
        }
        Ok(builder)
    }

    fn classifier(&self) -> Result<Classifier, ConfigError> {
        let mut builder = Classifier::builder();
        if !self.resolve.builtin_paths {
            builder = builder.without_builtin_paths();
        }
        if let Some(preset) = self.resolve.preset {
            builder = builder.preset(preset);
        }
        for rule in &self.paths {
            builder = builder.rule(rule.prefix.as_str(), rule.class, rule.mode);
        }
        builder.build().map_err(|source| ConfigError::Path {
            file: self.file.clone(),
            source,
        })
    }
}

impl PoolConfig {
    /// Applies the configured values to a builder of pools.
    pub fn configure(&self, mut pools: tenancy_pool::Builder) -> tenancy_pool::Builder {
        if let Some(max) = self.max_connections {
            pools = pools.max_connections(max.get());
        }
        if let Some(max) = self.max_per_tenant {
            pools = pools.max_per_tenant(max.get());
        }
        if let Some(timeout) = self.checkout_timeout {
            pools = pools.checkout_timeout(timeout);
        }
        pools
    }
}

impl StorageConfig {
    fn make_relative_to(&mut self, directory: &Path) {
        let paths = [
            Some(&mut self.root),
            self.migrations.as_mut(),
            self.seeds.as_mut(),
        ];
        for path in paths.into_iter().flatten() {
            *path = directory.join(&*path);
        }
    }
}

impl ResolveConfig {
    /// Returns the rules that are listed, with their parameters.
    fn checked_rules(&self, file: &Path) -> Result<Vec<Rule>, ConfigError> {
        let file = || file.to_path_buf();
        if self.origin == Some(false) && self.rules.contains(&RuleKind::Origin) {
            return Err(ConfigError::OriginOff { file: file() });
        }
        for rule in RuleKind::ALL {
            let Some(key) = parameter_of(rule) else {
                continue;
            };
            // Only `rules` switches a rule on; a parameter does not.
            match (self.rules.contains(&rule), self.rules_of(rule).is_empty()) {
                (false, false) => {
                    let file = file();
                    return Err(ConfigError::RuleNotListed { file, key, rule });
                }
                (true, true) => {
                    let file = file();
                    return Err(ConfigError::NoParameter { file, key, rule });
                }
                _ => {}
            }
        }
        let rules = self.rules.iter();
        Ok(rules.flat_map(|&kind| self.rules_of(kind)).collect())
    }

    /// Returns the rules of this kind that the parameters describe.
    fn rules_of(&self, kind: RuleKind) -> Vec<Rule> {
        let each = |values: &[String], rule: fn(&str) -> Rule| {
            values.iter().map(|value| rule(value)).collect()
        };
        match kind {
            RuleKind::Domain => vec![Rule::domain()],
            RuleKind::Subdomain => each(&self.subdomains_of, Rule::subdomain_of),
            RuleKind::Template => each(&self.host_templates, Rule::template),
            RuleKind::Path => each(self.path_prefix.as_slice(), Rule::path_prefix),
            RuleKind::Header => each(self.header.as_slice(), Rule::header),
            RuleKind::Query => each(self.query.as_slice(), Rule::query),
            RuleKind::Cookie => each(self.cookie.as_slice(), Rule::cookie),
            RuleKind::Origin if self.origin.unwrap_or(self.rules.contains(&kind)) => {
                vec![Rule::origin()]
            }
            _ => Vec::new(),
        }
    }
}

/// Returns every key that the config types read.
fn known_keys() -> Vec<keys::Key<'static>> {
    let tables = [
        ("", keys::fields::<Config>()),
        ("storage", keys::fields::<StorageConfig>()),
        ("resolve", keys::fields::<ResolveConfig>()),
        ("path", keys::fields::<PathRule>()),
        ("pool", keys::fields::<PoolConfig>()),
        ("retention", keys::fields::<RetentionConfig>()),
    ];
    let keys = tables.into_iter();
    keys.flat_map(|(table, keys)| keys.iter().map(move |key| (table, *key)))
        .collect()
}

/// Returns the key that a rule takes its parameter from, if it has one.
fn parameter_of(rule: RuleKind) -> Option<&'static str> {
    match rule {
        RuleKind::Domain => None,
        RuleKind::Subdomain => Some("subdomains_of"),
        RuleKind::Template => Some("host_templates"),
        RuleKind::Path => Some("path_prefix"),
        // The key has the name of the rule. `custom` has no key, but is refused before.
        _ => Some(rule.as_str()),
    }
}
