//! `tenancy.toml`, every key and every mistake.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use tenancy::catalog::MemoryCatalog;
use tenancy::config::ConfigError;
use tenancy::resolve::{PathClass, Preset, RouteMode, RuleKind};
use tenancy::{Config, Method, RequestHead, Resolution, Tenancy, TenantId};

const EVERYTHING: &str = r#"
[storage]
root = "data"
migrations = "/srv/migrations"
seeds = "seeds"

[resolve]
central_domains = ["app.test", "localhost"]
rules = ["domain", "subdomain", "template", "path", "header", "query", "cookie", "origin"]
subdomains_of = ["app.test", "localhost"]
host_templates = ["{tenant}-api.example.com"]
path_prefix = "/t"
header = "x-tenant"
query = "tenant"
cookie = "tenant"
origin = true
reserved = ["www", "admin"]
builtin_paths = true
preset = "laravel"
trusted_proxies = ["10.0.0.0/8", "::1"]

[[path]]
prefix = "/healthz"
class = "debug"

[[path]]
prefix = "/console"
class = "page"
mode = "central"

[pool]
max_connections = 100
max_per_tenant = 2
checkout_timeout = "500ms"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("etc/tenancy.toml"))
}

#[test]
fn every_key_is_read() {
    let config = parse(EVERYTHING).expect("a config");
    assert_eq!(config.storage.root, Path::new("etc/data"));
    assert_eq!(
        config.storage.migrations.as_deref(),
        Some(Path::new("/srv/migrations"))
    );
    assert_eq!(
        config.storage.seeds.as_deref(),
        Some(Path::new("etc/seeds"))
    );
    assert_eq!(
        config.resolve.rules.len(),
        RuleKind::ALL.len() - 1,
        "all but code"
    );
    assert_eq!(config.resolve.preset, Some(Preset::Laravel));
    assert_eq!(config.paths[0].class, PathClass::Debug);
    assert_eq!(
        (config.paths[0].mode, config.paths[1].mode),
        (None, Some(RouteMode::Central))
    );
    assert_eq!(config.pool.max_connections, NonZeroU32::new(100));
    assert_eq!(config.pool.max_per_tenant, NonZeroU32::new(2));
    assert_eq!(
        config.pool.checkout_timeout,
        Some(Duration::from_millis(500))
    );
    let resolver = config.resolver(MemoryCatalog::new()).expect("a resolver");
    let skipped = |path: &str| {
        let head = RequestHead::new(Method::Get, path).host("acme.app.test");
        resolver.resolve(&head).map(|resolved| resolved.resolution)
    };
    assert_eq!(
        skipped("/healthz").expect("skipped"),
        Resolution::Skip(PathClass::Debug)
    );
    assert_eq!(
        skipped("/telescope/x").expect("skipped"),
        Resolution::Skip(PathClass::Debug)
    );
}

#[test]
fn every_key_is_optional() {
    let config = parse("").expect("a config");
    assert_eq!(config.storage.root, Path::new("etc/data"));
    assert_eq!(config.resolve.rules, [RuleKind::Domain]);
    assert!(config.resolve.builtin_paths);
    config.resolver(MemoryCatalog::new()).expect("a resolver");
}

#[test]
fn builtin_paths_can_be_dropped() {
    let config = parse("[resolve]\nbuiltin_paths = false").expect("a config");
    let resolver = config.resolver(MemoryCatalog::new()).expect("a resolver");
    let head = RequestHead::new(Method::Get, "/assets/app.css").host("x.test");
    resolver.resolve(&head).expect_err("a page of nobody");
}

