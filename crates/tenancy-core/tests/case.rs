//! A case as JSON has it, in plain fields: tables of `tenancy.toml`, tenants as for
//! `resolve --tenants`, a request as for `resolve --batch`.

use serde_json::{Map, Value, json};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    pub config: Config,
    pub tenants: Vec<TenantRow>,
    pub request: Request,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub central_domains: Vec<String>,
    pub rules: Vec<String>,
    pub subdomains_of: Vec<String>,
    pub host_templates: Vec<String>,
    pub path_prefix: Option<String>,
    pub header: Option<String>,
    pub query: Option<String>,
    pub cookie: Option<String>,
    pub origin: bool,
    pub reserved: Vec<String>,
    pub builtin_paths: bool,
    pub preset: Option<String>,
    pub trusted_proxies: Vec<String>,
    pub forwarded_host: Option<String>,
    pub paths: Vec<PathRule>,
    /// The access to the catalog, for tests only.
    pub catalog: Access,
    /// Of tests only: the closure names what this header carries.
    pub custom: Option<String>,
}

/// How the resolver of a case gets at its catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Access {
    /// A full copy, by the change feed.
    #[default]
    Copied,
    /// A bounded cache, though there is a feed.
    Cached,
    /// A catalog that has no feed.
    NoFeed,
    /// Every question fails.
    Down,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PathRule {
    pub prefix: String,
    pub class: String,
    pub mode: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantRow {
    pub id: String,
    pub status: String,
    pub maintenance: bool,
    pub domains: Vec<String>,
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub method: String,
    pub hosts: Vec<Vec<u8>>,
    pub authority: Option<Vec<u8>>,
    pub peer: Option<String>,
    pub path: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            central_domains: Vec::new(),
            rules: Vec::new(),
            subdomains_of: Vec::new(),
            host_templates: Vec::new(),
            path_prefix: None,
            header: None,
            query: None,
            cookie: None,
            origin: false,
            reserved: Vec::new(),
            builtin_paths: true,
            preset: None,
            trusted_proxies: Vec::new(),
            forwarded_host: None,
            paths: Vec::new(),
            catalog: Access::Copied,
            custom: None,
        }
    }
}

fn string(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    let list = value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"));
    list.iter().map(string).collect()
}

fn entries(value: &Value) -> &Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("no table: {value}"))
}

/// A list, or an empty one where nothing stands.
fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Case {
    pub fn from_json(value: &Value) -> Self {
        Self {
            config: Config::from_json(&value["config"]),
            tenants: rows(&value["tenants"])
                .iter()
                .map(TenantRow::from_json)
                .collect(),
            request: Request::from_json(&value["request"]),
        }
    }

    pub fn to_json(&self) -> Value {
        let tenants: Vec<_> = self.tenants.iter().map(TenantRow::to_json).collect();
        json!({
            "config": self.config.to_json(),
            "tenants": tenants,
            "request": self.request.to_json(),
        })
    }
}

impl Access {
    fn word(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Cached => "cached",
            Self::NoFeed => "no feed",
            Self::Down => "down",
        }
    }

    fn from_word(word: Option<&str>) -> Self {
        let all = [Self::Copied, Self::Cached, Self::NoFeed, Self::Down];
        let known = all.into_iter().find(|access| Some(access.word()) == word);
        known.unwrap_or_else(|| panic!("no such access: {word:?}"))
    }
}

impl Config {
    pub fn from_json(value: &Value) -> Self {
        let mut config = Self::default();
        for (table, value) in entries(value) {
            match table.as_str() {
                "resolve" => entries(value)
                    .iter()
                    .for_each(|(key, v)| config.set(key, v)),
                "path" => config.paths = rows(value).iter().map(PathRule::from_json).collect(),
                "catalog" => config.catalog = Access::from_word(value.as_str()),
                other => panic!("a table that the tests do not know: {other}"),
            }
        }
        config
    }

    /// Sets the parameter of a rule to a usual one, or removes it.
    pub fn set_parameter(&mut self, rule: &str, on: bool) {
        let text = |text: &str| on.then(|| text.to_owned());
        match rule {
            "path" => self.path_prefix = text("/t"),
            "header" => self.header = text("x-tenant"),
            "query" => self.query = text("tenant"),
            "cookie" => self.cookie = text("tenant"),
            "origin" => self.origin = on,
            "custom" => self.custom = text("x-custom"),
            "subdomain" if !on => self.subdomains_of.clear(),
            "template" if !on => self.host_templates.clear(),
            _ => {}
        }
    }

    fn set(&mut self, key: &str, value: &Value) {
        match key {
            "central_domains" => self.central_domains = strings(value),
            "rules" => self.rules = strings(value),
            "subdomains_of" => self.subdomains_of = strings(value),
            "host_templates" => self.host_templates = strings(value),
            "path_prefix" => self.path_prefix = Some(string(value)),
            "header" => self.header = Some(string(value)),
            "query" => self.query = Some(string(value)),
            "cookie" => self.cookie = Some(string(value)),
            "custom" => self.custom = Some(string(value)),
            "origin" => self.origin = value == true,
            "reserved" => self.reserved = strings(value),
            "builtin_paths" => self.builtin_paths = value == true,
            "preset" => self.preset = Some(string(value)),
            "trusted_proxies" => self.trusted_proxies = strings(value),
            "forwarded_host" => self.forwarded_host = Some(string(value)),
            other => panic!("a key that the tests do not know: {other}"),
        }
    }

