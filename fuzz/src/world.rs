//! A small application for the targets that resolve: every rule switched on, a few tenants.

use std::sync::{Arc, LazyLock};

use tenancy_core::{
    Actor, CatalogWriter, Maintenance, MemoryCatalog, Name, NewTenant, Proof, Resolver,
    ResolverBuilder, Rule, TenantChange, TenantStatus,
};

/// Tenants and their status; each has its id as a label.
pub const TENANTS: [(&str, TenantStatus); 6] = [
    ("acme", TenantStatus::Active),
    ("beta", TenantStatus::Active),
    ("closed", TenantStatus::Suspended),
    ("down", TenantStatus::Active),
    ("gone", TenantStatus::Suspended),
    ("new", TenantStatus::Provisioning),
];
/// Those in maintenance, whatever their status.
pub const DOWN: [&str; 2] = ["down", "gone"];
/// Further names.
pub const LABELS: [(&str, &str); 1] = [("acme-inc", "acme")];
/// Domains; one is too long for the index's short keys.
pub const DOMAINS: [(&str, &str); 3] = [
    ("shop.example.org", "acme"),
    ("192.0.2.7", "beta"),
    ("a-shop-with-a-rather-long-name.example.org", "beta"),
];
/// The application's own hosts.
pub const CENTRAL: [&str; 4] = ["app.test", "www.app.test", "localhost", "10.0.0.1"];
/// Its own address.
pub const CENTRAL_V6: &str = "[::1]";
/// What a tenant's label stands before.
pub const BASES: [&str; 2] = ["app.test", "localhost"];
/// What it stands in.
pub const TEMPLATE: (&str, &str) = ("", "-api.example.com");
/// Labels that are nobody.
pub const RESERVED: [&str; 2] = ["www", "admin"];

/// The resolver of this application.
pub static RESOLVER: LazyLock<Resolver> = LazyLock::new(|| {
    let catalog = Arc::new(MemoryCatalog::new());
    fill(&catalog).expect("the tenants of this file are valid");
    build(catalog).expect("the configuration of this file has no contradiction")
});

fn fill(catalog: &MemoryCatalog) -> Result<(), Box<dyn std::error::Error>> {
    let by = Actor::new("fuzz");
    for (id, status) in TENANTS {
        let mut new = NewTenant::new(id.parse()?);
        new.status = status;
        let tenant = catalog.insert(new, &by)?;
        if DOWN.contains(&id) {
            let mut down = TenantChange::default();
            down.maintenance = Some(Some(Maintenance::default()));
            catalog.update(tenant.id(), tenant.version(), down, &by)?;
        }
    }
    for (label, id) in LABELS {
        catalog.bind(
            &Name::Label(label.parse()?),
            &id.parse()?,
            Proof::Trusted,
            &by,
        )?;
    }
    for (domain, id) in DOMAINS {
        catalog.bind(
            &Name::Domain(domain.parse()?),
            &id.parse()?,
            Proof::Trusted,
            &by,
        )?;
    }
    Ok(())
}

/// Every rule but a function, which the model has no words for.
pub fn rules() -> Vec<Rule> {
    let (before, after) = TEMPLATE;
    let mut rules = vec![
        Rule::domain(),
        Rule::template(&format!("{before}{{tenant}}{after}")),
        Rule::path_prefix("/t"),
        Rule::header("x-tenant"),
        Rule::query("tenant"),
        Rule::cookie("tenant"),
        Rule::origin(),
    ];
    rules.extend(BASES.map(Rule::subdomain_of));
    rules
}

fn build(catalog: Arc<MemoryCatalog>) -> Result<Resolver, tenancy_core::InvalidResolver> {
    let mut builder = Resolver::builder(catalog)
        .central_domain(CENTRAL_V6)
        .trusted_proxy("10.0.0.0/8");
    builder = rules().into_iter().fold(builder, ResolverBuilder::rule);
    for host in CENTRAL {
        builder = builder.central_domain(host);
    }
    for label in RESERVED {
        builder = builder.reserved(label);
    }
    builder.build()
}
