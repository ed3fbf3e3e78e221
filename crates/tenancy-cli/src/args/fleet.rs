//! The arguments of the commands about many tenants.

use clap::Args;

/// The choice of tenants.
#[derive(Debug, Args)]
pub struct Choice {
    /// Process only this tenant; can be repeated. Defaults to all tenants.
    #[arg(long = "tenant", value_name = "ID")]
    pub tenants: Vec<String>,
    /// Skip this tenant; can be repeated.
    #[arg(long, value_name = "ID")]
    pub skip: Vec<String>,
}

impl Choice {
    /// Returns whether neither --tenant nor --skip was given.
    pub fn is_all(&self) -> bool {
        self.tenants.is_empty() && self.skip.is_empty()
    }
}

/// The pace of a run.
#[derive(Debug, Args)]
pub struct Pace {
    /// The number of tenants to process at the same time. The work mostly waits for
    /// fsync, so N can exceed the number of CPUs.
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Continue with other tenants after a tenant has failed.
    #[arg(long)]
    pub keep_going: bool,
}

#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub pace: Pace,
    /// Only report whether a tenant lacks migrations (exit code 1); change nothing.
    #[arg(long, conflicts_with_all = ["pretend", "canary", "keep_going"])]
    pub check: bool,
    /// Only list the steps that would run for each tenant; change nothing.
    #[arg(long, conflicts_with_all = ["canary", "keep_going"])]
    pub pretend: bool,
    /// Migrate the first N tenants by id, and the others only after these have succeeded.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub canary: u32,
}

#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub pace: Pace,
    /// Undo exactly what the run with this number did. Without --run, --steps and --to,
    /// the last run is undone.
    #[arg(long, value_name = "N", conflicts_with_all = ["steps", "to"])]
    pub run: Option<u64>,
    /// Undo this number of migrations; refused while the tenants are at different
    /// versions.
    #[arg(long, value_name = "N", conflicts_with = "to")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Roll back to this schema version; 0 is the empty database.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u32>,
    /// Only list the tenants, their versions before and after, and the scripts; change nothing.
    #[arg(long)]
    pub pretend: bool,
    /// Take no snapshot of a tenant's database before it is rolled back.
    #[arg(long)]
    pub no_copy: bool,
    /// To undo a migration without a down script, restore the snapshot taken before it;
    /// all data written after it is lost.
    #[arg(long)]
    pub restore_copies: bool,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Show only tenants that are not at the newest version or failed in the last run;
    /// retired tenants are not shown.
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
    /// Repair the findings that need no decision: a file that belongs to no tenant is
    /// moved to the quarantine, an interrupted operation is completed. No data is deleted.
    #[arg(long)]
    pub fix: bool,
    /// Rebuild a lost or damaged catalog.db from the tenants' files: every tenant is in
    /// maintenance afterwards, and has no domains and attributes.
    #[arg(long, conflicts_with_all = ["fix", "depth", "jobs"])]
    pub rebuild: bool,
    /// The depth of the checks. names: the file names; stamps: also the stamp and the
    /// schema in each file; quick: also its pages and rows; full: also its indexes.
    #[arg(long, value_enum, default_value_t = Depth::Stamps)]
    pub depth: Depth,
    /// The number of files to open at the same time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// The depth of the checks of `validate`. Each depth includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    Names,
    Stamps,
    Quick,
    Full,
}
