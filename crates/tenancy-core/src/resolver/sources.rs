//! [`SourceNames`]: the names that the rules for central hosts find in a request.

use super::error::ResolveError;
use super::hosts::{HostKind, Hosts};
use super::name::NameBuf;
use super::rule::{RuleKind, Source};
use crate::host;
use crate::id::check_label;
use crate::key::Kind;
use crate::request::RequestHead;
use crate::text::Excerpt;

/// The names that the sources of a request have brought so far. Two different names are refused.
#[derive(Default)]
pub(super) struct SourceNames {
    first: Option<(RuleKind, NameBuf)>,
    /// The rule of a name that differs from the first one.
    other: Option<RuleKind>,
    /// The first value that is no name.
    malformed: Option<(RuleKind, Excerpt)>,
}

impl SourceNames {
    /// Adds every name that a source brings, except the name in the path, which the caller adds.
    pub(super) fn read(&mut self, source: &Source, head: &RequestHead<'_, '_>, hosts: &Hosts) {
        let rule = source.kind();
        match source {
            Source::Path(_) => {}
            Source::Header(name) => head.each_header(name, &mut |value| self.label(rule, value)),
            Source::Query(name) => {
                for value in query_values(head.query().unwrap_or_default(), name) {
                    self.decoded(rule, value);
                }
            }
            Source::Cookie(name) => head.each_header("cookie", &mut |line| {
                for value in cookie_values(line, name) {
                    self.label(rule, value);
                }
            }),
            Source::Origin => head.each_header("origin", &mut |value| self.origin(hosts, value)),
            Source::Custom(find) => {
                if let Some(name) = find(head) {
                    self.label(rule, name.as_bytes());
                }
            }
        }
    }

    /// Adds a name that a rule brings.
    pub(super) fn add(&mut self, rule: RuleKind, name: NameBuf) {
        match &self.first {
            None => self.first = Some((rule, name)),
            Some((_, first)) if *first == name => {}
            Some(_) => self.other = Some(rule),
        }
    }

    fn malformed(&mut self, rule: RuleKind, value: &[u8]) {
        self.malformed.get_or_insert((rule, Excerpt::new(value)));
    }

    /// Adds a value that must be an id or a label.
    fn label(&mut self, rule: RuleKind, value: &[u8]) {
        match check_label(value) {
            Ok(()) => self.name_or_malformed(rule, Kind::Label, value),
            Err(_) => self.malformed(rule, value),
        }
    }

    fn name_or_malformed(&mut self, rule: RuleKind, kind: Kind, value: &[u8]) {
        match NameBuf::lower(kind, value) {
            Some(name) => self.add(rule, name),
            None => self.malformed(rule, value),
        }
    }

    /// Adds a value of a query, which is percent-encoded.
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

    /// Adds the name that the host of an Origin would have as the host of a request. A central host
    /// has no name.
    fn origin(&mut self, hosts: &Hosts, value: &[u8]) {
        let rule = RuleKind::Origin;
        let Ok(host) = host::split(without_scheme(value)) else {
            return self.malformed(rule, value);
        };
        match hosts.kind(host) {
            // A browser sends `null` for an origin that it hides.
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

    /// Returns the one name, or `None` if no source brought one.
    ///
    /// # Errors
    /// Returns an error if there are two names, or a value that is no name.
    pub(super) fn finish(self) -> Result<Option<(RuleKind, NameBuf)>, ResolveError> {
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

    /// Returns the result of one rule in words, for an explanation.
    pub(super) fn describe(&self, rule: RuleKind) -> String {
        if let Some((by, value)) = self.malformed
            && by == rule
        {
            return format!("{value} is no tenant id");
        }
        match (&self.first, self.other) {
            (_, Some(other)) if other == rule => "names another tenant than before".into(),
            (Some((by, name)), _) if *by == rule => {
                format!("names {}", name.as_bytes().escape_ascii())
            }
            (Some((by, _)), _) => format!("names the tenant of {by}"),
            (None, _) => "names no tenant".into(),
        }
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

/// Decodes a form-encoded text as applications do.
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
