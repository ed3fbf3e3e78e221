//! Fast ≡ slow: the resolver, by each of its doors, and the reference give the same
//! answer to random requests over random configurations and catalogs. A failing case is printed as a
//! JSON line, made small.

use std::collections::BTreeMap;

use tenancy_core::{Domain, Name};

use crate::build;
use crate::case::Case;
use crate::differential::run;
use crate::doors::Doors;
use crate::reference::{Answer, REASONS, Reference};
use crate::shrink::smallest;
use crate::util::env;

/// What both said, the resolver by all its doors.
struct Said {
    slow: Answer,
    fast: Doors,
}

impl Said {
    fn of(case: &Case) -> Option<Self> {
        let fast = build::resolver(&case.config, &case.tenants).ok()?;
        Some(Self {
            slow: Reference::new(&case.config, &case.tenants).answer(&case.request),
            fast: fast.doors(&case.request),
        })
    }

    /// The property. `None` when all say the same, else in what way they differ.
    fn differ(&self) -> Option<String> {
        match self.slow == self.fast.resolved {
            false => Some(format!(
                "{} or {}",
                word(&self.slow),
                word(&self.fast.resolved)
            )),
            true => self.fast.check().err().map(str::to_owned),
        }
    }
}

fn report(case: Case, way: &str) -> String {
    let still = |case: &Case| Said::of(case).and_then(|said| said.differ()).as_deref() == Some(way);
    // What differs only after other requests cannot be made smaller.
    let case = if still(&case) {
        smallest(case, still)
    } else {
        case
    };
    let said = Said::of(&case).expect("a resolver was built of it before");
    format!(
        "{way}: the reference says {:?}, the resolver {:?}\n{}",
        said.slow,
        said.fast,
        case.to_json()
    )
}

fn word(answer: &Answer) -> &str {
    match answer {
        Answer::Tenant { .. } => "tenant",
        Answer::Central { .. } => "central",
        Answer::Skip { .. } => "skip",
        Answer::Refused(reason) => reason.0,
    }
}

/// What happened how often: reasons, outcomes, rules, classes with modes.
#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn count(&mut self, answer: &Answer) {
        let mut add = |what: String| *self.0.entry(what).or_default() += 1;
        match answer {
            Answer::Tenant {
                rule, class, mode, ..
            } => {
                add(format!("tenant by {rule}"));
                add(format!("tenant {class} {mode}"));
            }
            Answer::Central { class, mode, .. } => add(format!("central {class} {mode}")),
            Answer::Skip { class, .. } => add(format!("skip {class}")),
            Answer::Refused(reason) => add(reason.0.to_owned()),
        }
    }

    /// Everything that there is, at least this often.
    fn assert_all(&self, least: u64) {
        let reasons = REASONS.iter().map(|reason| reason.0.to_owned());
        let rules = [
            "domain",
            "subdomain",
            "template",
            "path",
            "header",
            "query",
            "cookie",
            "origin",
            "custom",
        ];
        let rules = rules.map(|rule| format!("tenant by {rule}"));
        let mut all: Vec<String> = reasons.chain(rules).collect();
        all.extend(["asset", "api", "debug"].map(|class| format!("skip {class}")));
        for class in ["asset", "api", "debug", "auth", "page"] {
            all.push(format!("tenant {class} tenant"));
            all.push(format!("tenant {class} universal"));
            all.push(format!("central {class} central"));
            all.push(format!("central {class} universal"));
        }
        for what in all {
            let count = self.0.get(&what).copied().unwrap_or(0);
            assert!(count >= least, "{what}: only {count} of {least}");
        }
    }
}

#[test]
fn the_resolver_answers_as_the_reference_does() {
    let cases = env("TENANCY_CASES", 100_000);
    let mut counts = Counts::default();
    // How often `try_resolve` had an answer at once, and how often none.
    let mut silent = [0, 0];
    // The first case of each way to differ.
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    run(cases, |world, request| {
        let said = Said {
            slow: world.reference().answer(request),
            fast: world.real.doors(request),
        };
        counts.count(&said.slow);
        silent[usize::from(said.fast.cold.is_none())] += 1;
        if let Some(way) = said.differ() {
            let report = || report(world.case(request), &way);
            failures.entry(way.clone()).or_insert_with(report);
        }
        failures.len() < 30
    });
    for (what, count) in &counts.0 {
        println!("{count:>8} {what}");
    }
    let failures: Vec<String> = failures.into_values().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    counts.assert_all(cases / 20_000);
    assert!(silent.iter().all(|n| *n >= cases / 100), "{silent:?}");
}

/// Under every configuration, of every kind of name there is.
#[test]
fn every_name_is_bound_as_the_rules_say() {
    let mut seen = [0, 0];
    run(env("TENANCY_CASES", 100_000) / 10, |world, request| {
        let bound = world.tenants.iter().flat_map(|tenant| &tenant.domains);
        let asked = request
            .hosts
            .first()
            .map(|host| String::from_utf8_lossy(host));
        let asked = asked.filter(|host| host.parse::<Domain>().is_ok_and(|d| d.as_str() == *host));
        for domain in bound.map(String::as_str).chain(asked.as_deref()) {
            let want = build::name_bound_by(&world.config, domain);
            assert_eq!(
                world.real.name_for(domain),
                want,
                "{domain}: {}",
                world.config.to_json()
            );
            seen[usize::from(matches!(want, Name::Label(_)))] += 1;
        }
        true
    });
    assert!(
        seen.iter().all(|count| *count > 100),
        "domains and labels: {seen:?}"
    );
}
