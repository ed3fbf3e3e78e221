//! The file of `resolve --tenants`: a catalog for one command.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tenancy::catalog::{Actor, CatalogWriter, Domain, Maintenance, MemoryCatalog, Name, Proof};
use tenancy::resolve::Resolver;
use tenancy::{Config, Tenant, TenantStatus};

use crate::failure::Failure;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tenants: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    status: Option<String>,
    #[serde(default)]
    maintenance: bool,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
}

/// Returns a resolver with the rules of the config and the tenants in the file.
pub fn resolver(config: &Config, path: &Path) -> Result<Resolver, Failure> {
    let catalog = Arc::new(MemoryCatalog::new());
    let resolver = config.resolver(catalog.clone())?;
    let text = std::fs::read_to_string(path)
        .map_err(|cause| Failure::file(path, "the tenants cannot be read", &cause))?;
    let wrong =
        |cause: &dyn std::error::Error| Failure::usage(format!("{}: {cause}", path.display()));
    let file: File = serde_json::from_str(&text).map_err(|cause| wrong(&cause))?;
    for entry in &file.tenants {
        add(&catalog, &resolver, entry).map_err(|cause| wrong(&cause))?;
    }
    Ok(resolver)
}

fn add(catalog: &MemoryCatalog, resolver: &Resolver, entry: &Entry) -> Result<(), tenancy::Error> {
    // The status `maintenance` stands for an active tenant in maintenance.
    let (status, down) = match entry.status.as_deref() {
        Some("maintenance") => (TenantStatus::Active, true),
        Some(word) => (word.parse()?, entry.maintenance),
        None => (TenantStatus::Active, entry.maintenance),
    };
    let tenant = Tenant::builder(entry.id.parse()?)
        .status(status)
        .maintenance(down.then(Maintenance::default))
        .build()?;
    catalog.put(&tenant)?;
    let mut names = Vec::new();
    for domain in &entry.domains {
        names.push(resolver.name_for(&domain.parse::<Domain>()?));
    }
    for label in &entry.labels {
        names.push(Name::Label(label.parse()?));
    }
    for name in names {
        catalog.bind(&name, tenant.id(), Proof::Trusted, &Actor::new("cli"))?;
    }
    Ok(())
}
