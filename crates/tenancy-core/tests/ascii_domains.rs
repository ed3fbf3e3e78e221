//! Domains without feature `idn`: ASCII, in lower case.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use proptest::prelude::*;
use tenancy_core::{Domain, PublicSuffixes};

fn stored(text: &str) -> Option<String> {
    let domain = text.parse::<Domain>().ok()?;
    Some(domain.as_str().to_owned())
}

#[test]
fn an_ascii_name_is_stored_in_lower_case() {
    for (text, want) in [
        ("localhost", Some("localhost")),
        ("Shop.Example", Some("shop.example")),
        ("v1--site.example", Some("v1--site.example")),
        ("XN--BCHER-KVA.example", Some("xn--bcher-kva.example")),
        ("shop.example.", None),
        ("shop..example", None),
        ("-shop.example", None),
        ("shop.example:80", None),
        ("", None),
    ] {
        assert_eq!(stored(text).as_deref(), want, "{text}");
    }
    let label = "a".repeat(63);
    let longest = [&*label, &label, &label, &label[2..]].join(".");
    assert_eq!(
        (longest.len(), stored(&longest)),
        (253, Some(longest.clone()))
    );
    assert_eq!(stored(&format!("{longest}a")), None);
    assert_eq!(stored(&format!("{label}a.test")), None);
}

#[test]
fn a_unicode_name_is_refused_with_advice() {
    let error = "Bücher.example".parse::<Domain>().unwrap_err().to_string();
    assert!(
        error.contains("is not ASCII; write its A-labels (xn--…), or build with feature idn"),
        "{error}"
    );
    let list = "com\n公司.cn".parse::<PublicSuffixes>();
    let error = list.unwrap_err().to_string();
    assert!(error.contains("on line 2, which is not ASCII"), "{error}");
    "com\nxn--55qx5d.cn".parse::<PublicSuffixes>().unwrap();
}

proptest! {
    /// UTS46 agrees on every name that has no A-label.
    #[test]
    fn ascii_names_are_those_of_uts46(text in "([a-zA-Z0-9-]{1,64}[.]){0,5}[a-z0-9_ ]{0,3}[.:]?") {
        prop_assume!(!text.to_ascii_lowercase().contains("xn--"));
        let (deny, hyphens) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast);
        let strict = Uts46::new().to_ascii(text.as_bytes(), deny, hyphens, DnsLength::Verify);
        let strict = strict.ok().map(std::borrow::Cow::into_owned);
        prop_assert_eq!(stored(&text), strict);
    }
}
