//! 1. Host.

use std::net::IpAddr;

use super::{AMBIGUOUS_HOST, BAD_HOST, Mutant, Reason, Reference};
use crate::case::Request;

/// A host in canonical form. Two spellings of one address are one host.
#[derive(Clone, Debug, PartialEq)]
pub enum Host {
    /// Lower case, without port and final dot. IPv4 is a name by this grammar.
    Name(String),
    /// `[v6]`, as its eight groups.
    V6([u16; 8]),
}

/// The name that a Host header carries, for the corpora.
pub fn name_of(raw: &[u8]) -> Result<Host, Reason> {
    let config = crate::case::Config::default();
    Reference::new(&config, &[]).host(raw)
}

impl Reference<'_> {
    pub(super) fn host_of(&self, request: &Request) -> Result<Host, Reason> {
        // From a trusted proxy: X-Forwarded-Host with exactly one value is the host
        // and Host is not looked at; several: ambiguous; none: Host.
        if self.is_trusted(request.peer.as_deref()) {
            let header = self.config.forwarded_host.as_deref();
            let header = header.unwrap_or("x-forwarded-host");
            let lines = request.values_of(header);
            let values: Vec<Vec<u8>> = match header {
                "forwarded" if self.planted(Mutant::ForwardedIgnored) => Vec::new(),
                "forwarded" => {
                    let hosts: Result<Vec<_>, Reason> = lines.map(forwarded_hosts).collect();
                    hosts?.concat()
                }
                // A list in one line has as many values as its commas say.
                _ => lines
                    .flat_map(|line| line.split(|b| *b == b',').map(<[u8]>::to_vec))
                    .collect(),
            };
            match values.as_slice() {
                [] => {}
                [one] => return self.host(one),
                _ => return Err(AMBIGUOUS_HOST),
            }
        }
        // More than one Host line, even equal; counted before syntax.
        if request.hosts.len() > 1 && !self.planted(Mutant::SeveralHostsAccepted) {
            return Err(AMBIGUOUS_HOST);
        }
        match (request.hosts.first(), &request.authority) {
            (None, None) => Err(BAD_HOST),
            (Some(one), None) | (None, Some(one)) => self.host(one),
            (Some(_), Some(authority)) if self.planted(Mutant::AuthorityWins) => {
                self.host(authority)
            }
            // Host and authority that differ once normalised, ports ignored: counted
            // before syntax, so one that is no host differs from one that is.
            (Some(host), Some(authority)) => match (self.host(host), self.host(authority)) {
                (Ok(host), Ok(authority)) if host == authority => Ok(host),
                (Err(reason), Err(_)) if loosely(host) == loosely(authority) => Err(reason),
                _ => Err(AMBIGUOUS_HOST),
            },
        }
    }

    fn is_trusted(&self, peer: Option<&str>) -> bool {
        let Some(peer) = peer.map(|peer| peer.parse::<IpAddr>().expect("an address")) else {
            return false;
        };
        // `::ffff:10.0.0.1` is how a socket of both kinds reports 10.0.0.1.
        let peer = peer.to_canonical();
        if self.planted(Mutant::AnyoneForwards) {
            return true;
        }
        self.config.trusted_proxies.iter().any(|proxy| {
            let (network, bits) = match proxy.split_once('/') {
                Some((network, bits)) => (network, bits.parse().expect("a prefix length")),
                None => (proxy.as_str(), 128),
            };
            let network: IpAddr = network.parse().expect("an address");
            // An IPv4-mapped network is the IPv4 network: 96 bits fewer.
            let (network, bits) = match network.to_canonical() {
                v4 if v4 != network && !self.planted(Mutant::MappedNetworksMatchNobody) => {
                    (v4, bits - 96)
                }
                _ => (network, bits),
            };
            let (network, peer) = (bits_of(network), bits_of(peer));
            // Of an address all bits count, also where it has only 32.
            let bits = usize::min(bits, network.len());
            network.len() == peer.len() && network[..bits] == peer[..bits]
        })
    }

    /// Syntax: letters, digits, hyphens, dots, optional port; lower-cased; one final
    /// dot dropped; labels 1–63 without a hyphen at an end, 253 in all; or `[v6]`.
    pub(super) fn host(&self, raw: &[u8]) -> Result<Host, Reason> {
        let (host, port) = match raw.first() {
            Some(b'[') => {
                let close = raw.iter().position(|byte| *byte == b']').ok_or(BAD_HOST)?;
                raw.split_at(close + 1)
            }
            _ => raw.split_at(
                raw.iter()
                    .position(|byte| *byte == b':')
                    .unwrap_or(raw.len()),
            ),
        };
        self.check_port(port)?;
        if host.first() == Some(&b'[') {
            let inside = std::str::from_utf8(&host[1..host.len() - 1]).map_err(|_| BAD_HOST)?;
            return v6(inside).map(Host::V6).ok_or(BAD_HOST);
        }
        self.name(host).map(Host::Name)
    }

    /// Nothing, or a colon and digits: a number up to 65535, or none.
    fn check_port(&self, port: &[u8]) -> Result<(), Reason> {
        let Some((colon, digits)) = port.split_first() else {
            return Ok(());
        };
        let mut number: u64 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(BAD_HOST);
            }
            number = number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'));
        }
        let bounded = number <= 65535 || self.planted(Mutant::PortUnbounded);
        (*colon == b':' && bounded).then_some(()).ok_or(BAD_HOST)
    }

    fn name(&self, raw: &[u8]) -> Result<String, Reason> {
        let mut name = String::new();
        for byte in raw {
            name.push(match byte {
                b'A'..=b'Z' if self.planted(Mutant::CaseSensitiveHost) => *byte as char,
                b'A'..=b'Z' => (byte - b'A' + b'a') as char,
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => *byte as char,
                b'_' if self.planted(Mutant::UnderscoreAllowed) => '_',
                _ => return Err(BAD_HOST),
            });
        }
        let mut labels: Vec<&str> = name.split('.').collect();
        if labels.len() > 1 && labels.last() == Some(&"") {
            labels.pop();
        }
        for label in &labels {
            let fits = (1..=63).contains(&label.len());
            if !fits || label.starts_with('-') || label.ends_with('-') {
                return Err(BAD_HOST);
            }
        }
        let bare = labels.join(".");
        match bare.len() <= 253 {
            true if self.planted(Mutant::FinalDotKept) => Ok(name),
            true => Ok(bare),
            false => Err(BAD_HOST),
        }
    }
}

