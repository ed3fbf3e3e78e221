//! An explanation names every rule that was tried, and which one won.

use std::sync::{Arc, Mutex};

use tenancy_core::{
    Actor, CatalogWriter, Event, Maintenance, MemoryCatalog, Method, NewTenant, RequestHead,
    Resolver, Rule, RuleKind, TenantChange,
};

fn resolver() -> Resolver {
    let catalog = MemoryCatalog::new();
    let new = NewTenant::new("acme".parse().unwrap());
    catalog.insert(new, &Actor::new("test")).unwrap();
    Resolver::builder(catalog)
        .rule(Rule::domain())
        .rule(Rule::subdomain_of("app.test"))
        .rule(Rule::template("{tenant}-api.example.com"))
        .rule(Rule::header("x-tenant"))
        .rule(Rule::query("tenant"))
        .central_domain("app.test")
        .build()
        .unwrap()
}

#[test]
fn every_rule_that_was_tried_is_named_in_order() {
    let resolver = resolver();
    for (host, target, want) in [
        (
            "ACME.app.test:80",
            "/orders",
            &[
                ("host", "\"ACME.app.test\" is named acme by subdomain"),
                ("subdomain", "{tenant}.app.test names acme"),
                ("template", "{tenant}-api.example.com does not fit"),
                ("domain", "not tried: the host has an answer already"),
                ("path", "/orders is page, universal"),
                ("lookup", "label acme: tenant acme@1, active"),
                ("outcome", "tenant acme@1 by subdomain, path /orders"),
            ][..],
        ),
        (
            "shop.test",
            "/",
            &[
                ("host", "\"shop.test\" is no central, base or template host"),
                ("subdomain", "{tenant}.app.test does not fit"),
                ("template", "{tenant}-api.example.com does not fit"),
                ("domain", "the whole name is looked up"),
                ("path", "/ is page, universal"),
                ("lookup", "domain shop.test: no tenant"),
                ("outcome", "refused: no_tenant 404"),
            ],
        ),
        (
            "app.test",
            "/?tenant=acme",
            &[
                ("host", "\"app.test\" is central"),
                ("path", "/ is page, universal"),
                ("header", "names no tenant"),
                ("query", "names acme"),
                ("lookup", "label acme: tenant acme@1, active"),
                ("outcome", "tenant acme@1 by query, path /"),
            ],
        ),
    ] {
        let head = RequestHead::new(Method::Get, target).host(host);
        let explanation = resolver.explain(&head);
        let steps = explanation.steps.iter().map(|s| (s.what, s.found.as_str()));
        let outcome = [("outcome", explanation.outcome.as_str())];
        let found: Vec<_> = steps.chain(outcome).collect();
        assert_eq!(found, want, "{host}{target}");
    }
}

/// Two parameters of one kind are no contradiction.
#[test]
fn a_rule_may_be_given_several_times() {
    let catalog = MemoryCatalog::new();
    let new = NewTenant::new("acme".parse().unwrap());
    catalog.insert(new, &Actor::new("test")).unwrap();
    let resolver = Resolver::builder(catalog)
        .rule(Rule::subdomain_of("app.test"))
        .rule(Rule::subdomain_of("app.example"))
        .rule(Rule::path_prefix("/t"))
        .rule(Rule::path_prefix("/tenants"))
        .rule(Rule::cookie("tenant"))
        .rule(Rule::cookie("organization"))
        .central_domain("app.test")
        .build()
        .unwrap();
    let headers = |name: &str, each: &mut dyn FnMut(&[u8])| {
        if name == "cookie" {
            each(b"organization=acme");
        }
    };
    for (host, target, kind, path) in [
        ("acme.app.test", "/x", RuleKind::Subdomain, "/x"),
        ("acme.app.example", "/x", RuleKind::Subdomain, "/x"),
        ("app.test", "/t/acme/x", RuleKind::Path, "/x"),
        ("app.test", "/tenants/acme/x", RuleKind::Path, "/x"),
        ("app.test", "/x", RuleKind::Cookie, "/x"),
    ] {
        let head = RequestHead::new(Method::Get, target).host(host);
        let head = head.headers(&headers);
        let resolved = resolver.resolve(&head).unwrap();
        assert_eq!(resolved.tenant().unwrap().id().as_str(), "acme", "{target}");
        assert_eq!((resolved.rule, &*resolved.path), (Some(kind), path));
    }
    let text = resolver.explain(&RequestHead::new(Method::Get, "/tenants/acme").host("app.test"));
    let text = text.to_string();
    assert!(text.contains("/t names no tenant"), "{text}");
    assert!(text.contains("/tenants names acme"), "{text}");
}

/// A resolver over two tenants, of which one has a reserved label and one is in maintenance.
fn with_reserved(
    build: fn(tenancy_core::ResolverBuilder) -> tenancy_core::ResolverBuilder,
) -> Resolver {
    let (catalog, by) = (MemoryCatalog::new(), Actor::new("test"));
    for id in ["admin", "down"] {
        catalog
            .insert(NewTenant::new(id.parse().unwrap()), &by)
            .unwrap();
    }
    let mut change = TenantChange::default();
    change.maintenance = Some(Some(Maintenance::default()));
    let id = "down".parse().unwrap();
    catalog
        .update(&id, tenancy_core::Version(2), change, &by)
        .unwrap();
    let builder = Resolver::builder(catalog)
        .rule(Rule::subdomain_of("app.test"))
        .rule(Rule::header("x-tenant"))
        .central_domain("app.test")
        .reserved("admin");
    build(builder).build().unwrap()
}

