//! [`Explanation`]: how an answer came about.

use std::fmt;

use super::hosts::{HostKind, Hosts, Pattern};
use super::sources::Sighted;
use super::store::Store;
use super::way::{Block, Unavailable, Way};
use super::{Resolution, ResolveError, Resolved, Resolver, RuleKind};
use crate::catalog::TenantKey;
use crate::classify::Classified;
use crate::index::cache::Cache;
use crate::index::{Found, Probe};
use crate::key::tail;
use crate::path::NormalPath;
use crate::text::Excerpt;

/// The steps on the way to an answer, in order; it displays one a line.
///
/// ```
/// use tenancy_core::*;
/// let resolver = Resolver::builder(MemoryCatalog::new())
///     .rule(Rule::subdomain_of("app.test"))
///     .build()?;
/// let head = RequestHead::new(Method::Get, "/").host("acme.app.test");
/// let text = resolver.explain(&head).to_string();
/// assert!(text.contains("named acme by subdomain"), "{text}");
/// assert!(text.contains("unknown_tenant 404"), "{text}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What was looked at and what was found there.
    pub steps: Vec<Step>,
    /// How it ended.
    pub outcome: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// What was looked at: `host`, `path`, a rule, `lookup`.
    pub what: &'static str,
    /// What was found there.
    pub found: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{:<12} {}", step.what, step.found)?;
        }
        write!(f, "{:<12} {}", "outcome", self.outcome)
    }
}

/// The way of [`Resolver::explain`]: as `resolve`, writing down every step.
#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    pub(crate) fn finish(self, outcome: Result<Resolved<'_>, ResolveError>) -> Explanation {
        let outcome = match outcome {
            Ok(resolved) => describe(&resolved),
            Err(error) => format!("refused: {} {}", error.reason(), error.status()),
        };
        Explanation {
            steps: self.0,
            outcome,
        }
    }
}

fn describe(resolved: &Resolved<'_>) -> String {
    match &resolved.resolution {
        Resolution::Tenant(tenant) => {
            let rule = resolved.rule.map_or("no rule", RuleKind::as_str);
            format!(
                "tenant {} by {rule}, path {}",
                tenant.to_ref(),
                resolved.path
            )
        }
        Resolution::Central => format!("central: nothing names a tenant, path {}", resolved.path),
        Resolution::Skip(class) => format!("skip: {class} needs no tenant, path {}", resolved.path),
    }
}

impl Way for Steps {
    type Stop = ResolveError;
    type Halt = Unavailable;
    const IS_SILENT: bool = false;

    fn ready<'r>(&mut self, resolver: &'r Resolver, now: u64) -> Result<&'r Store, Unavailable> {
        Block.ready(resolver, now)
    }

    fn cached(
        &mut self,
        resolver: &Resolver,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Unavailable> {
        Block.cached(resolver, cache, name, now)
    }

    fn step(&mut self, what: &'static str, found: impl FnOnce() -> String) {
        self.0.push(Step {
            what,
            found: found(),
        });
    }
}

impl Hosts {
    /// Writes down every rule that a host which is not central was tried against.
    #[inline]
    pub(crate) fn step_rules<W: Way>(&self, host: &[u8], way: &mut W) {
        if W::IS_SILENT || self.kind(host) == HostKind::Central {
            return;
        }
        for pattern in &self.patterns {
            way.step(pattern.rule.as_str(), || pattern.describe(host));
        }
        if self.domains {
            way.step(RuleKind::Domain.as_str(), || match self.kind(host) {
                HostKind::Name(_) => "the whole name is looked up".into(),
                _ => "not tried: the host has an answer already".into(),
            });
        }
    }
}

impl Pattern {
    fn describe(&self, host: &[u8]) -> String {
        let before = self.prefix.escape_ascii();
        let template = format!(
            "{before}{{tenant}}{}",
            self.suffix.as_bytes().escape_ascii()
        );
        match self
            .label(host, tail(host))
            .filter(|label| !label.contains(&b'.'))
        {
            Some(label) => {
                let label = label.to_ascii_lowercase();
                format!("{template} names {}", label.escape_ascii())
            }
            None => format!("{template} does not fit"),
        }
    }
}

pub(crate) fn reserved(label: &str) -> String {
    format!("label {label}: reserved, so it names nobody, whether or not a tenant has it")
}

/// What was asked of the index, and what it answered. A text that is no name is not
/// asked for.
pub(crate) fn step_lookup<W: Way>(
    name: Probe<'_>,
    found: &Result<Found, W::Halt>,
    hosts: &Hosts,
    way: &mut W,
) {
    let mut buffer = [0; 32];
    let Some(key) = name.as_key(&mut buffer) else {
        return;
    };
    way.step("lookup", || {
        if let TenantKey::Label(label) = key
            && hosts.is_reserved(label.as_bytes())
        {
            return reserved(label);
        }
        let asked = match key {
            TenantKey::Label(label) => format!("label {label}"),
            TenantKey::Domain(domain) => format!("domain {domain}"),
        };
        let answer = match found {
            Ok(Found::Tenant(tenant)) => {
                let down = tenant.maintenance().map_or("", |_| ", in maintenance");
                format!("tenant {}, {}{down}", tenant.to_ref(), tenant.status())
            }
            Ok(Found::Nobody) => "nobody".into(),
            Ok(Found::Contested) => "two tenants claim it".into(),
            Err(_) => "the catalog cannot be asked".into(),
        };
        format!("{asked}: {answer}")
    });
}

impl HostKind<'_> {
    pub(crate) fn describe(self, host: &[u8]) -> String {
        let host = Excerpt::new(host);
        match self {
            Self::Central => format!("{host} is central"),
            Self::Label(label, rule) => {
                let label = label.to_ascii_lowercase();
                format!("{host} is named {} by {rule}", label.escape_ascii())
            }
            Self::Name(_) => format!("{host} is no central, base or template host"),
            Self::Address => format!("{host} is an address that is not central"),
        }
    }
}

impl Sighted {
    pub(crate) fn describe(&self, rule: RuleKind) -> String {
        if let Some((by, value)) = self.malformed
            && by == rule
        {
            return format!("{value} is no tenant id");
        }
        match (&self.first, self.other) {
            (_, Some(other)) if other == rule => "names another tenant than before".into(),
            (Some((by, name)), _) if *by == rule => {
                format!("names {}", name.as_bytes().escape_ascii())
            }
            (Some((by, _)), _) => format!("names nobody else than {by}"),
            (None, _) => "names nobody".into(),
        }
    }
}

pub(crate) fn describe_path(path: &NormalPath<'_>, classified: Classified) -> String {
    let Classified { class, mode } = classified;
    format!("{} is {class}, {mode}", path.as_str())
}
