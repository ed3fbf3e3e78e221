//! Random requests to one configuration.

use super::{Corpora, IDS, PREFIXES};
use crate::case::{Config, Request, TenantRow};
use crate::util::Rng;

/// What requests are made from.
struct Maker<'a> {
    rng: &'a mut Rng,
    corpora: &'a Corpora,
    config: &'a Config,
    tenants: &'a [TenantRow],
    /// Most sources of one request say this.
    favourite: String,
}

pub fn request(
    rng: &mut Rng,
    corpora: &Corpora,
    config: &Config,
    tenants: &[TenantRow],
) -> Request {
    let favourite = rng.pick(tenants).id.clone();
    let mut maker = Maker {
        rng,
        corpora,
        config,
        tenants,
        favourite,
    };
    let host = maker.host();
    let mut request = Request {
        method: maker.method(),
        hosts: vec![maker.dressed(&host)],
        path: maker.target(),
        ..Request::default()
    };
    maker.vary_hosts(&host, &mut request);
    maker.add_headers(&mut request);
    request
}

const ODD_HOSTS: [&str; 22] = [
    "",
    ".",
    "..",
    "a..b",
    ".app.test",
    "-a.app.test",
    "a-.app.test",
    "a_b.app.test",
    " app.test",
    "app.test ",
    "app.test, b.test",
    "http://app.test",
    "user@app.test",
    "app.test/..",
    "%61cme.app.test",
    "bücher.app.test",
    "app\u{3002}test",
    "\u{212a}.app.test",
    "app.test\0",
    "[::1",
    "[::1]x",
    "[fe80::1%25eth0]",
];
const ADDRESSES: [&str; 10] = [
    "127.0.0.1",
    "10.1.2.3",
    "1.2.3.4",
    "256.2.3.4",
    "01.2.3.4",
    "0x7f.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::0001]",
    "[2001:db8::7]",
];
const PORTS: [&str; 14] = [
    ":80",
    ":8080",
    ":443",
    ":",
    ":0",
    ":65535",
    ":65536",
    ":99999",
    ":0080",
    ":00000000000000080",
    ":8a",
    ":-1",
    ": 80",
    ":80:80",
];

