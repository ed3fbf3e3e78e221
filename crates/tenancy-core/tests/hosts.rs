//! Real hosts, from files of other projects' tests: the resolver and the reference
//! agree on every one, and where the source says otherwise there is a reason.

use std::collections::HashSet;

use serde_json::Value;
use tenancy_core::Domain;

use crate::build;
use crate::case::{Config, Request, TenantRow};
use crate::corpora::Tally;
use crate::reference::{self, Answer, BAD_HOST, Host, NO_TENANT};
use crate::util::{shared_lines, shared_rows};

/// Returns whether this reason explains this row with this authority.
type Fits = fn(&str, &Value) -> bool;

/// Why a Host header is read otherwise than the source reads a URL or an authority.
/// Every row that deviates has one of these, the first that fits.
const REASONS: [(&str, Fits); 9] = [
    (
        "the row's authority is cut at white space that a URL drops",
        |_, row| {
            row["input"]
                .as_str()
                .unwrap_or("")
                .contains(['\t', '\n', '\r'])
        },
    ),
    ("userinfo is no part of a Host", |raw, _| raw.contains('@')),
    ("percent-encoding is no part of a Host", |raw, _| {
        raw.contains('%')
    }),
    ("not ASCII: browsers and DNS send A-labels", |raw, _| {
        !raw.is_ascii()
    }),
    ("empty, or an empty label", |raw, _| {
        raw.is_empty() || raw == "." || raw.contains("..") || raw.starts_with(':')
    }),
    (
        "a bare IPv6 address stands in brackets in a Host",
        |raw, row| raw.matches(':').count() > 1 && !raw.starts_with('[') && row["fail"] == false,
    ),
    ("a port may be empty", |raw, row| {
        raw.ends_with(':') && row["fail"] == true
    }),
    (
        "numbers are a plain name, never read as an address",
        |raw, _| {
            let name = raw.strip_suffix('.').unwrap_or(raw);
            let last = name.rsplit('.').next().unwrap_or("");
            last.starts_with(|c: char| c.is_ascii_digit())
        },
    ),
    (
        "only letters, digits and inner hyphens stand in a label",
        |raw, _| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            let odd = |label: &str| !label.chars().all(plain) || label.ends_with('-');
            raw.split('.').any(odd)
        },
    ),
];

/// What both readers say, as text: a name, `[groups]`, or nothing.
fn read(raw: &str) -> Option<String> {
    let slow = reference::name_of(raw.as_bytes());
    let text = match &slow {
        Ok(Host::Name(name)) => Some(name.clone()),
        Ok(Host::V6(groups)) => Some(v6_text(groups)),
        Err(_) => None,
    };
    let want = text.as_deref().unwrap_or("bad_host");
    let fast = build::host_word(raw.as_bytes(), Some(want));
    assert_eq!(
        fast, want,
        "{raw:?}: the resolver says {fast}, the reference {want}"
    );
    text
}

fn v6_text(groups: &[u16; 8]) -> String {
    format!("[{}]", std::net::Ipv6Addr::from(*groups))
}

/// What the source says, in the same words.
fn expected(row: &Value) -> Option<String> {
    let host = row["host"].as_str().filter(|_| row["fail"] == false)?;
    match reference::name_of(host.as_bytes()) {
        Ok(Host::V6(groups)) => Some(v6_text(&groups)),
        _ => Some(host.to_ascii_lowercase()),
    }
}

/// Rows, equal, deviating by reason; the sum is the line count.
fn walk(file: &'static str) {
    let Some(rows) = shared_rows(&format!("corpora/{file}")) else {
        return;
    };
    let mut tally = Tally::of(file);
    for row in &rows {
        let raw = row["authority"].as_str().unwrap();
        let (got, want) = (read(raw), expected(row));
        if got == want {
            tally.equal();
            continue;
        }
        let reason = REASONS.iter().find(|(_, fits)| fits(raw, row));
        let (reason, _) = reason.unwrap_or_else(|| panic!("{file}: {got:?}, not {want:?}: {row}"));
        tally.deviates(reason);
    }
    tally.report(rows.len());
}

#[test]
fn the_web_platforms_authorities_are_read_alike_or_refused_for_a_reason() {
    walk("host_wpt_urltestdata.jsonl");
}

#[test]
fn jettys_authorities_are_read_alike_or_refused_for_a_reason() {
    walk("host_jetty_hostport.jsonl");
}

/// Every domain that can be registered, bound and looked up in several spellings.
#[test]
fn real_domains_route_to_their_tenants_in_every_spelling() {
    let file = "domains_disposable_quarter.txt";
    let Some(lines) = shared_lines(&format!("corpora/{file}")) else {
        return;
    };
    let (bound, refused): (Vec<&str>, Vec<&str>) =
        lines.iter().map(String::as_str).partition(|line| {
            let slow = reference::name_of(line.as_bytes());
            assert_eq!(slow.is_ok(), line.is_ascii(), "{line}: {slow:?}");
            line.parse::<Domain>()
                .is_ok_and(|domain| domain.as_str() == *line)
        });
    let known: HashSet<&str> = bound.iter().copied().collect();
    let tenants = bound
        .chunks(1_000)
        .enumerate()
        .map(|(at, domains)| TenantRow {
            id: format!("t{at}"),
            status: "active".to_owned(),
            maintenance: false,
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
            labels: Vec::new(),
        });
    let tenants: Vec<TenantRow> = tenants.collect();
    let config = Config {
        rules: vec!["domain".to_owned()],
        ..Config::default()
    };
    let resolver = build::resolver(&config, &tenants).unwrap();
    let nobody = Answer::Refused(NO_TENANT);
    for (at, domain) in bound.iter().enumerate() {
        let upper = domain.to_ascii_uppercase();
        for host in [
            *domain,
            &upper,
            &format!("{domain}."),
            &format!("{upper}.:8443"),
        ] {
            let answer = resolver.answer(&Request::get(host.as_bytes(), "/"));
            let Answer::Tenant { tenant, rule, .. } = &answer else {
                panic!("{host}: {answer:?}");
            };
            assert_eq!(
                (tenant, rule.as_str()),
                (&format!("t{}", at / 1_000), "domain"),
                "{host}"
            );
        }
        // The name of a neighbour has no owner, unless it is bound, too.
        for host in [
            format!("x-{domain}"),
            format!("www.{domain}"),
            format!("{domain}.evil.test"),
        ] {
            if !known.contains(host.as_str()) {
                let answer = resolver.answer(&Request::get(host.as_bytes(), "/"));
                assert_eq!(answer, nobody, "{host}");
            }
        }
    }
    let mut tally = Tally::of(file);
    bound.iter().for_each(|_| tally.equal());
    for domain in &refused {
        let answer = resolver.answer(&Request::get(domain.as_bytes(), "/"));
        let (reason, want) = match domain.is_ascii() {
            true => ("cannot be registered by UTS46, so nobody has it", NO_TENANT),
            false => ("not ASCII: browsers and DNS send A-labels", BAD_HOST),
        };
        assert_eq!(answer, Answer::Refused(want), "{domain}");
        tally.deviates(reason);
    }
    tally.report(lines.len());
}
