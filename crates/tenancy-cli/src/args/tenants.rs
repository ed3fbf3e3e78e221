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
    /// The permanent id: 1 to 63 lowercase letters, digits and inner hyphens. Without it,
    /// on a terminal, the command asks for the id and the other values.
    pub id: Option<String>,
    /// The display name, stored as the attribute `name`.
    #[arg(long, requires = "id")]
    pub name: Option<String>,
    /// A further name that routes to the tenant, without a proof of ownership; can be
    /// repeated.
    #[arg(long = "domain", value_name = "DOMAIN", requires = "id")]
    pub domains: Vec<String>,
    /// An attribute that the application stores with the tenant; can be repeated.
    #[arg(long = "attribute", value_name = "KEY=VALUE", requires = "id")]
    pub attributes: Vec<String>,
    /// Run the seeds on the database before the tenant becomes active.
    #[arg(long, requires = "id")]
    pub seed: bool,
    /// Create the storage root first if it does not exist.
    #[arg(long)]
    pub init: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// List only tenants with this status: provisioning, active, suspended or retiring.
    #[arg(long)]
    pub status: Option<String>,
    /// List at most this number of tenants.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// List only tenants whose id sorts after this one.
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Domain {
    /// Bind a name to a tenant: a label under a base domain routes at once, any other
    /// domain once it is verified.
    #[command(
        after_help = "Example:\n  tenancy domain add acme shop.acme.example\n  \
            tenancy domain add acme shop.acme.example --verified"
    )]
    Add {
        #[command(flatten)]
        named: Named,
        /// Route the domain at once, without a proof of ownership.
        #[arg(long)]
        verified: bool,
    },
    /// Unbind a name, so that requests for it are refused.
    #[command(after_help = "Example:\n  tenancy domain remove acme shop.acme.example")]
    Remove(Named),
    /// List a tenant's names, and the TXT record that each pending domain needs.
    #[command(after_help = "Example:\n  tenancy domain list acme")]
    List(One),
    /// Make a verified domain the primary one, for links to the tenant.
    #[command(after_help = "Example:\n  tenancy domain primary acme shop.acme.example")]
    Primary(Named),
    /// Verify a domain by its TXT record, which must have the value that `add` printed.
    #[command(
        after_help = "Example:\n  tenancy domain verify acme shop.acme.example \\\n    \
            --txt \"$(dig +short TXT shop.acme.example)\""
    )]
    Verify {
        #[command(flatten)]
        named: Named,
        /// The value of the TXT record in the DNS; several records on several lines.
        #[arg(long, value_name = "VALUE")]
        txt: String,
    },
}

/// A tenant and one of its names.
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
    /// The message on the page that visitors see.
    #[arg(long)]
    pub message: Option<String>,
    /// The secret with which a visitor can use the tenant during the maintenance.
    #[arg(long)]
    pub secret: Option<String>,
}

/// Parses a duration like `500ms`, `30s`, `2m` or `1h`. A number without a unit is in seconds.
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
    /// The longest time that the statement may run: a number and ms, s, m or h.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub timeout: Duration,
    /// Print at most this number of rows.
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
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
    /// Move the file to the quarantine, instead of failing, if it is damaged or belongs to
    /// another tenant.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub patience: Patience,
}

/// The time to wait for connections in use.
#[derive(Debug, Args)]
pub struct Patience {
    /// The longest time to wait until all processes have closed their connections to the
    /// tenant's database.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub timeout: Duration,
}
