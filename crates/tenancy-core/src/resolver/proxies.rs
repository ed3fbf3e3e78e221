//! Trusted proxies, whose X-Forwarded-Host counts.

use std::net::IpAddr;
use std::str::FromStr;

use super::ResolveError;
use crate::host::{HostProblem, MAX_HOST, bad};

/// Addresses and networks.
#[derive(Debug, Default)]
pub(crate) struct Proxies(pub(crate) Vec<Network>);

impl Proxies {
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(peer))
    }
}

/// An address, or all that share its first bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn contains(&self, peer: IpAddr) -> bool {
        // `::ffff:10.0.0.1` is 10.0.0.1, as sockets that take both report it.
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
        let address: IpAddr = address.parse().map_err(drop)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().map_err(drop)?,
            Some(_) => return Err(()),
        };
        (bits <= most).then_some(Self { address, bits }).ok_or(())
    }
}

/// The values of X-Forwarded-Host. A host and its port fit, what is longer is none.
pub(crate) struct Forwarded {
    values: usize,
    len: usize,
    bytes: [u8; MAX_HOST + 8],
}

impl Default for Forwarded {
    fn default() -> Self {
        Self {
            values: 0,
            len: 0,
            bytes: [0; MAX_HOST + 8],
        }
    }
}

impl Forwarded {
    /// One line of the header; commas separate values.
    pub(crate) fn add(&mut self, line: &[u8]) {
        for value in line.split(|b| *b == b',') {
            self.values += 1;
            self.len = value.len();
            if let Some(place) = self.bytes.get_mut(..value.len()) {
                place.copy_from_slice(value);
            }
        }
    }

    pub(crate) fn host(&self) -> Result<Option<&[u8]>, ResolveError> {
        match self.values {
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
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
        ] {
            let proxies = Proxies(vec![network.parse().expect(network)]);
            let peer: IpAddr = peer.parse().expect("an address");
            assert_eq!(proxies.trusts(peer), trusted, "{network} {peer}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "a/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
