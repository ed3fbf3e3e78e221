//! [`Hosts`]: the kinds of hosts, which depend only on the configuration.

use std::net::Ipv6Addr;
use std::sync::Arc;

use super::reserved::Reserved;
use super::rule::RuleKind;
use crate::catalog::Name;
use crate::domain::Domain;
use crate::host::{self, MAX_HOST};
use crate::id::TenantId;
use crate::key::{Kind, Suffix, tail};

/// The configured hosts, checked by the builder.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) central: Vec<Suffix>,
    /// A set of bits: for each central host, the bit of its length modulo 64.
    pub(crate) central_lens: u64,
    pub(crate) central_v6: Vec<Ipv6Addr>,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) reserved: Arc<Reserved>,
    /// Whether full names are looked up.
    pub(crate) domains: bool,
}

/// A base domain, which is the template `{tenant}.base`, or a template.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) rule: RuleKind,
    pub(crate) prefix: Box<[u8]>,
    pub(crate) suffix: Suffix,
    /// The bound on the bytes of the tenant's label. With the text before and after it, it is one
    /// label of the host.
    pub(crate) max_label: usize,
    /// Whether the last label is a number or the tenant, so that an address might match.
    pub(crate) numeric: bool,
}

/// The kind of a host. Only a central host is known to be valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum HostKind<'h> {
    Central,
    /// A label under a base domain or in a template.
    Label(&'h [u8], RuleKind),
    /// A full name of another form.
    Name(&'h [u8]),
    /// An IPv6 address that is not central.
    Address,
}

/// The name by which a host may belong to a tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'h> {
    pub(crate) rule: RuleKind,
    pub(crate) kind: Kind,
    pub(crate) name: &'h [u8],
}

impl Hosts {
    /// Returns the kind of a host that was [split](host::split) from its port.
    pub(crate) fn kind<'h>(&self, host: &'h [u8]) -> HostKind<'h> {
        let tail = tail(host);
        if self.is_central(host, tail) {
            return HostKind::Central;
        }
        match (self.label(host, tail), host.first()) {
            (Some((label, rule)), _) => HostKind::Label(label, rule),
            (None, Some(b'[')) if self.is_central_address(host) => HostKind::Central,
            (None, Some(b'[')) => HostKind::Address,
            (None, _) => HostKind::Name(host),
        }
    }

    /// Returns the same as [`kind`](Self::kind), except that a label may hold dots. No label in the
    /// index has a dot, so dots are checked only if the label is not found.
    #[inline(always)]
    pub(crate) fn guess<'h>(&self, host: &'h [u8]) -> HostKind<'h> {
        let tail = tail(host);
        // Few hosts have the length of a central host.
        if self.central_lens >> (host.len() % 64) & 1 != 0 && self.is_central(host, tail) {
            return HostKind::Central;
        }
        // A loop, because an iterator's closure is not inlined.
        for pattern in &self.patterns {
            if let Some(label) = pattern.label(host, tail) {
                return HostKind::Label(label, pattern.rule);
            }
        }
        match host.first() {
            Some(b'[') if self.is_central_address(host) => HostKind::Central,
            Some(b'[') => HostKind::Address,
            _ => HostKind::Name(host),
        }
    }

    /// Returns the name by which a host of this kind may belong to a tenant.
    #[inline(always)]
    pub(crate) fn named<'h>(&self, kind: HostKind<'h>) -> Option<Named<'h>> {
        let (rule, kind, name) = match kind {
            HostKind::Label(label, rule) => (rule, Kind::Label, label),
            HostKind::Name(name) if self.domains => (RuleKind::Domain, Kind::Domain, name),
            _ => return None,
        };
        Some(Named { rule, kind, name })
    }

    /// Returns the label of a host under a base domain or in a template. `tail` is the tail of the
    /// host.
    fn label<'h>(&self, host: &'h [u8], tail: u64) -> Option<(&'h [u8], RuleKind)> {
        self.patterns.iter().find_map(|pattern| {
            let label = pattern.label(host, tail)?;
            (!label.contains(&b'.')).then_some((label, pattern.rule))
        })
    }

    #[cold]
    fn is_central(&self, host: &[u8], tail: u64) -> bool {
        self.central.iter().any(|central| central.is(host, tail))
    }

    pub(crate) fn add_central(&mut self, host: &str) {
        self.central.push(Suffix::new(host));
        self.central_lens |= 1 << (host.len() % 64);
    }

    /// Returns the name to bind for a domain, central or not.
    pub(crate) fn name_for(&self, domain: &Domain) -> Name {
        let host = domain.as_str().as_bytes();
        let label = self.label(host, tail(host)).map(|(label, _)| label);
        let label = label.and_then(|label| std::str::from_utf8(label).ok());
        let label = label.and_then(|label| TenantId::new(label).ok());
        label.map_or_else(|| Name::Domain(domain.clone()), Name::Label)
    }

    /// Returns whether this label, in any case, is reserved.
    pub(crate) fn is_reserved(&self, label: &[u8]) -> bool {
        self.reserved.contains(label)
    }

    #[cold]
    #[inline(never)]
    fn is_central_address(&self, host: &[u8]) -> bool {
        host::v6(host).is_some_and(|address| self.central_v6.contains(&address))
    }
}

impl Pattern {
    /// Returns the pattern of the hosts that are `prefix`, a label and `suffix`.
    pub(crate) fn new(rule: RuleKind, prefix: &str, suffix: &str) -> Self {
        let before = prefix.rsplit('.').next().unwrap_or_default();
        let after = suffix.split('.').next().unwrap_or_default();
        let sample = format!("1{suffix}");
        let last = sample.rsplit('.').next().unwrap_or_default();
        Self {
            rule,
            prefix: prefix.as_bytes().into(),
            suffix: Suffix::new(suffix),
            max_label: (TenantId::MAX_LEN - before.len() - after.len())
                .min((MAX_HOST - prefix.len()).saturating_sub(suffix.len())),
            // At most four numbers match, and the host itself is checked for them.
            numeric: last.bytes().all(|b| b.is_ascii_digit()) || host::is_v4(sample.as_bytes()),
        }
    }

    /// Returns the text of a host in the place of the tenant's label, which may hold dots. `tail`
    /// is the tail of the host.
    #[inline(always)]
    pub(crate) fn label<'h>(&self, host: &'h [u8], tail: u64) -> Option<&'h [u8]> {
        let before = self.suffix.before(host, tail)?;
        let label = match self.prefix.is_empty() {
            true => before, // a base domain
            false => self.behind_prefix(before)?,
        };
        let fits = (1..=self.max_label).contains(&label.len());
        (fits && !(self.numeric && host::is_address(host))).then_some(label)
    }

    #[cold]
    #[inline(never)]
    fn behind_prefix<'h>(&self, before: &'h [u8]) -> Option<&'h [u8]> {
        let (prefix, label) = before.split_at_checked(self.prefix.len())?;
        prefix.eq_ignore_ascii_case(&self.prefix).then_some(label)
    }
}
