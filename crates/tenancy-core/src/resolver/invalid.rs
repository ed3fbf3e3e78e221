//! [`InvalidResolver`]: the errors of a resolver's builder.

use std::time::Duration;

use super::rule::RuleKind;

/// The error for a configuration that no resolver can be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidResolver {
    /// There is no rule.
    #[error("there is no rule; add at least one, for example domain")]
    NoRules,
    /// There is a rule for central hosts, but no central host.
    #[error(
        "rule {rule} is read on central domains and there is none; add one, or remove the rule"
    )]
    NoCentralDomain {
        /// The rule for central hosts.
        rule: RuleKind,
    },
    /// A host is malformed.
    #[error(
        "host {host} is no host name; write it as app.example.com, without scheme, port and final dot"
    )]
    Host {
        /// The parameter, quoted.
        host: Box<str>,
    },
    /// A base domain is an address.
    #[error("base domain {base} is an address, which has no subdomains; name a domain")]
    AddressAsBase {
        /// The parameter, quoted.
        base: Box<str>,
    },
    /// A template is malformed.
    #[error("host template {template} {problem}; write it as {{tenant}}-api.example.com")]
    Template {
        /// The parameter, quoted.
        template: Box<str>,
        /// The rule that it breaks.
        problem: &'static str,
    },
    /// Two base domains or templates fit some of the same hosts.
    #[error(
        "{first} and {second} fit some of the same hosts; change one so that a host names one tenant"
    )]
    Overlap {
        /// The first of the two, as a template.
        first: String,
        /// The second of the two, as a template.
        second: String,
    },
    /// The path prefix is malformed.
    #[error("path_prefix {prefix} {problem}; write one plain segment, for example /t")]
    PathPrefix {
        /// The parameter, quoted.
        prefix: Box<str>,
        /// The rule that it breaks.
        problem: &'static str,
    },
    /// The name of a header, parameter or cookie is malformed.
    #[error("{rule} {name} is no name; use letters, digits and hyphens, for example x-tenant")]
    ParameterName {
        /// The rule with this parameter.
        rule: RuleKind,
        /// The parameter, quoted.
        name: Box<str>,
    },
    /// The rule `header` names a header with another meaning.
    #[error("header {header} has another meaning; name another, for example x-tenant")]
    TakenHeader {
        /// The parameter, quoted.
        header: Box<str>,
    },
    /// The header for forwarded hosts is malformed, or is `host`.
    #[error(
        "forwarded_host {header} is no header that a proxy adds; write x-forwarded-host or forwarded"
    )]
    ForwardedHost {
        /// The parameter, quoted.
        header: Box<str>,
    },
    /// A reserved label is malformed.
    #[error("reserved label {label} is no label; use lowercase letters, digits and inner hyphens")]
    Reserved {
        /// The parameter, quoted.
        label: Box<str>,
    },
    /// A trusted proxy is neither an address nor a network.
    #[error("trusted proxy {network} is no address or network; write it as 10.0.0.1 or 10.0.0.0/8")]
    Proxy {
        /// The parameter, quoted.
        network: Box<str>,
    },
    /// The interval of polling is 0, or longer than the bound on the age of an answer.
    #[error(
        "poll_every is {poll_every:?} and max_staleness {max_staleness:?}; poll at least that often, and not every 0 s"
    )]
    PollEvery {
        /// The interval of polling.
        poll_every: Duration,
        /// The bound on the age of an answer.
        max_staleness: Duration,
    },
}
