//! What may be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

/// Multi-tenancy from the command line: create tenants, explain what a request
/// gets, drive a real workload.
#[derive(Debug, Parser)]
#[command(
    name = "tenancy",
    version,
    max_term_width = 80,
    after_help = "Example:\n  tenancy demo\n  tenancy init shop && cd shop && tenancy create acme\n\n\
        Exit codes: 0 all good, 1 a check failed or an operation was refused,\n\
        2 wrong usage or config, 3 some of several tenants failed."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The config; ./tenancy.toml unless said.
    #[arg(long, global = true, env = "TENANCY_CONFIG", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Machine output on stdout: one document, or JSON lines.
    #[arg(long, global = true)]
    pub json: bool,
    /// Results and errors only.
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
        after_help = "Example:\n  tenancy create acme --name 'Acme Inc.' --domain shop.acme.example"
    )]
    Create(Create),
    /// List the tenants.
    #[command(after_help = "Example:\n  tenancy list --status active --limit 20")]
    List(List),
    /// Show one tenant and its names.
    #[command(after_help = "Example:\n  tenancy show acme --json")]
    Show(Show),
    /// Find out what a request gets, and why.
    #[command(
        after_help = "Example:\n  tenancy resolve http://acme.localhost/orders/9 --explain\n  \
            tenancy resolve --batch < requests.jsonl"
    )]
    Resolve(Resolve),
    /// Drive a real workload through fresh tenants and prove that they stay apart.
    #[command(after_help = "Example:\n  tenancy demo --tenants 100 --requests 10000")]
    Demo(Demo),
    /// Print what a shell needs to complete this command.
    #[command(after_help = "Example:\n  tenancy completions bash > tenancy.bash")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  tenancy man | man -l -")]
    Man,
    /// Reads a demo's rows back, in a process of its own.
    #[command(hide = true)]
    DemoRows {
        /// The demo's directory.
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct Init {
    /// Where; made if it is not there.
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Create {
    /// Its permanent name: 1 to 63 lowercase letters, digits and inner hyphens.
    pub id: String,
    /// What people call it; the attribute `name`.
    #[arg(long)]
    pub name: Option<String>,
    /// A further name that routes to it; you vouch that it is theirs.
    #[arg(long = "domain", value_name = "DOMAIN")]
    pub domains: Vec<String>,
    /// What the application keeps with it.
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    pub attributes: Vec<String>,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those of this status.
    #[arg(long)]
    pub status: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Only those after this id.
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Which tenant.
    pub id: String,
}

#[derive(Debug, Args)]
pub struct Resolve {
    /// What is asked for, like http://acme.localhost/orders/9.
    #[arg(required_unless_present = "batch", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// The request's method.
    #[arg(long, default_value = "GET", conflicts_with = "batch")]
    pub method: String,
    /// A request header; Host replaces the URL's.
    #[arg(long = "header", value_name = "NAME: VALUE", conflicts_with = "batch")]
    pub headers: Vec<String>,
    /// Say which rules were tried and which one won.
    #[arg(long, conflicts_with = "batch")]
    pub explain: bool,
    /// Resolve against the tenants in this file, not those of the catalog.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tenants: Option<PathBuf>,
    /// Read requests from stdin and answer each, both as JSON lines.
    #[arg(long, conflicts_with = "url")]
    pub batch: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// How many tenants to create.
    #[arg(long, default_value_t = 100, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tenants: u32,
    /// How many requests to drive.
    #[arg(
        long,
        default_value_t = 10_000,
        value_name = "N",
        conflicts_with = "log"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub requests: u32,
    /// Replay an access log, a line `METHOD TARGET` for each request.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
    /// Keep everything in this directory, which must be new or empty; else a
    /// temporary one is used and removed.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}
