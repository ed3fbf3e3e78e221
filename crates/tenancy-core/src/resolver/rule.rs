//! [`Rule`]: a rule that finds the tenant of a request.

use std::fmt;
use std::sync::Arc;

use crate::request::RequestHead;

/// A rule that finds the tenant of a request, with its parameter.
///
/// Rules by host ([`domain`](Self::domain), [`subdomain_of`](Self::subdomain_of),
/// [`template`](Self::template)) are applied to hosts that are not central. All other rules are
/// applied to requests for [central hosts](crate::ResolverBuilder::central_domain). A resolver can
/// have several rules of one kind with different parameters.
///
/// ```
/// use tenancy_core::{MemoryCatalog, Resolver, Rule, RuleKind};
/// let resolver = Resolver::builder(MemoryCatalog::new())
///     .rule(Rule::domain())
///     .rule(Rule::subdomain_of("app.test"))
///     .rule(Rule::subdomain_of("app.example"))
///     .rule(Rule::header("x-tenant"))
///     .central_domain("app.test")
///     .build()?;
/// assert_eq!(Rule::header("x-tenant").kind(), RuleKind::Header);
/// # Ok::<(), tenancy_core::InvalidResolver>(())
/// ```
#[doc(alias = "identification")]
#[derive(Debug, Clone)]
pub struct Rule(pub(super) RuleParts);

/// The parameter of a rule, which the builder checks.
#[derive(Debug, Clone)]
pub(super) enum RuleParts {
    Domain,
    Subdomain(Box<str>),
    Template(Box<str>),
    Source(Source),
}

impl Rule {
    /// Finds a tenant by a domain: the catalog binds the whole host to the tenant.
    pub const fn domain() -> Self {
        Self(RuleParts::Domain)
    }

    /// Finds a tenant by one label under this base domain: `acme` in `acme.app.test` for the base
    /// domain `app.test`.
    pub fn subdomain_of(base: &str) -> Self {
        Self(RuleParts::Subdomain(base.into()))
    }

    /// Finds a tenant by a host that fits this template: `acme` in `acme-api.example.com` for the
    /// template `{tenant}-api.example.com`.
    pub fn template(template: &str) -> Self {
        Self(RuleParts::Template(template.into()))
    }

    /// Finds a tenant by the path segment that follows this prefix: `acme` in `/t/acme/orders`
    /// for the prefix `/t`. The prefix is one segment. The application gets the path behind the
    /// tenant: `/orders`.
    pub fn path_prefix(prefix: &str) -> Self {
        Self(RuleParts::Source(Source::Path(prefix.into())))
    }

    /// Finds a tenant by the header of this name. The rule trusts every client: a client that sends
    /// the header chooses the tenant.
    pub fn header(name: &str) -> Self {
        Self(RuleParts::Source(Source::Header(name.into())))
    }

    /// Finds a tenant by the query parameter of this name.
    pub fn query(name: &str) -> Self {
        Self(RuleParts::Source(Source::Query(name.into())))
    }

    /// Finds a tenant by the cookie of this name.
    pub fn cookie(name: &str) -> Self {
        Self(RuleParts::Source(Source::Cookie(name.into())))
    }

    /// Finds a tenant by the host of the Origin header, as the rules by host do for the host of a
    /// request.
    pub const fn origin() -> Self {
        Self(RuleParts::Source(Source::Origin))
    }

    /// Finds a tenant by a function, which returns the tenant's id, one of its labels, or `None`.
    pub fn custom(
        find: impl Fn(&RequestHead<'_, '_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self(RuleParts::Source(Source::Custom(Arc::new(find))))
    }

    /// Returns the kind of this rule.
    pub fn kind(&self) -> RuleKind {
        match &self.0 {
            RuleParts::Domain => RuleKind::Domain,
            RuleParts::Subdomain(_) => RuleKind::Subdomain,
            RuleParts::Template(_) => RuleKind::Template,
            RuleParts::Source(source) => source.kind(),
        }
    }
}

type Find = dyn Fn(&RequestHead<'_, '_>) -> Option<String> + Send + Sync;

/// A rule that is read on central hosts.
#[derive(Clone)]
pub(super) enum Source {
    /// The path prefix. The tenant behind it is read before the path is classified.
    Path(Box<str>),
    /// The header of this name, which the builder puts in lower case.
    Header(Box<str>),
    /// The query parameter of this name.
    Query(Box<str>),
    /// The cookie of this name.
    Cookie(Box<str>),
    /// The host of the Origin header.
    Origin,
    /// A function of the embedder.
    Custom(Arc<Find>),
}

impl Source {
    pub(super) fn kind(&self) -> RuleKind {
        match self {
            Self::Path(_) => RuleKind::Path,
            Self::Header(_) => RuleKind::Header,
            Self::Query(_) => RuleKind::Query,
            Self::Cookie(_) => RuleKind::Cookie,
            Self::Origin => RuleKind::Origin,
            Self::Custom(_) => RuleKind::Custom,
        }
    }

    /// Returns the prefix of a path rule.
    pub(super) fn path_prefix(&self) -> Option<&str> {
        match self {
            Self::Path(prefix) => Some(prefix),
            _ => None,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())
    }
}

/// The kind of a [`Rule`], without its parameter. It is named in answers and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RuleKind {
    /// The whole host is a domain of the tenant.
    Domain,
    /// A label under a base domain names the tenant.
    Subdomain,
    /// A part of a host that fits a template names the tenant.
    Template,
    /// A segment of the path, behind a prefix, names the tenant.
    Path,
    /// A header names the tenant.
    Header,
    /// A parameter of the query names the tenant.
    Query,
    /// A cookie names the tenant.
    Cookie,
    /// The host of the Origin header names the tenant.
    Origin,
    /// A function of the embedder names the tenant.
    Custom,
}

impl RuleKind {
    /// The list of all kinds of rules.
    // `Custom` must be the last kind: then a list that lacks one does not compile.
    pub const ALL: [Self; Self::Custom as usize + 1] = [
        Self::Domain,
        Self::Subdomain,
        Self::Template,
        Self::Path,
        Self::Header,
        Self::Query,
        Self::Cookie,
        Self::Origin,
        Self::Custom,
    ];

    /// Returns the word for this kind in configurations and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Subdomain => "subdomain",
            Self::Template => "template",
            Self::Path => "path",
            Self::Header => "header",
            Self::Query => "query",
            Self::Cookie => "cookie",
            Self::Origin => "origin",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
