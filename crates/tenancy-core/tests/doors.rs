//! The three doors to one answer: `resolve`, `try_resolve` and `explain` say the
//! same of every request, or `try_resolve` says that it would have to ask.

use tenancy_core::Explanation;

use crate::differential::run;
use crate::reference::{
    Answer, BAD_HOST, BAD_PATH, CATALOG_UNAVAILABLE, NO_TENANT, Reason, SUSPENDED,
};
use crate::util::env;

/// The answer of each of them, in the order of the calls.
#[derive(Clone, Debug)]
pub struct Doors {
    /// `try_resolve`, before `resolve` had the chance to ask for anything.
    pub cold: Option<Answer>,
    pub resolved: Answer,
    /// `try_resolve` again.
    pub warm: Option<Answer>,
    pub explained: Explanation,
}

impl Doors {
    /// The property.
    ///
    /// # Errors
    /// In what way they differ.
    pub fn check(&self) -> Result<(), &'static str> {
        let Self {
            cold,
            resolved,
            warm,
            explained,
        } = self;
        if cold.as_ref().is_some_and(|cold| cold != resolved) {
            return Err("try_resolve says something else when it is asked first");
        }
        if cold.is_none() && needs_no_catalog(resolved) {
            return Err("try_resolve would ask for what needs no catalog");
        }
        // Everything is known now, or cannot be.
        let away = *resolved == Answer::Refused(CATALOG_UNAVAILABLE);
        if warm.as_ref() != Some(resolved).filter(|_| !away) {
            return Err("try_resolve says something else after resolve");
        }
        if explained.outcome != outcome(resolved) {
            return Err("explain tells another outcome");
        }
        let looked_up = explained
            .steps
            .iter()
            .any(|step| step.what == "lookup" && !step.found.starts_with("not asked"));
        match resolved {
            _ if looked_up && needs_no_catalog(resolved) => Err("explain tells of a look-up"),
            Answer::Tenant { tenant, rule, .. } => match tells(explained, tenant, rule) {
                true => Ok(()),
                false => Err("explain does not tell which rule named the tenant"),
            },
            _ => Ok(()),
        }
    }
}

/// For any catalog, whether it can be read or not.
fn needs_no_catalog(answer: &Answer) -> bool {
    let by_syntax = [BAD_HOST, BAD_PATH, Reason("ambiguous_host", 400)];
    match answer {
        Answer::Skip { .. } | Answer::Central { .. } => true,
        Answer::Refused(reason) => by_syntax.contains(reason),
        Answer::Tenant { .. } => false,
    }
}

/// The outcome as an explanation words it.
fn outcome(answer: &Answer) -> String {
    match answer {
        Answer::Tenant {
            tenant, rule, path, ..
        } => format!("tenant {tenant}@1 by {rule}, path {path}"),
        Answer::Central { path, .. } => format!("central: nothing names a tenant, path {path}"),
        Answer::Skip { class, path } => format!("skip: {class} needs no tenant, path {path}"),
        Answer::Refused(Reason(word, status)) => format!("refused: {word} {status}"),
    }
}

/// Is the rule among the steps, and the tenant what the look-up found?
fn tells(explained: &Explanation, tenant: &str, rule: &str) -> bool {
    let step = |what: &str, text: &str| {
        let mut steps = explained.steps.iter();
        steps.any(|step| step.what == what && step.found.contains(text))
    };
    let named = match rule {
        "domain" => step("domain", "looked up"),
        "subdomain" | "template" => step("host", rule) && step(rule, "names"),
        _ => step(rule, "names"),
    };
    named && step("lookup", &format!("tenant {tenant}@1, active"))
}

/// A mistake of one of them, done to what they said; `None` where it cannot show.
type Planted = fn(Doors) -> Option<Doors>;

const PLANTED: [(&str, Planted); 8] = [
    ("a miss in an empty index is nobody", |mut doors| {
        let silent = doors.cold.is_none();
        doors.cold = Some(Answer::Refused(NO_TENANT));
        (silent && doors.resolved != Answer::Refused(NO_TENANT)).then_some(doors)
    }),
    ("a skip waits for the index", |mut doors| {
        doors.cold = None;
        matches!(doors.resolved, Answer::Skip { .. }).then_some(doors)
    }),
    ("what was resolved is not kept", |mut doors| {
        doors.warm = None;
        matches!(doors.resolved, Answer::Tenant { .. }).then_some(doors)
    }),
    ("without blocking nobody is suspended", |mut doors| {
        let suspended = doors.resolved == Answer::Refused(SUSPENDED);
        doors.warm = Some(Answer::Refused(NO_TENANT));
        suspended.then_some(doors)
    }),
    ("a catalog that is away is nobody's", |mut doors| {
        let away = doors.resolved == Answer::Refused(CATALOG_UNAVAILABLE);
        doors.warm = Some(Answer::Refused(NO_TENANT));
        away.then_some(doors)
    }),
    ("another path is explained", |mut doors| {
        doors.explained.outcome += "/";
        Some(doors)
    }),
    ("a skip is looked up to be explained", |mut doors| {
        let lookup = doors.explained.steps.iter_mut().find(|s| s.what == "path");
        lookup?.what = "lookup";
        matches!(doors.resolved, Answer::Skip { .. }).then_some(doors)
    }),
    ("the rule that won is left out", |mut doors| {
        let Answer::Tenant { rule, .. } = &doors.resolved else {
            return None;
        };
        doors.explained.steps.retain(|step| step.what != rule);
        Some(doors)
    }),
];

#[test]
fn a_door_with_another_answer_is_detected() {
    let mut alive = PLANTED.to_vec();
    let mut seen = 0;
    run(env("TENANCY_CASES", 100_000), |world, request| {
        seen += 1;
        let doors = world.real.doors(request);
        assert_eq!(doors.check(), Ok(()), "{}", world.case(request).to_json());
        alive.retain(|(_, plant)| plant(doors.clone()).is_none_or(|doors| doors.check().is_ok()));
        !alive.is_empty()
    });
    let alive: Vec<&str> = alive.iter().map(|(name, _)| *name).collect();
    assert!(
        alive.is_empty(),
        "not told apart in {seen} cases: {alive:?}"
    );
}
