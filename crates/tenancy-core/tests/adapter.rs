//! A web adapter of an afternoon, over nothing but this crate and a socket: what one
//! needs is public, and what hostile clients send never reaches another's handler.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use tenancy_core::{
    Actor, CatalogWriter, MemoryCatalog, Method, Name, NewTenant, Proof, RequestHead, Resolution,
    Resolver, Rule, Tenant, TenantChange, TenantStatus,
};

/// A request's lines as they came.
struct Head {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    fn read(from: &mut impl BufRead) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            from.read_until(b'\n', &mut line).ok()?;
            let line = line.trim_ascii_end().to_vec();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut lines = lines.into_iter();
        let first = String::from_utf8(lines.next()?).ok()?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let header = |line: Vec<u8>| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8(line[..colon].to_ascii_lowercase()).ok()?;
            Some((name, line[colon + 1..].trim_ascii().to_vec()))
        };
        Some(Self {
            method,
            target,
            headers: lines.map(header).collect::<Option<_>>()?,
        })
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |header: &&(String, Vec<u8>)| header.0 == name;
        self.headers.iter().filter(named).map(|(_, value)| &**value)
    }
}

/// The whole adapter.
fn answer(resolver: &Resolver, head: &Head, peer: IpAddr) -> (u16, String) {
    let hosts: Vec<&[u8]> = head.values("host").collect();
    let headers = |name: &str, each: &mut dyn FnMut(&[u8])| head.values(name).for_each(each);
    // `GET http://host/path`: its authority is a host, too.
    let absolute = head.target.strip_prefix("http://");
    let (authority, target) =
        match absolute.map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len()))) {
            Some((authority, path)) => (Some(authority), path),
            None => (None, &*head.target),
        };
    let mut request = RequestHead::new(Method::from(&*head.method), target)
        .hosts(&hosts)
        .peer(peer)
        .headers(&headers);
    if let Some(authority) = authority {
        request = request.authority(authority);
    }
    match resolver.resolve(&request) {
        Err(refused) => (refused.status(), refused.reason().to_string()),
        Ok(resolved) => match &resolved.resolution {
            Resolution::Tenant(tenant) => match tenant.run(|| handler(&resolved.path)) {
                Ok(body) => (200, body),
                Err(other) => (500, other.to_string()),
            },
            _ => (200, handler(&resolved.path)),
        },
    }
}

/// The application: it knows nothing of hosts.
fn handler(path: &str) -> String {
    let whose = Tenant::current().map_or("nobody".to_owned(), |tenant| tenant.id().to_string());
    format!("{whose} {path}")
}

fn serve(resolver: Arc<Resolver>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, resolver) = (stream.unwrap(), resolver.clone());
            std::thread::spawn(move || {
                let peer = stream.peer_addr().unwrap().ip();
                let head = Head::read(&mut BufReader::new(&stream));
                let (status, body) = match head {
                    Some(head) => answer(&resolver, &head, peer),
                    None => (400, "no request".to_owned()),
                };
                let _ = write!(stream, "HTTP/1.1 {status} x\r\n\r\n{body}");
            });
        }
    });
    address
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    format!("{} {body}", &head[9..12])
}

/// acme, and the shop of beta; proxies on another machine alone.
fn resolver(catalog: Arc<MemoryCatalog>) -> Resolver {
    Resolver::builder(catalog)
        .rule(Rule::Domain)
        .rule(Rule::Subdomain)
        .rule(Rule::Path)
        .rule(Rule::Header)
        .central_domain("app.test")
        .subdomains_of("app.test")
        .path_prefix("/t")
        .header("x-tenant")
        .trusted_proxy("10.0.0.0/8")
        .build()
        .unwrap()
}

