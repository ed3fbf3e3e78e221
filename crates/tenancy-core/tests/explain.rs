//! An explanation names every rule that was tried, and which one won.

use tenancy_core::{
    Actor, CatalogWriter, MemoryCatalog, Method, NewTenant, RequestHead, Resolver, Rule,
};

fn resolver() -> Resolver {
    let catalog = MemoryCatalog::new();
    let new = NewTenant::new("acme".parse().unwrap());
    catalog.insert(new, &Actor::new("test")).unwrap();
    Resolver::builder(catalog)
        .rule(Rule::Domain)
        .rule(Rule::Subdomain)
        .rule(Rule::Template)
        .rule(Rule::Header)
        .rule(Rule::Query)
        .central_domain("app.test")
        .subdomains_of("app.test")
        .host_template("{tenant}-api.example.com")
        .header("x-tenant")
        .query("tenant")
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
                ("lookup", "domain shop.test: nobody"),
                ("outcome", "refused: no_tenant 404"),
            ],
        ),
        (
            "app.test",
            "/?tenant=acme",
            &[
                ("host", "\"app.test\" is central"),
                ("path", "/ is page, universal"),
                ("header", "names nobody"),
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
        let told: Vec<_> = steps.chain(outcome).collect();
        assert_eq!(told, want, "{host}{target}");
    }
}
