//! The one parser of host names, for every door they come in by.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::id::{BadLabel, check_label};
use crate::text::Excerpt;

/// The longest host name in bytes, without a final dot (RFC 1035 §3.1).
pub(crate) const MAX_HOST: usize = 253;

/// A host that breaks the grammar: ASCII letters, digits, hyphens and dots, labels
/// of 1–63 bytes without a hyphen at an end, 253 bytes in all, then a port of at
/// most 65535; or an IPv6 address in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("host {host} {problem}; send a host name like acme.example.com, with a port if any")]
pub struct BadHost {
    /// The host as it was sent.
    pub host: Excerpt,
    /// What is wrong.
    pub problem: HostProblem,
}

/// What is wrong with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostProblem {
    /// There is neither a Host nor an authority.
    #[error("is missing")]
    Missing,
    /// Nothing stands before the port.
    #[error("is empty")]
    Empty,
    /// The port is over 65535.
    #[error("has a port over 65535")]
    Port,
    /// Longer than 253 bytes.
    #[error("is longer than 253 bytes")]
    TooLong,
    /// A label is empty, over 63 bytes, or has a hyphen at an end.
    #[error("has a label that is empty, over 63 bytes or begins or ends with a hyphen")]
    Label,
    /// Something that is neither letter, digit, hyphen nor dot.
    #[error("has a byte that no host name has")]
    Byte,
    /// What stands in brackets is no IPv6 address.
    #[error("has brackets around what is no IPv6 address")]
    Address,
}

/// `raw` without its port and one final dot. The rest is not checked yet.
#[inline]
pub(crate) fn split(raw: &[u8]) -> Result<&[u8], BadHost> {
    let digits = raw.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (mut name, port) = raw.split_at(raw.len() - digits);
    match name {
        [before @ .., b':'] => {
            name = before;
            if port.len() >= 5 && !port_fits(port) {
                return Err(bad(raw, HostProblem::Port));
            }
        }
        _ => name = raw,
    }
    Ok(match name {
        // An address has no final dot.
        [.., b']', b'.'] => name,
        [before @ .., b'.'] => before,
        _ => name,
    })
}

#[cold]
fn port_fits(digits: &[u8]) -> bool {
    let number = digits.iter().try_fold(0u32, |number, digit| {
        let number = number * 10 + u32::from(digit - b'0');
        (number <= 65_535).then_some(number)
    });
    number.is_some()
}

/// Is what [`split`] left a host name, or an IPv6 address in brackets?
pub(crate) fn check(host: &[u8]) -> Result<(), HostProblem> {
    if host.is_empty() {
        return Err(HostProblem::Empty);
    }
    if host[0] == b'[' {
        return match v6(host) {
            Some(_) => Ok(()),
            None => Err(HostProblem::Address),
        };
    }
    if host.len() > MAX_HOST {
        return Err(HostProblem::TooLong);
    }
    for label in host.split(|b| *b == b'.') {
        check_host_label(label)?;
    }
    Ok(())
}

fn check_host_label(label: &[u8]) -> Result<(), HostProblem> {
    let mut lower = [0; 64];
    let Some(lower) = lower.get_mut(..label.len()) else {
        return Err(HostProblem::Label);
    };
    lower.copy_from_slice(label);
    lower.make_ascii_lowercase();
    match check_label(lower) {
        Ok(()) => Ok(()),
        Err(BadLabel::Byte(_)) => Err(HostProblem::Byte),
        Err(_) => Err(HostProblem::Label),
    }
}

pub(crate) fn bad(host: &[u8], problem: HostProblem) -> BadHost {
    BadHost {
        host: Excerpt::new(host),
        problem,
    }
}

/// The address of `[v6]`.
pub(crate) fn v6(host: &[u8]) -> Option<Ipv6Addr> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inner).ok()?.parse().ok()
}

/// Is this an IPv4 address, written as four decimal numbers?
pub(crate) fn is_v4(host: &[u8]) -> bool {
    let text = std::str::from_utf8(host).ok();
    text.is_some_and(|text| text.parse::<Ipv4Addr>().is_ok())
}
