//! Normal paths: one spelling for each meaning, and refusals that say why.

use std::borrow::Cow;

use tenancy_core::{BadPath, NormalPath};

fn normal(target: &str) -> Result<String, BadPath> {
    let path = NormalPath::parse(target)?;
    Ok(path.into_cow().into_owned())
}

#[test]
fn a_path_has_one_spelling() {
    for (target, want) in [
        ("/", "/"),
        ("/?", "/"),
        ("/a?b?c", "/a"),
        ("/a/b/", "/a/b/"),
        ("//", "/"),
        ("///a////b//", "/a/b/"),
        ("/%61%2d%2E%5f%7E%30%5A", "/a-._~0Z"),
        ("/%c3%bc", "/%C3%BC"),
        ("/%20/%23/%3f/%25", "/%20/%23/%3F/%25"),
        ("/a;b=%2c/c", "/a;b=%2C/c"),
        ("/a%3bb", "/a%3Bb"),
        ("/.well-known/..a/.../a..", "/.well-known/..a/.../a.."),
        ("/!$&'()*+,=:@|^`{}<>\"", "/!$&'()*+,=:@|^`{}<>\""),
        ("/x?/../%2F\\#", "/x"),
    ] {
        assert_eq!(normal(target).as_deref(), Ok(want), "{target}");
        assert_eq!(normal(want).as_deref(), Ok(want), "{target}, again");
    }
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    use BadPath::*;
    for (target, want) in [
        ("", NoLeadingSlash),
        ("?x", NoLeadingSlash),
        ("*", NoLeadingSlash),
        ("http://host/", NoLeadingSlash),
        ("/a b", Byte { byte: b' ', at: 2 }),
        ("/a\\b", Byte { byte: b'\\', at: 2 }),
        ("/a#b", Byte { byte: b'#', at: 2 }),
        ("/a\0", Byte { byte: 0, at: 2 }),
        ("/\u{7f}", Byte { byte: 0x7F, at: 1 }),
        ("/ü", Byte { byte: 0xC3, at: 1 }),
        ("/a%2fb", Encoded { byte: b'/', at: 2 }),
        ("/a%2Fb", Encoded { byte: b'/', at: 2 }),
        ("/%5c", Encoded { byte: b'\\', at: 1 }),
        ("/%00", Encoded { byte: 0, at: 1 }),
        ("/%1f", Encoded { byte: 0x1F, at: 1 }),
        ("/%7f", Encoded { byte: 0x7F, at: 1 }),
        ("/%", Percent { at: 1 }),
        ("/%4", Percent { at: 1 }),
        ("/%4?1", Percent { at: 1 }),
        ("/%zz", Percent { at: 1 }),
        ("/%+1", Percent { at: 1 }),
        ("/%%34%31", Percent { at: 1 }),
        ("/.", DotSegment { at: 1 }),
        ("/..", DotSegment { at: 1 }),
        ("/a/../b", DotSegment { at: 3 }),
        ("/a/./b", DotSegment { at: 3 }),
        ("/a/%2e%2E/b", DotSegment { at: 3 }),
        ("/a/.%2e?x", DotSegment { at: 3 }),
        ("/a/..;x=1/b", DotSegment { at: 3 }),
        ("/a/.;/b", DotSegment { at: 3 }),
        ("/a/%2e%3b/b", DotSegment { at: 3 }),
        ("/;x", EmptySegment { at: 1 }),
        ("/a/;/b", EmptySegment { at: 3 }),
        ("/a/%3B", EmptySegment { at: 3 }),
    ] {
        assert_eq!(normal(target), Err(want), "{target:?}");
    }
}

#[test]
fn a_path_ends_at_8192_bytes() {
    let longest = format!("/{}", "a".repeat(NormalPath::MAX_LEN - 1));
    let queries = ["", "?", "?q", "?0123456789abcdef0123456789abcdef"];
    for query in queries {
        assert_eq!(normal(&format!("{longest}{query}")).as_ref(), Ok(&longest));
        let len = NormalPath::MAX_LEN + 1;
        let over = normal(&format!("{longest}a{query}"));
        assert_eq!(over, Err(BadPath::TooLong { len }));
    }
}

#[test]
fn a_normal_path_is_borrowed() {
    for target in ["/", "/a?b", "/.well-known/x", "/a;b", "/%20", "/a&b"] {
        let path = NormalPath::parse(target.as_bytes()).unwrap();
        assert!(matches!(path.into_cow(), Cow::Borrowed(_)), "{target}");
    }
    let path = NormalPath::parse(b"//a").unwrap();
    assert!(matches!(path.into_cow(), Cow::Owned(_)));
}

#[test]
fn a_semicolon_or_an_encoded_percent_is_ambiguous() {
    for (target, want) in [
        ("/a", false),
        ("/%20", false),
        ("/a;b", true),
        ("/a%3bb", true),
        ("/%25", true),
        ("/a?;%25", false),
    ] {
        let path = NormalPath::parse(target).unwrap();
        assert_eq!(path.is_ambiguous(), want, "{target}");
    }
}

#[test]
fn the_segment_behind_a_prefix_is_taken_off() {
    for (target, want) in [
        ("/t/acme/assets/x.css", Some(("acme", "/assets/x.css"))),
        ("/t/acme", Some(("acme", "/"))),
        ("/t/acme/", Some(("acme", "/"))),
        ("/t//%61cme//x", Some(("acme", "/x"))),
        ("/t", None),
        ("/t/", None),
        ("/", None),
        ("/tt/acme", None),
        ("/T/acme", None),
        ("/x/t/acme", None),
    ] {
        let path = NormalPath::parse(target).unwrap();
        let got = path.strip_first("/t");
        let got = got
            .as_ref()
            .map(|(segment, rest)| (*segment, rest.as_str()));
        assert_eq!(got, want, "{target}");
    }
    let path = NormalPath::parse("/t/acme/x").unwrap();
    let (_, rest) = path.strip_first("/t").unwrap();
    assert!(matches!(rest.into_cow(), Cow::Borrowed("/x")));
}

#[test]
fn errors_name_the_byte_and_say_what_to_do() {
    for (target, want) in [
        (
            "a",
            "path has no leading slash; send the target as /path?query",
        ),
        (
            "/a\\",
            "path has byte 0x5C at 2, which no path has; percent-encode what belongs to a name, and separate segments by /",
        ),
        (
            "/a%2F",
            "path has an encoded 0x2F at byte 2; leave encoded slashes, backslashes and controls out of paths",
        ),
        (
            "/a%2",
            "path has a % without two hex digits at byte 2; write a percent sign as %25",
        ),
        (
            "/a/..",
            "path has a dot segment at byte 3; resolve it before sending",
        ),
        (
            "/a/;",
            "path has nothing before the ; at byte 3; give the segment a name",
        ),
    ] {
        assert_eq!(normal(target).unwrap_err().to_string(), want);
    }
    let long = "/".repeat(9000);
    assert_eq!(
        normal(&long).unwrap_err().to_string(),
        "path has 9000 bytes, 8192 is the most; shorten it, or move data into the query or the body"
    );
}
