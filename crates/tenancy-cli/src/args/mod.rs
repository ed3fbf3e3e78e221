//! The grammar of the command line.

mod fleet;
mod tenants;
mod work;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

pub use fleet::{Choice, Depth, Migrate, Pace, Rollback, Seed, Status, Validate};
pub use tenants::{Create, Destroy, Domain, Down, List, Named, One, Retire, Sql};
pub use work::{Demo, Init, Resolve};

/// Multi-tenancy from the command line: create and migrate tenants, explain how a
/// request is resolved, run a demo.
#[derive(Debug, Parser)]
#[command(
    name = "tenancy",
    version,
    max_term_width = 80,
    after_help = "Example:\n  tenancy demo\n  tenancy init shop && cd shop && tenancy create acme\n\n\
        Exit codes: 0 success, 1 a check failed or an operation was refused,\n\
        2 wrong usage or config, 3 some of several tenants failed."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The config file. Defaults to ./tenancy.toml.
    #[arg(long, global = true, env = "TENANCY_CONFIG", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Print JSON on stdout: one document, or one line per row.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only results and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write tenancy.toml and a first migration, and create the storage root.
    #[command(after_help = "Example:\n  tenancy init shop")]
    Init(Init),
    /// Create a tenant: catalog row, database, migrations, domains.
    #[command(
        after_help = "Example:\n  tenancy create acme --name 'Acme Inc.' --domain shop.acme.example\n\n\
            Without arguments, on a terminal, it asks for the values."
    )]
    Create(Create),
    /// List the tenants.
    #[command(after_help = "Example:\n  tenancy list --status active --limit 20")]
    List(List),
    /// Show one tenant and its names.
    #[command(after_help = "Example:\n  tenancy show acme --json")]
    Show(One),
    /// Bind names to a tenant, verify them, unbind them.
    #[command(subcommand)]
    #[command(after_help = "Example:\n  tenancy domain add acme shop.acme.example")]
    Domain(Domain),
    /// Put a tenant into maintenance; requests are answered with 503.
    #[command(
        after_help = "Example:\n  tenancy down acme --retry-after 600 --message 'Back at noon.'"
    )]
    Down(Down),
    /// End the maintenance of a tenant.
    #[command(after_help = "Example:\n  tenancy up acme")]
    Up(One),
    /// Suspend a tenant; requests are answered with 403.
    #[command(after_help = "Example:\n  tenancy suspend acme")]
    Suspend(One),
    /// Make a suspended tenant active again.
    #[command(after_help = "Example:\n  tenancy resume acme")]
    Resume(One),
    /// Run a statement in a tenant's database, as the application would.
    #[command(after_help = "Example:\n  tenancy sql acme 'SELECT count(*) FROM notes'")]
    Sql(Sql),
    /// Take a tenant out of use: close its connections and move its file to the trash.
    #[command(after_help = "Example:\n  tenancy retire acme")]
    Retire(Retire),
    /// Bring a retired tenant back with all its data, and migrate it.
    #[command(after_help = "Example:\n  tenancy revive acme")]
    Revive(One),
    /// Remove a tenant and all its files permanently.
    #[command(after_help = "Example:\n  tenancy destroy acme --yes")]
    Destroy(Destroy),
    /// Migrate all tenants, or the named ones, to the newest schema version.
    #[command(
        after_help = "Example:\n  tenancy migrate --canary 2 --keep-going\n  tenancy migrate --check\n\n\
            The next run completes a run that was stopped or failed."
    )]
    Migrate(Migrate),
    /// Undo the last run of migrations or another run, or roll back to a version.
    #[command(
        after_help = "Example:\n  tenancy rollback --pretend\n  tenancy rollback --tenant acme --steps 1\n  tenancy rollback --to 3 --yes"
    )]
    Rollback(Rollback),
    /// Show the schema version, the missing migrations and the last failure of each tenant.
    #[command(after_help = "Example:\n  tenancy status --behind")]
    Status(Status),
    /// Run the seeds that have not run on a tenant's database.
    #[command(after_help = "Example:\n  tenancy seed --tenant acme")]
    Seed(Seed),
    /// Check that config, catalog and files agree, and repair them with --fix.
    #[command(after_help = "Example:\n  tenancy validate\n  tenancy validate --fix")]
    Validate(Validate),
    /// Show how a request is resolved, and with --explain why.
    #[command(
        after_help = "Example:\n  tenancy resolve http://acme.localhost/orders/9 --explain\n  \
            tenancy resolve --batch < requests.jsonl"
    )]
    Resolve(Resolve),
    /// Send requests to new tenants and prove that their data stays separate.
    #[command(after_help = "Example:\n  tenancy demo --tenants 100 --requests 10000")]
    Demo(Demo),
    /// Print the completion script for a shell.
    #[command(after_help = "Example:\n  tenancy completions bash > tenancy.bash")]
    Completions {
        /// The shell that runs the script.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  tenancy man | man -l -")]
    Man,
    /// Print the rows of a demo, as its second process.
    #[command(hide = true)]
    DemoRows {
        /// The demo's directory.
        dir: PathBuf,
    },
}
