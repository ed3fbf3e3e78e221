//! A web adapter of an afternoon, written from the documentation over nothing but this crate
//! and a tower-like trait: what one needs is public, and what hostile clients send never
//! reaches another's handler.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{
    Actor, Attached, CatalogWriter, Maintenance, MemoryCatalog, Method, Name, NewTenant, PathClass,
    Proof, RequestHead, ResolveError, Resolved, Resolver, Rule, Secret, Tenant, TenantChange,
    TenantStatus, scope,
};

/// What middlewares are made of.
trait Service {
    type Body;
    async fn call(&self, request: Request) -> Response<Self::Body>;
}

/// A request as a framework has it: the authority stands apart.
struct Request {
    method: String,
    authority: Option<String>,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    peer: IpAddr,
    /// What the adapter found out.
    routed: Option<Routed>,
}

struct Response<B> {
    status: u16,
    headers: Vec<(String, String)>,
    body: B,
}

type Body = Box<dyn Iterator<Item = String>>;

// The adapter begins here.

struct Routed {
    tenant: Option<Tenant>,
    class: PathClass,
    prefix: String,
    target: Option<String>,
}

struct Tenanted<S> {
    resolver: Arc<Resolver>,
    inner: S,
}

type Ask =
    for<'p> fn(&Resolver, &RequestHead<'p, '_>) -> Option<Result<Resolved<'p>, ResolveError>>;

fn route(resolver: &Resolver, request: &Request, ask: Ask) -> Option<Result<Routed, ResolveError>> {
    let headers = |name: &str, each: &mut dyn FnMut(&[u8])| request.values(name).for_each(each);
    let mut head = RequestHead::new(Method::from(&*request.method), &request.target)
        .hosts(request.values("host"))
        .peer(request.peer)
        .headers(&headers);
    if let Some(authority) = &request.authority {
        head = head.authority(authority);
    }
    let resolved = match ask(resolver, &head)? {
        Ok(resolved) => resolved,
        Err(ResolveError::Maintenance { tenant, resolved }) if request.is_admitted(&tenant) => {
            *resolved
        }
        Err(refused) => return Some(Err(refused)),
    };
    Some(Ok(Routed {
        tenant: resolved.tenant().cloned(),
        class: resolved.class,
        prefix: resolved.prefix(&head),
        target: resolved.target(&head),
    }))
}

impl Request {
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |header: &&(String, Vec<u8>)| header.0 == name;
        self.headers.iter().filter(named).map(|(_, value)| &**value)
    }

    fn is_admitted(&self, tenant: &Tenant) -> bool {
        let down = tenant.maintenance();
        let mut words = self.values("x-maintenance");
        down.is_some_and(|down| words.any(|word| down.admits(word)))
    }
}

/// A future in the scope of a tenant, or of none.
fn scoped<T>(tenant: Option<&Tenant>, value: T) -> Attached<T> {
    match tenant {
        Some(tenant) => tenant.attach(value),
        None => scope::detached(value),
    }
}

impl<S: Service<Body = Body>> Service for Tenanted<S> {
    type Body = Attached<Body>;

    async fn call(&self, mut request: Request) -> Response<Attached<Body>> {
        let mut routed = route(&self.resolver, &request, Resolver::try_resolve);
        if routed.is_none() {
            // The catalog has to be read, on a thread that may block.
            let resolver = self.resolver.clone();
            (request, routed) = smol::unblock(move || {
                let routed = route(&resolver, &request, |resolver, head| {
                    Some(resolver.resolve(head))
                });
                (request, routed)
            })
            .await;
        }
        match routed.expect("resolve always answers") {
            Ok(mut routed) => {
                if let Some(target) = routed.target.take() {
                    request.target = target;
                }
                let tenant = routed.tenant.clone();
                request.routed = Some(routed);
                let response = scoped(tenant.as_ref(), self.inner.call(request)).await;
                Response {
                    status: response.status,
                    headers: response.headers,
                    body: scoped(tenant.as_ref(), response.body),
                }
            }
            Err(refused) => {
                let accept = request.values("accept").next().unwrap_or_default();
                let refusal = refused.refusal(str::from_utf8(accept).unwrap_or_default());
                let headers = refusal.headers();
                let headers = headers.map(|(name, value)| (name.to_owned(), value.into_owned()));
                let body = Some(refusal.body.clone()).filter(|_| request.method != "HEAD");
                Response {
                    status: refusal.status,
                    headers: headers.collect(),
                    body: scope::detached(Box::new(body.into_iter())),
                }
            }
        }
    }
}

