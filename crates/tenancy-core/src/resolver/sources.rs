//! What names a tenant on a central host besides the path: header, query, cookie,
//! Origin and closures.

use std::fmt;
use std::sync::Arc;

use super::hosts::{HostKind, Hosts};
use super::{ResolveError, Rule};
use crate::catalog::TenantKey;
use crate::host;
use crate::id::check_label;
use crate::key::Kind;
use crate::request::RequestHead;
use crate::text::Excerpt;

/// An embedder's own way to name a tenant.
pub(crate) type Custom = Arc<dyn Fn(&RequestHead<'_, '_>) -> Option<String> + Send + Sync>;

/// A rule that is switched on for central hosts.
#[derive(Clone)]
pub(crate) enum Source {
    /// The path prefix; what it names is found out before.
    Path,
    /// The header of this name, lower case.
    Header(Box<str>),
    /// The query parameter of this name.
    Query(Box<str>),
    /// The cookie of this name.
    Cookie(Box<str>),
    Origin,
    Custom(Custom),
}

impl Source {
    pub(crate) fn rule(&self) -> Rule {
        match self {
            Self::Path => Rule::Path,
            Self::Header(_) => Rule::Header,
            Self::Query(_) => Rule::Query,
            Self::Cookie(_) => Rule::Cookie,
            Self::Origin => Rule::Origin,
            Self::Custom(_) => Rule::Custom,
        }
    }

    /// Every name that this source brings.
    pub(crate) fn sight(&self, head: &RequestHead<'_, '_>, hosts: &Hosts, seen: &mut Sighted) {
        let rule = self.rule();
        match self {
            Self::Path => {}
            Self::Header(name) => head.each_header(name, &mut |value| seen.label(rule, value)),
            Self::Query(name) => {
                for value in query_values(head.query().unwrap_or_default(), name) {
                    seen.decoded(rule, value);
                }
            }
            Self::Cookie(name) => head.each_header("cookie", &mut |line| {
                for value in cookie_values(line, name) {
                    seen.label(rule, value);
                }
            }),
            Self::Origin => head.each_header("origin", &mut |value| seen.origin(hosts, value)),
            Self::Custom(name) => {
                if let Some(name) = name(head) {
                    seen.label(rule, name.as_bytes());
                }
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule().as_str())
    }
}

/// A canonical name, kept in place.
#[derive(Clone, Copy)]
pub(crate) struct NameBuf {
    kind: Kind,
    len: usize,
    bytes: [u8; host::MAX_HOST],
}

impl NameBuf {
    /// `text` in lower case; nothing when it is no name of this kind.
    pub(crate) fn lower(kind: Kind, text: &[u8]) -> Option<Self> {
        let mut name = Self {
            kind,
            len: text.len(),
            bytes: [0; host::MAX_HOST],
        };
        let bytes = name.bytes.get_mut(..text.len())?;
        bytes.copy_from_slice(text);
        bytes.make_ascii_lowercase();
        let valid = match kind {
            Kind::Label => check_label(bytes).is_ok(),
            Kind::Domain => bytes.first() != Some(&b'[') && host::check(bytes).is_ok(),
        };
        valid.then_some(name)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn as_key(&self) -> TenantKey<'_> {
        let text = std::str::from_utf8(self.as_bytes()).expect("a checked name is ASCII");
        match self.kind {
            Kind::Label => TenantKey::Label(text),
            Kind::Domain => TenantKey::Domain(text),
        }
    }
}

impl PartialEq for NameBuf {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.as_bytes() == other.as_bytes()
    }
}

/// The names that a request's sources brought so far.
#[derive(Default)]
pub(crate) struct Sighted {
    pub(crate) first: Option<(Rule, NameBuf)>,
    /// A name that differs from the first.
    pub(crate) other: Option<Rule>,
    /// Something that is no name at all.
    pub(crate) malformed: Option<(Rule, Excerpt)>,
}

impl Sighted {
    pub(crate) fn name(&mut self, rule: Rule, name: NameBuf) {
        match &self.first {
            None => self.first = Some((rule, name)),
            Some((_, first)) if *first == name => {}
            Some(_) => self.other = Some(rule),
        }
    }

    fn malformed(&mut self, rule: Rule, value: &[u8]) {
        self.malformed.get_or_insert((rule, Excerpt::new(value)));
    }

    /// A value that must be an id or a label, as it stands.
    fn label(&mut self, rule: Rule, value: &[u8]) {
        match check_label(value) {
            Ok(()) => self.name_or_malformed(rule, Kind::Label, value),
            Err(_) => self.malformed(rule, value),
        }
    }

    fn name_or_malformed(&mut self, rule: Rule, kind: Kind, value: &[u8]) {
        match NameBuf::lower(kind, value) {
            Some(name) => self.name(rule, name),
            None => self.malformed(rule, value),
        }
    }

    /// A value of a query: percent-encoded.
    fn decoded(&mut self, rule: Rule, value: &[u8]) {
        let mut buffer = [0; 64];
        let mut bytes = decode(value);
        let mut len = 0;
        for (place, byte) in buffer.iter_mut().zip(&mut bytes) {
            *place = byte;
            len += 1;
        }
        match bytes.next() {
            None => self.label(rule, &buffer[..len]),
            Some(_) => self.malformed(rule, value),
        }
    }

    /// The host of an Origin names what it would name as a host; a central one
    /// names nobody.
    fn origin(&mut self, hosts: &Hosts, value: &[u8]) {
        let rule = Rule::Origin;
        let Ok(host) = host::split(without_scheme(value)) else {
            return self.malformed(rule, value);
        };
        match hosts.kind(host) {
            // `null` is what a browser sends for an origin that it hides.
            _ if value == b"null" => self.malformed(rule, value),
            HostKind::Central => {}
            HostKind::Label(label, _) if host::check(host).is_ok() => {
                self.name_or_malformed(rule, Kind::Label, label);
            }
            HostKind::Name(name) if hosts.domains => {
                self.name_or_malformed(rule, Kind::Domain, name);
            }
            _ => self.malformed(rule, value),
        }
    }

    /// The one name, if any.
    pub(crate) fn finish(self) -> Result<Option<(Rule, NameBuf)>, ResolveError> {
        if let (Some((first, _)), Some(second)) = (&self.first, self.other) {
            return Err(ResolveError::AmbiguousTenant {
                first: *first,
                second,
            });
        }
        if let Some((rule, name)) = self.malformed {
            return Err(ResolveError::UnknownTenant { rule, name });
        }
        Ok(self.first)
    }
}

fn without_scheme(origin: &[u8]) -> &[u8] {
    let after = origin.windows(3).position(|at| at == b"://");
    match after {
        Some(at) if at > 0 && origin[..at].iter().all(is_scheme) => &origin[at + 3..],
        _ => origin,
    }
}

fn is_scheme(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn query_values<'q>(query: &'q [u8], name: &str) -> impl Iterator<Item = &'q [u8]> {
    query.split(|b| *b == b'&').filter_map(move |pair| {
        let at = pair.iter().position(|b| *b == b'=');
        let (key, value) = at.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
        decode(key).eq(name.bytes()).then_some(value)
    })
}

fn cookie_values<'c>(line: &'c [u8], name: &str) -> impl Iterator<Item = &'c [u8]> {
    line.split(|b| *b == b';').filter_map(move |pair| {
        let (key, value) = pair.trim_ascii().split_at_checked(name.len())?;
        let value = value.strip_prefix(b"=")?;
        (key == name.as_bytes()).then_some(value)
    })
}

/// The bytes of a form-encoded text: what applications will read.
fn decode(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', &rest[1..]),
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}
