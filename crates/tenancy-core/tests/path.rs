//! Normal paths: one spelling for each meaning, and refusals that say why.

use std::borrow::Cow;

use proptest::prelude::*;
use tenancy_core::{BadPath, NormalPath};

use crate::corpora::Tally;
use crate::reference;
use crate::util::{shared, shared_rows};

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
fn an_ambiguous_path_is_refused() {
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
fn errors_name_the_byte_and_the_remedy() {
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

fn cut(target: &[u8]) -> &[u8] {
    target.split(|byte| *byte == b'?').next().unwrap()
}

/// What every target comes to, by the reference that decodes byte by byte.
fn check(target: &[u8]) -> Result<NormalPath<'_>, BadPath> {
    let got = NormalPath::parse(target);
    let want = reference::normal_path(target);
    let text = String::from_utf8_lossy(target);
    let same = match (&got, &want) {
        (Ok(path), Ok(want)) => path.as_str() == want,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    assert!(same, "{text:?}: {got:?}, the reference says {want:?}");
    if let Ok(text) = std::str::from_utf8(target) {
        assert_eq!(NormalPath::parse(text), got, "{text:?} as text");
    }
    if let Ok(path) = &got {
        let again = NormalPath::parse(path.as_str()).unwrap();
        assert_eq!(again, *path, "{text:?}, again");
        assert!(matches!(again.into_cow(), Cow::Borrowed(_)), "{text:?}");
        assert_eq!(path.to_string().as_str(), path.as_str());
        let ambiguous = [";", "%3B", "%25"]
            .iter()
            .any(|odd| path.as_str().contains(odd));
        let ambiguous = ambiguous || !reference::is_utf8(path.as_str());
        assert_eq!(path.is_ambiguous(), ambiguous, "{text:?}");
        let borrowed = matches!(path.clone().into_cow(), Cow::Borrowed(_));
        let normal = path.as_str().as_bytes() == cut(target);
        assert_eq!(borrowed, normal, "{text:?}");
    }
    got
}

/// What paths are made of, and what they are not.
const PIECES: [&[u8]; 40] = [
    b"/",
    b"/",
    b"/",
    b"/",
    b"//",
    b".",
    b"..",
    b"/.",
    b"/..",
    b"a",
    b"Z9",
    b"-_~",
    b"orders",
    b"segment-of-17-by",
    b"!",
    b"\"",
    b"$&'",
    b"(*+,=:@|^`{}<>)",
    b";",
    b"%3b",
    b"%3B",
    b"%2e",
    b"%2E",
    b"%2F",
    b"%5c",
    b"%00",
    b"%7F",
    b"%25",
    b"%41",
    b"%c3",
    b"%C3",
    b"%",
    b"%4",
    b"%zz",
    b"?",
    b"#",
    b"\\",
    b" ",
    b"\0",
    b"\xC3\xBC",
];

proptest! {
    #[test]
    fn a_path_of_unusual_pieces_is_read_as_by_the_reference(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..24),
    ) {
        let mut target = b"/".to_vec();
        pieces.iter().for_each(|piece| target.extend(PIECES[*piece]));
        let _ = check(&target);
        let _ = check(&target[1..]);
    }

    /// One odd byte at any place of a path of any length that the quick way looks at
    /// in another manner.
    #[test]
    fn a_special_byte_is_found_at_any_place(len in 1..120usize, at in 0..120usize, odd: u8) {
        let mut target = vec![b'a'; len];
        target[0] = b'/';
        let at = at % len;
        target[at] = odd;
        let _ = check(&target);
        for before in b"/.%" {
            target[at.saturating_sub(1)] = *before;
            let _ = check(&target);
        }
    }

    #[test]
    fn any_bytes_are_read_as_the_reference_reads_them(bytes: Vec<u8>) {
        let _ = check(&bytes);
        let _ = check(&[b"/", &*bytes].concat());
    }
}

/// One byte at every place of letters: refused for what it is alone.
#[test]
fn every_byte_is_judged_at_every_place_of_a_short_path() {
    for len in 1..=52 {
        for (at, byte) in (0..len).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut target = vec![b'a'; len];
            target[0] = b'/';
            target[at] = byte;
            let refused = match byte {
                _ if at == 0 => byte != b'/',
                b'%' => at + 2 >= len, // %aa is an encoded byte
                b';' => at == 1,
                b'.' => at == 1 && len == 2,
                b'#' | b'\\' => true,
                _ => !(0x21..=0x7E).contains(&byte),
            };
            for query in ["", "?/..#"] {
                let target = [&*target, query.as_bytes()].concat();
                let got = NormalPath::parse(&target);
                assert_eq!(
                    got.is_err(),
                    refused,
                    "0x{byte:02X} at {at} of {len}, then {query}: {got:?}"
                );
            }
        }
    }
}

