//! `tenancy rollback`.

use tenancy::Back;

use super::options;
use crate::args::{Global, Rollback};
use crate::failure::Failure;
use crate::output::Output;
use crate::project;
use crate::terminal;

pub fn run(args: &Rollback, global: &Global, out: Output) -> Result<(), Failure> {
    let mut options = options(&args.choice, &args.pace)?;
    if args.restore_copies {
        options = options.restore_copies();
    }
    let back = match args.to {
        Some(version) => Back::To(version),
        None => Back::Steps(args.steps.unwrap_or(1)),
    };
    let fleet = project::fleet(&project::config(global)?)?;
    if !args.yes {
        terminal::confirm(&format!(
            "taking {} back {}, with the loss of what only newer tables and columns hold,",
            whom(args),
            way(back)
        ))?;
    }
    super::run("rolling back", out, |progress| {
        fleet.rollback(back, &options, progress)
    })
}

fn whom(args: &Rollback) -> String {
    match &args.choice.tenants[..] {
        [] if args.choice.skip.is_empty() => "all tenants".to_owned(),
        [] => format!("all tenants but {}", args.choice.skip.join(", ")),
        tenants => tenants.join(", "),
    }
}

fn way(back: Back) -> String {
    match back {
        Back::To(version) => format!("to schema version {version}"),
        Back::Steps(1) => "one step".to_owned(),
        Back::Steps(steps) => format!("{steps} steps"),
        _ => "some steps".to_owned(),
    }
}
