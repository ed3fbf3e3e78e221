//! Random configurations, catalogs and requests, biased so that everything that can
//! be answered is.

mod requests;

use std::collections::BTreeSet;

use tenancy_core::Domain;

use tenancy_core::RuleKind;

use crate::case::{Access, Config, PathRule, TenantRow};
use crate::reference::{Key, Reference};
use crate::util::{Rng, shared_lines};

pub use requests::request;

/// Real names and paths; a few of our own where `../shared/` is not there.
pub struct Corpora {
    pub domains: Vec<String>,
    pub paths: Vec<String>,
    pub attacks: Vec<String>,
}

impl Corpora {
    pub fn load() -> Self {
        let lines = |file: &str| shared_lines(&format!("corpora/{file}")).unwrap_or_default();
        let mut domains = lines("domains_disposable_quarter.txt");
        domains.push("shop.example.org".to_owned());
        // What cannot be registered cannot be bound.
        domains.retain(|domain| domain.parse::<Domain>().is_ok_and(|d| d.as_str() == domain));
        let mut paths = vec!["/index.html".to_owned(), "/a/b/c.js".to_owned()];
        paths.extend(lines("paths_real_node_files_every20th.txt"));
        for file in [
            "path_real_dirs_raft_quarter.txt",
            "path_real_files_raft_quarter.txt",
        ] {
            paths.extend(lines(file).into_iter().map(|name| format!("/{name}")));
        }
        let log = lines("access_apache_elastic_requests.txt");
        paths.extend(
            log.iter()
                .filter_map(|line| Some(line.split_once(' ')?.1.to_owned())),
        );
        let mut attacks = vec!["/..%2f..%2fetc/passwd".to_owned()];
        attacks.extend(lines("path_traversal_fuzzdb.txt"));
        Self {
            domains,
            paths,
            attacks,
        }
    }
}

const BASES: [&str; 7] = [
    "app.test",
    "localhost",
    "example.com",
    "eu.app.test",
    "xn--bcher-kva.example",
    "b.c.d.e",
    "2.3.4",
];
const TEMPLATES: [&str; 6] = [
    "{tenant}-api.tmpl.test",
    "pre-{tenant}.tpl2.test",
    "{tenant}.svc.tpl3.test",
    "v1.{tenant}.tpl4.test",
    "a-{tenant}-z.tpl5.test",
    "{tenant}",
];
const RESERVED: [&str; 6] = ["www", "admin", "api", "mail", "acme", "gamma"];
const PROXIES: [&str; 8] = [
    "::ffff:10.0.0.0/104",
    "::ffff:192.0.2.7",
    "10.0.0.0/8",
    "192.0.2.7",
    "fd00::/8",
    "::1",
    "203.0.113.0/25",
    "0.0.0.0/0",
];
pub const IDS: [&str; 17] = [
    "acme",
    "beta",
    "gamma",
    "delta",
    "shop",
    "a",
    "0",
    "x1",
    "acme-inc",
    "www",
    "127",
    "xn--bcher-kva",
    "t",
    "1",
    "a-label-of-thirty-bytes-in-all",
    "a-label-of-thirty-1-bytes-in-al",
    "label-of-sixty-three-bytes-the-longest-that-dns-lets-anybody-ow",
];
pub const PREFIXES: [&str; 21] = [
    "/",
    "/assets",
    "/assets/private",
    "/api",
    "/api/v1/public",
    "/app",
    "/healthz",
    "/.well-known/acme-challenge",
    "/t",
    "/css",
    "/login",
    "/livewire",
    "/shop/admin",
    "/telescope",
    "/favicon.ico",
    "/images/2024",
    "/eight-by",
    "/eight-by/nine-byte",
    "/sixteen-bytes-16",
    "/more-than-sixteen-bytes-in-one",
    "/more-than-sixteen-bytes-in-one/x",
];
const CLASSES: [&str; 5] = ["asset", "api", "debug", "auth", "page"];
const MODES: [&str; 4] = ["skip", "tenant", "central", "universal"];

fn some(rng: &mut Rng, of: &[&str], percent: usize) -> Vec<String> {
    of.iter()
        .filter(|_| rng.chance(percent))
        .map(|text| (*text).to_owned())
        .collect()
}

pub fn shuffle<T>(rng: &mut Rng, list: &mut [T]) {
    for at in (1..list.len()).rev() {
        list.swap(at, rng.below(at + 1));
    }
}

/// A configuration without contradictions.
pub fn config(rng: &mut Rng, corpora: &Corpora) -> Config {
    let mut config = Config {
        subdomains_of: some(rng, &BASES, 25),
        host_templates: some(rng, &TEMPLATES, 15),
        reserved: some(rng, &RESERVED, 20),
        builtin_paths: rng.chance(85),
        ..Config::default()
    };
    if rng.chance(20) {
        config
            .subdomains_of
            .push(rng.pick(&corpora.domains).clone());
    }
    config.central_domains = central(rng, corpora, &config.subdomains_of);
    if config.builtin_paths && rng.chance(25) {
        config.preset = Some("laravel".to_owned());
    }
    if rng.chance(50) {
        config.trusted_proxies = some(rng, &PROXIES, 25);
        let headers = [None, None, Some("forwarded"), Some("x-our-host")];
        config.forwarded_host = rng.pick(&headers).map(str::to_owned);
    }
    config.paths = paths(rng, corpora);
    rules(rng, &mut config);
    config.catalog = match rng.below(100) {
        0..5 => Access::Down,
        5..15 => Access::Cached,
        15..25 => Access::NoFeed,
        _ => Access::Copied,
    };
    config
}

