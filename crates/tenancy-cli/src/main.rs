//! The command line of tenancy.

mod args;
mod demo;
mod failure;
mod init;
mod output;
mod project;
mod resolve;
mod tenants;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    let out = Output::new(global.json, global.quiet);
    match &cli.command {
        Command::Init(args) => init::run(args, out),
        Command::Create(args) => tenants::create(args, global, out),
        Command::List(args) => tenants::list(args, global, out),
        Command::Show(args) => tenants::show(args, global, out),
        Command::Resolve(args) => resolve::run(args, global, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tenancy", &mut script);
            output::raw(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output::raw(&page)
        }
        Command::DemoRows { dir } => demo::print_rows(dir),
    }
}
