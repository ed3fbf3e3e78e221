//! The arguments of what is done to one tenant.

use std::time::Duration;

use clap::{Args, Subcommand};

/// A command that needs nothing but a tenant.
#[derive(Debug, Args)]
pub struct One {
    /// Which tenant.
    pub id: String,
}

#[derive(Debug, Args)]
pub struct Create {
    /// Its permanent name: 1 to 63 lowercase letters, digits and inner hyphens;
    /// asked for on a terminal.
    pub id: Option<String>,
    /// What people call it; the attribute `name`.
    #[arg(long, requires = "id")]
    pub name: Option<String>,
    /// A further name that routes to it; you vouch that it is theirs.
    #[arg(long = "domain", value_name = "DOMAIN", requires = "id")]
    pub domains: Vec<String>,
    /// What the application keeps with it.
    #[arg(long = "attribute", value_name = "KEY=VALUE", requires = "id")]
    pub attributes: Vec<String>,
    /// Fill its database with the seeds before it is active.
    #[arg(long, requires = "id")]
    pub seed: bool,
    /// Make the storage root first, if there is none.
    #[arg(long)]
    pub init: bool,
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

#[derive(Debug, Subcommand)]
pub enum Domain {
    /// Bind a name: a label below a domain of yours routes at once, a domain once it
    /// is verified.
    #[command(
        after_help = "Example:\n  tenancy domain add acme shop.acme.example\n  \
            tenancy domain add acme shop.acme.example --verified"
    )]
    Add {
        #[command(flatten)]
        named: Named,
        /// You vouch that it is theirs: it routes at once.
        #[arg(long)]
        verified: bool,
    },
    /// Take a name away; requests for it are refused from then on.
    #[command(after_help = "Example:\n  tenancy domain remove acme shop.acme.example")]
    Remove(Named),
    /// List a tenant's names, and what those that wait are waiting for.
    #[command(after_help = "Example:\n  tenancy domain list acme")]
    List(One),
    /// Make a domain that routes the one that links to the tenant lead to.
    #[command(after_help = "Example:\n  tenancy domain primary acme shop.acme.example")]
    Primary(Named),
    /// Let a domain route, as its TXT record shows what `add` asked for.
    #[command(
        after_help = "Example:\n  tenancy domain verify acme shop.acme.example \\\n    \
            --txt \"$(dig +short TXT shop.acme.example)\""
    )]
    Verify {
        #[command(flatten)]
        named: Named,
        /// What DNS answers: a value, or a line for each.
        #[arg(long, value_name = "VALUE")]
        txt: String,
    },
}

/// A tenant and a name of it.
#[derive(Debug, Args)]
pub struct Named {
    /// Which tenant.
    pub id: String,
    /// The host name, without scheme and port.
    pub domain: String,
}

#[derive(Debug, Args)]
pub struct Down {
    /// Which tenant.
    pub id: String,
    /// When visitors may try again (HTTP Retry-After).
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub retry_after: Option<Duration>,
    /// A sentence for the page.
    #[arg(long)]
    pub message: Option<String>,
    /// Who brings this word is let in all the same.
    #[arg(long)]
    pub secret: Option<String>,
}

/// A whole number of seconds, or with its unit: `500ms`, `30s`, `2m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let scale = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let ms = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(scale));
    match ms.filter(|_| scale > 0) {
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err("write a whole number and ms, s, m or h, like 30s".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse()
        .map(|seconds: u32| Duration::from_secs(seconds.into()))
}

#[derive(Debug, Args)]
pub struct Sql {
    /// Which tenant.
    pub id: String,
    /// One statement.
    pub sql: String,
    /// How long the statement may run.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub timeout: Duration,
    /// Print so many rows at most.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

#[derive(Debug, Args)]
pub struct Retire {
    /// Which tenant.
    pub id: String,
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Args)]
pub struct Destroy {
    /// Which tenant.
    pub id: String,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Move a file that is damaged or another tenant's to the quarantine instead of closing
    /// it.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub patience: Patience,
}

/// How long to wait for those who use it.
#[derive(Debug, Args)]
pub struct Patience {
    /// How long its connections are waited for, in every process.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub timeout: Duration,
}
