//! `tenancy retire`, `revive` and `destroy`.

use serde::Serialize;

use super::{Whole, id};
use crate::args::{Destroy, Global, One, Retire};
use crate::failure::Failure;
use crate::interrupt;
use crate::output::Output;
use crate::project;
use crate::terminal;

/// A tenant that is no more.
#[derive(Debug, Serialize)]
struct Destroyed {
    id: String,
    status: &'static str,
    /// The last incarnation; the id made anew is another.
    epoch: u64,
}

pub fn retire(args: &Retire, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let project = project::open(&project::config(global)?)?;
    interrupt::ends_with(format!(
        "stopped while tenant {id} was being retired; retire it again to go on, or revive it"
    ))?;
    let tenant = project.retire(&id, args.patience.timeout)?;
    out.record(&Whole::read(&project, &tenant)?)?;
    out.note(&format!(
        "its file is in the trash: `tenancy revive {id}` brings it back, \
         `tenancy destroy {id}` ends it"
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
            "destroying tenant {id} and every file of it, for good,"
        ))?;
    }
    interrupt::ends_with(format!(
        "stopped while tenant {id} was being destroyed; destroy it again to go on"
    ))?;
    project.destroy(&id, args.patience.timeout)?;
    out.record(&Destroyed {
        id: id.to_string(),
        status: "destroyed",
        epoch: tenant.epoch().get(),
    })
}