    pub fn to_json(&self) -> Value {
        let mut resolve = json!({ "rules": self.rules });
        for (key, list) in [
            ("central_domains", &self.central_domains),
            ("subdomains_of", &self.subdomains_of),
            ("host_templates", &self.host_templates),
            ("reserved", &self.reserved),
            ("trusted_proxies", &self.trusted_proxies),
        ] {
            if !list.is_empty() {
                resolve[key] = json!(list);
            }
        }
        for (key, text) in [
            ("path_prefix", &self.path_prefix),
            ("header", &self.header),
            ("query", &self.query),
            ("cookie", &self.cookie),
            ("custom", &self.custom),
            ("preset", &self.preset),
            ("forwarded_host", &self.forwarded_host),
        ] {
            if let Some(text) = text {
                resolve[key] = json!(text);
            }
        }
        if self.origin {
            resolve["origin"] = json!(true);
        }
        if !self.builtin_paths {
            resolve["builtin_paths"] = json!(false);
        }
        let paths: Vec<_> = self.paths.iter().map(PathRule::to_json).collect();
        let mut config = json!({ "resolve": resolve, "path": paths });
        if self.catalog != Access::Copied {
            config["catalog"] = json!(self.catalog.word());
        }
        config
    }
}

impl PathRule {
    fn from_json(value: &Value) -> Self {
        Self {
            prefix: string(&value["prefix"]),
            class: value["class"].as_str().unwrap_or("page").to_owned(),
            mode: value["mode"].as_str().map(str::to_owned),
        }
    }

    fn to_json(&self) -> Value {
        let mut rule = json!({ "prefix": self.prefix, "class": self.class });
        if let Some(mode) = &self.mode {
            rule["mode"] = json!(mode);
        }
        rule
    }
}

impl TenantRow {
    fn from_json(value: &Value) -> Self {
        let list = |key: &str| rows(&value[key]).iter().map(string).collect();
        // `"status":"maintenance"` is short for active and in maintenance.
        let status = value["status"].as_str().unwrap_or("active");
        let short = status == "maintenance";
        Self {
            id: string(&value["id"]),
            status: if short { "active" } else { status }.to_owned(),
            maintenance: short || value["maintenance"] == true,
            domains: list("domains"),
            labels: list("labels"),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "status": self.status,
            "maintenance": self.maintenance,
            "domains": self.domains,
            "labels": self.labels,
        })
    }
}

impl Request {
    pub fn get(host: &[u8], path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            hosts: vec![host.to_owned()],
            path: path.as_bytes().to_owned(),
            ..Self::default()
        }
    }

    /// Every value of a header, whose name has no case.
    pub fn values_of(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |line: &&(String, Vec<u8>)| line.0.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_slice())
    }

    pub fn from_json(value: &Value) -> Self {
        let bytes = |text: &Value| string(text).into_bytes();
        let mut request = Self {
            method: "GET".to_owned(),
            ..Self::default()
        };
        for (key, value) in entries(value) {
            match (key.as_str(), value) {
                ("method", _) => request.method = string(value),
                ("host", Value::Null) => {}
                ("host", Value::Array(list)) => request.hosts = list.iter().map(bytes).collect(),
                ("host", _) => request.hosts = vec![bytes(value)],
                ("host_base64", _) => request.hosts = vec![from_base64(&string(value))],
                ("authority", _) => request.authority = Some(bytes(value)),
                ("peer", _) => request.peer = Some(string(value)),
                ("path", _) => request.path = bytes(value),
                ("path_base64", _) => request.path = from_base64(&string(value)),
                ("headers", _) => {
                    for (name, value) in entries(value) {
                        // One value, or a list where a header stands several times.
                        let one = std::slice::from_ref(value);
                        let values = value.as_array().map_or(one, Vec::as_slice);
                        let line = |value| (name.clone(), bytes(value));
                        request.headers.extend(values.iter().map(line));
                    }
                }
                (other, _) => panic!("a key that the tests do not know: {other}"),
            }
        }
        request
    }

    pub fn to_json(&self) -> Value {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let mut request = json!({ "method": self.method });
        match &*self.hosts {
            [] => request["host"] = Value::Null,
            [host] if text(host).is_none() => request["host_base64"] = json!(base64(host)),
            [host] => request["host"] = json!(text(host)),
            several => request["host"] = several.iter().map(|host| text(host)).collect(),
        }
        if let Some(authority) = &self.authority {
            request["authority"] = json!(text(authority));
        }
        if let Some(peer) = &self.peer {
            request["peer"] = json!(peer);
        }
        match text(&self.path) {
            Some(path) => request["path"] = json!(path),
            None => request["path_base64"] = json!(base64(&self.path)),
        }
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            let values = headers.entry(name.clone()).or_insert(json!([]));
            values
                .as_array_mut()
                .expect("a list")
                .push(json!(text(value)));
        }
        if !headers.is_empty() {
            request["headers"] = headers.into();
        }
        request
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            match i <= chunk.len() {
                true => out.push(DIGITS[(bits >> (18 - 6 * i) & 63) as usize].into()),
                false => out.push('='),
            }
        }
    }
    out
}

pub fn from_base64(text: &str) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let value = DIGITS
            .iter()
            .position(|d| *d == digit)
            .expect("a base64 digit");
        bits = bits << 6 | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

#[test]
fn base64_goes_both_ways() {
    for (bytes, text) in [
        (&b""[..], ""),
        (b"f", "Zg=="),
        (b"fo", "Zm8="),
        (b"foo", "Zm9v"),
        (b"\xff\x00\xfe\x80", "/wD+gA=="),
    ] {
        assert_eq!(base64(bytes), text);
        assert_eq!(from_base64(text), bytes);
    }
}
