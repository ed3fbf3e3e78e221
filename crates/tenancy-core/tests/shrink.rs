//! A failing case made small: whatever can go goes, as long as it still fails.

use crate::case::{Access, Case, Config};

/// The smallest case that can be reached one step at a time.
pub fn smallest(mut case: Case, fails: impl Fn(&Case) -> bool) -> Case {
    while let Some(smaller) = smaller(&case).into_iter().find(|smaller| fails(smaller)) {
        case = smaller;
    }
    case
}

/// Every case that is one step smaller.
fn smaller(case: &Case) -> Vec<Case> {
    let mut steps = Steps {
        case,
        all: Vec::new(),
    };
    steps.tenants();
    steps.config();
    steps.request();
    steps.all
}

struct Steps<'a> {
    case: &'a Case,
    all: Vec<Case>,
}

impl Steps<'_> {
    fn try_with(&mut self, change: impl FnOnce(&mut Case)) {
        let mut smaller = self.case.clone();
        change(&mut smaller);
        if smaller != *self.case {
            self.all.push(smaller);
        }
    }

    /// Without one entry of a list.
    fn thin<T>(&mut self, list: impl Fn(&mut Case) -> &mut Vec<T>) {
        let mut copy = self.case.clone();
        for at in 0..list(&mut copy).len() {
            self.try_with(|case| drop(list(case).remove(at)));
        }
    }

    fn tenants(&mut self) {
        self.thin(|case| &mut case.tenants);
        for at in 0..self.case.tenants.len() {
            self.thin(|case| &mut case.tenants[at].domains);
            self.thin(|case| &mut case.tenants[at].labels);
            self.try_with(|case| case.tenants[at].status = "active".to_owned());
        }
    }

    fn config(&mut self) {
        for at in 0..self.case.config.rules.len() {
            self.try_with(|case| without_rule(&mut case.config, at));
        }
        self.thin(|case| &mut case.config.paths);
        self.thin(|case| &mut case.config.central_domains);
        self.thin(|case| &mut case.config.subdomains_of);
        self.thin(|case| &mut case.config.host_templates);
        self.thin(|case| &mut case.config.reserved);
        self.thin(|case| &mut case.config.trusted_proxies);
        self.try_with(|case| case.config.preset = None);
        self.try_with(|case| case.config.builtin_paths = true);
        self.try_with(|case| case.config.catalog = Access::Copied);
    }

    fn request(&mut self) {
        self.thin(|case| &mut case.request.headers);
        self.thin(|case| &mut case.request.hosts);
        self.try_with(|case| case.request.authority = None);
        self.try_with(|case| case.request.peer = None);
        self.try_with(|case| case.request.method = "GET".to_owned());
        self.thin(|case| &mut case.request.path);
        for at in 0..self.case.request.hosts.len() {
            self.thin(|case| &mut case.request.hosts[at]);
        }
        for at in 0..self.case.request.headers.len() {
            self.thin(|case| &mut case.request.headers[at].1);
        }
    }
}

/// Removes a rule with its parameter.
fn without_rule(config: &mut Config, at: usize) {
    let rule = config.rules.remove(at);
    config.set_parameter(&rule, false);
}

#[test]
fn a_case_shrinks_to_the_parts_that_fail() {
    let mut case = Case::default();
    case.config.rules = ["domain", "header", "query"].map(str::to_owned).to_vec();
    case.config.header = Some("x-tenant".to_owned());
    case.request.method = "POST".to_owned();
    case.request.path = b"/some/where;else".to_vec();
    case.request.hosts = vec![b"app.test".to_vec()];
    let small = smallest(case, |case| {
        case.request.path.contains(&b';') && case.config.rules.contains(&"query".to_owned())
    });
    assert_eq!(small.request.path, b";");
    assert_eq!(small.config.rules, ["query"]);
    assert_eq!(
        (small.request.method.as_str(), small.request.hosts.len()),
        ("GET", 0)
    );
}
