//! [`InvalidResolver`]: what a builder refuses.

use std::time::Duration;

use super::rule::RuleKind;

/// A resolver that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidResolver {
    /// There is no rule.
    #[error("there is no rule; add at least one, for example domain")]
    NoRules,
    /// A rule that is read on central hosts, and there is none.
    #[error(
        "rule {rule} is read on central domains and there is none; add one, or leave the rule out"
    )]
    NoCentralDomain {
        /// The rule.
        rule: RuleKind,
    },
    /// A host is none.
    #[error(
        "host {host} is no host name; write it as app.example.com, without scheme, port and final dot"
    )]
    Host {
        /// The text, quoted.
        host: Box<str>,
    },
    /// A base domain is an address.
    #[error("base domain {base} is an address, which has no subdomains; name a domain")]
    AddressAsBase {
        /// The text, quoted.
        base: Box<str>,
    },
    /// A template is malformed.
    #[error("host template {template} {problem}; write it as {{tenant}}-api.example.com")]
    Template {
        /// The text, quoted.
        template: Box<str>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Some host would fit both.
    #[error(
        "{first} and {second} fit some of the same hosts; change one so that a host names one tenant"
    )]
    Overlap {
        /// A base domain or template, as a template.
        first: String,
        /// Another.
        second: String,
    },
    /// The path prefix is malformed.
    #[error("path_prefix {prefix} {problem}; write one plain segment, for example /t")]
    PathPrefix {
        /// The text, quoted.
        prefix: Box<str>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The name of a header, parameter or cookie is malformed.
    #[error("{rule} {name} is no name; use letters, digits and hyphens, for example x-tenant")]
    ParameterName {
        /// The rule.
        rule: RuleKind,
        /// The text, quoted.
        name: Box<str>,
    },
    /// The rule `header` reads a header that means something else already.
    #[error("header {header} has a meaning of its own; name another, for example x-tenant")]
    TakenHeader {
        /// The text, quoted.
        header: Box<str>,
    },
    /// The header of forwarded hosts is none, or `host` itself.
    #[error(
        "forwarded_host {header} is no header of a proxy's own; write x-forwarded-host or forwarded"
    )]
    ForwardedHost {
        /// The text, quoted.
        header: Box<str>,
    },
    /// A reserved label is none.
    #[error("reserved label {label} is no label; use lowercase letters, digits and inner hyphens")]
    Reserved {
        /// The text, quoted.
        label: Box<str>,
    },
    /// A trusted proxy is neither an address nor a network.
    #[error("trusted proxy {network} is no address or network; write it as 10.0.0.1 or 10.0.0.0/8")]
    Proxy {
        /// The text, quoted.
        network: Box<str>,
    },
    /// The feed would be asked never, or too rarely.
    #[error(
        "poll_every is {poll_every:?} and max_staleness {max_staleness:?}; poll at least that often, and not every 0 s"
    )]
    PollEvery {
        /// How often the feed would be asked.
        poll_every: Duration,
        /// How old an answer may be.
        max_staleness: Duration,
    },
}
