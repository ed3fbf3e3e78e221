//! Who owns a name, and which names nobody may have.

use tenancy::catalog::{Challenge, Name, Proof, TenantKey, WriteError};
use tenancy::{Error, TenantSpec};

use crate::util::{World, id};

#[test]
fn reserved_labels_and_central_domains_cannot_be_bound() {
    let world = World::new();
    world.made("acme");
    let reserved = |error: Error| assert!(matches!(error, Error::Reserved { .. }), "{error}");
    reserved(world.create(id("www")).expect_err("reserved"));
    reserved(
        world
            .create(TenantSpec::new(id("b")).name("www.app.test"))
            .expect_err("reserved"),
    );
    reserved(
        world
            .bind("www.app.test", &id("acme"), Proof::Trusted)
            .expect_err("reserved"),
    );
    let error = world
        .bind("app.test", &id("acme"), Proof::Trusted)
        .expect_err("central");
    assert!(matches!(error, Error::Central { .. }), "{error}");
    // Nothing is reserved elsewhere.
    world
        .bind("www.example.org", &id("acme"), Proof::Trusted)
        .expect("a domain");
    assert_eq!(world.said("www.example.org"), "acme");
    assert_eq!(world.catalog().page(None, 10).expect("a page").len(), 1);
}

#[test]
fn one_label_under_a_base_domain_binds_as_a_label() {
    let world = World::new();
    world.made("acme");
    for (text, label) in [
        ("inc.app.test", true),
        ("INC2.App.Test", true),
        ("a.b.app.test", false),
        ("app.test.example", false),
        ("xapp.test", false),
    ] {
        let name = world.bind(text, &id("acme"), Proof::Trusted).expect(text);
        assert_eq!(matches!(name, Name::Label(_)), label, "{text}: {name:?}");
        let said = world.said(text);
        // Two labels under a base domain are looked up as a domain, as any other name.
        assert_eq!(said, "acme", "{text}");
    }
    world
        .unbind(&Name::Label(id("inc")), &id("acme"))
        .expect("it was bound");
    assert_eq!(world.said("inc.app.test"), "unknown_tenant");
}

#[test]
fn a_name_that_is_taken_leaves_no_new_tenant_behind() {
    let world = World::new();
    world.made("acme");
    world
        .bind("shop.example", &id("acme"), Proof::Trusted)
        .expect("bound");
    let challenge = Challenge::new().expect("random bytes");
    world
        .bind("soon.example", &id("acme"), Proof::Pending(challenge))
        .expect("pending");
    let version = || {
        let found = world.catalog().lookup(TenantKey::Label("acme"));
        found.expect("the catalog is there").as_of
    };
    let before = version();
    for taken in ["shop.example", "acme.app.test"] {
        let spec = TenantSpec::new(id("beta")).name("free.example").name(taken);
        let error = world.create(spec).expect_err(taken);
        assert!(
            matches!(error, Error::Write(WriteError::NameTaken { .. })),
            "{taken}: {error}"
        );
        assert_eq!(
            world.catalog().page(None, 10).expect("a page").len(),
            1,
            "{taken}"
        );
        assert_eq!(world.said("free.example"), "no_tenant", "{taken}");
        assert!(version() == before, "{taken}: something was written");
    }
    assert_eq!(world.files().len(), 1);
    // A claim that nobody has proven is in nobody's way.
    let spec = TenantSpec::new(id("beta")).name("free.example");
    world.create(spec.name("soon.example")).expect("a tenant");
    assert_eq!(world.said("soon.example"), "beta");
}

#[test]
fn an_id_that_is_anothers_label_is_refused() {
    let world = World::new();
    world.made("acme");
    world
        .bind("beta.app.test", &id("acme"), Proof::Trusted)
        .expect("bound");
    let error = world.create(id("beta")).expect_err("taken");
    assert_eq!(
        error.to_string(),
        "beta is taken; choose another name, or have the operator move it"
    );
    let error = world.tenant(&id("beta")).expect_err("a label is no id");
    assert!(
        matches!(error, Error::Write(WriteError::Unknown { .. })),
        "{error}"
    );
}