// And ends here.

/// The application, which knows nothing of hosts. Each part of its body names its tenant.
struct Application;

impl Service for Application {
    type Body = Body;

    async fn call(&self, request: Request) -> Response<Body> {
        let whose = || Tenant::current().map_or("nobody".to_owned(), |t| t.id().to_string());
        let before = whose();
        smol::future::yield_now().await;
        let routed = request.routed.expect("the adapter went before");
        let mut parts = vec![before, format!(" {}", request.target)];
        if !routed.prefix.is_empty() {
            parts.push(format!(" below {}", routed.prefix));
        }
        if routed.class != PathClass::Page {
            parts.push(format!(" {}", routed.class));
        }
        let parts = parts.into_iter().chain([String::new()]);
        let checked = parts.map(move |part| match part.is_empty() {
            true => format!(" {}", whose()),
            false => part,
        });
        Response {
            status: 200,
            headers: Vec::new(),
            body: Box::new(checked),
        }
    }
}

impl Request {
    /// Reads the lines as they came, as the framework does.
    fn read(from: &mut impl BufRead, peer: IpAddr) -> Option<Self> {
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
        // `GET http://host/path`: its authority is a host, too.
        let absolute = target.strip_prefix("http://");
        let absolute =
            absolute.map(|rest| rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())));
        let header = |line: Vec<u8>| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8(line[..colon].to_ascii_lowercase()).ok()?;
            Some((name, line[colon + 1..].trim_ascii().to_vec()))
        };
        Some(Self {
            method,
            authority: absolute.map(|(authority, _)| authority.to_owned()),
            target: absolute.map_or(&*target, |(_, target)| target).to_owned(),
            headers: lines.map(header).collect::<Option<_>>()?,
            peer,
            routed: None,
        })
    }
}

fn answer(service: &Tenanted<Application>, stream: &mut TcpStream) {
    let peer = stream.peer_addr().unwrap().ip();
    let Some(request) = Request::read(&mut BufReader::new(&*stream), peer) else {
        return;
    };
    let response = smol::block_on(service.call(request));
    assert_eq!(Tenant::current(), None, "nobody is left on the thread");
    let mut text = format!("HTTP/1.1 {} x\r\n", response.status);
    for (name, value) in response.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut body = pin!(response.body);
    while let Some(part) = body.as_mut().poll_with(|mut body| body.next()) {
        assert_eq!(Tenant::current(), None, "nor between parts");
        text.push_str(&part);
    }
    let _ = stream.write_all(text.as_bytes());
}

fn serve(resolver: Arc<Resolver>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let service = Arc::new(Tenanted {
        resolver,
        inner: Application,
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, service) = (stream.unwrap(), service.clone());
            std::thread::spawn(move || answer(&service, &mut stream));
        }
    });
    address
}

