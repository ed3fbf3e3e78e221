//! The arguments of `init`, `resolve` and `demo`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

#[derive(Debug, Args)]
pub struct Init {
    /// The directory of the new project; created if it does not exist.
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct Resolve {
    /// The URL of the request, like http://acme.localhost/orders/9.
    #[arg(required_unless_present = "batch", value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// The request's method.
    #[arg(long, default_value = "GET", conflicts_with = "batch")]
    pub method: String,
    /// A request header; can be repeated. The header Host replaces the host of the URL.
    #[arg(long = "header", value_name = "NAME: VALUE", conflicts_with = "batch")]
    pub headers: Vec<String>,
    /// Show the rules that were tried and the one that matched.
    #[arg(long, conflicts_with = "batch")]
    pub explain: bool,
    /// Use the tenants in this file instead of the catalog.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tenants: Option<PathBuf>,
    /// Read requests from stdin and print the answers, both as JSON lines.
    #[arg(long, conflicts_with = "url")]
    pub batch: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// The number of tenants to create.
    #[arg(long, default_value_t = 100, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tenants: u32,
    /// The number of requests to send.
    #[arg(
        long,
        default_value_t = 10_000,
        value_name = "N",
        conflicts_with = "log"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub requests: u32,
    /// Send the requests in this access log, which has a line `METHOD TARGET` for each.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
    /// Keep the files in this directory, which must be new or empty. Defaults to a
    /// temporary directory, which is removed at the end.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}