fn central(rng: &mut Rng, corpora: &Corpora, bases: &[String]) -> Vec<String> {
    let mut central = some(rng, &["[::1]", "127.0.0.1", "central.example"], 20);
    for base in bases {
        if rng.chance(60) {
            central.push(base.clone());
        }
        if rng.chance(30) {
            central.push(format!("{}.{base}", rng.pick(&["www", "acme", "a.b"])));
        }
    }
    if rng.chance(20) {
        central.push(rng.pick(&corpora.domains).clone());
    }
    central.sort();
    central.dedup();
    central
}

/// Rules with their parameters, in any order; one at least.
fn rules(rng: &mut Rng, config: &mut Config) {
    let mut rules = Vec::new();
    let anywhere = !config.central_domains.is_empty();
    for rule in RuleKind::ALL.map(RuleKind::as_str) {
        let on = match rule {
            "subdomain" => !config.subdomains_of.is_empty(),
            "template" => !config.host_templates.is_empty(),
            "domain" => rng.chance(75),
            "path" => anywhere && rng.chance(50),
            "custom" => anywhere && rng.chance(25),
            _ => anywhere && rng.chance(40),
        };
        if on {
            rules.push(rule.to_owned());
            config.set_parameter(rule, true);
        }
    }
    if rules.is_empty() {
        rules.push("domain".to_owned());
    }
    shuffle(rng, &mut rules);
    config.rules = rules;
    let prefix = *rng.pick(&["/t", "/tenant-42", "/v1.0", "/app", "/assets"]);
    config.path_prefix = config.path_prefix.take().map(|_| prefix.to_owned());
}

fn paths(rng: &mut Rng, corpora: &Corpora) -> Vec<PathRule> {
    let mut prefixes = BTreeSet::new();
    for _ in 0..*rng.pick(&[0, 0, 1, 2, 3, 5]) {
        prefixes.insert((*rng.pick(&PREFIXES)).to_owned());
    }
    if rng.chance(10) {
        // The first two segments of a real path.
        let path = rng.pick(&corpora.paths);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '/';
        let start: String = path.chars().take_while(|c| plain(*c)).collect();
        let start = start.trim_end_matches('/');
        if start.starts_with('/') && !start.contains("//") {
            prefixes.insert(start.to_owned());
        }
    }
    let mut rules = Vec::new();
    for prefix in prefixes {
        let class = *rng.pick(&CLASSES);
        let mode = rng.chance(75).then(|| *rng.pick(&MODES));
        // Skip with auth or page is a contradiction.
        let mode = mode.filter(|mode| *mode != "skip" || !matches!(class, "auth" | "page"));
        // And so is skipping everything.
        let class = if prefix == "/" { "page" } else { class };
        let mode = mode.filter(|mode| *mode != "skip" || prefix != "/");
        let (class, mode) = (class.to_owned(), mode.map(str::to_owned));
        rules.push(PathRule {
            prefix,
            class,
            mode,
        });
    }
    shuffle(rng, &mut rules);
    rules
}

/// Tenants of every status. Each name has one owner, but for one catalog in eight.
pub fn tenants(rng: &mut Rng, corpora: &Corpora, config: &Config) -> Vec<TenantRow> {
    let rules = Reference::new(config, &[]);
    let contested = rng.chance(12) && config.catalog == Access::Copied;
    let mut ids = IDS.map(str::to_owned).to_vec();
    shuffle(rng, &mut ids);
    ids.truncate(1 + rng.below(9));
    let mut taken: Vec<Key> = ids.iter().map(|id| Key::Label(id.clone())).collect();
    let mut free = |key: Key| {
        let is_free = contested || !taken.contains(&key);
        taken.push(key);
        is_free
    };
    let mut tenants = Vec::new();
    for id in ids {
        let mut labels = some(rng, &IDS[..8], 6);
        labels.extend(some(rng, &["further", "acme-inc", "xn--bcher-kva"], 12));
        labels.retain(|label| free(Key::Label(label.clone())));
        let mut domains = domains(rng, corpora, config);
        domains.retain(|domain| free(rules.bound_as(domain)));
        let statuses = ["provisioning", "suspended", "retiring"];
        let status = if rng.chance(70) {
            "active"
        } else {
            rng.pick(&statuses)
        }
        .to_owned();
        tenants.push(TenantRow {
            id,
            status,
            maintenance: rng.chance(15),
            domains,
            labels,
        });
    }
    tenants
}

const OWN_DOMAINS: [&str; 5] = [
    "10.1.2.3",
    "1.2.3.4",
    "shop.example.org",
    "api.tmpl.test",
    "a-rather-long-label.of-a-domain-that-goes-on.and-on-beyond-sixty-two-bytes.example.org",
];

fn domains(rng: &mut Rng, corpora: &Corpora, config: &Config) -> Vec<String> {
    let mut domains = some(rng, &OWN_DOMAINS, 8);
    for _ in 0..rng.below(3) {
        domains.push(rng.pick(&corpora.domains).clone());
    }
    for base in &config.subdomains_of {
        if rng.chance(15) {
            domains.push(format!(
                "{}.{base}",
                rng.pick(&["own", "two.labels", "beta"])
            ));
        }
    }
    for template in &config.host_templates {
        if rng.chance(10) {
            domains.push(template.replace("{tenant}", "own"));
        }
    }
    if rng.chance(5) {
        domains.extend(
            config
                .central_domains
                .iter()
                .filter(|d| !d.starts_with('['))
                .cloned(),
        );
    }
    domains.sort();
    domains.dedup();
    domains
}
