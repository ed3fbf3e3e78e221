//! The arguments of what is done to many tenants.

use clap::Args;

/// Which tenants, and how.
#[derive(Debug, Args)]
pub struct Choice {
    /// Only this tenant; may be given several times. All unless said.
    #[arg(long = "tenant", value_name = "ID")]
    pub tenants: Vec<String>,
    /// Not this tenant; may be given several times.
    #[arg(long, value_name = "ID")]
    pub skip: Vec<String>,
}

impl Choice {
    /// Were none named?
    pub fn is_all(&self) -> bool {
        self.tenants.is_empty() && self.skip.is_empty()
    }
}

/// How a run goes about it.
#[derive(Debug, Args)]
pub struct Pace {
    /// How many tenants are worked on at a time; they wait for the disk.
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Go on when a tenant fails; else nothing more is begun.
    #[arg(long)]
    pub keep_going: bool,
}

#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub pace: Pace,
    /// Only say whether anything is behind (exit code 1), and change nothing.
    #[arg(long, conflicts_with_all = ["pretend", "canary", "keep_going"])]
    pub check: bool,
    /// Only say which steps would run where, and change nothing.
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
    /// Take back the migration of this number, and only what it did. Without this,
    /// --steps and --to it is the last one.
    #[arg(long, value_name = "N", conflicts_with_all = ["steps", "to"])]
    pub run: Option<u64>,
    /// How many steps to go back; refused while the tenants are at different versions.
    #[arg(long, value_name = "N", conflicts_with = "to")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Go back to this schema version; 0 is the empty database.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u32>,
    /// Only say who would go from where to where, and by which scripts; change nothing.
    #[arg(long)]
    pub pretend: bool,
    /// Keep no copy of each tenant before its first step back.
    #[arg(long)]
    pub no_copy: bool,
    /// Where a step has no way back, put the copy that was kept before it in the
    /// file's place; what was written since is lost.
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
    /// Mend what needs no decision of yours: what is nobody's goes to quarantine, what
    /// was half done is completed. Nothing is destroyed.
    #[arg(long)]
    pub fix: bool,
    /// Make a new catalog from what the files say, when catalog.db is lost or damaged:
    /// every tenant comes back in maintenance, without domains and attributes.
    #[arg(long, conflicts_with_all = ["fix", "depth", "jobs"])]
    pub rebuild: bool,
    /// How closely to look: the names of files; also each file's stamp and schema;
    /// also its pages and rows; also its indexes.
    #[arg(long, value_enum, default_value_t = Depth::Stamps)]
    pub depth: Depth,
    /// How many files are opened at a time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// How closely `validate` looks, each more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    Names,
    Stamps,
    Quick,
    Full,
}
