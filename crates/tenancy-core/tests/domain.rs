//! Domains: one stored form for each name, or a refusal; and public suffixes.

use std::collections::HashMap;

use proptest::prelude::*;
use tenancy_core::{Domain, InvalidSuffixList, PublicSuffixes};

use crate::corpora::Tally;
use crate::util::{shared, shared_lines, shared_rows};

fn stored(text: &str) -> Option<String> {
    let domain = text.parse::<Domain>().ok()?;
    Some(domain.as_str().to_owned())
}

#[test]
fn a_domain_has_one_stored_form() {
    for (text, want) in [
        ("localhost", "localhost"),
        ("Shop.Example", "shop.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("0x7f.1", "0x7f.1"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("bu\u{308}cher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        // What maps to plain ASCII names (UTS46).
        ("ｓｈｏｐ.example", "shop.example"),
        ("shop\u{3002}example", "shop.example"),
        ("sh\u{ad}op.example", "shop.example"),
        ("\u{2102}lub.example", "club.example"),
        ("\u{17f}hop.example", "shop.example"),
        ("\u{212a}elvin.example", "kelvin.example"),
        // What used to map to another name, and is one of its own now.
        ("Faß.example", "xn--fa-hia.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
    ] {
        assert_eq!(stored(text).as_deref(), Some(want), "{text}");
        assert_eq!(stored(want).as_deref(), Some(want), "{text}, again");
    }
}

#[test]
fn a_malformed_domain_is_refused_and_never_trimmed() {
    let long_label = "a".repeat(64);
    let long = ["a".repeat(63).as_str(); 4].join(".");
    for text in [
        "",
        ".",
        " ",
        " shop.example",
        "shop.example ",
        "shop.example\n",
        "shop.example.",
        "shop.example\u{3002}",
        ".shop.example",
        "shop..example",
        "shop.example:80",
        "http://shop.example",
        "shop.example/",
        "me@shop.example",
        "*.shop.example",
        "shop_1.example",
        "-shop.example",
        "shop-.example",
        "ab--\u{fc}d.example",
        "xn--.example",
        "xn--a.example",
        "xn--shop-.example",
        "[::1]",
        "::1",
        "sh%6Fp.example",
        "a\0b.example",
        "\u{5d0}1a.example",
        "a\u{200d}b.example",
        "\u{fffd}.example",
        "\u{3e8ac}.example",
        "xn--t92s.example",
        &long_label,
        &long,
    ] {
        assert_eq!(stored(text), None, "{text:?}");
    }
}

#[test]
fn errors_show_the_name_and_say_how_to_write_it() {
    for (text, want) in [
        (
            "shop_1.example",
            "domain \"shop_1.example\" has '_', which no host name has; write it as shop.example.com, without scheme, port and final dot",
        ),
        (
            "a\n",
            "domain \"a\\n\" has a space or control character; write it as shop.example.com, without scheme, port and final dot",
        ),
        (
            "xn--t92s.example",
            "domain \"xn--t92s.example\" has a character that Unicode has not assigned; write it as shop.example.com, without scheme, port and final dot",
        ),
    ] {
        let error = text.parse::<Domain>().unwrap_err();
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_refused_domain_names_the_rule_it_breaks() {
    for (text, says) in [
        ("", "is empty"),
        ("https://shop.example", "has a scheme"),
        ("shop.example:8080", "has a colon; leave the port out"),
        ("[::1]", "has a colon"),
        ("shop.example.", "ends with a dot"),
        ("shop.example/x", "has a path ('/')"),
        ("me@shop.example", "has a user name"),
        ("*.shop.example", "has a wildcard"),
        (" shop.example", "has a space"),
        ("shop\u{a0}.example", "has a space"),
        ("shop_1.example", "has '_', which no host name has"),
        ("shop!.example", "has '!', which no host name has"),
        (".shop.example", "has an empty label"),
        ("shop..example", "has an empty label"),
        ("-shop.example", "starts with a hyphen (\"-shop\")"),
        ("shop-.example", "ends with a hyphen (\"shop-\")"),
        (
            "xn--.example",
            "has a label that ends with a hyphen (\"xn--\")",
        ),
        (
            "xn--a.example",
            "has \"xn--a\", which stands for no Unicode label",
        ),
        (
            "ab--\u{fc}.example",
            "has hyphens at places 3 and 4 of a label that is not ASCII",
        ),
        (
            "\u{301}a.example",
            "is no host name by the strict rules of UTS46",
        ),
    ] {
        let error = text.parse::<Domain>().expect_err(text).to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
    let label = format!("{}.example", "a".repeat(64));
    let long = format!("{}example", "a23456789.".repeat(25));
    for (text, says) in [
        (label, "has a label of 64 bytes, 63 is the most"),
        (long, "has 257 bytes, 253 is the most"),
    ] {
        let error = text.parse::<Domain>().expect_err(&text).to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
}

#[test]
fn an_ascii_label_may_have_hyphens_at_places_3_and_4() {
    for name in ["v1--site.netlify.app", "ab--.x.example", "a---b.example"] {
        let want = (!name.starts_with("ab--.")).then(|| name.to_owned());
        assert_eq!(stored(name), want, "{name}");
    }
    assert_eq!(
        stored("V1--Site.example").as_deref(),
        Some("v1--site.example")
    );
}

/// What every domain promises.
fn check(text: &str) {
    let Ok(domain) = text.parse::<Domain>() else {
        return;
    };
    let name = domain.as_str();
    assert!((1..=253).contains(&name.len()), "{text:?}: {name}");
    for label in name.split('.') {
        let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
        assert!(label.chars().all(plain), "{text:?}: {name}");
        assert!((1..=63).contains(&label.len()), "{text:?}: {name}");
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{name}");
    }
    let (unicode, result) = idna::domain_to_unicode(name);
    assert!(result.is_ok(), "{text:?}: {name}");
    for spelling in [name, &name.to_ascii_uppercase(), &unicode] {
        let again = spelling.parse::<Domain>();
        assert_eq!(again.as_ref(), Ok(&domain), "{text:?} as {spelling:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_has_one_stored_form(text in "\\PC{0,20}(\\.\\PC{1,10}){0,3}") {
        check(&text);
    }

    #[test]
    fn a_label_in_any_script_too(text in "[a-zß-ԯא-ת\u{300}-\u{30f}ａ-ｚ-]{1,12}\\.[a-z一-丠]{1,8}") {
        check(&text);
    }
}

/// Why a row is read otherwise than its source reads it.
type Fits = fn(&str, Option<&str>) -> bool;

/// The sources say what a browser takes; a registration is stricter. Every row that
/// deviates is refused, for the first of these that fits what the source stores.
const REASONS: [(&str, Fits); 6] = [
    ("a final dot, or an empty label", |input, ascii| {
        let name = ascii.unwrap_or(input);
        name.is_empty() || name.split('.').any(str::is_empty)
    }),
    ("a label over 63 bytes, or a name over 253", |_, ascii| {
        let name = ascii.unwrap_or_default();
        name.len() > 253 || name.split('.').any(|label| label.len() > 63)
    }),
    (
        "a character that no host has, `_` too (STD3)",
        |_, ascii| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
            !ascii.unwrap_or_default().chars().all(plain)
        },
    ),
    (
        "an A-label of no valid name, which browsers take as it comes",
        |input, ascii| {
            let punycode = input.split('.').any(|label| label.starts_with("xn--"));
            punycode && ascii == Some(input) && idna::domain_to_unicode(input).1.is_err()
        },
    ),
    ("a hyphen first or last in a label", |_, ascii| {
        let labels = |label: &str| label.starts_with('-') || label.ends_with('-');
        unicode_labels(ascii).iter().any(|label| labels(label))
    }),
    ("hyphens third and fourth in a label", |_, ascii| {
        let hyphens = |label: &String| {
            let mut inner = label.chars().skip(2);
            inner.next() == Some('-') && inner.next() == Some('-')
        };
        unicode_labels(ascii).iter().any(hyphens)
    }),
];

/// The labels as Unicode: there hyphens are counted (UTS46 §4.1).
fn unicode_labels(ascii: Option<&str>) -> Vec<String> {
    let (unicode, _) = idna::domain_to_unicode(ascii.unwrap_or_default());
    unicode.split('.').map(str::to_owned).collect()
}

/// Rows, equal, deviating by reason; the sum is the line count.
fn walk(file: &'static str) {
    let Some(rows) = shared_rows(&format!("corpora/{file}")) else {
        return;
    };
    let mut tally = Tally::of(file);
    for row in &rows {
        let (input, ascii) = (row["input"].as_str().unwrap(), row["ascii"].as_str());
        check(input);
        let got = stored(input);
        if got.as_deref() == ascii {
            tally.equal();
            continue;
        }
        assert_eq!(got, None, "stored otherwise than {row}");
        let reason = REASONS.iter().find(|(_, fits)| fits(input, ascii));
        let (reason, _) = reason.unwrap_or_else(|| panic!("{file}: refused without reason: {row}"));
        tally.deviates(reason);
    }
    tally.report(rows.len());
}

#[test]
fn the_web_platforms_names_are_stored_alike_or_refused_for_a_reason() {
    walk("host_wpt_toascii.jsonl");
}

#[test]
fn test_names_of_unicode_are_stored_alike_or_refused_for_a_reason() {
    walk("host_idnatestv2.jsonl");
}

#[test]
fn real_domains_are_stored_as_they_are() {
    let file = "domains_disposable_quarter.txt";
    let Some(lines) = shared_lines(&format!("corpora/{file}")) else {
        return;
    };
    let mut tally = Tally::of(file);
    for line in &lines {
        check(line);
        match stored(line) {
            Some(name) if name == *line => tally.equal(),
            got => {
                let reason = REASONS.iter().find(|(_, fits)| fits(line, Some(line)));
                let (reason, _) = reason.unwrap_or_else(|| panic!("{line} became {got:?}"));
                tally.deviates(reason);
            }
        }
    }
    tally.report(lines.len());
}

/// Pairs of different texts that fold together, as `x…y.example`: where both can be
/// registered they have one stored form, and so one owner; or they are two names
/// by UTS46, whose stored forms differ in ASCII, and no host is both.
#[test]
fn texts_that_fold_together_have_one_owner_or_two_names() {
    let file = "unicode_collision_pairs_half.jsonl";
    let Some(rows) = shared_rows(&format!("corpora/{file}")) else {
        return;
    };
    let mut tally = Tally::of(file);
    for row in &rows {
        let side = |key: &str| format!("x{}y.example", row[key].as_str().unwrap());
        let (a, b) = (side("a"), side("b"));
        assert_ne!(a, b, "{row}");
        check(&a);
        check(&b);
        let reason = match (stored(&a), stored(&b)) {
            (None, None) => "both are refused",
            (None, Some(_)) | (Some(_), None) => "one is refused",
            (Some(a), Some(b)) if a == b => {
                tally.equal();
                continue;
            }
            (Some(a), Some(b)) => {
                let kept = [a, b].iter().any(|name| {
                    let (name, _) = idna::domain_to_unicode(name);
                    name.contains(['ß', 'ς'])
                });
                assert!(kept, "{row}");
                "two names: UTS46 keeps ß and the final sigma"
            }
        };
        tally.deviates(reason);
    }
    tally.report(rows.len());
}

#[test]
fn suffixes_are_refused_by_explicit_rules_alone() {
    let list = "// comment\n\ncom\nco.uk  trailing words\n*.ck\n!www.ck\n公司.cn\n*.kobe.jp\n!city.kobe.jp\n";
    let suffixes: PublicSuffixes = list.parse().unwrap();
    for (name, rule) in [
        ("com", Some("com")),
        ("COM", Some("com")),
        ("shop.com", None),
        ("co.uk", Some("co.uk")),
        ("uk", None),
        ("trailing", None),
        ("ck", None),
        ("a.ck", Some("*.ck")),
        ("a.b.ck", None),
        ("www.ck", None),
        ("公司.cn", Some("xn--55qx5d.cn")),
        ("xn--55qx5d.cn", Some("xn--55qx5d.cn")),
        ("city.kobe.jp", None),
        ("other.kobe.jp", Some("*.kobe.jp")),
        ("localhost", None),
        ("127.0.0.1", None),
    ] {
        let domain: Domain = name.parse().unwrap();
        let want = rule.map(|rule| {
            format!("domain {domain} is a public suffix by the rule {rule}; bind a name below it that the tenant owns")
        });
        let got = suffixes.check(&domain).err();
        assert_eq!(got.map(|error| error.to_string()), want, "{name}");
    }
}

#[test]
fn a_text_that_is_no_suffix_list_is_refused() {
    for (text, want) in [
        (
            "com\n<html>\n",
            "public suffix list has \"<html>\" on line 2, which is no rule; use the text of public_suffix_list.dat as it is published",
        ),
        (
            "a.*.com",
            "public suffix list has \"a.*.com\" on line 1, which is no rule; use the text of public_suffix_list.dat as it is published",
        ),
        (
            "// nothing\n\n",
            "public suffix list has no rules; use the text of public_suffix_list.dat as it is published",
        ),
    ] {
        let error: InvalidSuffixList = text.parse::<PublicSuffixes>().unwrap_err();
        assert_eq!(error.to_string(), want);
    }
}

fn published() -> Option<PublicSuffixes> {
    let list = shared("corpora/public_suffix_list.dat")?;
    let list = String::from_utf8(list).unwrap();
    Some(list.parse().unwrap_or_else(|error| panic!("{error}")))
}

/// Every line of the published list against what it means: the rule's own name, or
/// any name under its wildcard, is refused, and an exception is not.
#[test]
fn every_rule_of_the_published_list_holds() {
    let file = "public_suffix_list.dat";
    let (Some(suffixes), Some(lines)) = (published(), shared_lines(&format!("corpora/{file}")))
    else {
        return;
    };
    let mut tally = Tally::of(file);
    for line in &lines {
        let rule = line.split_whitespace().next().unwrap_or("");
        if rule.is_empty() || rule.starts_with("//") {
            tally.deviates("a comment or empty, no rule");
            continue;
        }
        let name = rule.trim_start_matches('!').replace('*', "anything");
        let refused = suffixes.check(&name.parse().unwrap()).is_err();
        assert_eq!(refused, !rule.starts_with('!'), "{line}");
        tally.equal();
    }
    tally.report(lines.len());
}

/// `checkPublicSuffix(name, registrable)`: the name is refused when nothing can be
/// registered by it, and bound when it is registrable itself.
#[test]
fn the_tests_of_the_list_hold_but_for_the_implicit_rule() {
    let file = "psl_test_psl.txt";
    let (Some(suffixes), Some(lines)) = (published(), shared_lines(&format!("corpora/{file}")))
    else {
        return;
    };
    let mut tally = Tally::of(file);
    for line in &lines {
        let call = line.strip_prefix("checkPublicSuffix(");
        let Some(call) = call.and_then(|call| call.strip_suffix(");")) else {
            assert!(line.is_empty() || line.starts_with("//"), "{line}");
            tally.deviates("a comment or empty, no test");
            continue;
        };
        let (name, registrable) = call.split_once(", ").unwrap();
        let unquoted = |text: &str| Some(text.strip_prefix('\'')?.strip_suffix('\'')?.to_owned());
        let reason = match (unquoted(name), unquoted(registrable)) {
            (None, _) => "a null name: no text",
            (Some(name), want) => match name.parse::<Domain>() {
                Err(_) => {
                    assert!(name.starts_with('.'), "{line}");
                    "a leading dot is no domain"
                }
                Ok(domain) => match (suffixes.check(&domain).is_err(), want) {
                    (refused, want) if refused == want.is_none() => {
                        tally.equal();
                        continue;
                    }
                    (false, None) if !explicit(&lines_of_rules(), domain.as_str()) => {
                        "a suffix by the implicit rule alone"
                    }
                    got => panic!("{line}: {got:?}"),
                },
            },
        };
        tally.deviates(reason);
    }
    tally.report(lines.len());
}

/// The published rules by their last label, for a reading of its own.
fn lines_of_rules() -> HashMap<String, Vec<String>> {
    let lines = shared_lines("corpora/public_suffix_list.dat").unwrap_or_default();
    let mut rules: HashMap<String, Vec<String>> = HashMap::new();
    for line in lines {
        let last = line.rsplit('.').next().unwrap_or_default().to_owned();
        rules.entry(last).or_default().push(line);
    }
    rules
}

fn explicit(rules: &HashMap<String, Vec<String>>, name: &str) -> bool {
    let (unicode, _) = idna::domain_to_unicode(name);
    let last = unicode.rsplit('.').next().unwrap_or_default();
    let matches = |rule: &String| {
        let (rule, name): (Vec<_>, Vec<_>) =
            (rule.split('.').collect(), unicode.split('.').collect());
        rule.len() == name.len() && rule.iter().zip(&name).all(|(r, n)| *r == "*" || r == n)
    };
    rules
        .get(last)
        .is_some_and(|rules| rules.iter().any(matches))
}