impl Maker<'_> {
    fn method(&mut self) -> String {
        let rest = [
            "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "head", "GETX", "",
        ];
        let method = if self.rng.chance(70) {
            &"GET"
        } else {
            self.rng.pick(&rest)
        };
        (*method).to_owned()
    }

    /// An id or a label, with or without a tenant.
    fn name(&mut self) -> String {
        if self.rng.chance(60) {
            return self.favourite.clone();
        }
        let tenant = self.rng.pick(self.tenants);
        match self.rng.below(10) {
            0..4 if !tenant.labels.is_empty() => self.rng.pick(&tenant.labels).clone(),
            0..6 => tenant.id.clone(),
            6 => "nobody".to_owned(),
            7 if !self.config.reserved.is_empty() => self.rng.pick(&self.config.reserved).clone(),
            _ => (*self.rng.pick(&IDS)).to_owned(),
        }
    }

    fn base(&mut self) -> String {
        let bases = &self.config.subdomains_of;
        if bases.is_empty() {
            "app.test".to_owned()
        } else {
            self.rng.pick(bases).clone()
        }
    }

    fn host(&mut self) -> String {
        let (name, base) = (self.name(), self.base());
        let tenant = self.rng.pick(self.tenants);
        match self.rng.below(100) {
            0..24 => format!("{name}.{base}"),
            24..27 => format!("{}.{name}.{base}", self.rng.pick(&["x", "www", "acme"])),
            27..30 => format!("{name}{base}"),
            30..32 => base,
            32 => format!("{base}.evil.example"),
            33..62 if !self.config.central_domains.is_empty() => {
                self.rng.pick(&self.config.central_domains).clone()
            }
            62..73 if !tenant.domains.is_empty() => self.rng.pick(&tenant.domains).clone(),
            73..75 if !tenant.domains.is_empty() => format!("www.{}", tenant.domains[0]),
            75..85 if !self.config.host_templates.is_empty() => {
                let odd = ["", "-x", "x-", "a.b", "own", "api"];
                let odd = *self.rng.pick(&odd);
                let token = if self.rng.chance(80) {
                    name.as_str()
                } else {
                    odd
                };
                self.rng
                    .pick(&self.config.host_templates)
                    .replace("{tenant}", token)
            }
            85..88 => (*self.rng.pick(&ADDRESSES)).to_owned(),
            88..91 => (*self.rng.pick(&ODD_HOSTS)).to_owned(),
            91 => format!("{}.{base}", "a".repeat(62 + self.rng.below(3))),
            92 => {
                let length = (250 + self.rng.below(8)).saturating_sub(base.len());
                format!(
                    "{}.{base}",
                    "ab.".repeat(length / 3) + &"c".repeat(1 + length % 3)
                )
            }
            _ => self.rng.pick(&self.corpora.domains).clone(),
        }
    }

    /// In another spelling: case, final dot, port.
    fn dressed(&mut self, host: &str) -> Vec<u8> {
        let mut dressed = host.to_owned();
        if self.rng.chance(20) {
            let flip = |c: char| {
                if self.rng.chance(50) {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            };
            dressed = dressed.chars().map(flip).collect();
        }
        match self.rng.below(40) {
            0..4 => dressed.push('.'),
            4 => dressed.push_str(".."),
            _ => {}
        }
        if self.rng.chance(25) {
            let legal = if self.rng.chance(80) { 6 } else { PORTS.len() };
            dressed.push_str(PORTS[self.rng.below(legal)]);
        }
        dressed.into_bytes()
    }

    fn vary_hosts(&mut self, host: &str, request: &mut Request) {
        let other = self.host();
        let other = if self.rng.chance(50) {
            host.to_owned()
        } else {
            other
        };
        match self.rng.below(100) {
            0..3 => request.hosts.clear(),
            3..5 => request.hosts.push(self.dressed(&other)),
            5..9 => {
                request.hosts.clear();
                request.authority = Some(self.dressed(host));
            }
            9..16 => request.authority = Some(self.dressed(&other)),
            20 => request.hosts[0].push(0x80 + self.rng.below(128) as u8),
            _ => {}
        }
        if self.rng.chance(40) {
            let peers = [
                "10.1.2.3",
                "11.1.2.3",
                "192.0.2.7",
                "192.0.2.8",
                "fd12::1",
                "fe12::1",
                "::1",
                "::ffff:10.9.9.9",
                "::ffff:11.9.9.9",
                "203.0.113.5",
                "203.0.113.200",
            ];
            request.peer = Some((*self.rng.pick(&peers)).to_owned());
        }
        if self.rng.chance(15) {
            let host = self.host();
            let mut line = self.dressed(&host);
            match self.rng.below(8) {
                0 => line.extend_from_slice(b", app.test"),
                1 => request
                    .headers
                    .push(("x-forwarded-host".to_owned(), line.clone())),
                _ => {}
            }
            let mut name = *self.rng.pick(&["x-forwarded-host", "X-Forwarded-Host"]);
            match self.config.forwarded_host.as_deref() {
                Some("forwarded") if self.rng.chance(85) => {
                    name = "Forwarded";
                    line = self.forwarded(&line);
                }
                Some(_) if self.rng.chance(50) => name = "X-Our-Host",
                _ => {}
            }
            if std::str::from_utf8(&line).is_ok() {
                request.headers.push((name.to_owned(), line));
            }
        }
    }

    /// A line of `Forwarded` with this host, and sometimes another or none.
    fn forwarded(&mut self, host: &[u8]) -> Vec<u8> {
        let shapes = [
            "host=@",
            "for=1.2.3.4;host=@;proto=https",
            "host=\"@\"",
            "Host=\"@\" ; by=_x",
            "for=\"[::1]:80\", for=_y;HOST=@",
            "for=1.2.3.4;proto=https",
            "",
            " ,; host=@ ,",
            "host=@,host=@",
            "host=@;host=b.test",
            "host=\"\\@\"",
            "host=\"@",
            "host =@",
            "host= @",
            "=@",
            "host=",
            "@",
            "host=@x\"y",
            "host=@ x",
            "for=\"a;host=b.test,\";host=@",
            "for=\"a\\\";host=b.test\";host=@",
        ];
        let likely = self.rng.chance(60);
        let shape = match likely {
            true => shapes[self.rng.below(5)],
            false => *self.rng.pick(&shapes),
        };
        let parts: Vec<&[u8]> = shape.as_bytes().split(|byte| *byte == b'@').collect();
        parts.join(host)
    }

    /// What a source says: mostly a name that is one.
    fn value(&mut self) -> String {
        let odd = [
            "",
            "Acme",
            "ACME",
            "a_b",
            "a.b",
            "-a",
            "a-",
            "acme,beta",
            "../x",
            "é",
            " acme",
        ];
        match self.rng.chance(85) {
            true => self.name(),
            false => (*self.rng.pick(&odd)).to_owned(),
        }
    }

    fn add_headers(&mut self, request: &mut Request) {
        for (name, other_case) in [("x-tenant", "X-TENANT"), ("x-custom", "X-Custom")] {
            if self.rng.chance(25) {
                let name = if self.rng.chance(70) {
                    name
                } else {
                    other_case
                };
                for _ in 0..*self.rng.pick(&[1, 1, 1, 1, 2]) {
                    request
                        .headers
                        .push((name.to_owned(), self.value().into_bytes()));
                }
            }
        }
        if self.rng.chance(25) {
            let mut line = self.pairs("; ").into_bytes();
            line.retain(|byte| *byte != b',');
            request.headers.push(("cookie".to_owned(), line));
        }
        if self.rng.chance(25) {
            let host = match self.rng.chance(50) {
                true => self.favourite.clone() + "." + &self.base(),
                false => self.host(),
            };
            let host = String::from_utf8(self.dressed(&host)).expect("no odd bytes");
            let origin = match self.rng.below(20) {
                0..3 => host,
                3 => "null".to_owned(),
                4 => String::new(),
                5 => format!("https://{host}/"),
                6 => format!("http://{host}"),
                7 => format!("https://user@{host}"),
                _ => format!("https://{host}"),
            };
            request
                .headers
                .push(("origin".to_owned(), origin.into_bytes()));
        }
    }

    /// Parameters of a query or a cookie line.
    fn pairs(&mut self, between: &str) -> String {
        let mut pairs = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            let value = self.value();
            pairs.push(match self.rng.below(20) {
                0..10 => format!("tenant={value}"),
                10 => format!("tenant[]={value}"),
                11 => format!("Tenant={value}"),
                12 => format!("xtenant={value}"),
                13 => format!("t%65nant={value}"),
                14 => format!("tenant=%{:02x}{value}", b'a' + self.rng.below(26) as u8),
                15 => format!("tenant={value}%2"),
                16 => format!("tenant={value}+"),
                17 => "tenant".to_owned(),
                _ => "page=2".to_owned(),
            });
        }
        pairs.join(between)
    }

    fn target(&mut self) -> Vec<u8> {
        let mut target = self.path().into_bytes();
        if self.rng.chance(2) {
            // As of an absolute form without a path.
            target.clear();
        }
        for _ in 0..*self.rng.pick(&[0, 0, 0, 0, 0, 1, 1, 2, 3]) {
            self.respell(&mut target);
        }
        if self.rng.chance(1) {
            // Around the longest path there may be.
            target.resize(8189 + self.rng.below(6), b'a');
        }
        if self.rng.chance(30) {
            target.push(b'?');
            target.extend(self.pairs("&").into_bytes());
        }
        target
    }

    fn path(&mut self) -> String {
        let below = [
            "",
            "/",
            "x",
            "/app.css",
            "/app.CSS",
            "/a/b.png",
            "/manifest.json",
            "/x",
            "/a.css/",
            "/a.css/b",
            "/app.css.bak",
            "/app.min.js",
            "/a.b/c",
            "/x;y/a.css",
            "/a.css;x",
            "/noext.",
            "/a%25b.css",
            "/app.c%73s",
            "/%2e%2e%3B/x.css",
            "/a%3Bb.css",
            "/a%20b.woff2",
        ];
        let below = *self.rng.pick(&below);
        match self.rng.below(100) {
            0..6 => "/".to_owned(),
            6..30 if self.config.path_prefix.is_some() => self.prefixed(below),
            30..45 if !self.config.paths.is_empty() => {
                let prefix = self.rng.pick(&self.config.paths).prefix.clone();
                self.near(prefix) + below
            }
            45..65 => {
                let built_in = [
                    "/assets",
                    "/build",
                    "/css",
                    "/js",
                    "/fonts",
                    "/favicon.ico",
                    "/_debugbar",
                    "/_ignition",
                    "/telescope",
                    "/pulse",
                    "/login",
                    "/oauth",
                    "/two-factor",
                    "/api",
                    "/Assets",
                ];
                format!("{}{below}", self.rng.pick(&built_in))
            }
            65..70 => {
                let prefix = (*self.rng.pick(&PREFIXES)).to_owned();
                self.near(prefix) + below
            }
            70..74 => (*self
                .rng
                .pick(&["/q1.pdf", "/x.css", "/a/logo.png", "*", ""]))
            .to_owned(),
            74..77 => self.rng.pick(&self.corpora.attacks).clone(),
            _ => self.rng.pick(&self.corpora.paths).clone(),
        }
    }

    /// The prefix of a rule, or one that differs from it in a byte.
    fn near(&mut self, mut prefix: String) -> String {
        let at = self.rng.below(prefix.len());
        match self.rng.below(8) {
            0 => prefix.replace_range(at..=at, "z"),
            1 => drop(prefix.remove(at)),
            _ => {}
        }
        prefix
    }

    fn prefixed(&mut self, below: &str) -> String {
        let prefix = self.config.path_prefix.clone().expect("one");
        let (name, value) = (self.name(), self.value());
        match self.rng.below(20) {
            0 => prefix,
            1 => format!("{prefix}/"),
            2 => format!("{prefix}//{name}{below}"),
            3 => format!("{prefix}/{name}{prefix}/{name}{below}"),
            4 => format!("{prefix}x/{name}{below}"),
            5 => format!("{prefix}/{value}{below}"),
            6 => format!("{prefix}/{name}/assets/app.css"),
            7 => format!("{prefix}/{name};v=1{below}"),
            8 => format!("/x{prefix}/{name}{below}"),
            9 => format!("{}/{name}{below}", prefix.to_uppercase()),
            10..14 => format!("{prefix}/{name}{}{below}", self.rng.pick(&PREFIXES)),
            _ => format!("{prefix}/{name}{below}"),
        }
    }

    /// One place spelt differently, or something put in.
    fn respell(&mut self, path: &mut Vec<u8>) {
        let at = self.rng.below(path.len() + 1);
        if at < path.len() && self.rng.chance(60) {
            let byte = path[at];
            let spelt = match self.rng.below(3) {
                0 => format!("%{byte:02x}"),
                _ => format!("%{byte:02X}"),
            };
            // Rarely a slash: that is refused.
            if byte != b'/' || self.rng.chance(5) {
                path.splice(at..=at, spelt.into_bytes());
            }
            return;
        }
        if self.rng.chance(30) {
            // Any byte at all, encoded.
            let any = format!("%{:02x}", self.rng.below(256));
            path.splice(at..at, any.into_bytes());
            return;
        }
        let insertions: [&[u8]; 33] = [
            b";v=1",
            b"%C3%A9",
            b"%E2%82%AC",
            b"%c0%af",
            b"%F5",
            b"%e2%82",
            b"%80",
            b"/",
            b"/",
            b"//",
            b"/a",
            b".",
            b"/./",
            b"/../",
            b"/%2e%2e/",
            b"/.%2E/",
            b"/..;/",
            b"/.;x/",
            b"/;/",
            b"/;x",
            b"/%3b/",
            b"%25",
            b"%252e",
            b"%",
            b"%4",
            b"%zz",
            b"%00",
            b"%7f",
            b"\\",
            b"#",
            b" ",
            "é".as_bytes(),
            b"\xff",
        ];
        let insertion = *self.rng.pick(&insertions);
        path.splice(at..at, insertion.iter().copied());
    }
}
