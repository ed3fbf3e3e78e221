//! `tenancy domain`: the names of a tenant.

use serde::Serialize;
use tenancy::TenantId;
use tenancy::catalog::{Challenge, Domain, Name, Proof, WriteError};

use super::{id, with_owner};
use crate::args::{self, Global, Named, One};
use crate::failure::Failure;
use crate::output::Output;
use crate::project::{self, Project};

/// A name and its state.
#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    domain: String,
    /// The kind: `domain`, or `label`, which routes under every base domain.
    kind: &'static str,
    /// The state: `verified`, `pending`, or `removed` after an unbind.
    status: &'static str,
    /// Whether links to the tenant use this domain.
    primary: bool,
    /// The value that the domain's TXT record must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    txt: Option<String>,
}

impl Row {
    fn new(tenant: &TenantId, name: &Name, status: &'static str) -> Self {
        Self {
            tenant: tenant.to_string(),
            domain: name.to_string(),
            kind: match name {
                Name::Label(_) => "label",
                Name::Domain(_) => "domain",
            },
            status,
            primary: false,
            txt: None,
        }
    }

    fn pending(tenant: &TenantId, name: &Name, challenge: &Challenge) -> Self {
        Self {
            txt: Some(challenge.as_str().to_owned()),
            ..Self::new(tenant, name, "pending")
        }
    }
}

pub fn run(command: &args::Domain, global: &Global, out: Output) -> Result<(), Failure> {
    match command {
        args::Domain::Add { named, verified } => add(named, *verified, global, out),
        args::Domain::Remove(named) => remove(named, global, out),
        args::Domain::List(one) => list(one, global, out),
        args::Domain::Primary(named) => primary(named, global, out),
        args::Domain::Verify { named, txt } => verify(named, txt, global, out),
    }
}

fn add(named: &Named, vouched: bool, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&named.id)?;
    let project = project::open(&project::config(global)?)?;
    let name = project.name(&named.domain)?;
    // A label is under a domain of the operator, so that it needs no proof of ownership.
    if vouched || matches!(name, Name::Label(_)) {
        let bound = project.bind(&named.domain, &id, Proof::Trusted);
        bound.map_err(|error| with_owner(&project, error))?;
        return out.record(&Row::new(&id, &name, "verified"));
    }
    if is_verified(&project, &id, &name)? {
        return Err(Failure::refused(format!(
            "{name} is already verified for tenant {id}; nothing was changed"
        )));
    }
    let challenge = Challenge::new()?;
    let bound = project.bind(&named.domain, &id, Proof::Pending(challenge.clone()));
    bound.map_err(|error| with_owner(&project, error))?;
    out.record(&Row::pending(&id, &name, &challenge))?;
    out.note(&format!(
        "next: publish this value as a TXT record of {name} within 7 days, then run\n  \
         tenancy domain verify {id} {name} --txt \"$(dig +short TXT {name})\""
    ));
    Ok(())
}

fn remove(named: &Named, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&named.id)?;
    let project = project::open(&project::config(global)?)?;
    project.tenant(&id)?;
    let name = bound(&project, &id, &named.domain)?;
    project.unbind(&name, &id)?;
    out.record(&Row::new(&id, &name, "removed"))
}

fn list(one: &One, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&one.id)?;
    let project = project::open(&project::config(global)?)?;
    project.tenant(&id)?;
    let names = names(&project, &id)?;
    let rows = names.iter().map(|binding| {
        Ok(match &binding.pending {
            Some(challenge) => Row::pending(&id, &binding.name, challenge),
            None => Row {
                primary: binding.primary,
                ..Row::new(&id, &binding.name, "verified")
            },
        })
    });
    out.rows(&["domain", "kind", "status", "primary"], rows)?;
    // The values are not in the table, as the table could cut them.
    for binding in &names {
        if let Some(challenge) = &binding.pending {
            let (name, value) = (&binding.name, challenge.as_str());
            out.note(&format!(
                "{name} needs a TXT record with the value\n  {value}"
            ));
        }
    }
    Ok(())
}

fn primary(named: &Named, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&named.id)?;
    let domain: Domain = named.domain.parse().map_err(tenancy::Error::from)?;
    let project = project::open(&project::config(global)?)?;
    project.make_primary(&domain, &id)?;
    out.record(&Row {
        primary: true,
        ..Row::new(&id, &Name::Domain(domain), "verified")
    })
}

fn verify(named: &Named, txt: &str, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&named.id)?;
    let domain: Domain = named.domain.parse().map_err(tenancy::Error::from)?;
    let project = project::open(&project::config(global)?)?;
    // `dig +short` prints a line for each record of the domain, with the value in quotes.
    let mut values = txt.lines().map(|line| line.trim().trim_matches('"'));
    let proven = values.find_map(|value| project.verify(&domain, &id, value).ok());
    if proven.is_none() {
        // No line was accepted: returns the error for the whole text.
        project.verify(&domain, &id, txt)?;
    }
    out.record(&Row::new(&id, &Name::Domain(domain), "verified"))
}

fn names(project: &Project, id: &TenantId) -> Result<Vec<tenancy::catalog::Binding>, Failure> {
    let names = project.catalog().names(id).map_err(tenancy::Error::from)?;
    Ok(names)
}

fn is_verified(project: &Project, id: &TenantId, name: &Name) -> Result<bool, Failure> {
    let names = names(project, id)?;
    let mut own = names.iter().filter(|binding| binding.name == *name);
    Ok(own.any(|binding| binding.pending.is_none()))
}

/// Returns the bound name that a text means. If the config has changed, the text may be a label now
/// but be bound as a domain.
fn bound(project: &Project, id: &TenantId, text: &str) -> Result<Name, Failure> {
    let domain: Domain = text.parse().map_err(tenancy::Error::from)?;
    let label = project.resolver().name_for(&domain);
    let names = names(project, id)?;
    let meant = |name: &Name| *name == label || name.to_string() == domain.as_str();
    match names.into_iter().find(|binding| meant(&binding.name)) {
        Some(binding) => Ok(binding.name),
        None => {
            let (name, id) = (label, id.clone());
            Err(tenancy::Error::from(WriteError::NotBound { name, id }).into())
        }
    }
}