#[test]
fn an_adapter_over_a_socket_serves_every_tenant_its_own_and_strangers_nothing() {
    let (catalog, by) = (Arc::new(MemoryCatalog::new()), Actor::new("test"));
    for id in ["acme", "beta"] {
        catalog
            .insert(NewTenant::new(id.parse().unwrap()), &by)
            .unwrap();
    }
    let shop = Name::Domain("shop.example".parse().unwrap());
    catalog
        .bind(&shop, &"beta".parse().unwrap(), Proof::Trusted, &by)
        .unwrap();
    let resolver = Arc::new(resolver(catalog.clone()));
    let address = serve(resolver.clone());
    for (request, want) in [
        (
            "GET /a//b?c HTTP/1.1\r\nHost: ACME.app.test.:80",
            "200 acme /a/b",
        ),
        ("GET / HTTP/1.1\r\nhost:shop.example", "200 beta /"),
        (
            "GET http://shop.example/x HTTP/1.1\r\nHost: shop.example",
            "200 beta /x",
        ),
        (
            "GET http://shop.example HTTP/1.1\r\nHost: shop.example",
            "400 bad_path",
        ),
        (
            "GET http://shop.example/x HTTP/1.1\r\nHost: acme.app.test",
            "400 ambiguous_host",
        ),
        (
            "GET http://x@shop.example/ HTTP/1.1\r\nHost: shop.example",
            "400 ambiguous_host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: shop.example\r\nHost: shop.example",
            "400 ambiguous_host",
        ),
        ("GET / HTTP/1.1", "400 bad_host"),
        (
            "GET / HTTP/1.1\r\nHost: acme.app.test\r\nX-Forwarded-Host: shop.example",
            "200 acme /",
        ),
        (
            "GET / HTTP/1.1\r\nHost: acme.app.test\r\nX-Tenant: beta",
            "200 acme /",
        ),
        (
            "GET / HTTP/1.1\r\nHost: app.test\r\nX-Tenant: beta",
            "200 beta /",
        ),
        (
            "GET / HTTP/1.1\r\nHost: app.test\r\nX-Tenant: beta, acme",
            "404 unknown_tenant",
        ),
        (
            "GET /t/acme/x HTTP/1.1\r\nHost: app.test\r\nX-Tenant: beta",
            "400 ambiguous_tenant",
        ),
        (
            "GET /t/acme/t/beta HTTP/1.1\r\nHost: app.test",
            "200 acme /t/beta",
        ),
        ("GET /t/%61cme/x HTTP/1.1\r\nHost: app.test", "200 acme /x"),
        (
            "GET /t/acme%2f..%2fbeta HTTP/1.1\r\nHost: app.test",
            "400 bad_path",
        ),
        (
            "GET /assets/app.css HTTP/1.1\r\nHost: acme.app.test",
            "200 nobody /assets/app.css",
        ),
        (
            "POST /assets/app.css HTTP/1.1\r\nHost: acme.app.test",
            "200 acme /assets/app.css",
        ),
        (
            "GET /assets/app.css;/../login HTTP/1.1\r\nHost: acme.app.test",
            "400 bad_path",
        ),
        (
            "GET /assets/..;/login.css HTTP/1.1\r\nHost: acme.app.test",
            "400 bad_path",
        ),
        (
            "GET /assets/app.css%3Bx HTTP/1.1\r\nHost: acme.app.test",
            "200 acme /assets/app.css%3Bx",
        ),
        (
            "GET /login.css HTTP/1.1\r\nHost: acme.app.test",
            "200 acme /login.css",
        ),
        (
            "GET /assetsx/app.css HTTP/1.1\r\nHost: acme.app.test",
            "200 acme /assetsx/app.css",
        ),
        ("GET / HTTP/1.1\r\nHost: x.acme.app.test", "404 no_tenant"),
        ("GET / HTTP/1.1\r\nHost: xapp.test", "404 no_tenant"),
        (
            "GET / HTTP/1.1\r\nHost: app.test@shop.example",
            "400 bad_host",
        ),
        ("GET * HTTP/1.1\r\nHost: acme.app.test", "400 bad_path"),
    ] {
        assert_eq!(
            ask(address, &format!("{request}\r\n\r\n")),
            want,
            "{request:?}"
        );
    }
    // Suspended by this process: the next request is refused, its assets are not.
    let acme = "acme".parse().unwrap();
    let change = TenantChange::status(TenantStatus::Suspended);
    catalog
        .update(&acme, tenancy_core::Version(1), change, &by)
        .unwrap();
    resolver.sync().unwrap();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: acme.app.test\r\n\r\n");
    assert_eq!(ask(address, &request("/")), "403 suspended");
    assert_eq!(
        ask(address, &request("/css/a.css")),
        "200 nobody /css/a.css"
    );
}
