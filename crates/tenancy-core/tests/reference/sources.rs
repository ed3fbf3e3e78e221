//! 6. Other sources: header, query, cookie, Origin, closures.

use super::{
    AMBIGUOUS_TENANT, Key, Kind, Mutant, Reason, Reference, UNKNOWN_TENANT, config::is_label,
};
use crate::case::Request;

/// What one value of a source says.
enum Said {
    Name(Key),
    /// Malformed or empty.
    Nothing,
}

type Named = Option<(&'static str, Key)>;

impl Reference<'_> {
    /// Each when its rule is switched on. `so_far` is what the path prefix named: it
    /// is a source like the others.
    pub(super) fn other_sources(
        &self,
        request: &Request,
        query: Option<&[u8]>,
        so_far: Named,
    ) -> Result<Named, Reason> {
        let mut said: Vec<(&'static str, Said)> = Vec::new();
        said.extend(so_far.map(|(rule, key)| (rule, Said::Name(key))));
        self.read_header(request, &mut said);
        self.read_query(query, &mut said);
        self.read_cookies(request, &mut said);
        self.read_origin(request, &mut said);
        self.ask_closure(request, &mut said);

        let names: Vec<&Key> = said
            .iter()
            .filter_map(|(_, said)| match said {
                Said::Name(key) => Some(key),
                Said::Nothing => None,
            })
            .collect();
        // Two sources, or two values of one, that carry different names: before any
        // lookup.
        let differ = names.windows(2).any(|pair| pair[0] != pair[1]);
        if differ && !self.planted(Mutant::FirstSourceWins) {
            return Err(AMBIGUOUS_TENANT);
        }
        // A malformed or empty value: without a lookup.
        let malformed = said.iter().any(|(_, said)| matches!(said, Said::Nothing));
        if malformed && !self.planted(Mutant::MalformedIsNobody) {
            return Err(UNKNOWN_TENANT);
        }
        // The order of `rules` only decides which is reported when several agree.
        said.retain(|(_, said)| matches!(said, Said::Name(_)));
        let place = |rule: &str| self.config.rules.iter().position(|listed| listed == rule);
        let first = said.into_iter().min_by_key(|(rule, _)| place(rule));
        Ok(first.map(|(rule, said)| match said {
            Said::Name(key) => (rule, key),
            Said::Nothing => unreachable!("only names were kept"),
        }))
    }

    fn read_header(&self, request: &Request, said: &mut Vec<(&'static str, Said)>) {
        let Some(name) = self
            .config
            .header
            .as_deref()
            .filter(|_| self.switched_on("header"))
        else {
            return;
        };
        for value in request.values_of(name) {
            said.push(("header", id(value)));
        }
    }

    fn read_query(&self, query: Option<&[u8]>, said: &mut Vec<(&'static str, Said)>) {
        let Some(name) = self
            .config
            .query
            .as_deref()
            .filter(|_| self.switched_on("query"))
        else {
            return;
        };
        for pair in query.unwrap_or_default().split(|byte| *byte == b'&') {
            // `?tenant[]=` is not `tenant`; `?tenant` alone is empty.
            let (key, value) = split_once(pair, b'=').unwrap_or((pair, b""));
            if self.read_form(key) == name.as_bytes() {
                said.push(("query", id(&self.read_form(value))));
            }
        }
    }

    /// A query is what the application will read: decoded as a form is, once.
    fn read_form(&self, text: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        let mut at = 0;
        while at < text.len() && !self.planted(Mutant::QueryUndecoded) {
            let digit = |at: usize| text.get(at).and_then(|byte| (*byte as char).to_digit(16));
            match (text[at], digit(at + 1), digit(at + 2)) {
                (b'%', Some(high), Some(low)) => {
                    read.push((high * 16 + low) as u8);
                    at += 2;
                }
                (b'+', _, _) => read.push(b' '),
                (byte, _, _) => read.push(byte),
            }
            at += 1;
        }
        read.extend(&text[at..]);
        read
    }

    fn read_cookies(&self, request: &Request, said: &mut Vec<(&'static str, Said)>) {
        let Some(name) = self
            .config
            .cookie
            .as_deref()
            .filter(|_| self.switched_on("cookie"))
        else {
            return;
        };
        for line in request.values_of("cookie") {
            for pair in line.split(|byte| *byte == b';') {
                let pair = pair.trim_ascii();
                if let Some((key, value)) = split_once(pair, b'=')
                    && key == name.as_bytes()
                {
                    said.push(("cookie", id(value)));
                }
            }
        }
    }

    /// `null` names no tenant that exists; an Origin counts by its host, scheme or not.
    fn read_origin(&self, request: &Request, said: &mut Vec<(&'static str, Said)>) {
        if !self.config.origin || !self.switched_on("origin") {
            return;
        }
        for value in request.values_of("origin") {
            let (scheme, host) = match find(value, b"://") {
                Some(at) => (&value[..at], &value[at + 3..]),
                None => (&b"http"[..], value),
            };
            let kind = match self.host(host) {
                Ok(host) if value != b"null" && is_scheme(scheme) => self.kind_of(&host),
                _ => Kind::Unknown,
            };
            match kind {
                // A central Origin names no tenant.
                Kind::Central => {}
                // What a template's token spells need not be a label.
                Kind::Named(_, Key::Label(label)) if !is_label(&label) => {
                    said.push(("origin", Said::Nothing));
                }
                // A reserved label is a name that no tenant has.
                Kind::Named(_, key) | Kind::Reserved(key) => said.push(("origin", Said::Name(key))),
                Kind::Unknown if self.planted(Mutant::UnknownOriginIsNobody) => {}
                Kind::Unknown => said.push(("origin", Said::Nothing)),
            }
        }
    }

    fn ask_closure(&self, request: &Request, said: &mut Vec<(&'static str, Said)>) {
        let Some(name) = self
            .config
            .custom
            .as_deref()
            .filter(|_| self.switched_on("custom"))
        else {
            return;
        };
        if let Some(value) = request.values_of(name).next() {
            said.push(("custom", id(value)));
        }
    }
}

fn id(value: &[u8]) -> Said {
    match std::str::from_utf8(value) {
        Ok(text) if is_label(text) => Said::Name(Key::Label(text.to_owned())),
        _ => Said::Nothing,
    }
}

fn is_scheme(text: &[u8]) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    !text.is_empty() && text.iter().all(inner)
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
