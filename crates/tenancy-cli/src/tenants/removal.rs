//! `tenancy retire`, `revive` and `destroy`.

use serde::Serialize;

use super::{Whole, id};
use crate::args::{Destroy, Global, One, Retire};
use crate::failure::{Failure, OneLine};
use crate::interrupt;
use crate::output::Output;
use crate::project;
use crate::terminal;

/// A tenant that was removed.
#[derive(Debug, Serialize)]
struct Destroyed {
    id: String,
    status: &'static str,
    /// The epoch of the tenant. A tenant created later with the same id has another epoch.
    epoch: u64,
    /// The path of the file in the quarantine, if it was moved there.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<Box<str>>,
}

pub fn retire(args: &Retire, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let project = project::open(&project::config(global)?)?;
    interrupt::ends_with(format!(
        "stopped while tenant {id} was being retired; retire it again to complete this, or revive it"
    ))?;
    let retired = project.retire(&id, args.patience.timeout);
    let tenant = retired.map_err(|error| not_ended(error, &id))?;
    out.record(&Whole::read(&project, &tenant)?)?;
    out.note(&format!(
        "its file is in the trash: `tenancy revive {id}` brings the tenant back, \
         `tenancy destroy {id}` removes it permanently"
    ));
    Ok(())
}

pub fn revive(args: &One, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let project = project::open(&project::config(global)?)?;
    let tenant = project.revive(&id)?;
    out.record(&Whole::read(&project, &tenant)?)
}

pub fn destroy(args: &Destroy, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let project = project::open(&project::config(global)?)?;
    let tenant = project.tenant(&id)?;
    if !args.yes {
        terminal::confirm(&format!(
            "removing tenant {id} and all its files permanently"
        ))?;
    }
    interrupt::ends_with(format!(
        "stopped while tenant {id} was being destroyed; destroy it again to complete this"
    ))?;
    let quarantined = match args.force {
        true => project.force_destroy(&id, args.patience.timeout),
        false => project.destroy(&id, args.patience.timeout).map(|()| None),
    };
    let quarantined = quarantined.map_err(|error| not_ended(error, &id))?;
    out.record(&Destroyed {
        id: id.to_string(),
        status: "destroyed",
        epoch: tenant.epoch().get(),
        quarantined,
    })
}

/// Adds the next steps to an error of `retire` or `destroy` that left the tenant `retiring`.
fn not_ended(error: tenancy::Error, id: &tenancy::TenantId) -> Failure {
    match error {
        tenancy::Error::Provision(_) | tenancy::Error::Close(_) => Failure::refused(format!(
            "{}; tenant {id} is retiring now: `tenancy revive {id}` brings it back, \
             `tenancy destroy {id} --force` removes it even if its file is damaged or belongs to another tenant",
            OneLine(&error)
        )),
        error => error.into(),
    }
}
