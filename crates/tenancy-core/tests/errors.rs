//! What refusals say: the thing, the fact, and what to do about it. The texts of ids,
//! domains, paths, path rules, scopes and catalogs are asserted beside what they are of.

use std::error::Error;
use std::time::Duration;

use tenancy_core::{
    Catalog, CatalogError, Change, Changes, Maintenance, MemoryCatalog, Method, PathClass,
    ProvisionError, RequestHead, ResolveError, Resolver, ResolverBuilder, RouteMode, Rule, Tenant,
    TenantKey, TenantStatus, Version, Versioned,
};

/// Lower case first unless a name of the format stands there, no full stop at the end,
/// one line, and the cause is not in the text.
#[track_caller]
fn assert_style(error: &(dyn Error + 'static)) {
    let text = error.to_string();
    let first = text.chars().next().expect("a text");
    assert!(!first.is_uppercase() && !text.ends_with('.'), "{text}");
    assert!(!text.contains('\n') && text.len() < 400, "{text}");
    if let Some(source) = error.source() {
        assert!(!text.contains(&source.to_string()), "{text}: {source}");
    }
}

type Say = fn(ResolverBuilder) -> ResolverBuilder;

/// Every way to contradict oneself.
const CONTRADICTIONS: [(Say, &str); 19] = [
    (
        |b| b,
        "there is no rule; add at least one, for example domain",
    ),
    (
        |b| b.rule(Rule::origin()),
        "rule origin is read on central domains and there is none; add one, or remove the rule",
    ),
    (
        |b| b.rule(Rule::header("x-tenant")),
        "rule header is read on central domains and there is none; add one, or remove the rule",
    ),
    (
        |b| b.rule(Rule::domain()).central_domain("https://app.test"),
        "host \"https://app.test\" is no host name; write it as app.example.com, without scheme, port and final dot",
    ),
    (
        |b| b.rule(Rule::subdomain_of("10.0.0.1")),
        "base domain \"10.0.0.1\" is an address, which has no subdomains; name a domain",
    ),
    (
        |b| b.rule(Rule::template("api.test")),
        "host template \"api.test\" has no {tenant}; write it as {tenant}-api.example.com",
    ),
    (
        |b| b.rule(Rule::template("{tenant}.{tenant}.test")),
        "host template \"{tenant}.{tenant}.test\" has more than one {tenant}; write it as {tenant}-api.example.com",
    ),
    (
        |b| b.rule(Rule::template("")),
        "host template \"\" is empty; write it as {tenant}-api.example.com",
    ),
    (
        |b| b.rule(Rule::template("{tenant}..test")),
        "host template \"{tenant}..test\" has an empty label; write it as {tenant}-api.example.com",
    ),
    (
        |b| b.rule(Rule::template("*.{tenant}.test")),
        "host template \"*.{tenant}.test\" has a wildcard, which cannot stand in a template; write it as {tenant}-api.example.com",
    ),
    (
        |b| b.rule(Rule::template("{tenant}_api.test")),
        "host template \"{tenant}_api.test\" is no host name around {tenant}; write it as {tenant}-api.example.com",
    ),
    (
        |b| {
            b.rule(Rule::subdomain_of("a.test"))
                .rule(Rule::template("{tenant}-api.a.test"))
        },
        "{tenant}.a.test and {tenant}-api.a.test fit some of the same hosts; change one so that a host names one tenant",
    ),
    (
        |b| {
            b.rule(Rule::subdomain_of("a.test"))
                .rule(Rule::subdomain_of("A.test"))
        },
        "{tenant}.a.test and {tenant}.a.test fit some of the same hosts; change one so that a host names one tenant",
    ),
    (
        |b| b.central_domain("a.test").rule(Rule::path_prefix("t")),
        "path_prefix \"t\" has no leading slash; write one plain segment, for example /t",
    ),
    (
        |b| b.central_domain("a.test").rule(Rule::path_prefix("/t/x")),
        "path_prefix \"/t/x\" has more than one segment; write one plain segment, for example /t",
    ),
    (
        |b| b.central_domain("a.test").rule(Rule::header("x tenant")),
        "header \"x tenant\" is no name; use letters, digits and hyphens, for example x-tenant",
    ),
    (
        |b| b.rule(Rule::domain()).reserved("WWW"),
        "reserved label \"WWW\" is no label; use lowercase letters, digits and inner hyphens",
    ),
    (
        |b| b.rule(Rule::domain()).trusted_proxy("10.0.0.0/33"),
        "trusted proxy \"10.0.0.0/33\" is no address or network; write it as 10.0.0.1 or 10.0.0.0/8",
    ),
    (
        |b| {
            b.rule(Rule::domain())
                .max_staleness(Duration::from_millis(100))
        },
        "poll_every is 500ms and max_staleness 100ms; poll at least that often, and not every 0 s",
    ),
];

#[test]
fn a_contradiction_is_refused_by_build_with_advice() {
    for (say, want) in CONTRADICTIONS {
        let built = say(Resolver::builder(MemoryCatalog::new())).build();
        let error = built.map(drop).expect_err(want);
        assert_eq!(error.to_string(), want);
        assert_style(&error);
    }
}

/// Tenants of every status, and one name that two of them claim.
struct Feed;

impl Catalog for Feed {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        panic!("a resolver that has the feed asked for {key}")
    }

    fn changes(&self, _: Version, _: usize) -> Result<Option<Changes>, CatalogError> {
        let tenant = |status: TenantStatus, down: Option<Maintenance>, id: &str| {
            let tenant = Tenant::builder(id.parse().unwrap()).status(status);
            Change::Tenant(tenant.maintenance(down).build().unwrap())
        };
        let mut says = Maintenance::default();
        says.message = Some("back at noon".into());
        let mut later = Maintenance::default();
        later.retry_after = Some(Duration::from_secs(120));
        let bound = |id: &str| Change::Bound {
            name: tenancy_core::Name::Domain("two.test".parse().unwrap()),
            id: id.parse().unwrap(),
        };
        Ok(Some(Changes {
            upto: Version(8),
            items: vec![
                tenant(TenantStatus::Active, None, "acme"),
                tenant(TenantStatus::Provisioning, None, "soon"),
                tenant(TenantStatus::Suspended, None, "shut"),
                tenant(TenantStatus::Active, Some(says), "says"),
                tenant(TenantStatus::Active, Some(later), "later"),
                tenant(TenantStatus::Active, Some(Maintenance::default()), "down"),
                bound("acme"),
                bound("shut"),
            ],
            ..Changes::default()
        }))
    }
}

