//! What else people write: the bare lookup, and three ways of finding tenant and path class in
//! ordinary code. All hold the same records as the resolver.
//!
//! Maps have the hash that they come with. Each gives what a request needs: case, port and final
//! dot of the host taken away, the application's own hosts told from tenants', an owned handle of
//! an active tenant, class and mode. None of them normalises a path or looks how fresh its map is,
//! and none checks the syntax of a host beyond what its parser does.

use std::collections::HashMap;
use std::sync::RwLock;

use dashmap::DashMap;
use http::uri::Authority;
use matchit::Router;
use regex::RegexSet;
use tenancy_core::{Method, PathClass, Resolution, Resolver, RouteMode, Tenant, TenantStatus};

use crate::mix::Request;
use crate::rules;
use crate::world::{BASES, CENTRAL, World};

/// What a contender found out about a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The tenant, an owned handle; `None` for a skipped asset.
    pub tenant: Option<Tenant>,
    /// What the path is.
    pub class: PathClass,
    /// Who may serve it.
    pub mode: RouteMode,
}

impl Answer {
    /// A number that cannot be known before the tenant's record was read.
    #[inline]
    pub fn digest(&self) -> u64 {
        let tenant = self.tenant.as_ref().map_or(0, |tenant| tenant.version().0);
        tenant + self.class as u64 + self.mode as u64
    }
}

/// One way of answering a request.
pub trait Contender {
    /// Finds tenant, class and mode.
    fn answer(&self, request: &Request<'_>) -> Answer;
}

impl Contender for Resolver {
    #[inline]
    fn answer(&self, request: &Request<'_>) -> Answer {
        let head = tenancy_core::RequestHead::new(request.method, request.target);
        let resolved = self
            .resolve(&head.host(request.host))
            .expect("the mix names tenants alone");
        let tenant = match resolved.resolution {
            Resolution::Tenant(tenant) => Some(tenant),
            _ => None,
        };
        Answer {
            tenant,
            class: resolved.class,
            mode: resolved.mode,
        }
    }
}

/// The floor: a map from the host, which it is given in canonical form, to the record.
/// No rules, no status, nothing owned.
#[derive(Debug)]
pub struct Bare(HashMap<String, Tenant, foldhash::fast::RandomState>);

impl Bare {
    /// The hosts of this world.
    pub fn new(world: &World) -> Self {
        let pair = |number| (world.host(number).to_owned(), world.tenant(number).clone());
        Self((0..world.len()).map(pair).collect())
    }

    /// The record of this host.
    #[inline]
    pub fn get(&self, canonical: &str) -> Option<&Tenant> {
        self.0.get(canonical)
    }
}

/// Ids and domains: every name by which a tenant is looked up.
fn names(world: &World) -> impl Iterator<Item = (String, Tenant)> {
    (0..world.len()).flat_map(|number| {
        let tenant = world.tenant(number);
        let id = Some(tenant.id().as_str());
        let names = id.into_iter().chain(world.domain(number));
        names.map(|name| (name.to_owned(), tenant.clone()))
    })
}

/// The bases with the dot before them.
fn suffixes() -> Vec<String> {
    BASES.iter().map(|base| format!(".{base}")).collect()
}

/// The label under a base, or the host itself; nothing for the application's own hosts.
fn key<'h>(host: &'h str, suffixes: &[String]) -> Option<&'h str> {
    if CENTRAL.contains(&host) {
        return None;
    }
    let label = suffixes
        .iter()
        .find_map(|suffix| host.strip_suffix(suffix.as_str()));
    Some(label.unwrap_or(host))
}

fn without_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

fn is_skipped(method: Method, class: PathClass, path: &str) -> bool {
    let read = matches!(method, Method::Get | Method::Head);
    match class {
        PathClass::Asset => read && rules::is_asset_file(path),
        PathClass::Debug => read,
        _ => false,
    }
}

/// Classifies, and asks `find` for the tenant unless the path is skipped.
#[inline]
fn answer(
    request: &Request<'_>,
    classify: impl FnOnce(&str) -> Option<PathClass>,
    find: impl FnOnce() -> Option<Tenant>,
) -> Answer {
    let path = without_query(request.target);
    let class = classify(path).unwrap_or(PathClass::Page);
    if is_skipped(request.method, class, path) {
        return Answer {
            tenant: None,
            class,
            mode: RouteMode::Skip,
        };
    }
    let tenant = find().filter(|tenant| tenant.status() == TenantStatus::Active);
    Answer {
        tenant,
        class,
        mode: RouteMode::Universal,
    }
}