/// The head and the body of the answer.
fn exchange(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The status, and what the application says or the word for the refusal. What begins with
/// a tenant must end with it, too: body and head were made for the same one.
fn ask(address: SocketAddr, request: &str) -> String {
    let (head, body) = exchange(
        address,
        &format!("{request}Accept: application/json\r\n\r\n"),
    );
    let status = &head[9..12];
    if status != "200" {
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"].to_string(), status);
        return format!("{status} {}", body["reason"].as_str().unwrap());
    }
    let (said, last) = body.rsplit_once(' ').unwrap();
    assert!(said.starts_with(last), "{body}");
    format!("{status} {said}")
}

/// acme, and the shop of beta; proxies on another machine alone.
fn resolver(catalog: Arc<MemoryCatalog>) -> Resolver {
    Resolver::builder(catalog)
        .rule(Rule::domain())
        .rule(Rule::subdomain_of("app.test"))
        .rule(Rule::path_prefix("/t"))
        .rule(Rule::header("x-tenant"))
        .central_domain("app.test")
        .trusted_proxy("10.0.0.0/8")
        .build()
        .unwrap()
}

#[test]
fn an_adapter_over_a_socket_serves_each_tenant_and_refuses_strangers() {
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
            "200 acme /a/b?c",
        ),
        ("GET / HTTP/1.1\r\nhost:shop.example", "200 beta /"),
        (
            "GET http://shop.example/x HTTP/1.1\r\nHost: shop.example",
            "200 beta /x",
        ),
        (
            "GET http://shop.example HTTP/1.1\r\nHost: shop.example",
            "200 beta /",
        ),
        (
            "GET http://shop.example?x=1 HTTP/1.1\r\nHost: shop.example",
            "200 beta /?x=1",
        ),
        ("GET ?x=1 HTTP/1.1\r\nHost: shop.example", "400 bad_path"),
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
            "200 acme /t/beta below /t/acme",
        ),
        (
            "GET /t/%61cme/x HTTP/1.1\r\nHost: app.test",
            "200 acme /x below /t/acme",
        ),
        (
            "GET /t/acme%2f..%2fbeta HTTP/1.1\r\nHost: app.test",
            "400 bad_path",
        ),
        (
            "GET /assets/app.css HTTP/1.1\r\nHost: acme.app.test",
            "200 nobody /assets/app.css asset",
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
        assert_eq!(ask(address, &format!("{request}\r\n")), want, "{request:?}");
    }
    // Suspended by this process: the next request is refused, its assets are not.
    let change = |seen: u64, change| {
        let acme = "acme".parse().unwrap();
        catalog
            .update(&acme, tenancy_core::Version(seen), change, &by)
            .unwrap();
        resolver.sync().unwrap();
    };
    change(1, TenantChange::status(TenantStatus::Suspended));
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: acme.app.test\r\n");
    assert_eq!(ask(address, &request("/")), "403 suspended");
    assert_eq!(
        ask(address, &request("/css/a.css")),
        "200 nobody /css/a.css asset"
    );
    // In maintenance: a request with the secret is served, also behind a prefix.
    let mut up = TenantChange::status(TenantStatus::Active);
    let mut down = Maintenance::default();
    down.message = Some("<b>Back</b> at noon".into());
    down.retry_after = Some(Duration::from_millis(59_500));
    down.secret = Some(Secret::new("open sesame"));
    up.maintenance = Some(Some(down));
    change(4, up);
    let prefixed = "GET /t/acme/a?b HTTP/1.1\r\nHost: app.test\r\n";
    assert_eq!(ask(address, &request("/")), "503 maintenance");
    assert_eq!(ask(address, prefixed), "503 maintenance");
    let with = |word: &str| ask(address, &format!("{prefixed}X-Maintenance: {word}\r\n"));
    assert_eq!(with("open sesame"), "200 acme /a?b below /t/acme");
    assert_eq!(with("open"), "503 maintenance");
    // A browser gets HTML, in which the message is text.
    let (head, body) = exchange(address, &format!("{}\r\n", request("/")));
    for line in [
        "HTTP/1.1 503 x",
        "content-type: text/html; charset=utf-8",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "retry-after: 60",
    ] {
        assert!(head.lines().any(|other| other == line), "{line} in {head}");
    }
    assert!(
        body.contains("&#60;b&#62;Back&#60;/b&#62; at noon"),
        "{body}"
    );
    let (_, body) = exchange(address, "HEAD / HTTP/1.1\r\nHost: acme.app.test\r\n\r\n");
    assert_eq!(body, "");
}

/// Every refusal, whatever it was about: nothing of the request is in it.
#[test]
fn a_refusal_holds_nothing_of_the_request() {
    let resolver = resolver(Arc::new(MemoryCatalog::new()));
    let odd = "x\"><script>.test";
    let mut seen = Vec::new();
    for (host, target) in [
        (odd, "/"),
        ("app.test", "/\"><script>/../x"),
        ("script.example", "/"),
        ("script.app.test", "/"),
        ("app.test", "/t/script/"),
        ("app.test", "/t/script;/"),
    ] {
        let head = RequestHead::new(Method::Get, target).host(host);
        let refused = resolver.resolve(&head).unwrap_err();
        for accept in ["application/json", "text/html"] {
            let refusal = refused.refusal(accept);
            assert!(!refusal.body.contains("script"), "{}", refusal.body);
            assert!(!refusal.body.contains("bind"), "no advice to operators");
            assert!(refusal.body.contains(refused.reason().title()));
        }
        seen.push(refused.reason().as_str());
    }
    seen.dedup();
    assert_eq!(
        seen,
        ["bad_host", "bad_path", "no_tenant", "unknown_tenant"]
    );
}
