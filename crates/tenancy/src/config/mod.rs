//! [`Config`]: what `tenancy.toml` says.

mod error;
mod keys;
mod value;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tenancy_core::{
    Catalog, Classifier, PathClass, Preset, Resolver, ResolverBuilder, RouteMode, Rule,
};

pub use error::ConfigError;

/// What `tenancy.toml` says: where the tenants live, how requests find them, how
/// many connections they may have.
///
/// Every key may be left out. A key that is not known is an error that names the
/// nearest known one; relative paths are relative to the file.
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
/// # Ok::<(), tenancy::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Config {
    /// Where this was read from.
    #[serde(skip)]
    pub file: PathBuf,
    /// `[storage]`
    pub storage: StorageConfig,
    /// `[resolve]`
    pub resolve: ResolveConfig,
    /// `[[path]]`
    #[serde(rename = "path")]
    pub paths: Vec<PathRule>,
    /// `[pool]`
    pub pool: PoolConfig,
    /// `[retention]`
    pub retention: RetentionConfig,
}

/// `[storage]`: where the tenants' files are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StorageConfig {
    /// The directory of `catalog.db` and the tenants' files; `data` unless said.
    pub root: PathBuf,
    /// The directory of `0001_name.sql` files; without it a tenant's database starts empty.
    pub migrations: Option<PathBuf>,
    /// The directory of what a new tenant may be seeded with.
    pub seeds: Option<PathBuf>,
    /// How many databases are kept ready for tenants yet to come, at most 10,000, each a
    /// file; 0, none, unless said. What was ready stays, and is taken, when this is 0 again.
    pub stock: usize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            root: "data".into(),
            migrations: None,
            seeds: None,
            stock: 0,
        }
    }
}

/// `[resolve]`: how a request finds its tenant.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ResolveConfig {
    /// Hosts that are nobody's tenant.
    pub central_domains: Vec<String>,
    /// The rules that are switched on; `["domain"]` unless said.
    #[serde(deserialize_with = "value::words")]
    pub rules: Vec<Rule>,
    /// Base domains: one label under them names a tenant.
    pub subdomains_of: Vec<String>,
    /// Like `{tenant}-api.example.com`.
    pub host_templates: Vec<String>,
    /// Like `/t`: `/t/acme/orders` is acme's `/orders`.
    pub path_prefix: Option<String>,
    /// The request header that names a tenant on central domains.
    pub header: Option<String>,
    /// The query parameter that does.
    pub query: Option<String>,
    /// The cookie that does.
    pub cookie: Option<String>,
    /// Whether the Origin header does.
    pub origin: Option<bool>,
    /// Labels that are never a tenant.
    pub reserved: Vec<String>,
    /// Whether the built-in path classes hold; true unless said.
    pub builtin_paths: bool,
    /// A framework's tool paths on top of them.
    #[serde(deserialize_with = "value::maybe_word")]
    pub preset: Option<Preset>,
    /// Addresses and networks (CIDR) of proxies whose forwarded host counts.
    pub trusted_proxies: Vec<String>,
    /// The header in which they forward it: `x-forwarded-host`, which is the default,
    /// `forwarded`, or one of the proxy's own.
    pub forwarded_host: Option<String>,
}

impl Default for ResolveConfig {
    fn default() -> Self {
        Self {
            central_domains: Vec::new(),
            rules: vec![Rule::Domain],
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

/// One `[[path]]`: what the paths below a prefix are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct PathRule {
    /// Whole segments, like `/assets`.
    pub prefix: String,
    /// What they are.
    #[serde(deserialize_with = "value::word")]
    pub class: PathClass,
    /// Who may serve them; the class gives the default.
    #[serde(default, deserialize_with = "value::maybe_word")]
    pub mode: Option<RouteMode>,
}

/// `[pool]`: how many connections there may be.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Of all tenants; what the process's descriptors allow, at most 256, unless said.
    pub max_connections: Option<NonZeroU32>,
    /// Of one tenant; 4 unless said.
    pub max_per_tenant: Option<NonZeroU32>,
    /// How long a check-out waits; 5 s unless said.
    #[serde(deserialize_with = "value::maybe_duration")]
    pub checkout_timeout: Option<Duration>,
}

/// `[retention]`: for how long retired tenants and copies are kept at least. Nothing is
/// destroyed when it ends: files past it are marked, and a person removes them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RetentionConfig {
    /// The retention of retired tenants in the trash; defaults to 30 days.
    #[serde(deserialize_with = "value::maybe_duration")]
    pub trash: Option<Duration>,
    /// The retention of the copies that runs keep; defaults to 30 days.
    #[serde(deserialize_with = "value::maybe_duration")]
    pub snapshots: Option<Duration>,
}

