//! Trusted proxies, and the host that they forward.

use std::net::IpAddr;
use std::str::FromStr;

use super::error::ResolveError;
use crate::host::{HostProblem, MAX_HOST, bad};
use crate::request::RequestHead;
use crate::text::is_token;

/// The trusted proxies, and the header in which they forward a host.
#[derive(Debug)]
pub(crate) struct Proxies {
    networks: Vec<Network>,
    /// The name of the header in lower case.
    header: Box<str>,
}

impl Proxies {
    pub(crate) fn new(networks: Vec<Network>, header: &str) -> Self {
        Self {
            networks,
            header: header.to_ascii_lowercase().into(),
        }
    }

    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(peer))
    }

    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// Returns the hosts in the header of a request from a trusted proxy.
    pub(crate) fn forwarded(&self, head: &RequestHead<'_, '_>) -> Forwarded {
        let mut forwarded = Forwarded::default();
        let rfc_7239 = &*self.header == "forwarded";
        head.each_header(&self.header, &mut |line| match rfc_7239 {
            true => forwarded.add_elements(line),
            false => line
                .split(|b| *b == b',')
                .for_each(|host| forwarded.add(host)),
        });
        forwarded
    }
}

/// A network: the addresses whose first bits are equal. A single address is a network too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn contains(&self, peer: IpAddr) -> bool {
        // A socket for IPv4 and IPv6 reports the peer 10.0.0.1 as `::ffff:10.0.0.1`.
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                let differing = own.to_bits() ^ peer.to_bits();
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => {
                let differing = own.to_bits() ^ peer.to_bits();
                differing.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(drop)?;
        // `::ffff:10.0.0.0/104` is the same network as 10.0.0.0/8.
        let address = written.to_canonical();
        let skipped = if written == address { 0 } else { 96 };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                let bits: u32 = bits.parse().map_err(drop)?;
                bits.checked_sub(skipped).ok_or(())?
            }
            Some(_) => return Err(()),
        };
        (bits <= most).then_some(Self { address, bits }).ok_or(())
    }
}

/// The hosts that a proxy forwards, of which the last is stored. Every host with a port fits; a
/// longer text is no host.
pub(crate) struct Forwarded {
    values: usize,
    /// Whether a header breaks its grammar.
    malformed: bool,
    len: usize,
    bytes: [u8; MAX_HOST + 8],
}

impl Default for Forwarded {
    fn default() -> Self {
        Self {
            values: 0,
            malformed: false,
            len: 0,
            bytes: [0; MAX_HOST + 8],
        }
    }
}

impl Forwarded {
    /// Adds one host.
    fn add(&mut self, host: &[u8]) {
        self.values += 1;
        self.len = host.len();
        if let Some(place) = self.bytes.get_mut(..host.len()) {
            place.copy_from_slice(host);
        }
    }

    /// Adds the hosts of one `Forwarded` header (RFC 7239 §4). Its elements are separated by
    /// commas, and the pairs of an element by semicolons.
    fn add_elements(&mut self, line: &[u8]) {
        let mut rest = line.trim_ascii_start();
        loop {
            rest = match rest {
                [] => return,
                [b',' | b';', rest @ ..] => rest.trim_ascii_start(),
                pair => match self.add_pair(pair) {
                    Some(rest) => rest,
                    None => {
                        self.malformed = true;
                        return;
                    }
                },
            };
        }
    }