fn resolver() -> Resolver {
    let classifier = tenancy_core::Classifier::builder()
        .rule("/admin", PathClass::Page, Some(RouteMode::Central))
        .rule("/shop", PathClass::Page, Some(RouteMode::Tenant));
    Resolver::builder(Feed)
        .rule(Rule::domain())
        .rule(Rule::subdomain_of("app.test"))
        .rule(Rule::query("tenant"))
        .rule(Rule::header("x-tenant"))
        .central_domain("app.test")
        .classifier(classifier.build().unwrap())
        .build()
        .unwrap()
}

/// Host, target, and what the refusal says.
const REFUSALS: [(&str, &str, &str); 22] = [
    (
        "",
        "/",
        "host \"\" is empty; send a host name like acme.example.com, with a port if any",
    ),
    (
        "a.test:65536",
        "/",
        "host \"a.test:65536\" has a port over 65535; send a host name like acme.example.com, with a port if any",
    ),
    (
        "a_b.test",
        "/",
        "host \"a_b.test\" has a byte that no host name has; send a host name like acme.example.com, with a port if any",
    ),
    (
        "-a.test",
        "/",
        "host \"-a.test\" has a label that is empty, over 63 bytes or begins or ends with a hyphen; send a host name like acme.example.com, with a port if any",
    ),
    (
        "[::g]",
        "/",
        "host \"[::g]\" has brackets around a text that is no IPv6 address; send a host name like acme.example.com, with a port if any",
    ),
    (
        "acme.app.test",
        "/a/../b",
        "path has a dot segment at byte 3; resolve it before sending",
    ),
    (
        "stranger.test",
        "/",
        "host \"stranger.test\" is neither central nor a tenant's; bind it as a domain first",
    ),
    (
        "a-host-of-more-than-thirty-bytes.test",
        "/",
        "host \"a-host-of-more-than-thirty-byt…\" is neither central nor a tenant's; bind it as a domain first",
    ),
    (
        "[::1]",
        "/",
        "host \"[::1]\" is neither central nor a tenant's; list it as central if it is",
    ),
    (
        "ghost.app.test",
        "/",
        "\"ghost\", named by subdomain, is no tenant; check the spelling, or create it",
    ),
    (
        "app.test",
        "/?tenant=Acme",
        "\"Acme\", named by query, is no tenant; check the spelling, or create it",
    ),
    (
        "app.test",
        "/shop",
        "this page route is a tenant's; ask for it on a host of the tenant",
    ),
    (
        "acme.app.test",
        "/admin",
        "this page route is central; ask for it on a central host, without a tenant",
    ),
    (
        "app.test",
        "/?tenant=acme&tenant=shut",
        "query and query name different tenants; send one name",
    ),
    (
        "two.test",
        "/",
        "\"two.test\" belongs to two tenants; unbind it from one of them",
    ),
    (
        "says.app.test",
        "/",
        "tenant says is down for maintenance; back at noon",
    ),
    (
        "later.app.test",
        "/",
        "tenant later is down for maintenance; try again in 120 s",
    ),
    (
        "down.app.test",
        "/",
        "tenant down is down for maintenance; try again later",
    ),
    (
        "shut.app.test",
        "/",
        "tenant shut is suspended; resume it to let requests in",
    ),
    (
        "soon.app.test",
        "/",
        "tenant soon is provisioning and not ready; try again when it is active",
    ),
    (
        "\x07\"x.test",
        "/",
        "host \"\\x07\\\"x.test\" has a byte that no host name has; send a host name like acme.example.com, with a port if any",
    ),
    (
        "acme.app.test",
        "*",
        "path has no leading slash; send the target as /path?query",
    ),
];