#[test]
fn a_domain_that_waits_for_its_proof_does_not_route() {
    let world = World::new();
    world.made("acme");
    let challenge = Challenge::new().expect("random bytes");
    let proof = Proof::Pending(challenge.clone());
    let name = world
        .bind("shop.example", &id("acme"), proof)
        .expect("bound");
    assert_eq!(world.said("shop.example"), "no_tenant");
    let Name::Domain(domain) = name else {
        panic!("{name:?} is a domain")
    };
    let error = world
        .verify(&domain, &id("acme"), "guess")
        .expect_err("not proven");
    assert!(
        matches!(error, Error::Write(WriteError::NotProven { .. })),
        "{error}"
    );
    world
        .verify(&domain, &id("acme"), challenge.as_str())
        .expect("proven");
    assert_eq!(world.said("shop.example"), "acme");
}

#[test]
fn a_public_suffix_cannot_be_bound_in_any_way() {
    let list = "uk\nco.uk\n*.ck\n!www.ck\nапп.test\ntest";
    let list = list.parse().expect("a list");
    let world = World::with(|builder| builder.public_suffixes(list));
    world.made("acme");
    let before = world.catalog().names(&id("acme")).expect("its names");
    for suffix in ["co.uk", "UK", "anything.ck", "АПП.test", "test"] {
        let challenge = Challenge::new().expect("random bytes");
        for proof in [Proof::Trusted, Proof::Pending(challenge)] {
            let error = world.bind(suffix, &id("acme"), proof).expect_err(suffix);
            assert!(matches!(error, Error::PublicSuffix(_)), "{suffix}: {error}");
        }
        let spec = TenantSpec::new(id("beta")).name(suffix);
        let error = world.create(spec).expect_err(suffix);
        assert!(matches!(error, Error::PublicSuffix(_)), "{suffix}: {error}");
    }
    assert_eq!(
        world.name("co.uk").expect_err("a suffix").to_string(),
        "domain co.uk is a public suffix by the rule co.uk; bind a name below it that the tenant owns"
    );
    assert_eq!(world.catalog().names(&id("acme")).expect("names"), before);
    assert_eq!(world.catalog().page(None, 10).expect("a page").len(), 1);
    // Explicit rules alone count, and a base domain is the application's own.
    for fine in [
        "shop.co.uk",
        "www.ck",
        "a.b.ck",
        "localhost",
        "unlisted",
        "inc.app.test",
    ] {
        world.bind(fine, &id("acme"), Proof::Trusted).expect(fine);
        assert_eq!(world.said(fine), "acme", "{fine}");
    }
}

#[test]
fn without_a_list_no_suffix_is_refused() {
    let world = World::new();
    world.made("acme");
    world
        .bind("co.uk", &id("acme"), Proof::Trusted)
        .expect("nobody said that this is a suffix");
}

#[test]
fn one_domain_that_routes_is_the_primary_one() {
    let world = World::new();
    world.made("acme");
    let (acme, domain) = (id("acme"), |text: &str| text.parse().expect("a domain"));
    let primary = || {
        let primary = world.primary(&acme).expect("the catalog is there");
        primary.map(|domain| domain.to_string())
    };
    for name in ["shop.example", "store.example"] {
        world.bind(name, &acme, Proof::Trusted).expect("bound");
    }
    assert_eq!(primary(), None);
    for name in ["shop.example", "store.example"] {
        world.make_primary(&domain(name), &acme).expect("it routes");
        assert_eq!(primary().as_deref(), Some(name));
    }
    // Bound once more it stays, with a new proof to show it does not.
    world
        .bind("store.example", &acme, Proof::Trusted)
        .expect("bound");
    assert_eq!(primary().as_deref(), Some("store.example"));
    let challenge = Challenge::new().expect("random bytes");
    let proof = Proof::Pending(challenge.clone());
    world.bind("store.example", &acme, proof).expect("pending");
    assert_eq!(primary(), None);
    let refused = world.make_primary(&domain("store.example"), &acme);
    assert!(
        matches!(refused, Err(Error::Write(WriteError::NotProven { .. }))),
        "{refused:?}"
    );
    let refused = world.make_primary(&domain("free.example"), &acme);
    assert!(
        matches!(refused, Err(Error::Write(WriteError::NotBound { .. }))),
        "{refused:?}"
    );
    world
        .verify(&domain("store.example"), &acme, challenge.as_str())
        .expect("proven");
    assert_eq!(primary(), None, "it has to be said again");
}
