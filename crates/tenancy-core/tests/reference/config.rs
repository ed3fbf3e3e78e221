//! What is refused when a resolver is built.

use super::path::normal_path;
use crate::case::Config;

/// One to 63 of `a-z`, `0-9` and inner hyphens.
pub fn is_label(text: &str) -> bool {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
    (1..=63).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Every contradiction in a configuration that routing.md and cli.md name.
pub fn contradictions(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let on = |rule: &str| config.rules.iter().any(|listed| listed == rule);
    // A parameter for a rule that is not listed.
    for (rule, given) in [
        ("subdomain", !config.subdomains_of.is_empty()),
        ("template", !config.host_templates.is_empty()),
        ("path", config.path_prefix.is_some()),
        ("header", config.header.is_some()),
        ("query", config.query.is_some()),
        ("cookie", config.cookie.is_some()),
        ("origin", config.origin),
        ("custom", config.custom.is_some()),
    ] {
        if given && !on(rule) {
            found.push(format!("a parameter for {rule}, which is not listed"));
        }
    }
    // A rule of this kind without any central domain.
    for rule in ["header", "query", "cookie", "origin", "custom"] {
        if on(rule) && config.central_domains.is_empty() {
            found.push(format!("{rule} without any central domain"));
        }
    }
    found.extend(
        config
            .host_templates
            .iter()
            .filter_map(|text| template(text)),
    );
    found.extend(config.path_prefix.as_deref().and_then(path_prefix));
    found.extend(overlaps(config));
    // A header that is something else already.
    let forwarded = config
        .forwarded_host
        .as_deref()
        .unwrap_or("x-forwarded-host");
    if let Some(header) = &config.header
        && ["host", "cookie", "forwarded", forwarded].contains(&header.to_lowercase().as_str())
    {
        found.push(format!("the header is {header}"));
    }
    for rule in &config.paths {
        if rule.prefix.contains([';', '%']) {
            found.push(format!(
                "{} has a parameter or an encoded byte",
                rule.prefix
            ));
        }
        let skip = matches!(rule.class.as_str(), "asset" | "debug");
        if rule.prefix == "/"
            && (rule.mode.as_deref() == Some("skip") || rule.mode.is_none() && skip)
        {
            found.push("everything is skipped".to_owned());
        }
    }
    // Skip with auth or page.
    for rule in &config.paths {
        let skip = rule.mode.as_deref() == Some("skip");
        if skip && (rule.class == "auth" || rule.class == "page") {
            found.push(format!("{} skips {}", rule.prefix, rule.class));
        }
    }
    found
}

/// One `{tenant}` token, no empty label, the letters of a host around it.
fn template(text: &str) -> Option<String> {
    let Some((before, after)) = text.split_once("{tenant}") else {
        return Some(format!("template {text:?} has no {{tenant}}"));
    };
    let example = format!("{before}x{after}");
    match example.split('.').all(is_label) {
        true => None,
        false => Some(format!("template {text:?} is no host")),
    }
}

/// One plain segment.
fn path_prefix(text: &str) -> Option<String> {
    let segment = text.strip_prefix('/').unwrap_or("");
    let plain = !segment.is_empty() && !segment.contains(['/', '%', ';', '?']);
    let normal = normal_path(text.as_bytes());
    match plain && normal.as_deref() == Ok(text) {
        true => None,
        false => Some(format!("path_prefix {text:?} is not one plain segment")),
    }
}

/// A template that a base domain or another template covers, by example: the same
/// number of labels, and the labels around the token agree.
fn overlaps(config: &Config) -> Option<String> {
    let bases = config
        .subdomains_of
        .iter()
        .map(|base| format!("{{tenant}}.{base}"));
    let bases: Vec<String> = bases.collect();
    for (at, one) in config.host_templates.iter().enumerate() {
        for other in bases.iter().chain(&config.host_templates[at + 1..]) {
            let (a, b): (Vec<&str>, Vec<&str>) =
                (one.split('.').collect(), other.split('.').collect());
            let agree =
                |(a, b): (&&str, &&str)| a == b || a.contains("{tenant}") || b.contains("{tenant}");
            if a.len() == b.len() && a.iter().zip(&b).all(agree) {
                return Some(format!("{one} overlaps {other}"));
            }
        }
    }
    None
}
