//! The binary `tenancy`.

mod args;
mod demo;
mod failure;
mod fleet;
mod init;
mod interrupt;
mod man;
mod output;
mod project;
mod resolve;
mod tenants;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failure;
use output::Output;
use tenants::{access, create, domains, removal, sql};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let _observing = terminal::notes(&cli.global);
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
        Command::Create(args) => create::run(args, global, out),
        Command::List(args) => tenants::list(args, global, out),
        Command::Show(args) => tenants::show(args, global, out),
        Command::Domain(command) => domains::run(command, global, out),
        Command::Down(args) => access::down(args, global, out),
        Command::Up(args) => access::up(args, global, out),
        Command::Suspend(args) => access::suspend(args, global, out),
        Command::Resume(args) => access::resume(args, global, out),
        Command::Sql(args) => sql::run(args, global, out),
        Command::Retire(args) => removal::retire(args, global, out),
        Command::Revive(args) => removal::revive(args, global, out),
        Command::Destroy(args) => removal::destroy(args, global, out),
        Command::Migrate(args) => fleet::migrate::run(args, global, out),
        Command::Rollback(args) => fleet::rollback::run(args, global, out),
        Command::Status(args) => fleet::status::run(args, global, out),
        Command::Seed(args) => fleet::seed::run(args, global, out),
        Command::Validate(args) => fleet::validate::run(args, global, out),
        Command::Resolve(args) => resolve::run(args, global, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tenancy", &mut script);
            output::raw(&script)
        }
        Command::Man => output::raw(&man::page()?),
        Command::DemoRows { dir } => demo::print_rows(dir),
    }
}
