//! [`Template`]: a pattern of hosts, and its overlap with another one.

use std::fmt;

use super::invalid::InvalidResolver;
use crate::domain::Domain;
use crate::text::quote;

const TOKEN: &str = "{tenant}";

/// A template of hosts: `prefix{tenant}suffix`. The tenant is one label of the host or a part of
/// one.
#[derive(Debug, PartialEq)]
pub(super) struct Template {
    pub(super) prefix: String,
    pub(super) suffix: String,
}

impl Template {
    /// Returns the template that each host with one label under a base domain fits.
    pub(super) fn under(base: &str) -> Self {
        Self {
            prefix: String::new(),
            suffix: format!(".{base}"),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, InvalidResolver> {
        let refuse = |problem| InvalidResolver::Template {
            template: quote(text),
            problem,
        };
        if text.is_empty() {
            return Err(refuse("is empty"));
        }
        let (prefix, suffix) = text.split_once(TOKEN).ok_or(refuse("has no {tenant}"))?;
        if suffix.contains(TOKEN) {
            return Err(refuse("has more than one {tenant}"));
        }
        if text.contains(['*', '?']) {
            return Err(refuse("has a wildcard, which cannot stand in a template"));
        }
        if text.split('.').any(str::is_empty) {
            return Err(refuse("has an empty label"));
        }
        let sample = format!("{prefix}x{suffix}").to_ascii_lowercase();
        if Domain::from_canonical(&sample).is_none() {
            return Err(refuse("is no host name around {tenant}"));
        }
        Ok(Self {
            prefix: prefix.to_ascii_lowercase(),
            suffix: suffix.to_ascii_lowercase(),
        })
    }

    /// Returns each label as the text before the token and the text after it. A label without the
    /// token has `None` after it.
    fn labels(&self) -> Vec<(&str, Option<&str>)> {
        let mut before: Vec<_> = self.prefix.split('.').collect();
        let mut after = self.suffix.split('.');
        let open = (before.pop().unwrap_or(""), after.next());
        let before = before.into_iter().map(|label| (label, None));
        before
            .chain([open])
            .chain(after.map(|label| (label, None)))
            .collect()
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.labels(), other.labels());
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| fit_together(*a, *b))
    }
}

/// Returns whether there is a label that fits both.
fn fit_together(a: (&str, Option<&str>), b: (&str, Option<&str>)) -> bool {
    match (a, b) {
        ((a, None), (b, None)) => a == b,
        ((text, None), (before, Some(after))) | ((before, Some(after)), (text, None)) => {
            let rest = text
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after));
            rest.is_some_and(|rest| !rest.is_empty())
        }
        ((a_before, Some(a_after)), (b_before, Some(b_after))) => {
            let before = a_before.starts_with(b_before) || b_before.starts_with(a_before);
            before && (a_after.ends_with(b_after) || b_after.ends_with(a_after))
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{TOKEN}{}", self.prefix, self.suffix)
    }
}

/// Returns two templates that fit a common host, or `None`.
pub(super) fn overlap<'t>(
    templates: impl Iterator<Item = &'t Template> + Clone,
) -> Option<(&'t Template, &'t Template)> {
    templates.clone().enumerate().find_map(|(at, first)| {
        let second = templates
            .clone()
            .skip(at + 1)
            .find(|second| first.overlaps(second));
        second.map(|second| (first, second))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_fit_a_common_host_overlap() {
        for (a, b, overlaps) in [
            ("{tenant}.a.test", "{tenant}.a.test", true),
            ("{tenant}.a.test", "{tenant}.b.test", false),
            ("{tenant}.a.test", "{tenant}-api.a.test", true),
            ("{tenant}-api.a.test", "{tenant}-app.a.test", false),
            ("{tenant}-api.a.test", "{tenant}-v2-api.a.test", true),
            ("pre-{tenant}.a.test", "{tenant}-api.a.test", true),
            ("api.{tenant}.a.test", "{tenant}.x.a.test", true),
            ("api.{tenant}.a.test", "{tenant}.a.test", false),
            ("api.{tenant}.a.test", "app.{tenant}.a.test", false),
            ("{tenant}", "{tenant}.a.test", false),
            ("api-{tenant}.a.test", "www.{tenant}.test", false),
            ("www-{tenant}.a.test", "www-api.{tenant}.test", true),
        ] {
            let [a, b] = [a, b].map(|text| Template::parse(text).expect(text));
            assert_eq!(a.overlaps(&b), overlaps, "{a} {b}");
            assert_eq!(b.overlaps(&a), overlaps, "{b} {a}");
        }
    }
}
