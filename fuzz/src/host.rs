//! Hosts: refused when they break the grammar, and only then; what is accepted names who the
//! rules say, in every spelling.

use tenancy_core::{Method, Reason, RequestHead, Resolution, TenantStatus};

use crate::grammar::{Host, host, is_label};
use crate::world::{
    BASES, CENTRAL, CENTRAL_V6, DOMAINS, DOWN, LABELS, RESERVED, RESOLVER, TEMPLATE, TENANTS,
};

/// Who a host is.
#[derive(Debug, PartialEq, Eq)]
enum Who {
    Tenant(String),
    Central,
    Refused(Reason),
}

/// Any bytes as the value of a Host line.
pub fn check(data: &[u8]) {
    let found = ask(data);
    let parsed = host(data);
    assert_eq!(found, expected(parsed.as_ref()), "{}", data.escape_ascii());
    if let Some(Host::Name(name)) = parsed {
        assert_eq!(
            host(name.as_bytes()),
            Some(Host::Name(name.clone())),
            "parsed twice"
        );
        for spelling in [
            name.to_uppercase(),
            format!("{name}."),
            format!("{name}:80"),
        ] {
            assert_eq!(ask(spelling.as_bytes()), found, "{spelling} is {name}");
        }
    }
}

fn ask(raw: &[u8]) -> Who {
    let head = RequestHead::new(Method::Get, "/orders").host(raw);
    match RESOLVER.resolve(&head) {
        Ok(resolved) => match resolved.resolution {
            Resolution::Tenant(tenant) => Who::Tenant(tenant.id().to_string()),
            Resolution::Central => Who::Central,
            other => panic!("/orders is {other:?}"),
        },
        Err(error) => {
            assert!(error.to_string().len() < 400, "{error}");
            Who::Refused(error.reason())
        }
    }
}

fn expected(host: Option<&Host>) -> Who {
    let name = match host {
        None => return Who::Refused(Reason::BadHost),
        Some(Host::V6(address)) if format!("[{address}]") == CENTRAL_V6 => return Who::Central,
        Some(Host::V6(_)) => return Who::Refused(Reason::NoTenant),
        Some(Host::Name(name)) => name,
    };
    if CENTRAL.contains(&name.as_str()) {
        return Who::Central;
    }
    let (before, after) = TEMPLATE;
    let mut bases = BASES
        .iter()
        .filter_map(|base| name.strip_suffix(base)?.strip_suffix('.'));
    let label = bases.find(|label| is_label(label.as_bytes())).or_else(|| {
        let label = name.strip_suffix(after)?.strip_prefix(before)?;
        (!label.is_empty() && !label.contains('.')).then_some(label)
    });
    let owner = |names: &[(&str, &str)], name: &str| {
        let found = names.iter().find(|(known, _)| *known == name);
        found.map(|(_, id)| (*id).to_owned())
    };
    let Some(label) = label else {
        let id = owner(&DOMAINS, name);
        return id.map_or(Who::Refused(Reason::NoTenant), Who::Tenant);
    };
    if RESERVED.contains(&label) {
        return Who::Refused(Reason::NoTenant);
    }
    let id = owner(&LABELS, label).unwrap_or_else(|| label.to_owned());
    match TENANTS.iter().find(|(known, _)| *known == id) {
        Some((_, TenantStatus::Suspended)) => Who::Refused(Reason::Suspended),
        Some((_, TenantStatus::Active)) if DOWN.contains(&id.as_str()) => {
            Who::Refused(Reason::Maintenance)
        }
        Some((_, TenantStatus::Active)) => Who::Tenant(id),
        Some(_) => Who::Refused(Reason::NotReady),
        None => Who::Refused(Reason::UnknownTenant),
    }
}
