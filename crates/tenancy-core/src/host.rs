//! The one parser of host names: those of requests, proxies, configurations and catalogs.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::id::{BadLabel, check_label};
use crate::text::Excerpt;

/// The longest host name in bytes, without a final dot (RFC 1035 §3.1).
pub(crate) const MAX_HOST: usize = 253;

/// The error for a host that breaks the grammar.
///
/// A host is a name, or an IPv6 address in brackets. A port of at most 65535 may follow. A name has
/// at most 253 bytes, which are ASCII letters, digits, hyphens and dots. Each of its labels has
/// 1–63 bytes, and neither begins nor ends with a hyphen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("host {host} {problem}; send a host name like acme.example.com, with a port if any")]
pub struct BadHost {
    /// The host that was sent.
    pub host: Excerpt,
    /// The rule that it breaks.
    pub problem: HostProblem,
}

/// The rule that a host breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostProblem {
    /// The request has neither a Host header nor an authority.
    #[error("is missing")]
    Missing,
    /// The host is empty.
    #[error("is empty")]
    Empty,
    /// The port is higher than 65535.
    #[error("has a port over 65535")]
    Port,
    /// The host is longer than 253 bytes.
    #[error("is longer than 253 bytes")]
    TooLong,
    /// A label is empty, over 63 bytes, or has a hyphen at an end.
    #[error("has a label that is empty, over 63 bytes or begins or ends with a hyphen")]
    Label,
    /// A byte is neither a letter nor a digit, a hyphen or a dot.
    #[error("has a byte that no host name has")]
    Byte,
    /// A trusted proxy's `Forwarded` header breaks the grammar of RFC 7239.
    #[error("is in a Forwarded header that breaks RFC 7239")]
    Forwarded,
    /// The text in brackets is no IPv6 address.
    #[error("has brackets around a text that is no IPv6 address")]
    Address,
}

/// Returns `raw` without its port and without one final dot. The name itself is not checked.
#[inline]
pub(crate) fn split(raw: &[u8]) -> Result<&[u8], BadHost> {
    match raw {
        // Most hosts end with a letter, so they have neither a port nor a final dot.
        [.., b'a'..=b'z' | b'A'..=b'Z'] => Ok(raw),
        _ => split_slowly(raw).ok_or_else(|| bad(raw, HostProblem::Port)),
    }
}

/// Does the work of [`split`] for every host. Returns `None` if the port is over 65535.
#[inline(never)]
fn split_slowly(raw: &[u8]) -> Option<&[u8]> {
    let digits = raw.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (mut name, port) = raw.split_at(raw.len() - digits);
    match name {
        [before @ .., b':'] => {
            name = before;
            if port.len() >= 5 && !port_fits(port) {
                return None;
            }
        }
        _ => name = raw,
    }
    Some(match name {
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

/// Checks that a host, without its port, is a name or an IPv6 address in brackets.
#[inline]
pub(crate) fn check(host: &[u8]) -> Result<(), HostProblem> {
    match is_plain(host) {
        true => Ok(()),
        false => check_slowly(host),
    }
}

/// The number of bytes in a vector register.
const BLOCK: usize = 16;

/// Returns whether this is surely a host name. It reads blocks instead of bytes, as every skipped
/// request needs this check.
#[inline]
fn is_plain(host: &[u8]) -> bool {
    let (Some(first), Some(last)) = (host.first_chunk(), host.last_chunk()) else {
        return is_plain_and_short(host);
    };
    let plain = |block| u128::from_le_bytes(mark(block)) == 0;
    let ends = [host[0], host[host.len() - 1]];
    // No label of a name of less than 64 bytes is too long. Blocks overlap.
    host.len() < 64
        && ends.iter().all(u8::is_ascii_alphanumeric)
        && host[BLOCK..]
            .windows(BLOCK + 1)
            .step_by(BLOCK)
            .all(|b| b.first_chunk().is_some_and(plain))
        && plain(first)
        && plain(last)
}

/// Does the work of [`is_plain`] for at most 16 bytes. A dot is added before and behind the name.
/// Then every label is between two dots, and next to a dot there is neither a dot nor a hyphen.
#[inline]
fn is_plain_and_short(host: &[u8]) -> bool {
    // The bytes of the blocks that the name does not fill are letters, which are always allowed.
    let mut padded = [b'a'; 2 * BLOCK + 1];
    padded[0] = b'.';
    for (to, from) in padded[1..].iter_mut().zip(host) {
        *to = *from;
    }
    padded[host.len() + 1] = b'.';
    let blocks = [padded.first_chunk(), padded.last_chunk()];
    let mut blocks = blocks.iter().flatten();
    blocks.all(|block| u128::from_le_bytes(mark(block)) == 0)
}

/// Returns a mark for each byte that breaks the grammar. The function has no branches and is not
/// inlined, so that it compiles to vector instructions, as the check of paths does.
#[inline(never)]
fn mark(block: &[u8; BLOCK + 1]) -> [u8; BLOCK] {
    let mut marks = [0; BLOCK];
    for i in 0..BLOCK {
        let (before, byte) = (block[i], block[i + 1]);
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        let outside = !(letter | digit | (byte == b'-') | (byte == b'.'));
        let at_dot = ((before == b'.') & ((byte == b'-') | (byte == b'.')))
            | ((before == b'-') & (byte == b'.'));
        marks[i] = u8::from(outside | at_dot).wrapping_neg();
    }
    marks
}

#[cold]
fn check_slowly(host: &[u8]) -> Result<(), HostProblem> {
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

/// Returns the IPv6 address in brackets, or `None` if the host is no such address.
pub(crate) fn v6(host: &[u8]) -> Option<Ipv6Addr> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inner).ok()?.parse().ok()
}

/// Returns whether this is an IPv4 address, or is in brackets as only IPv6 addresses are.
#[cold]
pub(crate) fn is_address(host: &[u8]) -> bool {
    host.first() == Some(&b'[') || is_v4(host)
}

/// Returns whether this is an IPv4 address of four decimal numbers.
pub(crate) fn is_v4(host: &[u8]) -> bool {
    let text = std::str::from_utf8(host).ok();
    text.is_some_and(|text| text.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_check_accepts_no_path_that_the_full_check_refuses() {
        let names: [&[u8]; 6] = [
            b"",
            b"a",
            b"a.b",
            b"xn--a.b-c.d",
            b"acme.sites.example.net",
            &[b'a'; 62],
        ];
        for name in names {
            for at in 0..=name.len() {
                for byte in 0..=255 {
                    let mut name = name.to_vec();
                    name.insert(at, byte);
                    let slowly = check_slowly(&name);
                    if name.len() < 64 {
                        assert_eq!(is_plain(&name), slowly.is_ok(), "{name:?}");
                    }
                    assert_eq!(check(&name), slowly, "{name:?}");
                }
            }
        }
    }
}