/// The advice fits the cause: what is reserved is not to be bound or created.
#[test]
fn a_refusal_gives_advice_that_fits() {
    let with_domains = |b: tenancy_core::ResolverBuilder| b.rule(Rule::domain());
    let reserved = "label admin: reserved, so it names no tenant, even if one has it";
    let headers = |name: &str, each: &mut dyn FnMut(&[u8])| {
        if name == "x-tenant" {
            each(b"admin");
        }
    };
    let get = |host: &'static str| RequestHead::new(Method::Get, "/").host(host);
    for (domains, head, lookup, text) in [
        (
            true,
            get("ADMIN.app.test"),
            reserved,
            "label \"ADMIN\", named by subdomain, is reserved and no tenant's; take it off `reserved`, or use another",
        ),
        (
            true,
            get("app.test").headers(&headers),
            reserved,
            "label \"admin\", named by header, is reserved and no tenant's; take it off `reserved`, or use another",
        ),
        (
            true,
            get("shop.test"),
            "domain shop.test: no tenant",
            "host \"shop.test\" is neither central nor a tenant's; bind it as a domain first",
        ),
        (
            false,
            get("shop.test"),
            "",
            "host \"shop.test\" is neither central nor a tenant's; list it as central, or switch rule domain on and bind it",
        ),
        (
            true,
            get("[::1]"),
            "",
            "host \"[::1]\" is neither central nor a tenant's; list it as central if it is",
        ),
        (
            true,
            get("down.app.test"),
            "label down: tenant down@1, active, in maintenance",
            "tenant down is down for maintenance; try again later",
        ),
    ] {
        let resolver = with_reserved(if domains { with_domains } else { |b| b });
        let explained = resolver.explain(&head);
        let found = explained.steps.iter().find(|step| step.what == "lookup");
        assert_eq!(found.map_or("", |step| &step.found), lookup, "{explained}");
        assert_eq!(resolver.resolve(&head).unwrap_err().to_string(), text);
    }
}

/// By `resolve` and `try_resolve`, once each; what is served or explained is no refusal.
#[test]
fn observers_are_notified_of_every_refusal() {
    let observed: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = observed.clone();
    let observer = move |event: &Event<'_>| {
        if let Event::Refused { reason, error, .. } = event {
            assert_eq!(error.reason(), *reason);
            seen.lock().unwrap().push(reason.to_string());
        }
    };
    let catalog = MemoryCatalog::new();
    catalog
        .insert(NewTenant::new("acme".parse().unwrap()), &Actor::new("test"))
        .unwrap();
    let resolver = Resolver::builder(catalog)
        .rule(Rule::subdomain_of("app.test"))
        .observer(Arc::new(observer))
        .build()
        .unwrap();
    // Nothing is known yet: not an answer, so no refusal. No runtime is needed to say so.
    let ghost = RequestHead::new(Method::Get, "/").host("ghost.app.test");
    assert!(resolver.try_resolve(&ghost).is_none());
    for host in ["acme.app.test", "ghost.app.test", "a_b.test", "x.test"] {
        let head = RequestHead::new(Method::Get, "/").host(host);
        let _ = resolver.resolve(&head);
        assert!(resolver.try_resolve(&head).is_some());
        resolver.explain(&head);
    }
    let asset = RequestHead::new(Method::Get, "/css/a.css").host("acme.app.test");
    resolver.resolve(&asset).unwrap();
    let want = [
        "unknown_tenant",
        "unknown_tenant",
        "bad_host",
        "bad_host",
        "no_tenant",
        "no_tenant",
    ];
    assert_eq!(*observed.lock().unwrap(), want);
}

/// What links are written with: the host as the client knows it.
#[test]
fn the_host_of_a_request_is_the_one_that_links_to_it_have() {
    let resolver = Resolver::builder(MemoryCatalog::new())
        .rule(Rule::domain())
        .trusted_proxy("10.0.0.0/8")
        .forwarded_host("forwarded")
        .build()
        .unwrap();
    let headers = |name: &str, each: &mut dyn FnMut(&[u8])| {
        if name == "forwarded" {
            each(b"for=1.2.3.4;host=\"Shop.test:8443\"");
        }
    };
    let get = RequestHead::new(Method::Get, "/").headers(&headers);
    let proxy = std::net::IpAddr::from([10, 1, 1, 1]);
    for (head, want) in [
        (get.host("ACME.test"), Some("acme.test")),
        (get.host("acme.test.:80"), Some("acme.test:80")),
        (get.host("acme.test:"), Some("acme.test")),
        (get.host("[::1]:80"), Some("[::1]:80")),
        (get.authority("acme.test:80"), Some("acme.test:80")),
        (get.host("a_b.test"), None),
        (get.host("a.test\"><x"), None),
        (get, None),
        (
            get.host("proxy.internal").peer(proxy),
            Some("shop.test:8443"),
        ),
    ] {
        assert_eq!(resolver.host(&head).ok().as_deref(), want, "{head:?}");
    }
}