/// Every line of a file of names or paths, with a slash in front if it has none.
fn walk(file: &'static str) {
    walk_targets(file, |line| line);
}

/// The same of what `target` takes of a line.
fn walk_targets(file: &'static str, target: fn(&[u8]) -> &[u8]) {
    let Some(bytes) = shared(&format!("corpora/{file}")) else {
        return;
    };
    let lines: Vec<&[u8]> = bytes
        .strip_suffix(b"\n")
        .unwrap()
        .split(|b| *b == b'\n')
        .collect();
    let mut tally = Tally::of(file);
    for line in &lines {
        let line = target(line);
        let target = match line.first() {
            Some(b'/') => line.to_vec(),
            _ => [b"/", line].concat(),
        };
        let cut = cut(&target);
        match check(&target) {
            Ok(path) if path.as_str().as_bytes() == target => tally.equal(),
            Ok(path) if path.as_str().as_bytes() == cut => tally.deviates("cut at its ?"),
            Ok(path) => {
                let decoded = cut.contains(&b'%');
                let merged = cut.windows(2).any(|pair| pair == b"//");
                tally.deviates(match (decoded, merged) {
                    (true, false) => "normal: another percent-encoding",
                    (false, true) => "normal: // merged",
                    (true, true) => "normal: another percent-encoding, // merged",
                    (false, false) => panic!("{path} of {cut:?}"),
                });
            }
            Err(error) => tally.deviates(match error {
                BadPath::Byte { .. } => "refused: a byte that no path has",
                BadPath::Percent { .. } => "refused: % without two hex digits",
                BadPath::Encoded { .. } => "refused: an encoded slash, backslash or control",
                BadPath::NotUtf8 { .. } => "refused: a byte that UTF-8 never has",
                BadPath::DotSegment { .. } => "refused: a dot segment",
                BadPath::EmptySegment { .. } => "refused: nothing before a ;",
                BadPath::TooLong { .. } => "refused: longer than 8192 bytes",
                other => panic!("{other}"),
            }),
        }
    }
    tally.report(lines.len());
}

#[test]
fn attacks_on_paths_are_refused_or_have_one_harmless_form() {
    walk("path_traversal_fuzzdb.txt");
}

#[test]
fn real_directories_and_files_are_normal_but_for_a_reason() {
    walk("path_real_dirs_raft_quarter.txt");
    walk("path_real_files_raft_quarter.txt");
}

#[test]
fn long_real_paths_are_normal_but_for_a_reason() {
    walk("paths_real_node_files_every20th.txt");
}

/// Lines of method and target.
#[test]
fn a_real_access_log_is_normal_but_for_a_reason() {
    walk_targets("access_apache_elastic_requests.txt", |line| {
        let method = line.iter().position(|byte| *byte == b' ');
        &line[method.expect("a method stands first") + 1..]
    });
}

#[test]
fn a_server_that_resolves_dots_normalises_alike_where_nothing_is_refused() {
    let file = "path_tomcat_normalize.jsonl";
    let Some(rows) = shared_rows(&format!("corpora/{file}")) else {
        return;
    };
    let mut tally = Tally::of(file);
    for row in &rows {
        let (path, want) = (row["path"].as_str().unwrap(), row["normalized"].as_str());
        match check(path.as_bytes()) {
            Ok(got) if Some(got.as_str()) == want => tally.equal(),
            Err(_) if want.is_none() => tally.equal(),
            Err(BadPath::NoLeadingSlash) => tally.deviates("refused: no leading slash"),
            Err(BadPath::DotSegment { .. }) => tally.deviates("refused: a dot segment"),
            got => panic!("{row}: {got:?}"),
        }
    }
    tally.report(rows.len());
}