/// The hosts of one line of `Forwarded` (RFC 7239 §4): a small machine over its characters.
fn forwarded_hosts(line: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    #[derive(PartialEq)]
    enum At {
        Start,
        Name,
        Value,
        Quoted,
        Escaped,
        End,
    }
    let (mut at, mut name, mut value, mut hosts) = (At::Start, Vec::new(), Vec::new(), Vec::new());
    // As if the line ended with a comma.
    for byte in line.iter().chain(b",") {
        let space = byte.is_ascii_whitespace();
        let between = matches!(byte, b',' | b';');
        match at {
            At::Start if space || between => {}
            At::Start | At::Name
                if byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte) =>
            {
                name.push(byte.to_ascii_lowercase());
                at = At::Name;
            }
            At::Name if *byte == b'=' => at = At::Value,
            At::Value if value.is_empty() && *byte == b'"' => at = At::Quoted,
            At::Value if *byte == b'"' => return Err(BAD_HOST),
            At::Value | At::End if space => at = At::End,
            At::Value | At::End if between => {
                if name == b"host" {
                    hosts.push(value.clone());
                }
                (at, name, value) = (At::Start, Vec::new(), Vec::new());
            }
            At::Value => value.push(*byte),
            At::Quoted if *byte == b'"' => at = At::End,
            At::Quoted if *byte == b'\\' => at = At::Escaped,
            At::Quoted | At::Escaped => {
                value.push(*byte);
                at = At::Quoted;
            }
            At::Start | At::Name | At::End => return Err(BAD_HOST),
        }
    }
    match at == At::Start {
        true => Ok(hosts),
        false => Err(BAD_HOST),
    }
}

/// What is no host, without case, port and final dot.
fn loosely(raw: &[u8]) -> Vec<u8> {
    let digits = raw
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (before, port) = raw.split_at(raw.len() - digits);
    let port = std::str::from_utf8(port).expect("digits");
    let name = match before.strip_suffix(b":") {
        Some(name) if port.is_empty() || port.parse::<u16>().is_ok() => name,
        _ => raw,
    };
    let name = name.to_ascii_lowercase();
    match name.strip_suffix(b".") {
        // Brackets have no final dot.
        Some(bare) if !bare.ends_with(b"]") => bare.to_owned(),
        _ => name,
    }
}

fn bits_of(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    octets
        .iter()
        .flat_map(|octet| (0..8).map(move |bit| octet >> (7 - bit) & 1 == 1))
        .collect()
}

/// Four numbers up to 255 without leading zeros.
pub fn is_v4(name: &str) -> bool {
    v4(name).is_some()
}

fn v4(text: &str) -> Option<[u16; 4]> {
    let number = |part: &str| {
        let plain = !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
        let led = part.len() > 1 && part.starts_with('0');
        let number = part.parse::<u16>().ok().filter(|number| *number <= 255);
        number.filter(|_| plain && !led)
    };
    let parts: Option<Vec<u16>> = text.split('.').map(number).collect();
    parts?.try_into().ok()
}

/// Eight groups of up to four hex digits; `::` stands once for at least one group of
/// zeros; the last two may be written as IPv4.
fn v6(text: &str) -> Option<[u16; 8]> {
    let groups = |side: &str, may_end_in_v4: bool| -> Option<Vec<u16>> {
        let mut groups = Vec::new();
        let parts: Vec<&str> = side.split(':').filter(|_| !side.is_empty()).collect();
        for (at, part) in parts.iter().enumerate() {
            if may_end_in_v4 && at + 1 == parts.len() && part.contains('.') {
                let [a, b, c, d] = v4(part)?;
                groups.extend([a << 8 | b, c << 8 | d]);
                continue;
            }
            let hex = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
            groups.push(u16::from_str_radix(part, 16).ok().filter(|_| hex)?);
        }
        Some(groups)
    };
    let Some((left, right)) = text.split_once("::") else {
        return groups(text, true)?.try_into().ok();
    };
    let (mut left, right) = (groups(left, false)?, groups(right, true)?);
    if left.len() + right.len() > 7 {
        return None;
    }
    left.resize(8 - right.len(), 0);
    left.extend(right);
    left.try_into().ok()
}