/// `to_ascii_lowercase`, a map behind parking_lot's `RwLock`, and a list of rules of which the
/// longest that fits is taken.
#[derive(Debug)]
pub struct P4 {
    tenants: parking_lot::RwLock<HashMap<String, Tenant>>,
    suffixes: Vec<String>,
    rules: Vec<(&'static str, PathClass)>,
}

impl P4 {
    /// Over this world.
    pub fn new(world: &World) -> Self {
        Self {
            tenants: parking_lot::RwLock::new(names(world).collect()),
            suffixes: suffixes(),
            rules: rules::all(),
        }
    }
}

impl Contender for P4 {
    fn answer(&self, request: &Request<'_>) -> Answer {
        let classify = |path: &str| {
            let fits = |(prefix, _): &&(&str, PathClass)| {
                let rest = path.strip_prefix(*prefix);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let fitting = self.rules.iter().filter(fits);
            let rule = fitting.max_by_key(|(prefix, _)| prefix.len());
            rule.map(|(_, class)| *class)
        };
        answer(request, classify, || {
            let host = request
                .host
                .rsplit_once(':')
                .map_or(request.host, |(host, _)| host);
            let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            let key = key(&host, &self.suffixes)?;
            self.tenants.read().get(key).cloned()
        })
    }
}

/// `http`'s Authority, a map behind the standard `RwLock`, and matchit.
#[derive(Debug)]
pub struct P2 {
    tenants: RwLock<HashMap<String, Tenant>>,
    suffixes: Vec<String>,
    rules: Router<PathClass>,
}

impl P2 {
    /// Over this world.
    pub fn new(world: &World) -> Self {
        let mut rules = Router::new();
        for (prefix, class) in rules::all() {
            for route in [
                prefix.to_owned(),
                format!("{prefix}/"),
                format!("{prefix}/{{*rest}}"),
            ] {
                rules.insert(route, class).expect("no prefix comes twice");
            }
        }
        Self {
            tenants: RwLock::new(names(world).collect()),
            suffixes: suffixes(),
            rules,
        }
    }
}

impl Contender for P2 {
    fn answer(&self, request: &Request<'_>) -> Answer {
        let classify = |path: &str| self.rules.at(path).ok().map(|found| *found.value);
        answer(request, classify, || {
            let authority: Authority = request.host.parse().ok()?;
            let host = authority.host();
            let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            let key = key(&host, &self.suffixes)?;
            let tenants = self.tenants.read().expect("nobody panics while holding it");
            tenants.get(key).cloned()
        })
    }
}

/// `to_lowercase`, DashMap, and a RegexSet.
#[derive(Debug)]
pub struct P1 {
    tenants: DashMap<String, Tenant>,
    suffixes: Vec<String>,
    rules: RegexSet,
    classes: Vec<PathClass>,
}

impl P1 {
    /// Over this world.
    pub fn new(world: &World) -> Self {
        // The longest first: of those that match, the first has won.
        let mut rules = rules::all();
        rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let pattern = |(prefix, _): &(&str, _)| format!("^{}(?:/|$)", regex::escape(prefix));
        Self {
            tenants: names(world).collect(),
            suffixes: suffixes(),
            rules: RegexSet::new(rules.iter().map(pattern)).expect("escaped text is a pattern"),
            classes: rules.into_iter().map(|(_, class)| class).collect(),
        }
    }
}

impl Contender for P1 {
    fn answer(&self, request: &Request<'_>) -> Answer {
        let classify = |path: &str| {
            let first = self.rules.matches(path).iter().next();
            first.map(|number| self.classes[number])
        };
        answer(request, classify, || {
            let host = request.host.to_lowercase();
            let host = host.split_once(':').map_or(&*host, |(host, _)| host);
            let host = host.strip_suffix('.').unwrap_or(host);
            let key = key(host, &self.suffixes)?;
            self.tenants.get(key).map(|tenant| tenant.clone())
        })
    }
}
