//! What names a tenant on a central host besides the path: header, query, cookie,
//! Origin and closures.

use std::fmt;
use std::sync::Arc;

use super::builder::is_token;
use super::hosts::{HostKind, Hosts};
use super::{InvalidResolver, ResolveError, RuleKind};
use crate::catalog::TenantKey;
use crate::host;
use crate::id::check_label;
use crate::key::Kind;
use crate::request::RequestHead;
use crate::text::{Excerpt, quote};

/// An embedder's own way to name a tenant.
pub(crate) type Custom = Arc<dyn Fn(&RequestHead<'_, '_>) -> Option<String> + Send + Sync>;

/// A rule that is switched on for central hosts.
#[derive(Clone)]
pub(crate) enum Source {
    /// The path prefix, whose name is read before the path is classified.
    Path(Box<str>),
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
    pub(crate) fn kind(&self) -> RuleKind {
        match self {
            Self::Path(_) => RuleKind::Path,
            Self::Header(_) => RuleKind::Header,
            Self::Query(_) => RuleKind::Query,
            Self::Cookie(_) => RuleKind::Cookie,
            Self::Origin => RuleKind::Origin,
            Self::Custom(_) => RuleKind::Custom,
        }
    }

    pub(crate) fn path_prefix(&self) -> Option<&str> {
        match self {
            Self::Path(prefix) => Some(prefix),
            _ => None,
        }
    }

    /// Checks the parameter and returns it in the form that requests are compared with.
    pub(crate) fn checked(self, forwarded_host: &str) -> Result<Self, InvalidResolver> {
        match &self {
            Self::Path(prefix) => check_path_prefix(prefix)?,
            Self::Header(name) => {
                check_token(self.kind(), name)?;
                let name = name.to_ascii_lowercase();
                if ["host", "cookie", "forwarded", forwarded_host].contains(&&*name) {
                    return Err(InvalidResolver::TakenHeader {
                        header: quote(&name),
                    });
                }
                return Ok(Self::Header(name.into()));
            }
            Self::Query(name) | Self::Cookie(name) => check_token(self.kind(), name)?,
            Self::Origin | Self::Custom(_) => {}
        }
        Ok(self)
    }

    /// Every name that this source brings.
    pub(crate) fn sight(&self, head: &RequestHead<'_, '_>, hosts: &Hosts, seen: &mut Sighted) {
        let rule = self.kind();
        match self {
            Self::Path(_) => {}
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

fn check_path_prefix(prefix: &str) -> Result<(), InvalidResolver> {
    let refuse = |problem| {
        Err(InvalidResolver::PathPrefix {
            prefix: quote(prefix),
            problem,
        })
    };
    let Some(segment) = prefix.strip_prefix('/') else {
        return refuse("has no leading slash");
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    match segment {
        "" => refuse("names no segment"),
        "." | ".." => refuse("is a dot segment"),
        _ if segment.ends_with('/') => refuse("ends with a slash"),
        _ if segment.contains('/') => refuse("has more than one segment"),
        _ if !segment.bytes().all(plain) => {
            refuse("has a byte other than letters, digits, '-', '.', '_' and '~'")
        }
        _ => Ok(()),
    }
}

fn check_token(rule: RuleKind, name: &str) -> Result<(), InvalidResolver> {
    match !name.is_empty() && name.bytes().all(is_token) {
        true => Ok(()),
        false => Err(InvalidResolver::ParameterName {
            rule,
            name: quote(name),
        }),
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())
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
    pub(crate) first: Option<(RuleKind, NameBuf)>,
    /// A name that differs from the first.
    pub(crate) other: Option<RuleKind>,
    /// Something that is no name at all.
    pub(crate) malformed: Option<(RuleKind, Excerpt)>,
}

impl Sighted {
    pub(crate) fn name(&mut self, rule: RuleKind, name: NameBuf) {
        match &self.first {
            None => self.first = Some((rule, name)),
            Some((_, first)) if *first == name => {}
            Some(_) => self.other = Some(rule),
        }
    }

    fn malformed(&mut self, rule: RuleKind, value: &[u8]) {
        self.malformed.get_or_insert((rule, Excerpt::new(value)));
    }

    /// A value that must be an id or a label, as it stands.
    fn label(&mut self, rule: RuleKind, value: &[u8]) {
        match check_label(value) {
            Ok(()) => self.name_or_malformed(rule, Kind::Label, value),
            Err(_) => self.malformed(rule, value),
        }
    }

    fn name_or_malformed(&mut self, rule: RuleKind, kind: Kind, value: &[u8]) {
        match NameBuf::lower(kind, value) {
            Some(name) => self.name(rule, name),
            None => self.malformed(rule, value),
        }
    }

    /// A value of a query: percent-encoded.
    fn decoded(&mut self, rule: RuleKind, value: &[u8]) {
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
        let rule = RuleKind::Origin;
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
    pub(crate) fn finish(self) -> Result<Option<(RuleKind, NameBuf)>, ResolveError> {
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