#[test]
fn errors_name_the_file_the_key_the_fact_and_the_correction() {
    for (text, want) in [
        (
            "[resolve]\nsubdomain_of = []",
            "etc/tenancy.toml: key resolve.subdomain_of is not known; the nearest known key is resolve.subdomains_of",
        ),
        (
            "[resolv]\nrules = []",
            "etc/tenancy.toml: key resolv is not known; the nearest known key is resolve",
        ),
        (
            "[[path]]\nprefix = \"/x\"\nclas = \"page\"",
            "etc/tenancy.toml: key path.clas is not known; the nearest known key is path.class",
        ),
        (
            "[resolve]\ncookie = \"tenant\"",
            "etc/tenancy.toml: resolve.cookie is a parameter of rule \"cookie\", which resolve.rules does not list; list the rule, or remove cookie",
        ),
        (
            "[resolve]\norigin = true",
            "etc/tenancy.toml: resolve.origin is a parameter of rule \"origin\", which resolve.rules does not list; list the rule, or remove origin",
        ),
        (
            "[resolve]\nrules = [\"subdomain\"]",
            "etc/tenancy.toml: resolve.rules lists \"subdomain\", which needs resolve.subdomains_of; set subdomains_of, or remove the rule",
        ),
        (
            "[resolve]\nrules = [\"header\"]\ncentral_domains = [\"app.test\"]",
            "etc/tenancy.toml: resolve.rules lists \"header\", which needs resolve.header; set header, or remove the rule",
        ),
        (
            "[resolve]\nrules = [\"domain\", \"domain\"]",
            "etc/tenancy.toml line 2 (rules = [\"domain\", \"domain\"]): \"domain\" is listed twice; list it once",
        ),
        (
            "[resolve]\nrules = [\"origin\"]\norigin = false",
            "etc/tenancy.toml: resolve.origin is false and resolve.rules lists \"origin\"; remove one of them",
        ),
        (
            "\n[pool]\ncheckout_timeout = \"5 s\"",
            "etc/tenancy.toml line 3 (checkout_timeout = \"5 s\"): \"5 s\" is not a duration; write a whole number and ms, s, m, h or d, like \"500ms\" or \"5s\"",
        ),
        (
            "[resolve]\nrules = [\"custom\"]",
            "etc/tenancy.toml line 2 (rules = [\"custom\"]): rule \"custom\" cannot be configured in a file; add it in code with `Rule::custom`",
        ),
        (
            "[resolve]\npreset = \"rails\"",
            "etc/tenancy.toml line 2 (preset = \"rails\"): preset \"rails\" is not known; use laravel",
        ),
        (
            "[resolve]\nrules = \"domain\"",
            "etc/tenancy.toml line 2 (rules = \"domain\"): invalid type: string \"domain\", expected a sequence",
        ),
        (
            "[[path]]\nclass = \"page\"",
            "etc/tenancy.toml line 1 ([[path]]): missing field `prefix`",
        ),
        (
            "[pool]\nmax_connections = -1",
            "etc/tenancy.toml line 2 (max_connections = -1): invalid value: integer `-1`, expected a nonzero u32",
        ),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.to_string(), want, "{text}");
    }
}

#[test]
fn a_config_that_contradicts_itself_leaves_no_storage_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tenancy.toml");
    std::fs::write(&file, "[resolve]\nrules = [\"origin\"]").expect("a file");
    let config = Config::load(&file).expect("a config");
    let error = Tenancy::from_config(&config).expect_err("no central domain");
    assert!(error.to_string().contains("[resolve]"), "{error}");
    assert!(!dir.path().join("data").exists());
    Config::load(dir.path().join("none.toml")).expect_err("there is none");
}

#[test]
fn a_tenancy_is_made_from_a_config() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tenancy.toml");
    let text = "[resolve]\nrules = [\"subdomain\"]\nsubdomains_of = [\"app.test\"]\n\
        [storage]\nmigrations = \"m\"\n[pool]\nmax_connections = 7\nmax_per_tenant = 3";
    std::fs::write(&file, text).expect("a file");
    std::fs::create_dir(dir.path().join("m")).expect("a directory");
    std::fs::write(dir.path().join("m/0001_t.sql"), "CREATE TABLE t (x) ;").expect("a file");
    let config = Config::load(&file).expect("a config");
    config.sqlite().expect("options").create().expect("a root");
    let tenancy = Tenancy::from_config(&config).expect("a tenancy");
    let acme = tenancy
        .create("acme".parse::<TenantId>().expect("an id"))
        .expect("a tenant");
    let connection = tenancy.checkout(&acme).expect("a connection");
    connection
        .execute("INSERT INTO t VALUES (1)", [])
        .expect("the migration ran");
    assert_eq!(tenancy.pools().stats().max, 7);
    assert!(dir.path().join("data/catalog.db").is_file());
}

/// An empty catalog beside tenants' files would give their ids away a second time.
#[test]
fn a_lost_catalog_is_not_recreated() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tenancy.toml");
    std::fs::write(&file, "").expect("a config");
    let config = Config::load(&file).expect("a config");
    config.sqlite().expect("options").create().expect("a root");
    let tenancy = Tenancy::from_config(&config).expect("a tenancy");
    tenancy
        .create("acme".parse::<TenantId>().expect("an id"))
        .expect("a tenant");
    drop(tenancy);
    drop(Tenancy::from_config(&config).expect("the same root"));
    for suffix in ["", "-wal", "-shm"] {
        let path = config.storage.root.join(format!("catalog.db{suffix}"));
        let _ = std::fs::remove_file(path);
    }
    let error = Tenancy::from_config(&config).expect_err("it is lost");
    let text = error.to_string();
    assert!(text.contains("catalog.db is missing"), "{text}");
    assert!(!config.storage.root.join("catalog.db").exists());
}