    /// Reads one pair, `name=value`, and returns the text behind it. Returns `None` if there is no
    /// valid pair.
    fn add_pair<'l>(&mut self, pair: &'l [u8]) -> Option<&'l [u8]> {
        let at = pair.iter().position(|b| !is_token(*b))?;
        let (name, rest) = pair.split_at(at);
        let is_host = name.eq_ignore_ascii_case(b"host");
        let rest = match rest.strip_prefix(b"=")? {
            [b'"', rest @ ..] => self.add_quoted(is_host, rest)?,
            rest => {
                let ends = |b: &u8| matches!(b, b';' | b',') || b.is_ascii_whitespace();
                let (value, rest) = rest.split_at(rest.iter().position(ends).unwrap_or(rest.len()));
                if value.contains(&b'"') {
                    return None;
                }
                if is_host {
                    self.add(value);
                }
                rest
            }
        };
        let rest = rest.trim_ascii_start();
        let ended = !name.is_empty() && matches!(rest, [] | [b';' | b',', ..]);
        ended.then_some(rest)
    }

    /// Reads up to the closing quote, and returns the text behind it. Returns `None` if there is no
    /// closing quote.
    fn add_quoted<'l>(&mut self, is_host: bool, text: &'l [u8]) -> Option<&'l [u8]> {
        let mut value = Vec::new();
        let mut rest = text;
        loop {
            rest = match rest {
                [b'"', rest @ ..] => {
                    if is_host {
                        self.add(&value);
                    }
                    return Some(rest);
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                    value.push(*byte);
                    rest
                }
                [] => return None,
            };
        }
    }

    pub(crate) fn host(&self) -> Result<Option<&[u8]>, ResolveError> {
        match self.values {
            _ if self.malformed => Err(ResolveError::BadHost(bad(b"", HostProblem::Forwarded))),
            0 => Ok(None),
            1 => match self.bytes.get(..self.len) {
                Some(host) => Ok(Some(host)),
                None => Err(ResolveError::BadHost(bad(
                    &self.bytes,
                    HostProblem::TooLong,
                ))),
            },
            _ => Err(ResolveError::AmbiguousHost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_share_its_first_bits() {
        for (network, peer, trusted) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("::ffff:10.0.0.0/104", "10.1.1.1", true),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.1.1", true),
            ("::ffff:10.0.0.0/104", "11.1.1.1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::ffff:10.0.0.1", "10.0.0.2", false),
            ("::ffff:0:0/96", "203.0.113.9", true),
            ("::ffff:0:0/96", "::1", false),
            ("::10.0.0.1", "10.0.0.1", false),
            ("::/0", "10.0.0.1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
        ] {
            let proxies = Proxies::new(vec![network.parse().expect(network)], "x");
            let peer: IpAddr = peer.parse().expect("an address");
            assert_eq!(proxies.trusts(peer), trusted, "{network} {peer}");
        }
    }

    #[test]
    fn a_line_of_forwarded_has_one_host_or_is_refused() {
        let bad = Some("bad_host");
        for (line, host, refused) in [
            ("", None, None),
            ("for=1.2.3.4;proto=https", None, None),
            ("host=a.test", Some("a.test"), None),
            (
                "for=\"[::1]:80\", by=_x ; HOST=a.test:80",
                Some("a.test:80"),
                None,
            ),
            (" ,; host=\"a.test\" ,", Some("a.test"), None),
            ("host=\"a\\.test\"", Some("a.test"), None),
            ("for=\"x;host=b.test,\";host=a.test", Some("a.test"), None),
            ("host=", Some(""), None),
            ("host=a.test,host=a.test", None, Some("ambiguous_host")),
            ("host=a.test;host=b.test", None, Some("ambiguous_host")),
            ("host=\"a.test", None, bad),
            ("host=\"a.test\"x", None, bad),
            ("host=\"a\\", None, bad),
            ("host=a\"b", None, bad),
            ("host=a b", None, bad),
            ("host =a", None, bad),
            ("host= a", None, bad),
            ("host", None, bad),
            ("=a", None, bad),
            ("host=a.test;x", None, bad),
        ] {
            let mut forwarded = Forwarded::default();
            forwarded.add_elements(line.as_bytes());
            let got = forwarded.host();
            let reason = got.as_ref().err().map(|error| error.reason().as_str());
            assert_eq!(reason, refused, "{line}");
            let want = host.map(str::as_bytes);
            assert_eq!(got.ok().flatten(), want, "{line}");
        }
    }

    #[test]
    fn a_malformed_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "a/8",
            "::ffff:10.0.0.0/95",
            "::ffff:10.0.0.0/129",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