impl Config {
    /// The name that is looked for where none is given.
    pub const FILE_NAME: &'static str = "tenancy.toml";

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`parse`](Self::parse).
    pub fn load(file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
            file: file.into(),
            source,
        })?;
        Self::parse(&text, file)
    }

    /// Reads text as if it stood in `file`, which is not looked at.
    ///
    /// # Errors
    /// When the text is no TOML, has a key that is not known or a value that does
    /// not fit, or gives a parameter for a rule that is not switched on.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let wrong = |error| ConfigError::value(file, text, &error);
        keys::check(&toml::from_str(text).map_err(wrong)?, file)?;
        let mut config: Self = toml::from_str(text).map_err(wrong)?;
        config.file = file.into();
        config.resolve.check_rules(file)?;
        config
            .storage
            .make_relative_to(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// The resolver that `[resolve]` and `[[path]]` describe, for the tenants of this
    /// catalog.
    ///
    /// # Errors
    /// When a path rule is not one, or a key contradicts another.
    pub fn resolver(&self, catalog: impl Catalog) -> Result<Resolver, ConfigError> {
        let builder = self.configure(Resolver::builder(catalog))?;
        builder.build().map_err(|source| ConfigError::Resolve {
            file: self.file.clone(),
            source,
        })
    }

    /// Tells a resolver's builder everything that `[resolve]` and `[[path]]` say.
    ///
    /// # Errors
    /// When a path rule is not one. What contradicts another key, the builder's
    /// `build` says.
    pub fn configure(&self, builder: ResolverBuilder) -> Result<ResolverBuilder, ConfigError> {
        let resolve = &self.resolve;
        let mut builder = builder.classifier(self.classifier()?);
        for &rule in &resolve.rules {
            builder = builder.rule(rule);
        }
        let each = |builder, values: &[String], add: fn(ResolverBuilder, &str) -> _| {
            values
                .iter()
                .fold(builder, |builder, value| add(builder, value))
        };
        builder = each(
            builder,
            &resolve.central_domains,
            ResolverBuilder::central_domain,
        );
        builder = each(
            builder,
            &resolve.subdomains_of,
            ResolverBuilder::subdomains_of,
        );
        builder = each(
            builder,
            &resolve.host_templates,
            ResolverBuilder::host_template,
        );
        builder = each(
            builder,
            resolve.path_prefix.as_slice(),
            ResolverBuilder::path_prefix,
        );
        builder = each(builder, resolve.header.as_slice(), ResolverBuilder::header);
        builder = each(builder, resolve.query.as_slice(), ResolverBuilder::query);
        builder = each(builder, resolve.cookie.as_slice(), ResolverBuilder::cookie);
        builder = each(builder, &resolve.reserved, ResolverBuilder::reserved);
        builder = each(
            builder,
            resolve.forwarded_host.as_slice(),
            ResolverBuilder::forwarded_host,
        );
        Ok(each(
            builder,
            &resolve.trusted_proxies,
            ResolverBuilder::trusted_proxy,
        ))
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
    /// The bounds and time-outs that are set here; the others stay as they are.
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
    /// A parameter says how a rule works, not that it is on: `rules` alone does.
    fn check_rules(&self, file: &Path) -> Result<(), ConfigError> {
        let parameters = [
            (
                "subdomains_of",
                !self.subdomains_of.is_empty(),
                Rule::Subdomain,
            ),
            (
                "host_templates",
                !self.host_templates.is_empty(),
                Rule::Template,
            ),
            ("path_prefix", self.path_prefix.is_some(), Rule::Path),
            ("header", self.header.is_some(), Rule::Header),
            ("query", self.query.is_some(), Rule::Query),
            ("cookie", self.cookie.is_some(), Rule::Cookie),
            ("origin", self.origin == Some(true), Rule::Origin),
        ];
        let unlisted = |&(_, given, rule): &_| given && !self.rules.contains(&rule);
        if let Some((key, _, rule)) = parameters.into_iter().find(unlisted) {
            return Err(ConfigError::RuleNotListed {
                file: file.into(),
                key,
                rule,
            });
        }
        if self.origin == Some(false) && self.rules.contains(&Rule::Origin) {
            return Err(ConfigError::OriginOff { file: file.into() });
        }
        Ok(())
    }
}
