//! [`Explanation`]: the steps to an answer.

use std::fmt;

use super::answer::{Resolution, Resolved};
use super::caller::{Blocking, Caller};
use super::error::ResolveError;
use super::hosts::{HostKind, Hosts, Pattern};
use super::memory::{Memory, Store, Unavailable};
use super::rule::RuleKind;
use crate::catalog::TenantKey;
use crate::classify::Classified;
use crate::index::cache::Cache;
use crate::index::{Found, Probe};
use crate::key::tail;
use crate::path::NormalPath;
use crate::text::Excerpt;

/// An explanation of the answer to a request. It is displayed with one step on each line.
///
/// ```
/// use tenancy_core::{MemoryCatalog, Method, RequestHead, Resolver, Rule};
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
    /// The steps to the answer, in order.
    pub steps: Vec<Step>,
    /// The answer or the refusal, in words.
    pub outcome: String,
}

/// A step of an [`Explanation`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The subject of the step, for example `host`, `path`, `lookup` or the word for a rule.
    pub what: &'static str,
    /// The result of the step, in words.
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

/// The caller of [`Resolver::explain`](super::Resolver::explain), which records every step.
#[derive(Default)]
pub(super) struct Steps(Vec<Step>);

impl Steps {
    pub(super) fn finish(self, outcome: Result<Resolved<'_>, ResolveError>) -> Explanation {
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

impl Caller for Steps {
    type Stop = ResolveError;
    type Halt = Unavailable;
    const IS_SILENT: bool = false;

    fn ready<'m>(&mut self, memory: &'m Memory, now: u64) -> Result<&'m Store, Unavailable> {
        Blocking.ready(memory, now)
    }

    fn cached(
        &mut self,
        memory: &Memory,
        cache: &Cache,
        name: Probe<'_>,
        now: u64,
    ) -> Result<Found, Unavailable> {
        Blocking.cached(memory, cache, name, now)
    }

    fn step(&mut self, what: &'static str, found: impl FnOnce() -> String) {
        self.0.push(Step {
            what,
            found: found(),
        });
    }
}

/// Records the host. If it is not central, also records each rule that it was compared with.
#[inline(always)]
pub(super) fn step_host<C: Caller>(hosts: &Hosts, host: &[u8], caller: &mut C) {
    if C::IS_SILENT {
        return;
    }
    let kind = hosts.kind(host);
    caller.step("host", || describe_host(kind, host));
    if kind == HostKind::Central {
        return;
    }
    for pattern in &hosts.patterns {
        caller.step(pattern.rule.as_str(), || describe_pattern(pattern, host));
    }
    if hosts.domains {
        caller.step(RuleKind::Domain.as_str(), || match kind {
            HostKind::Name(_) => "the whole name is looked up".into(),
            _ => "not tried: the host has an answer already".into(),
        });
    }
}

fn describe_host(kind: HostKind<'_>, host: &[u8]) -> String {
    let host = Excerpt::new(host);
    match kind {
        HostKind::Central => format!("{host} is central"),
        HostKind::Label(label, rule) => {
            let label = label.to_ascii_lowercase();
            format!("{host} is named {} by {rule}", label.escape_ascii())
        }
        HostKind::Name(_) => format!("{host} is no central, base or template host"),
        HostKind::Address => format!("{host} is an address that is not central"),
    }
}

fn describe_pattern(pattern: &Pattern, host: &[u8]) -> String {
    let before = pattern.prefix.escape_ascii();
    let after = pattern.suffix.as_bytes().escape_ascii();
    let label = pattern.label(host, tail(host));
    match label.filter(|label| !label.contains(&b'.')) {
        Some(label) => {
            let label = label.to_ascii_lowercase();
            format!("{before}{{tenant}}{after} names {}", label.escape_ascii())
        }
        None => format!("{before}{{tenant}}{after} does not fit"),
    }
}

pub(super) fn reserved_label(label: &str) -> String {
    format!("label {label}: reserved, so it names no tenant, even if one has it")
}

/// Records a look-up and its answer. A text that is no name is not looked up, and not recorded.
pub(super) fn step_lookup<C: Caller>(
    name: Probe<'_>,
    found: &Result<Found, C::Halt>,
    hosts: &Hosts,
    caller: &mut C,
) {
    let mut buffer = [0; 32];
    let Some(key) = name.as_key(&mut buffer) else {
        return;
    };
    caller.step("lookup", || {
        if let TenantKey::Label(label) = key
            && hosts.is_reserved(label.as_bytes())
        {
            return reserved_label(label);
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
            Ok(Found::NoTenant) => "no tenant".into(),
            Ok(Found::Contested) => "two tenants claim it".into(),
            Err(_) => "the catalog cannot be read".into(),
        };
        format!("{asked}: {answer}")
    });
}

pub(super) fn describe_path(path: &NormalPath<'_>, classified: Classified) -> String {
    let Classified { class, mode } = classified;
    format!("{} is {class}, {mode}", path.as_str())
}
