//! `tenancy seed`.

use super::options;
use crate::args::{Global, Seed};
use crate::failure::Failure;
use crate::output::Output;
use crate::project;

pub fn run(args: &Seed, global: &Global, out: Output) -> Result<(), Failure> {
    let options = options(&args.choice, &args.pace)?;
    let config = project::config(global)?;
    project::seeds(&config)?;
    let fleet = project::fleet(&config)?;
    super::run("seeding", out, |progress| fleet.seed(&options, progress))
}
