//! The files in `../shared/cases`: other projects' own tests, as data. Every row is
//! checked against the reference and the real thing, or listed with its reason.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenancy_core::{
    Actor, CatalogWriter, Domain, MemoryCatalog, Name, NewTenant, NormalPath, Proof, Tenant,
    TenantId, TenantKey, WriteError,
};

use crate::build;
use crate::case::Case;
use crate::reference::{self, Answer, Host, Key, Reference};
use crate::scope::tenant;
use crate::util::shared_rows;

/// Rows that are another crate's affair.
const ELSEWHERE: [(&str, &str); 7] = [
    ("H01", "sessions belong to the sign-in library"),
    ("H03", "sessions belong to the sign-in library"),
    ("H05", "sessions belong to the sign-in library"),
    ("H07", "sessions belong to the sign-in library"),
    ("H09", "sessions belong to the sign-in library"),
    ("L13", "stamps of files are tenancy-sqlite's"),
    ("N17", "symbolic links are tenancy-sqlite's"),
];

/// What became of a row.
enum Row {
    Checked,
    Listed(String),
    Failed(String),
}

#[test]
fn every_case_is_checked_or_listed() {
    let files = ["cases/cases.jsonl", "cases/cases2.jsonl"];
    let rows: Vec<Value> = files
        .into_iter()
        .filter_map(shared_rows)
        .flatten()
        .collect();
    if rows.is_empty() {
        return;
    }
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut failures = Vec::new();
    for row in &rows {
        let (kind, id) = (row["kind"].as_str().unwrap(), row["id"].as_str().unwrap());
        let count = counts.entry(kind.to_owned()).or_default();
        match check(kind, id, row) {
            Row::Checked => count[0] += 1,
            Row::Listed(why) => {
                println!("{id} not here: {why}");
                count[1] += 1;
            }
            Row::Failed(how) => {
                failures.push(format!("{id}: {how}\n  {row}"));
                count[2] += 1;
            }
        }
    }
    for (kind, [checked, listed, failed]) in &counts {
        println!("{kind}: {checked} checked, {listed} listed, {failed} failed");
    }
    let sum: usize = counts.values().flatten().sum();
    assert_eq!(sum, rows.len());
    for (id, _) in ELSEWHERE {
        assert!(
            rows.iter().any(|row| row["id"] == id),
            "{id} is listed and not there"
        );
    }
    assert!(
        failures.is_empty(),
        "{} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn check(kind: &str, id: &str, row: &Value) -> Row {
    let checked = match kind {
        "request" => request(row),
        "config_error" => config_error(row),
        "id" => same(
            row,
            ["ok", "refused"],
            [is_id, |text| text.parse::<TenantId>().is_ok()],
        ),
        "domain" => domain(row),
        "host" => host(row),
        "path" => path(row),
        "catalog" if id == "C03" => one_owner(row),
        "catalog" if id == "C15" => one_full_name(row),
        "guard" if id == "G31" => guard(row),
        "out_of_scope" => return Row::Listed(row["reason"].as_str().unwrap().to_owned()),
        _ => match ELSEWHERE.iter().find(|(listed, _)| *listed == id) {
            Some((_, why)) => return Row::Listed((*why).to_owned()),
            None => Err("is neither checked nor listed".to_owned()),
        },
    };
    match checked {
        Ok(()) => Row::Checked,
        Err(how) => Row::Failed(how),
    }
}

type Checked = Result<(), String>;

fn equal<T: PartialEq + std::fmt::Debug>(who: &str, got: T, want: T) -> Checked {
    match got == want {
        true => Ok(()),
        false => Err(format!("the {who} says {got:?}, not {want:?}")),
    }
}

/// An answer as `resolve --batch` writes it.
fn json_of(answer: &Answer) -> Value {
    match answer {
        Answer::Tenant {
            tenant,
            rule,
            class,
            mode,
            path,
        } => json!({
            "outcome": "tenant",
            "tenant": tenant,
            "rule": rule,
            "class": class,
            "mode": mode,
            "path": path,
        }),
        Answer::Central { class, mode, path } => {
            json!({"outcome": "central", "class": class, "mode": mode, "path": path})
        }
        Answer::Skip { class, path } => json!({"outcome": "skip", "class": class, "path": path}),
        Answer::Refused(reason) => {
            json!({"outcome": "refused", "reason": reason.0, "status": reason.1})
        }
    }
}

/// Only the fields that are given count.
fn request(row: &Value) -> Checked {
    let case = Case::from_json(row);
    let slow = Reference::new(&case.config, &case.tenants).answer(&case.request);
    let fast = build::resolver(&case.config, &case.tenants)?;
    let fast = fast.answer(&case.request);
    for (who, answer) in [("reference", slow), ("resolver", fast)] {
        let got = json_of(&answer);
        for (key, want) in row["want"].as_object().unwrap() {
            equal(who, &got[key], want)?;
        }
    }
    Ok(())
}

/// What the row calls the fault, and what the resolver's error has to say of it.
const FAULTS: [(&str, &str); 12] = [
    ("a prefix with ; can match nothing", "has a ';'"),
    ("the header may not be host", "has another meaning"),
    ("the header may not be cookie", "has another meaning"),
    ("a template has an empty label", "has an empty label"),
    ("`*` cannot stand in a template like this", "wildcard"),
    ("`?` cannot stand in a template like this", "wildcard"),
    ("a template is empty", "is empty"),
    ("a template has no {tenant}", "has no {tenant}"),
    ("path_prefix has no leading slash", "no leading slash"),
    ("path_prefix ends with a slash", "ends with a slash"),
    (
        "path_prefix has no leading slash and dot segments",
        "no leading slash",
    ),
    (
        "path_prefix has a byte that no path may have",
        "has a byte other than",
    ),
];

/// "refused when built, saying so"
fn config_error(row: &Value) -> Checked {
    let config = Case::from_json(&json!({"config": row["config"], "request": {}})).config;
    let slow = reference::contradictions(&config);
    equal("reference", slow.is_empty(), false)?;
    let Err(error) = build::resolver(&config, &[]) else {
        return Err("the resolver was built".to_owned());
    };
    match FAULTS.iter().find(|(fault, _)| row["want"] == *fault) {
        Some((_, says)) if error.contains(says) => Ok(()),
        _ => Err(format!("the resolver says: {error}")),
    }
}

fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || c == '-';
    let hyphens = text.starts_with('-') || text.ends_with('-');
    !text.is_empty() && text.len() < 64 && text.chars().all(plain) && !hyphens
}

