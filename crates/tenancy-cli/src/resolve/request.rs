//! A request to resolve, from a URL or a line of JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use tenancy::{Method, RequestHead};

use super::base64;

/// The unparsed head of a request.
#[derive(Debug, Default, PartialEq)]
pub struct Request {
    method: String,
    hosts: Vec<Vec<u8>>,
    authority: Option<Vec<u8>>,
    target: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    peer: Option<IpAddr>,
}

impl Request {
    /// Returns the request for a URL. The fragment is removed, as clients do not send it.
    pub fn from_url(url: &str, method: &str, headers: &[String]) -> Result<Self, String> {
        let wrong = |fact| format!("URL {url:?} {fact}; write it as http://acme.example/orders");
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(wrong("is neither http nor https"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        let mut request = Self {
            method: method.to_owned(),
            target: format!("{slash}{target}").into(),
            ..Self::default()
        };
        for header in headers {
            let named = header
                .split_once(':')
                .filter(|(name, _)| !name.trim().is_empty());
            let (name, value) = named.ok_or_else(|| {
                format!("header {header:?} has no name; write it as 'Name: value'")
            })?;
            request.add_header(name.trim(), value.trim());
        }
        if request.hosts.is_empty() {
            request.hosts.push(host.into());
        }
        Ok(request)
    }

    fn add_header(&mut self, name: &str, value: &str) {
        match name.eq_ignore_ascii_case("host") {
            true => self.hosts.push(value.into()),
            false => self.headers.push((name.to_owned(), value.into())),
        }
    }

    /// Calls a function with the head of the request.
    pub fn ask<R>(&self, ask: impl FnOnce(&RequestHead<'_, '_>) -> R) -> R {
        let hosts: Vec<&[u8]> = self.hosts.iter().map(Vec::as_slice).collect();
        let headers = |name: &str, each: &mut dyn FnMut(&[u8])| {
            let named = self
                .headers
                .iter()
                .filter(|(n, _)| n.eq_ignore_ascii_case(name));
            named.for_each(|(_, value)| each(value));
        };
        let mut head = RequestHead::new(Method::from(self.method.as_str()), &self.target)
            .hosts(&hosts)
            .headers(&headers);
        if let Some(authority) = &self.authority {
            head = head.authority(authority);
        }
        if let Some(peer) = self.peer {
            head = head.peer(peer);
        }
        ask(&head)
    }
}

/// A line of `resolve --batch`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    #[serde(default = "get")]
    method: String,
    host: Option<OneOrMore>,
    host_base64: Option<OneOrMore>,
    path: Option<String>,
    path_base64: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
    authority: Option<String>,
    peer: Option<IpAddr>,
}

fn get() -> String {
    "GET".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

impl TryFrom<Line> for Request {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let target = match (line.path, line.path_base64) {
            (Some(path), None) => path.into_bytes(),
            (None, Some(encoded)) => base64::decode(&encoded)?,
            _ => return Err("a request must have either path or path_base64".into()),
        };
        let hosts = match (&line.host, &line.host_base64) {
            (Some(_), Some(_)) => {
                return Err("a request cannot have both host and host_base64".into());
            }
            (Some(hosts), None) => hosts
                .as_slice()
                .iter()
                .map(|host| host.clone().into())
                .collect(),
            (None, Some(hosts)) => {
                let decoded = hosts.as_slice().iter().map(|host| base64::decode(host));
                decoded.collect::<Result<_, _>>()?
            }
            (None, None) => Vec::new(),
        };
        let mut request = Self {
            method: line.method,
            hosts,
            authority: line.authority.map(String::into_bytes),
            target,
            headers: Vec::new(),
            peer: line.peer,
        };
        for (name, values) in &line.headers {
            for value in values.as_slice() {
                request.add_header(name, value);
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Request, String> {
        let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
        line.try_into()
    }

    #[test]
    fn a_url_becomes_a_host_and_a_target() {
        for (url, host, target) in [
            (
                "http://acme.app.test:8080/orders/9?x=1#top",
                "acme.app.test:8080",
                "/orders/9?x=1",
            ),
            ("HTTPS://acme.app.test", "acme.app.test", "/"),
            ("acme.app.test/a", "acme.app.test", "/a"),
            ("acme.app.test?x=1", "acme.app.test", "/?x=1"),
            ("http://user@acme.app.test/", "user@acme.app.test", "/"),
            ("http://acme.app.test/a://b", "acme.app.test", "/a://b"),
        ] {
            let request = Request::from_url(url, "GET", &[]).expect(url);
            assert_eq!(request.hosts, [host.as_bytes()], "{url}");
            assert_eq!(request.target, target.as_bytes(), "{url}");
        }
        for url in [
            "",
            "/orders",
            "ftp://acme.app.test/",
            "http:///orders",
            "?x",
        ] {
            Request::from_url(url, "GET", &[]).expect_err(url);
        }
    }

    #[test]
    fn a_host_header_replaces_the_urls_host() {
        let headers = [
            "Host: b.test".into(),
            "host:c.test".into(),
            "X-Tenant: acme".into(),
        ];
        let request = Request::from_url("http://a.test/", "GET", &headers).expect("a request");
        assert_eq!(request.hosts, [b"b.test", b"c.test"]);
        assert_eq!(request.headers, [("X-Tenant".into(), b"acme".to_vec())]);
        for header in ["acme", ": acme"] {
            Request::from_url("http://a.test/", "GET", &[header.into()]).expect_err(header);
        }
    }

    #[test]
    fn a_line_takes_a_host_none_or_several() {
        for (text, hosts) in [
            (r#"{"path":"/"}"#, vec![]),
            (r#"{"path":"/","host":null}"#, vec![]),
            (r#"{"path":"/","host":"a.test"}"#, vec!["a.test"]),
            (
                r#"{"path":"/","host":["a.test","b.test"]}"#,
                vec!["a.test", "b.test"],
            ),
            (r#"{"path":"/","host_base64":"YS50ZXN0"}"#, vec!["a.test"]),
            (
                r#"{"path":"/","headers":{"Host":"a.test"}}"#,
                vec!["a.test"],
            ),
        ] {
            let hosts: Vec<_> = hosts
                .into_iter()
                .map(|host| host.as_bytes().to_vec())
                .collect();
            assert_eq!(line(text).expect(text).hosts, hosts, "{text}");
        }
        for text in [
            r#"{"host":"a.test"}"#,
            r#"{"path":"/","path_base64":"Lw=="}"#,
            r#"{"path":"/","host":"a","host_base64":"YQ=="}"#,
            r#"{"path":"/","hots":"a.test"}"#,
            r#"{"path":"/","peer":"nobody"}"#,
            r#"{"path_base64":"%"}"#,
            r#"[]"#,
        ] {
            line(text).expect_err(text);
        }
    }
}
