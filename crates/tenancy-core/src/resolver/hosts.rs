//! What a host is: central, a tenant's by its form, or some other name.

use std::collections::HashSet;
use std::net::Ipv6Addr;

use super::Rule;
use crate::catalog::Name;
use crate::domain::Domain;
use crate::host;
use crate::id::TenantId;
use crate::key::{Suffix, has_dot, tail};

/// The configured hosts, checked by the builder.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) central: Vec<Suffix>,
    /// A bit for each of their lengths modulo 64.
    pub(crate) central_lens: u64,
    pub(crate) central_v6: Vec<Ipv6Addr>,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) reserved: HashSet<Box<str>>,
    /// Whether full names are looked up.
    pub(crate) domains: bool,
}

/// A base domain, which is the template `{tenant}.base`, or a template.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) rule: Rule,
    pub(crate) prefix: Box<[u8]>,
    pub(crate) suffix: Suffix,
    /// The longest label that fits: what stands beside it is in the same label, and
    /// all of it in the host.
    pub(crate) max_label: usize,
    /// Its last label is a number or the tenant, so that an address might match.
    pub(crate) numeric: bool,
}

/// What a host is, before the catalog is asked. Nothing of it is validated yet but
/// what is central.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum HostKind<'h> {
    Central,
    /// This label under a base domain or in a template.
    Label(&'h [u8], Rule),
    /// Some full name.
    Name(&'h [u8]),
    /// An IPv6 address that is not central.
    Address,
}

impl Hosts {
    /// What this host is, [split](host::split) off its port.
    #[inline(always)]
    pub(crate) fn kind<'h>(&self, host: &'h [u8]) -> HostKind<'h> {
        let tail = tail(host);
        // Few hosts are as long as a central one.
        if self.central_lens >> (host.len() % 64) & 1 != 0 && self.is_central(host, tail) {
            return HostKind::Central;
        }
        match self.label(host, tail) {
            Some((label, rule)) => HostKind::Label(label, rule),
            None if host.first() == Some(&b'[') => self.address(host),
            None => HostKind::Name(host),
        }
    }

    /// The label under a base domain or in a template, of a host with this tail.
    #[inline(always)]
    fn label<'h>(&self, host: &'h [u8], tail: u64) -> Option<(&'h [u8], Rule)> {
        // A loop, because an iterator's closure is not inlined.
        for pattern in &self.patterns {
            if let Some(label) = pattern.label(host, tail) {
                return Some((label, pattern.rule));
            }
        }
        None
    }

    #[cold]
    fn is_central(&self, host: &[u8], tail: u64) -> bool {
        self.central.iter().any(|central| central.is(host, tail))
    }

    pub(crate) fn add_central(&mut self, host: &str) {
        self.central.push(Suffix::new(host));
        self.central_lens |= 1 << (host.len() % 64);
    }

    /// How a name binds, central or not.
    pub(crate) fn name_for(&self, domain: &Domain) -> Name {
        let host = domain.as_str().as_bytes();
        let label = self.label(host, tail(host)).map(|(label, _)| label);
        let label = label.and_then(|label| std::str::from_utf8(label).ok());
        let label = label.and_then(|label| TenantId::new(label).ok());
        label.map_or_else(|| Name::Domain(domain.clone()), Name::Label)
    }

    /// Whether this label, in whatever case, is never a tenant.
    pub(crate) fn is_reserved(&self, label: &[u8]) -> bool {
        let mut lower = [0; TenantId::MAX_LEN];
        let Some(lower) = lower.get_mut(..label.len()) else {
            return false; // longer than any label
        };
        lower.copy_from_slice(label);
        lower.make_ascii_lowercase();
        std::str::from_utf8(lower).is_ok_and(|label| self.reserved.contains(label))
    }

    #[cold]
    fn address<'h>(&self, host: &'h [u8]) -> HostKind<'h> {
        match host::v6(host) {
            Some(address) if self.central_v6.contains(&address) => HostKind::Central,
            _ => HostKind::Address,
        }
    }
}

impl Pattern {
    /// The one label where the tenant stands, of a host with this tail.
    #[inline(always)]
    pub(crate) fn label<'h>(&self, host: &'h [u8], tail: u64) -> Option<&'h [u8]> {
        let before = self.suffix.before(host, tail)?;
        let label = match before.split_at_checked(self.prefix.len()) {
            Some(([], label)) => label, // a base domain: nothing to compare
            Some((prefix, label)) if prefix.eq_ignore_ascii_case(&self.prefix) => label,
            _ => return None,
        };
        let one_label = (1..=self.max_label).contains(&label.len()) && !has_dot(label);
        (one_label && !(self.numeric && host::is_address(host))).then_some(label)
    }
}