fn same(row: &Value, words: [&str; 2], accept: [fn(&str) -> bool; 2]) -> Checked {
    let word = |accepts: fn(&str) -> bool| match accepts(row["text"].as_str().unwrap()) {
        true => words[0],
        false => words[1],
    };
    equal("reference", word(accept[0]), row["want"].as_str().unwrap())?;
    equal("crate", word(accept[1]), row["want"].as_str().unwrap())
}

/// An ASCII domain is a host without port and final dot, in lower case.
fn domain(row: &Value) -> Checked {
    let text = row["text"].as_str().unwrap();
    if !cfg!(feature = "idn") && text.contains("xn--") {
        return Ok(()); // its A-labels are not checked
    }
    let want = row["stored"].as_str().map(str::to_owned);
    equal("row", row["want"] == "ok", want.is_some())?;
    let slow = match reference::name_of(text.as_bytes()) {
        // An A-label stands for a Unicode one.
        Ok(Host::Name(name)) if name.len() == text.len() => {
            idna::domain_to_unicode(&name).1.is_ok().then_some(name)
        }
        _ => None,
    };
    equal("reference", slow, want.clone())?;
    let fast = text.parse::<Domain>().ok();
    equal("crate", fast.map(|domain| domain.as_str().to_owned()), want)
}

