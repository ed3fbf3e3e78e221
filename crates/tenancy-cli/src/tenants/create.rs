//! `tenancy create`, by arguments or by questions.

use tenancy::catalog::Attributes;
use tenancy::{Config, TenantSpec};

use super::{Whole, id, with_owner};
use crate::args::{Create, Global};
use crate::failure::Failure;
use crate::output::Output;
use crate::project::{self, Project};
use crate::terminal::{self, ask_until};

pub fn run(args: &Create, global: &Global, out: Output) -> Result<(), Failure> {
    let spec = match &args.id {
        Some(tenant) => Some(TenantSpec {
            attributes: attributes(args)?,
            names: args.domains.clone(),
            seeded: args.seed,
            ..TenantSpec::new(id(tenant)?)
        }),
        None if terminal::is_attended() => None,
        None => {
            return Err(Failure::usage(
                "the tenant's ID is missing; give it, as in: tenancy create acme; \
                 only on a terminal the command asks for it",
            ));
        }
    };
    let config = project::config(global)?;
    if args.seed {
        project::seeds(&config)?;
    }
    if args.init {
        project::make_root(&config)?;
    }
    let project = project::open(&config)?;
    let spec = match spec {
        Some(spec) => spec,
        None => wizard(&project, &config)?,
    };
    let created = project.create(spec);
    let tenant = created.map_err(|error| with_owner(&project, error))?;
    out.record(&Whole::read(&project, &tenant)?)
}

fn attributes(args: &Create) -> Result<Attributes, Failure> {
    let mut attributes = Attributes::default();
    for pair in &args.attributes {
        let (key, value) = pair
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| {
                Failure::usage(format!("attribute {pair:?} is not of the form KEY=VALUE"))
            })?;
        attributes.insert(key, value);
    }
    if let Some(name) = &args.name {
        if attributes.get("name").is_some() {
            return Err(Failure::usage(
                "--name sets the attribute name, which --attribute sets, too; remove one of them",
            ));
        }
        attributes.insert("name", name.as_str());
    }
    Ok(attributes)
}

/// Asks for the id and the other values of a tenant. Repeats a question if the creation would refuse
/// the answer.
fn wizard(project: &Project, config: &Config) -> Result<TenantSpec, Failure> {
    let id = ask_until(
        "tenant id (1 to 63 lowercase letters, digits, inner hyphens):",
        |answer| free_id(project, answer),
    )?;
    let mut spec = TenantSpec::new(id);
    let name = terminal::ask("display name (empty for none):")?;
    if !name.is_empty() {
        spec = spec.attribute("name", name);
    }
    loop {
        let domain = ask_until("domain of the tenant (empty to continue):", |answer| {
            if !answer.is_empty() {
                project.name(answer)?;
            }
            Ok(answer.to_owned())
        })?;
        if domain.is_empty() {
            break;
        }
        spec = spec.name(domain);
    }
    spec.seeded = config.storage.seeds.is_some() && terminal::ask_yes("run the seeds?")?;
    Ok(spec)
}

fn free_id(project: &Project, answer: &str) -> Result<tenancy::TenantId, Failure> {
    let id = id(answer)?;
    if project.resolver().is_reserved(&id) {
        let label = id;
        return Err(tenancy::Error::Reserved { label }.into());
    }
    match project.tenant(&id) {
        // The id of a tenant whose creation was not completed is accepted: repeating the creation
        // completes it.
        Ok(tenant) if tenant.status() != tenancy::TenantStatus::Provisioning => Err(
            Failure::refused(format!("tenant {id} exists already; choose another id")),
        ),
        _ => Ok(id),
    }
}
