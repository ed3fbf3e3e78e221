//! Whole requests: any bytes as host, target and headers. Nothing panics; the answer does not
//! depend on the case of the host or on asking again, is explained by the same answer, and keeps
//! what the rules promise about it.

use std::net::IpAddr;

use tenancy_core::{
    Method, NormalPath, RequestHead, Resolution, ResolveError, Resolved, RouteMode,
};

use crate::world::RESOLVER;

/// Lines: method and peer, host, target, then headers as `name: value`.
pub fn check(data: &[u8]) {
    let mut lines = data.split(|b| *b == b'\n');
    let flags = lines.next().unwrap_or_default();
    let host = lines.next().unwrap_or_default();
    let target = lines.next().unwrap_or_default();
    let pairs: Vec<(&[u8], &[u8])> = lines.map(pair).collect();
    let headers = |name: &str, each: &mut dyn FnMut(&[u8])| {
        for (_, value) in pairs.iter().filter(|(n, _)| *n == name.as_bytes()) {
            each(value);
        }
    };
    let mut head = RequestHead::new(method(flags), target).headers(&headers);
    if flags.contains(&b'p') {
        head = head.peer(IpAddr::from([10, 1, 2, 3]));
    }
    let flipped = flip(host);
    let [head, flipped] = match flags.contains(&b'a') {
        true => [head.authority(host), head.authority(&flipped)],
        false => [head.host(host), head.host(&flipped)],
    };
    let answer = RESOLVER.resolve(&head);
    assert_eq!(
        words(&answer),
        words(&RESOLVER.resolve(&flipped)),
        "the host in another case"
    );
    match RESOLVER.try_resolve(&head) {
        Some(again) => assert_eq!(words(&answer), words(&again), "without blocking"),
        None => assert!(
            RESOLVER.resolve(&head).is_ok() == answer.is_ok(),
            "a sync was owed"
        ),
    }
    let explained = RESOLVER.explain(&head);
    assert!(
        explained.outcome.starts_with(&outcome(&answer)),
        "{explained}"
    );
    match &answer {
        Ok(resolved) => check_resolved(resolved, &head, target),
        Err(error) => check_refused(error),
    }
}

fn method(flags: &[u8]) -> Method {
    match flags.first() {
        Some(b'h') => Method::Head,
        Some(b'o') => Method::Other,
        _ => Method::Get,
    }
}

fn pair(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|b| *b == b':') {
        Some(at) => (&line[..at], line[at + 1..].trim_ascii_start()),
        None => (line, b""),
    }
}

/// Every letter in its other case.
fn flip(host: &[u8]) -> Vec<u8> {
    let flip = |b: &u8| {
        if b.is_ascii_alphabetic() {
            b ^ 0x20
        } else {
            *b
        }
    };
    host.iter().map(flip).collect()
}

/// Everything that an adapter passes on.
fn words(answer: &Result<Resolved<'_>, ResolveError>) -> String {
    match answer {
        Ok(Resolved {
            resolution,
            class,
            mode,
            rule,
            path,
            ..
        }) => {
            format!("{resolution:?} {class} {mode} {rule:?} {path}")
        }
        Err(error) => format!("{} {}", error.reason().as_str(), error.status()),
    }
}

/// The words that an explanation of it ends with.
fn outcome(answer: &Result<Resolved<'_>, ResolveError>) -> String {
    match answer.as_ref().map(|resolved| &resolved.resolution) {
        Ok(Resolution::Tenant(tenant)) => format!("tenant {}", tenant.to_ref()),
        Ok(Resolution::Skip(class)) => format!("skip: {class}"),
        Ok(_) => "central".to_owned(),
        Err(error) => format!("refused: {} {}", error.reason(), error.status()),
    }
}

/// What goes to the client is whole, and holds nothing that the client sent.
fn check_refused(error: &ResolveError) {
    assert!(error.to_string().len() < 400, "{error}");
    for accept in ["text/html", "application/json"] {
        let refusal = error.refusal(accept);
        assert_eq!(refusal.status, error.status());
        assert!(refusal.body.contains(error.reason().title()));
        assert_eq!(refusal, error.clone().refusal(accept));
    }
}

fn check_resolved(resolved: &Resolved<'_>, head: &RequestHead<'_, '_>, target: &[u8]) {
    let pathless = matches!(target.first(), None | Some(b'?'));
    let normal = NormalPath::parse(if pathless { b"/" } else { target });
    let normal = normal.expect("a request with a bad path is refused");
    assert!(normal.as_str().ends_with(&*resolved.path) || resolved.path == "/");
    // Prefix and path are the whole path, and a target is handed on unless it is the same.
    let prefix = resolved.prefix(head);
    let whole = format!("{prefix}{}", resolved.path);
    assert!(normal.as_str() == whole || (normal.as_str() == prefix && resolved.path == "/"));
    match resolved.target(head) {
        Some(target) => {
            assert!(target.starts_with(&*resolved.path) && target.as_bytes() != head.target())
        }
        None => assert!(head.target().starts_with(resolved.path.as_bytes())),
    }
    let host = RESOLVER
        .host(head)
        .expect("a request without a host is refused");
    assert_eq!(host, host.to_ascii_lowercase());
    match &resolved.resolution {
        Resolution::Tenant(tenant) => {
            assert_eq!(tenant.status(), tenancy_core::TenantStatus::Active);
            assert!(matches!(
                resolved.mode,
                RouteMode::Tenant | RouteMode::Universal
            ));
            assert!(resolved.rule.is_some());
        }
        Resolution::Skip(class) => {
            assert_eq!((*class, resolved.mode), (resolved.class, RouteMode::Skip));
        }
        _ => assert_ne!(resolved.mode, RouteMode::Tenant),
    }
}
