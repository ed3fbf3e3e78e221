//! What a request gets, by `routing.md`, slowly and obviously: to be read beside it.
//! The numbers in comments are its points. It shares no function with the crate.

mod class;
mod config;
mod host;
mod mutants;
mod path;
mod sources;

use crate::case::{Access, Config, Request, TenantRow};

pub use class::is_utf8;
pub use config::contradictions;
pub use host::{Host, name_of};
pub use mutants::Mutant;
pub use path::normal_path;

/// What a request gets, in the words of `cli.md`.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Tenant {
        tenant: String,
        rule: String,
        class: String,
        mode: String,
        path: String,
    },
    Central {
        class: String,
        mode: String,
        path: String,
    },
    Skip {
        class: String,
        path: String,
    },
    Refused(Reason),
}

/// Why a request is refused, with its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub &'static str, pub u16);

pub const BAD_HOST: Reason = Reason("bad_host", 400);
pub const AMBIGUOUS_HOST: Reason = Reason("ambiguous_host", 400);
pub const BAD_PATH: Reason = Reason("bad_path", 400);
pub const NO_TENANT: Reason = Reason("no_tenant", 404);
pub const UNKNOWN_TENANT: Reason = Reason("unknown_tenant", 404);
pub const WRONG_SIDE: Reason = Reason("wrong_side", 404);
pub const AMBIGUOUS_TENANT: Reason = Reason("ambiguous_tenant", 400);
pub const MAINTENANCE: Reason = Reason("maintenance", 503);
pub const SUSPENDED: Reason = Reason("suspended", 403);
pub const NOT_READY: Reason = Reason("not_ready", 503);
pub const CATALOG_UNAVAILABLE: Reason = Reason("catalog_unavailable", 503);

pub const REASONS: [Reason; 11] = [
    BAD_HOST,
    AMBIGUOUS_HOST,
    BAD_PATH,
    NO_TENANT,
    UNKNOWN_TENANT,
    WRONG_SIDE,
    AMBIGUOUS_TENANT,
    MAINTENANCE,
    SUSPENDED,
    NOT_READY,
    CATALOG_UNAVAILABLE,
];

/// What finds a tenant in the catalog: one label, or a full host name.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    Label(String),
    Domain(String),
}

/// 3. Kind of host.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Central,
    Named(&'static str, Key),
    /// By a reserved label, which names no tenant, so that the host is unknown.
    Reserved(Key),
    Unknown,
}

/// The rules with everything they depend on, and at most one planted mistake.
pub struct Reference<'a> {
    pub config: &'a Config,
    pub tenants: &'a [TenantRow],
    pub mutant: Option<Mutant>,
}

impl<'a> Reference<'a> {
    pub fn new(config: &'a Config, tenants: &'a [TenantRow]) -> Self {
        Self {
            config,
            tenants,
            mutant: None,
        }
    }

