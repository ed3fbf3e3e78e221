//! Path rules by the dozen, the paths that are held against them, and four ways to do it.

use matchit::Router;
use regex::RegexSet;
use tenancy_core::{Classifier, Method, NormalPath, PathClass};

use crate::mix::{Spread, Text};
use crate::rules;
use crate::world::World;

/// The first rules of every list: those that the paths of the [mix](crate::mix) are served by, but
/// for one kind of path and the root, which have none. So the answers are the same however many follow.
const FIRST: [(&str, PathClass); 10] = [
    ("/assets", PathClass::Asset),
    ("/login", PathClass::Auth),
    ("/api/v1", PathClass::Api),
    ("/api/v2/internal/reports", PathClass::Api),
    ("/webhooks/payments", PathClass::Api),
    ("/account/settings", PathClass::Page),
    ("/blog", PathClass::Page),
    ("/search", PathClass::Page),
    ("/files/shared", PathClass::Page),
    ("/orders", PathClass::Page),
];

/// Places where further rules stand: wherever the first ones branch. So no path goes a longer way through
/// more rules, and what is measured is their number.
const BESIDE: [&str; 8] = [
    "",
    "/account",
    "/api",
    "/api/v2",
    "/api/v2/internal",
    "/files",
    "/webhooks",
    "/api/v3",
];
const WORDS: [&str; 26] = [
    "audit",
    "basket",
    "catalogue",
    "delivery-notes",
    "exports",
    "feedback",
    "gateway",
    "holidays",
    "inventory",
    "jobs",
    "keys",
    "ledger",
    "memberships",
    "notifications",
    "offers",
    "permissions",
    "quotes",
    "refunds",
    "subscriptions",
    "tickets",
    "uploads",
    "vouchers",
    "warehouse",
    "x-ray",
    "yearbook",
    "zones",
];

/// So many rules, at most 218. A longer list begins with the shorter one.
pub fn list(count: usize) -> Vec<(String, PathClass)> {
    let first = FIRST.map(|(prefix, class)| (prefix.to_owned(), class));
    let classes = [PathClass::Page, PathClass::Api, PathClass::Auth];
    let further = (0..WORDS.len() * BESIDE.len()).map(|number| {
        let (beside, word) = (BESIDE[number % BESIDE.len()], WORDS[number / BESIDE.len()]);
        (format!("{beside}/{word}"), classes[number % classes.len()])
    });
    let rules: Vec<_> = first.into_iter().chain(further).take(count).collect();
    assert_eq!(rules.len(), count, "there are no more rules");
    rules
}

/// The paths of the mix, without their queries and a few at a time, as its text is.
#[derive(Debug)]
pub struct Paths(String, Vec<usize>);

impl Paths {
    /// So many, the same in every run.
    pub fn draw(count: usize) -> Self {
        let text = Text::draw(&World::new(10), Spread::Hot, count);
        let (mut all, mut ends) = (String::new(), Vec::with_capacity(count));
        for request in text.requests().requests() {
            all.push_str(rules::without_query(request.target));
            ends.push(all.len());
        }
        Self(all, ends)
    }

    /// The paths, which are normal already: what rivals are given for nothing.
    pub fn normal(&self) -> Vec<NormalPath<'_>> {
        let mut start = 0;
        let path = |end: &usize| {
            let path = NormalPath::parse(&self.0[start..*end]).expect("the mix has no bad path");
            start = *end;
            path
        };
        self.1.iter().map(path).collect()
    }
}

/// One way to find the class of a normal path.
pub trait Classifies {
    /// The class.
    fn class(&self, path: &NormalPath<'_>) -> PathClass;
}

/// The classifier of these rules. It decides who may serve the path, too, and looks at the
/// extension of an asset; a rival does neither.
pub fn classifier(rules: &[(String, PathClass)]) -> Classifier {
    let mut builder = Classifier::builder().without_builtin_paths();
    for (prefix, class) in rules {
        builder = builder.rule(prefix.as_str(), *class, None);
    }
    builder.build().expect("no rule contradicts another")
}

impl Classifies for Classifier {
    #[inline]
    fn class(&self, path: &NormalPath<'_>) -> PathClass {
        self.classify(Method::Get, path).class
    }
}

/// matchit, with three routes a rule.
#[derive(Debug)]
pub struct Routes(pub Router<PathClass>);

impl Routes {
    /// Of these rules.
    pub fn new(rules: &[(String, PathClass)]) -> Self {
        let mut router = Router::new();
        for (prefix, class) in rules {
            for behind in ["", "/", "/{*rest}"] {
                let added = router.insert(format!("{prefix}{behind}"), *class);
                added.expect("no prefix comes twice");
            }
        }
        Self(router)
    }
}

impl Classifies for Routes {
    #[inline]
    fn class(&self, path: &NormalPath<'_>) -> PathClass {
        let found = self.0.at(path.as_str());
        found.map_or(PathClass::Page, |found| *found.value)
    }
}

/// A `RegexSet` of anchored prefixes, the longest first.
#[derive(Debug)]
pub struct Patterns(RegexSet, Vec<PathClass>);

impl Patterns {
    /// Of these rules.
    pub fn new(rules: &[(String, PathClass)]) -> Self {
        let rules = longest_first(rules);
        let pattern = |(prefix, _): &(String, _)| format!("^{}(?:/|$)", regex::escape(prefix));
        let set = RegexSet::new(rules.iter().map(pattern)).expect("escaped text is a pattern");
        Self(set, rules.into_iter().map(|(_, class)| class).collect())
    }
}

impl Classifies for Patterns {
    #[inline]
    fn class(&self, path: &NormalPath<'_>) -> PathClass {
        let first = self.0.matches(path.as_str()).iter().next();
        first.map_or(PathClass::Page, |number| self.1[number])
    }
}

/// A list, the longest prefix first, of which the first that fits is taken.
#[derive(Debug)]
pub struct Linear(Vec<(String, PathClass)>);

impl Linear {
    /// Of these rules.
    pub fn new(rules: &[(String, PathClass)]) -> Self {
        Self(longest_first(rules))
    }
}

impl Classifies for Linear {
    #[inline]
    fn class(&self, path: &NormalPath<'_>) -> PathClass {
        let fits = |(prefix, _): &&(String, PathClass)| {
            let rest = path.as_str().strip_prefix(prefix.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let rule = self.0.iter().find(fits);
        rule.map_or(PathClass::Page, |(_, class)| *class)
    }
}

fn longest_first(rules: &[(String, PathClass)]) -> Vec<(String, PathClass)> {
    let mut rules = rules.to_vec();
    rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    rules
}
