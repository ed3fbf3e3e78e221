//! Fast ≡ slow: the resolver and the reference give the same answer to random
//! requests over random configurations and catalogs. A failing case is printed as a
//! JSON line, made small.

use std::collections::BTreeMap;

use tenancy_core::{Domain, Name};

use crate::build;
use crate::case::Case;
use crate::differential::run;
use crate::reference::{Answer, REASONS, Reference};
use crate::shrink::smallest;
use crate::util::env;

/// The property. `None` when both say the same.
fn differ(case: &Case) -> Option<(Answer, Answer)> {
    let slow = Reference::new(&case.config, &case.tenants).answer(&case.request);
    let fast = build::resolver(&case.config, &case.tenants)
        .ok()?
        .answer(&case.request);
    (slow != fast).then_some((slow, fast))
}

/// In what way they differ.
fn way((slow, fast): &(Answer, Answer)) -> String {
    format!("{} or {}", word(slow), word(fast))
}

fn report(case: Case, found: &str) -> String {
    let case = smallest(case, |case| {
        differ(case).is_some_and(|answers| way(&answers) == found)
    });
    let (slow, fast) = differ(&case).expect("still differs");
    format!(
        "the reference says {slow:?}, the resolver {fast:?}\n{}",
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
    // The first case of each way to differ.
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    run(cases, |world, request| {
        let slow = world.reference().answer(request);
        let fast = world.real.answer(request);
        counts.count(&slow);
        if slow != fast {
            let way = way(&(slow, fast));
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
