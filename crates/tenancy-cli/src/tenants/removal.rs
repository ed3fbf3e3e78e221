//! `tenancy destroy`.

use serde::Serialize;

use super::id;
use crate::args::{Destroy, Global};
use crate::failure::Failure;
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

pub fn destroy(args: &Destroy, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let project = project::open(&project::config(global)?)?;
    let tenant = project.tenant(&id)?;
    if !args.yes {
        terminal::confirm(&format!(
            "destroying tenant {id} and every file of it, for good,"
        ))?;
    }
    project.destroy(&id, args.timeout)?;
    out.record(&Destroyed {
        id: id.to_string(),
        status: "destroyed",
        epoch: tenant.epoch().get(),
    })
}
