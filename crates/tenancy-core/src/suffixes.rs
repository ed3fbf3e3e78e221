//! [`PublicSuffixes`]: the domains under which anyone may register names.

use std::collections::HashSet;
use std::str::FromStr;

use crate::domain::Domain;
use crate::text::quote;

/// The public suffix list (<https://publicsuffix.org>), which the embedder supplies. Its names are
/// not bound to tenants, as many owners have hosts below each of them.
///
/// The rules of the list are applied, also wildcards (`*.ck`) and exceptions (`!www.ck`). The
/// implicit rule `*`, by which every other top-level domain is a suffix, is not applied, so that
/// `localhost` can be bound. Rules in Unicode are converted to A-labels.
///
/// ```
/// use tenancy_core::{Domain, PublicSuffixes};
/// let suffixes: PublicSuffixes = "// a comment\nuk\nco.uk\n*.ck\n!www.ck".parse()?;
/// let check = |name: &str| suffixes.check(&name.parse::<Domain>().expect("a domain"));
/// assert!(check("co.uk").is_err() && check("shop.co.uk").is_ok());
/// assert!(check("anything.ck").is_err() && check("www.ck").is_ok());
/// assert!(check("localhost").is_ok());
/// # Ok::<(), tenancy_core::InvalidSuffixList>(())
/// ```
#[derive(Debug, Clone)]
pub struct PublicSuffixes {
    /// The rules of the list, with `*.` and `!`.
    rules: HashSet<Box<str>>,
}

impl PublicSuffixes {
    /// Checks that a domain is no public suffix, so that it may be bound to a tenant.
    ///
    /// # Errors
    /// Returns an error if the domain is a public suffix.
    pub fn check(&self, domain: &Domain) -> Result<(), IsPublicSuffix> {
        let name = domain.as_str();
        if self.rules.contains(&*format!("!{name}")) {
            return Ok(());
        }
        let wildcard = name.split_once('.').map(|(_, above)| format!("*.{above}"));
        let rule = self.rules.get(name);
        let rule = rule.or_else(|| self.rules.get(&*wildcard?));
        match rule {
            None => Ok(()),
            Some(rule) => Err(IsPublicSuffix {
                domain: domain.clone(),
                rule: rule.clone(),
            }),
        }
    }
}

impl FromStr for PublicSuffixes {
    type Err = InvalidSuffixList;
    fn from_str(list: &str) -> Result<Self, InvalidSuffixList> {
        let mut rules = HashSet::new();
        for (at, line) in list.lines().enumerate() {
            // A rule ends at white space.
            let Some(text) = line.split_whitespace().next() else {
                continue;
            };
            if text.starts_with("//") {
                continue;
            }
            let (line, quoted) = (at + 1, || quote(text));
            let rule =
                rule(text).ok_or_else(|| match text.is_ascii() || cfg!(feature = "idn") {
                    true => InvalidSuffixList::Line {
                        line,
                        text: quoted(),
                    },
                    false => InvalidSuffixList::NotAscii {
                        line,
                        text: quoted(),
                    },
                })?;
            rules.insert(rule);
        }
        match rules.is_empty() {
            true => Err(InvalidSuffixList::NoRules),
            false => Ok(Self { rules }),
        }
    }
}

/// Returns the rule with its labels as A-labels.
fn rule(text: &str) -> Option<Box<str>> {
    let (mark, name) = ["*.", "!"]
        .into_iter()
        .find_map(|mark| Some((mark, text.strip_prefix(mark)?)))
        .unwrap_or(("", text));
    let name = Domain::new(name).ok()?;
    Some(format!("{mark}{}", name.as_str()).into())
}

/// The error for a domain under which anyone may register names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "domain {domain} is a public suffix by the rule {rule}; bind a name below it that the tenant owns"
)]
pub struct IsPublicSuffix {
    domain: Domain,
    rule: Box<str>,
}

/// The error for a text that is no public suffix list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSuffixList {
    /// A line is no rule. The text may be another file, so its other lines are not used either.
    #[error(
        "public suffix list has {text} on line {line}, which is no rule; use the text of public_suffix_list.dat as it is published"
    )]
    Line {
        /// The number of the line, which counts from 1.
        line: usize,
        /// The text of the line, quoted.
        text: Box<str>,
    },
    /// A rule is in Unicode, and the feature `idn` is off. Without that rule, some public suffixes
    /// would pass the check.
    #[error(
        "public suffix list has {text} on line {line}, which is not ASCII; write its A-labels (xn--…), or build with feature idn"
    )]
    NotAscii {
        /// The number of the line, which counts from 1.
        line: usize,
        /// The rule, quoted.
        text: Box<str>,
    },
    /// The list has no rule. Such a list would refuse no domain.
    #[error(
        "public suffix list has no rules; use the text of public_suffix_list.dat as it is published"
    )]
    NoRules,
}
