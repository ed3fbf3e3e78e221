//! The arguments of commands about many tenants.

use clap::Args;

/// The choice of tenants.
#[derive(Debug, Args)]
pub struct Choice {
    /// Only this tenant; may be given several times. Defaults to all tenants.
    #[arg(long = "tenant", value_name = "ID")]
    pub tenants: Vec<String>,
    /// Not this tenant; may be given several times.
    #[arg(long, value_name = "ID")]
    pub skip: Vec<String>,
}

impl Choice {
    /// Returns whether no tenant was named.
    pub fn is_all(&self) -> bool {
        self.tenants.is_empty() && self.skip.is_empty()
    }
}

/// The pace of a run.
#[derive(Debug, Args)]
pub struct Pace {
    /// The number of tenants worked on at a time; fsync is what they wait for.
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Continue after a tenant failed; by default no further tenant is begun.
    #[arg(long)]
    pub keep_going: bool,
}

#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub pace: Pace,
    /// Only report whether any tenant is behind (exit code 1); change nothing.
    #[arg(long, conflicts_with_all = ["pretend", "canary", "keep_going"])]
    pub check: bool,
    /// Only list the steps that would run for each tenant; change nothing.
    #[arg(long, conflicts_with_all = ["canary", "keep_going"])]
    pub pretend: bool,
    /// Migrate the first N by id alone; the others only if all of these succeed.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub canary: u32,
}

#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub pace: Pace,
    /// Undo the run of this number, and only what it did. Without this, --steps and --to,
    /// undo the last run.
    #[arg(long, value_name = "N", conflicts_with_all = ["steps", "to"])]
    pub run: Option<u64>,
    /// The number of steps to go back; refused while the tenants are at different versions.
    #[arg(long, value_name = "N", conflicts_with = "to")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Go back to this schema version; 0 is the empty database.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u32>,
    /// Only list the tenants, their versions before and after, and the scripts; change nothing.
    #[arg(long)]
    pub pretend: bool,
    /// Take no snapshot of a tenant before its first step back.
    #[arg(long)]
    pub no_copy: bool,
    /// For a step without a down script, restore the snapshot that was taken before it;
    /// data written since is lost.
    #[arg(long)]
    pub restore_copies: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Only tenants that are not at the newest version, or that failed.
    #[arg(long)]
    pub behind: bool,
}

#[derive(Debug, Args)]
pub struct Seed {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub pace: Pace,
}

#[derive(Debug, Args)]
pub struct Validate {
    /// Repair what needs no decision: a file of no tenant goes to quarantine, unfinished
    /// work is completed. Nothing is destroyed.
    #[arg(long)]
    pub fix: bool,
    /// Rebuild the catalog from the tenants' files, when catalog.db is lost or damaged:
    /// every tenant comes back in maintenance, without domains and attributes.
    #[arg(long, conflicts_with_all = ["fix", "depth", "jobs"])]
    pub rebuild: bool,
    /// The depth of the checks: the names of files; also each file's stamp and schema;
    /// also its pages and rows; also its indexes.
    #[arg(long, value_enum, default_value_t = Depth::Stamps)]
    pub depth: Depth,
    /// The number of files opened at a time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// The depth of the checks of `validate`; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    Names,
    Stamps,
    Quick,
    Full,
}
