//! The arguments of commands about one tenant.

use std::time::Duration;

use clap::{Args, Subcommand};

/// A command with a tenant as its only argument.
#[derive(Debug, Args)]
pub struct One {
    /// The id of the tenant.
    pub id: String,
}

#[derive(Debug, Args)]
pub struct Create {
    /// The permanent id: 1 to 63 lowercase letters, digits and inner hyphens; on a
    /// terminal the command asks for it.
    pub id: Option<String>,
    /// The display name; the attribute `name`.
    #[arg(long, requires = "id")]
    pub name: Option<String>,
    /// A further name that routes to the tenant; you vouch that it is theirs.
    #[arg(long = "domain", value_name = "DOMAIN", requires = "id")]
    pub domains: Vec<String>,
    /// An attribute that the application stores with the tenant.
    #[arg(long = "attribute", value_name = "KEY=VALUE", requires = "id")]
    pub attributes: Vec<String>,
    /// Fill the database with the seeds before the tenant is active.
    #[arg(long, requires = "id")]
    pub seed: bool,
    /// Make the storage root first, if there is none.
    #[arg(long)]
    pub init: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only tenants with this status.
    #[arg(long)]
    pub status: Option<String>,
    /// The largest number of tenants to list.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Only tenants after this id.
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
    /// Unbind a name; requests for it are refused from then on.
    #[command(after_help = "Example:\n  tenancy domain remove acme shop.acme.example")]
    Remove(Named),
    /// List a tenant's names, and the TXT records that pending ones need.
    #[command(after_help = "Example:\n  tenancy domain list acme")]
    List(One),
    /// Make a domain that routes the primary one, which links to the tenant use.
    #[command(after_help = "Example:\n  tenancy domain primary acme shop.acme.example")]
    Primary(Named),
    /// Make a domain route once its TXT record shows the value that `add` printed.
    #[command(
        after_help = "Example:\n  tenancy domain verify acme shop.acme.example \\\n    \
            --txt \"$(dig +short TXT shop.acme.example)\""
    )]
    Verify {
        #[command(flatten)]
        named: Named,
        /// The TXT record as the DNS has it: a value, or one per line.
        #[arg(long, value_name = "VALUE")]
        txt: String,
    },
}

/// A tenant and a name of it.
#[derive(Debug, Args)]
pub struct Named {
    /// The id of the tenant.
    pub id: String,
    /// The host name, without scheme and port.
    pub domain: String,
}

#[derive(Debug, Args)]
pub struct Down {
    /// The id of the tenant.
    pub id: String,
    /// The time after which visitors may try again (HTTP Retry-After).
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub retry_after: Option<Duration>,
    /// A sentence for the page.
    #[arg(long)]
    pub message: Option<String>,
    /// A secret that lets a visitor in all the same.
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
    /// The id of the tenant.
    pub id: String,
    /// The SQL statement to run.
    pub sql: String,
    /// The time that the statement may take.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub timeout: Duration,
    /// The largest number of rows to print.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

#[derive(Debug, Args)]
pub struct Retire {
    /// The id of the tenant.
    pub id: String,
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Args)]
pub struct Destroy {
    /// The id of the tenant.
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

/// The time to wait for connections in use.
#[derive(Debug, Args)]
pub struct Patience {
    /// The time to wait until the tenant's connections are closed, in every process.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub timeout: Duration,
}