    fn planted(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn switched_on(&self, rule: &str) -> bool {
        self.config.rules.iter().any(|listed| listed == rule)
    }

    /// The one function: points 1 to 8, in this order.
    pub fn answer(&self, request: &Request) -> Answer {
        match self.points(request) {
            Ok(answer) => answer,
            Err(reason) => Answer::Refused(reason),
        }
    }

    fn points(&self, request: &Request) -> Result<Answer, Reason> {
        // 1. Host. This comes first, also for assets.
        let host = self.host_of(request)?;
        // 2. Path. Cut at the first `?`.
        let (path, query) = path::cut(&request.path);
        // Of `GET http://h?x=1` the path is `/`.
        let pathless = path.is_empty() && request.authority.is_some();
        let path = match pathless && !self.planted(Mutant::PathlessRefused) {
            true => "/".to_owned(),
            false => self.normal(path)?,
        };
        // 3. Kind of host.
        let kind = self.kind_of(&host);
        // 4. Path prefix (central hosts only).
        let (prefix_names, path) = match kind {
            Kind::Central => self.strip_prefix(&path)?,
            _ if self.planted(Mutant::PrefixOnNamedHosts) => (None, self.strip_prefix(&path)?.1),
            _ => (None, path),
        };
        // 5. Class and mode.
        let (class, mode) = self.classify(&request.method, &path);
        // 6. Other sources (central hosts only, mode neither skip nor central).
        let mut names = match kind {
            Kind::Named(rule, key) => Some((rule, key)),
            Kind::Central => prefix_names.map(|key| ("path", key)),
            Kind::Reserved(_) | Kind::Unknown => return self.unknown_host(class, mode, path),
        };
        let central = self.kind_of(&host) == Kind::Central;
        let read = central || self.planted(Mutant::HeaderOnNamedHost);
        if read && mode != "skip" && mode != "central" {
            names = self.other_sources(request, query, names)?;
        }
        // 7. Outcome.
        match names {
            None => central_host(class, mode, path),
            Some((rule, key)) => self.named(rule, &key, class, mode, path),
        }
    }

    /// Point 3. Central: listed. Else named: a bound domain, or one label under a base
    /// domain, or a template match. Else unknown.
    fn kind_of(&self, host: &Host) -> Kind {
        let listed = |text: &String| self.host(text.as_bytes()).as_ref() == Ok(host);
        if self.config.central_domains.iter().any(listed)
            && !self.planted(Mutant::CentralFallsThrough)
        {
            return Kind::Central;
        }
        // `[v6]` only central; IPv4 may be central or bound.
        let Host::Name(name) = host else {
            return Kind::Unknown;
        };
        if !host::is_v4(name) {
            // One label under a base binds as a label; so does a template's token.
            let label = self
                .label_under_a_base(name)
                .map(|label| ("subdomain", label));
            let token = || {
                self.token_of_a_template(name)
                    .map(|label| ("template", label))
            };
            if let Some((rule, label)) = label.or_else(token) {
                let reserved = self.config.reserved.contains(&label);
                let label = Key::Label(label);
                return match reserved && !self.planted(Mutant::ReservedResolves) {
                    true => Kind::Reserved(label),
                    false => Kind::Named(rule, label),
                };
            }
        }
        match self.switched_on("domain") {
            true => Kind::Named("domain", Key::Domain(name.clone())),
            false => Kind::Unknown,
        }
    }

    /// Two labels under a base are unknown.
    fn label_under_a_base(&self, host: &str) -> Option<String> {
        for base in self
            .config
            .subdomains_of
            .iter()
            .filter(|_| self.switched_on("subdomain"))
        {
            let Some(above) = host.strip_suffix(base.as_str()) else {
                continue;
            };
            // The suffix is anchored at a label boundary.
            let label = match above.strip_suffix('.') {
                Some(label) => label,
                None if self.planted(Mutant::SuffixNotAnchored) => above,
                None => continue,
            };
            if self.planted(Mutant::TwoLabelsResolve) {
                return label.rsplit('.').next().map(str::to_owned);
            }
            if !label.is_empty() && !label.contains('.') {
                return Some(label.to_owned());
            }
        }
        None
    }

    /// `{tenant}-api.example.com`: one token, which is a label.
    fn token_of_a_template(&self, host: &str) -> Option<String> {
        for template in self
            .config
            .host_templates
            .iter()
            .filter(|_| self.switched_on("template"))
        {
            let (before, after) = template.split_once("{tenant}")?;
            let token = host
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after));
            if let Some(token) = token.filter(|token| !token.is_empty() && !token.contains('.')) {
                return Some(token.to_owned());
            }
        }
        None
    }

    /// Point 4. Stripped once; `/t/acme` leaves `/`; `/t` and `/t/` name nobody and are
    /// kept. An id that is not one: `unknown_tenant`.
    fn strip_prefix(&self, path: &str) -> Result<(Option<Key>, String), Reason> {
        let kept = Ok((None, path.to_owned()));
        let (true, Some(prefix)) = (self.switched_on("path"), &self.config.path_prefix) else {
            return kept;
        };
        let Some(below) = path.strip_prefix(prefix.as_str()) else {
            return kept;
        };
        let Some(below) = below.strip_prefix('/') else {
            return kept;
        };
        let (id, rest) = match below.split_once('/') {
            Some((id, rest)) => (id, format!("/{rest}")),
            None => (below, "/".to_owned()),
        };
        if id.is_empty() {
            return kept;
        }
        if !config::is_label(id) {
            return Err(UNKNOWN_TENANT);
        }
        if self.planted(Mutant::PrefixStrippedTwice)
            && let Ok((Some(_), rest)) = self.truth().strip_prefix(&rest)
        {
            return Ok((Some(Key::Label(id.to_owned())), rest));
        }
        Ok((Some(Key::Label(id.to_owned())), rest))
    }

    /// Point 7. A name without an owner makes its host unknown.
    fn unknown_host(&self, class: String, mode: String, path: String) -> Result<Answer, Reason> {
        match mode.as_str() {
            "skip" => Ok(Answer::Skip { class, path }),
            "universal" if self.planted(Mutant::UnknownIsCentral) => {
                Ok(Answer::Central { class, mode, path })
            }
            _ => Err(NO_TENANT),
        }
    }

    /// Point 7. A tenant is named, and 8.
    fn named(
        &self,
        rule: &str,
        key: &Key,
        class: String,
        mode: String,
        path: String,
    ) -> Result<Answer, Reason> {
        // Skip: no lookup, whatever its status.
        if mode == "skip" && !self.planted(Mutant::SkipLooksUp) {
            return Ok(Answer::Skip { class, path });
        }
        let tenant = match self.owners(key)?.as_slice() {
            [one] => *one,
            // A domain that is not bound: the host is unknown.
            [] if rule == "domain" => return self.unknown_host(class, mode, path),
            // Named but not in the catalog, in every mode but skip.
            [] => return Err(UNKNOWN_TENANT),
            // Two owners of one name: that name is refused.
            _ => return Err(AMBIGUOUS_TENANT),
        };
        match mode.as_str() {
            "skip" => Ok(Answer::Skip { class, path }),
            // Also by a path prefix.
            "central" if !self.planted(Mutant::CentralModeServesTenants) => Err(WRONG_SIDE),
            _ => {
                self.status(tenant)?;
                Ok(Answer::Tenant {
                    tenant: tenant.id.clone(),
                    rule: rule.to_owned(),
                    class,
                    mode,
                    path,
                })
            }
        }
    }

    /// Point 8. Status, only for the outcome tenant.
    fn status(&self, tenant: &TenantRow) -> Result<(), Reason> {
        match tenant.status.as_str() {
            _ if self.planted(Mutant::StatusIgnored) => Ok(()),
            "active" | "suspended"
                if tenant.maintenance && self.planted(Mutant::MaintenanceFirst) =>
            {
                Err(MAINTENANCE)
            }
            "suspended" => Err(SUSPENDED),
            "active" if tenant.maintenance && !self.planted(Mutant::MaintenanceIgnored) => {
                Err(MAINTENANCE)
            }
            "active" => Ok(()),
            "provisioning" | "retiring" => Err(NOT_READY),
            other => panic!("no such status: {other}"),
        }
    }

    /// The owner of a name: one table of labels holds every id and every further label;
    /// a name that is one label under a base binds as a label, else as a domain.
    fn owners(&self, key: &Key) -> Result<Vec<&'a TenantRow>, Reason> {
        // A malformed or reserved label is never looked up.
        if let Key::Label(label) = key {
            let reserved = self.config.reserved.contains(label);
            if !config::is_label(label) || reserved && !self.planted(Mutant::ReservedResolves) {
                return Ok(Vec::new());
            }
        }
        if self.config.catalog == Access::Down {
            return Err(CATALOG_UNAVAILABLE);
        }
        let owns = |tenant: &TenantRow| {
            let ids = std::iter::once(&tenant.id).chain(&tenant.labels);
            let labels = ids.map(|label| Key::Label(label.clone()));
            let bound = tenant.domains.iter().map(|domain| self.bound_as(domain));
            labels.chain(bound).any(|name| name == *key)
        };
        Ok(self.tenants.iter().filter(|tenant| owns(tenant)).collect())
    }

    /// What a domain of the tenants' file is stored as. One probe decides a host, so a
    /// name that a template covers is the label that it stands for, too.
    pub fn bound_as(&self, domain: &str) -> Key {
        let truth = self.truth();
        let label = truth.label_under_a_base(domain);
        match label.or_else(|| truth.token_of_a_template(domain)) {
            Some(label) if config::is_label(&label) && !host::is_v4(domain) => Key::Label(label),
            _ => Key::Domain(domain.to_owned()),
        }
    }

    /// The rules without the planted mistake.
    fn truth(&self) -> Reference<'a> {
        Reference {
            mutant: None,
            ..*self
        }
    }
}

/// 7. Central, nothing names a tenant.
fn central_host(class: String, mode: String, path: String) -> Result<Answer, Reason> {
    match mode.as_str() {
        "skip" => Ok(Answer::Skip { class, path }),
        "tenant" => Err(WRONG_SIDE),
        _ => Ok(Answer::Central { class, mode, path }),
    }
}
