//! `tenancy suspend`, `resume`, `down` and `up`.

use tenancy::catalog::{Maintenance, Secret};
use tenancy::{Tenant, TenantId};

use super::{Whole, id};
use crate::args::{Down, Global, One};
use crate::failure::Failure;
use crate::output::Output;
use crate::project::{self, Project};

pub fn suspend(args: &One, global: &Global, out: Output) -> Result<(), Failure> {
    change(&args.id, global, out, Project::suspend)
}

pub fn resume(args: &One, global: &Global, out: Output) -> Result<(), Failure> {
    change(&args.id, global, out, Project::resume)
}

pub fn up(args: &One, global: &Global, out: Output) -> Result<(), Failure> {
    change(&args.id, global, out, Project::up)
}

pub fn down(args: &Down, global: &Global, out: Output) -> Result<(), Failure> {
    let mut maintenance = Maintenance::default();
    maintenance.retry_after = args.retry_after;
    maintenance.message = args.message.as_deref().map(Into::into);
    maintenance.secret = args
        .secret
        .as_deref()
        .filter(|s| !s.is_empty())
        .map(Secret::new);
    change(&args.id, global, out, |project, id| {
        project.down(id, maintenance)
    })
}

/// Changes the tenant with a method of the library, and prints it.
fn change(
    tenant: &str,
    global: &Global,
    out: Output,
    change: impl FnOnce(&Project, &TenantId) -> Result<Tenant, tenancy::Error>,
) -> Result<(), Failure> {
    let id = id(tenant)?;
    let project = project::open(&project::config(global)?)?;
    let tenant = change(&project, &id)?;
    out.record(&Whole::read(&project, &tenant)?)
}
