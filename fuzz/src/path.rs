//! Paths: refused or normalised exactly as the rules say, once and for all.

use std::borrow::Cow;
use std::sync::LazyLock;

use tenancy_core::{Classifier, Method, NormalPath, PathClass, RouteMode};

use crate::grammar::normal_path;

/// Any bytes as a request target.
pub fn check(data: &[u8]) {
    let parsed = NormalPath::parse(data);
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(NormalPath::parse(text), parsed, "text and bytes differ");
    }
    let expected = normal_path(data);
    let path = match (parsed, expected) {
        (Ok(path), Some(expected)) => {
            assert_eq!(path.as_str(), expected);
            path
        }
        (Err(error), None) => {
            assert!(error.to_string().len() < 400, "{error}");
            return;
        }
        (parsed, expected) => panic!("{parsed:?}, and the rules say {expected:?}"),
    };
    let text = path.as_str();
    assert!(text.starts_with('/') && !text.contains("//"), "{text}");
    assert!(text.bytes().all(|b| (0x21..=0x7e).contains(&b)), "{text}");
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    assert!(!text.split('/').any(dots), "{text}");

    let again = NormalPath::parse(text).expect("a normal path is a path");
    assert_eq!(again, path, "normalised twice");
    assert!(
        matches!(again.into_cow(), Cow::Borrowed(_)),
        "a normal path is borrowed"
    );
    check_skipped(&path);
}

/// What is skipped is a file with an extension, and no two servers read it differently.
fn check_skipped(path: &NormalPath<'_>) {
    static BUILT_IN: LazyLock<Classifier> = LazyLock::new(Classifier::default);
    let found = BUILT_IN.classify(Method::Get, path);
    if found.mode == RouteMode::Skip && found.class == PathClass::Asset {
        let text = path.as_str();
        assert!(
            !text.contains(';') && !text.contains("%25"),
            "{text} is skipped"
        );
        assert!(is_utf8(text), "{text} is skipped");
        let last = text.rsplit('/').next().unwrap_or_default();
        assert!(last.contains('.'), "{text} is skipped");
    }
    let other = BUILT_IN.classify(Method::Other, path);
    assert_ne!(other.mode, RouteMode::Skip, "only GET and HEAD are skipped");
    // Parameters of segments take no path out of its rule.
    let bare = path.as_str().replace("%3B", ";");
    let bare = bare.split('/').map(|segment| segment.split(';').next());
    let bare = bare.map(Option::unwrap_or_default).collect::<Vec<_>>();
    let bare = bare.join("/");
    let bare = NormalPath::parse(&bare).expect("a part of a path is one");
    assert_eq!(BUILT_IN.classify(Method::Other, &bare), other, "{path:?}");
}

fn is_utf8(path: &str) -> bool {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.extend(u8::from_str_radix(digits, 16));
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).is_ok()
}