fn host(row: &Value) -> Checked {
    let (text, want) = (row["text"].as_str().unwrap(), row["want"].as_str().unwrap());
    let slow = match reference::name_of(text.as_bytes()) {
        Ok(Host::Name(name)) => name,
        Ok(Host::V6(_)) => return Err("an address is no row of this file".to_owned()),
        Err(reason) => reason.0.to_owned(),
    };
    equal("reference", slow.as_str(), want)?;
    equal(
        "resolver",
        build::host_word(text.as_bytes(), Some(want)).as_str(),
        want,
    )
}

fn path(row: &Value) -> Checked {
    let (text, want) = (row["text"].as_str().unwrap(), row["want"].as_str().unwrap());
    let slow = reference::normal_path(text.as_bytes());
    let slow = slow.unwrap_or_else(|reason| reason.0.to_owned());
    equal("reference", slow.as_str(), want)?;
    let fast = NormalPath::parse(text.as_bytes());
    equal(
        "crate",
        fast.as_ref().map_or("bad_path", |path| path.as_str()),
        want,
    )
}

/// Two tenants, and a catalog that knows them.
fn two_tenants() -> (MemoryCatalog, TenantId, TenantId, Actor) {
    let (catalog, by) = (MemoryCatalog::new(), Actor::new("test"));
    let [t1, t2] = ["t1", "t2"].map(|id| {
        let new = NewTenant::new(id.parse().unwrap());
        catalog.insert(new, &by).unwrap().id().clone()
    });
    (catalog, t1, t2, by)
}

/// "the last step is refused: the domain belongs to t1; t1 keeps it"
fn one_owner(_: &Value) -> Checked {
    let (catalog, t1, t2, by) = two_tenants();
    let name = Name::Domain("foo.localhost".parse().unwrap());
    catalog.bind(&name, &t1, Proof::Trusted, &by).unwrap();
    refused_for_t1(&catalog, &name, &t1, &t2, &by)
}

/// "foo.localhost is the label foo and belongs to t1": with the base domain
/// localhost the one full name has one form, whichever it is bound in.
fn one_full_name(_: &Value) -> Checked {
    let (catalog, t1, t2, by) = two_tenants();
    let config = json!({"resolve": {"rules": ["subdomain"], "subdomains_of": ["localhost"]}});
    let config = crate::case::Config::from_json(&config);
    let rules = Reference::new(&config, &[]);
    equal(
        "reference",
        rules.bound_as("foo.localhost"),
        Key::Label("foo".to_owned()),
    )?;
    let label = Name::Label("foo".parse().unwrap());
    catalog.bind(&label, &t1, Proof::Trusted, &by).unwrap();
    let name = build::name_bound_by(&config, "foo.localhost");
    refused_for_t1(&catalog, &name, &t1, &t2, &by)
}

fn refused_for_t1(
    catalog: &MemoryCatalog,
    name: &Name,
    t1: &TenantId,
    t2: &TenantId,
    by: &Actor,
) -> Checked {
    match catalog.bind(name, t2, Proof::Trusted, by) {
        Err(WriteError::NameTaken { .. }) => {}
        other => return Err(format!("the last step: {other:?}")),
    }
    let keeps = tenancy_core::Catalog::lookup(catalog, name.as_key())
        .unwrap()
        .value;
    equal("catalog", keeps.as_ref().map(Tenant::id), Some(t1))?;
    let nobody = TenantKey::Label("nobody");
    let nobody = tenancy_core::Catalog::lookup(catalog, nobody)
        .unwrap()
        .value;
    equal("catalog", nobody, None)
}

/// "refused: another tenant is current; only switch crosses over"
fn guard(_: &Value) -> Checked {
    let (acme, other) = (tenant("foo"), tenant("bar"));
    let handled = acme.run(|| {
        let refused = other.enter().map(|_| ()).unwrap_err();
        equal(
            "guard",
            (refused.wanted, refused.current),
            (other.clone(), acme.clone()),
        )?;
        equal("guard", Tenant::current(), Some(acme.clone()))?;
        let _across = other.switch();
        equal("guard", Tenant::current(), Some(other.clone()))
    });
    handled.unwrap()
}