#[test]
fn a_refused_request_names_the_fault_and_the_remedy() {
    let resolver = resolver();
    for (host, target, want) in REFUSALS {
        let head = RequestHead::new(Method::Get, target).host(host);
        let error = resolver.resolve(&head).expect_err(want);
        assert_eq!(error.to_string(), want, "{host:?} {target}");
        assert_style(&error);
    }
    let head = RequestHead::new(Method::Get, "/");
    for (head, want) in [
        (
            head,
            "host \"\" is missing; send a host name like acme.example.com, with a port if any",
        ),
        (
            head.hosts(&[b"a.test", b"a.test"]),
            "the request names more than one host; send one Host, equal to the authority",
        ),
        (
            head.host(&[b'a'; 254]),
            "host \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…\" is longer than 253 bytes; send a host name like acme.example.com, with a port if any",
        ),
    ] {
        let error = resolver.resolve(&head).expect_err(want);
        assert_eq!(error.to_string(), want);
        assert_style(&error);
    }
}

#[test]
fn a_cause_stays_in_the_source() {
    let acme = Tenant::builder("acme".parse().unwrap()).build().unwrap();
    let provision = ProvisionError::new(&acme, "made", "disk on fire");
    assert_eq!(
        provision.to_string(),
        "tenant acme@1: its database could not be made; see the cause and run it again"
    );
    let unavailable = ResolveError::CatalogUnavailable {
        source: std::sync::Arc::new(CatalogError::new("disk on fire")),
    };
    assert_eq!(
        unavailable.to_string(),
        "the catalog cannot be read and the last answers are too old; try again"
    );
    let mut causes = Vec::new();
    for error in [&provision as &(dyn Error + 'static), &unavailable] {
        assert_style(error);
        let mut error = error;
        while let Some(source) = error.source() {
            assert_style(source);
            error = source;
        }
        causes.push(error.to_string());
    }
    assert_eq!(causes, ["disk on fire", "disk on fire"]);
}
