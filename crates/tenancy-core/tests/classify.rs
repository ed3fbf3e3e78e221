//! Classes and modes of paths, and rules that are refused.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tenancy_core::{
    Classified, Classifier, ClassifierBuilder, InvalidRule, Method, NormalPath, PathClass, Preset,
    RouteMode,
};

use crate::util::shared_lines;

fn classify(classifier: &Classifier, method: Method, target: &str) -> (PathClass, RouteMode) {
    let path = NormalPath::parse(target).unwrap();
    let Classified { class, mode } = classifier.classify(method, &path);
    (class, mode)
}

const PAGE: (PathClass, RouteMode) = (PathClass::Page, RouteMode::Universal);
const ASSET: (PathClass, RouteMode) = (PathClass::Asset, RouteMode::Skip);
const DEBUG: (PathClass, RouteMode) = (PathClass::Debug, RouteMode::Skip);
const AUTH: (PathClass, RouteMode) = (PathClass::Auth, RouteMode::Universal);
const API: (PathClass, RouteMode) = (PathClass::Api, RouteMode::Universal);

#[test]
fn the_builtin_rules_know_the_usual_paths() {
    let classifier = Classifier::default();
    for (target, want) in [
        ("/", PAGE),
        ("/orders/9", PAGE),
        ("/assets/app.css", ASSET),
        ("/ASSETS/app.css", PAGE),
        ("/assets/a/b/c/d.WOFF2", ASSET),
        ("/assets/app.c%73s", ASSET),
        ("/favicon.ico", ASSET),
        ("/assets", PAGE),
        ("/assets/", PAGE),
        ("/assets/login", PAGE),
        ("/assets/report.pdf", PAGE),
        ("/assets/app.css/login", PAGE),
        ("/assets/.css", PAGE),
        ("/assets/app.", PAGE),
        ("/assets/app.css;v=1", PAGE),
        ("/assets/app;v=1.css", PAGE),
        ("/assets/app%3Bv=1.css", PAGE),
        ("/assets/app%25.css", PAGE),
        ("/assetsx/app.css", PAGE),
        ("/app.css", PAGE),
        ("/_debugbar/open", DEBUG),
        ("/_ignition", DEBUG),
        ("/_ignition/a;b", PAGE),
        ("/login;x", AUTH),
        ("/login;a=1/x;b", AUTH),
        ("/login%3Bx", AUTH),
        ("/logi;n", PAGE),
        ("/api%3B/x", API),
        ("/assets/caf%C3%A9.css", ASSET),
        ("/assets/%E2%82%AC.css", ASSET),
        ("/assets/%F0%9F%98%80.css", ASSET),
        ("/assets/caf%E9.css", PAGE),
        ("/assets/%C3x.css", PAGE),
        ("/assets/%A9.css", PAGE),
        ("/assets/%E2%82.css", PAGE),
        ("/assets/%ED%A0%80.css", PAGE),
        ("/assets/%E0%80%AF.css", PAGE),
        ("/login/%80", AUTH),
        ("/telescope", PAGE),
        ("/login", AUTH),
        ("/login/", AUTH),
        ("/login/app.css", AUTH),
        ("/loginx", PAGE),
        ("/forgot-password", AUTH),
        ("/forgot-passwore", PAGE),
        ("/api", API),
        ("/api/users", API),
        ("/apix", PAGE),
    ] {
        assert_eq!(classify(&classifier, Method::Get, target), want, "{target}");
        assert_eq!(
            classify(&classifier, Method::Head, target),
            want,
            "{target}"
        );
        let other = if want.1 == RouteMode::Skip {
            PAGE
        } else {
            want
        };
        assert_eq!(
            classify(&classifier, Method::Other, target),
            other,
            "{target}"
        );
    }
}

#[test]
fn the_longest_prefix_wins_over_configured_and_builtin_rules() {
    use PathClass::*;
    use RouteMode::*;
    let classifier = Classifier::builder()
        .rule("/", Page, Some(Tenant))
        .rule("/api/internal", Api, Some(Central))
        .rule("/api/internal/a-longer-segment", Api, Some(Tenant))
        .rule("/login", Auth, Some(Central))
        .rule("/assets/private", Page, Some(Tenant))
        .asset_dir("/media")
        .asset_extension("PDF")
        .mode_of(Debug, Universal)
        .preset(Preset::Laravel)
        .build()
        .unwrap();
    for (target, want) in [
        ("/", (Page, Tenant)),
        ("/x", (Page, Tenant)),
        ("/api/x", (Api, Universal)),
        ("/api/internal", (Api, Central)),
        ("/api/internal/x", (Api, Central)),
        ("/api/internal/a-longer-segment/x", (Api, Tenant)),
        ("/api/internal/a-longer-segmenT/x", (Api, Central)),
        ("/login", (Auth, Central)),
        ("/assets/private/a.css", (Page, Tenant)),
        ("/assets/a.pdf", ASSET),
        ("/media/a.css", ASSET),
        ("/media/a", PAGE),
        ("/telescope/x", (Debug, Universal)),
        ("/livewire/update", (Page, Tenant)),
    ] {
        assert_eq!(classify(&classifier, Method::Get, target), want, "{target}");
    }
}

#[test]
fn builtin_paths_can_be_left_out() {
    let builder = Classifier::builder().without_builtin_paths();
    let classifier = builder.asset_dir("/media").build().unwrap();
    for (target, want) in [
        ("/assets/a.css", PAGE),
        ("/login", PAGE),
        ("/api", PAGE),
        ("/media/a.css", ASSET),
    ] {
        assert_eq!(classify(&classifier, Method::Get, target), want, "{target}");
    }
}

#[test]
fn contradictions_are_refused_when_built() {
    use PathClass::*;
    use RouteMode::*;
    let rule = |prefix: &str| Classifier::builder().rule(prefix, Page, None);
    let page = |mode| Classifier::builder().rule("/x", Page, Some(mode));
    let rows: [(ClassifierBuilder, &str); 23] = [
        (
            rule(""),
            "path rule \"\" can match no request; write its prefix as a path that would be accepted",
        ),
        (
            rule("x"),
            "path rule \"x\" can match no request; write its prefix as a path that would be accepted",
        ),
        (
            rule("/x/../y"),
            "path rule \"/x/../y\" can match no request; write its prefix as a path that would be accepted",
        ),
        (
            rule("/x y"),
            "path rule \"/x y\" can match no request; write its prefix as a path that would be accepted",
        ),
        (
            rule("/x%2Fy"),
            "path rule \"/x%2Fy\" has a '%'; write the segments alone, unencoded",
        ),
        (
            rule("/x;y"),
            "path rule \"/x;y\" has a ';'; write the segments alone, unencoded",
        ),
        (
            Classifier::builder().rule("/", Debug, None),
            "path rule \"/\" cannot have mode skip; skip assets and tools by longer prefixes",
        ),
        (
            Classifier::builder().rule("/", Api, Some(Skip)),
            "path rule \"/\" cannot have mode skip; skip assets and tools by longer prefixes",
        ),
        (
            rule("/x/"),
            "path rule \"/x/\" is not in normal form; write it as \"/x\"",
        ),
        (
            rule("//"),
            "path rule \"//\" is not in normal form; write it as \"/\"",
        ),
        (
            rule("/x//y"),
            "path rule \"/x//y\" is not in normal form; write it as \"/x/y\"",
        ),
        (
            rule("/%61"),
            "path rule \"/%61\" has a '%'; write the segments alone, unencoded",
        ),
        (
            rule("/%c3"),
            "path rule \"/%c3\" has a '%'; write the segments alone, unencoded",
        ),
        (
            rule("/x?y"),
            "path rule \"/x?y\" is not in normal form; write it as \"/x\"",
        ),
        (
            rule("/x").rule("/x", Api, Some(Skip)),
            "path rule \"/x\" is given twice; leave one out",
        ),
        (
            rule("/x").asset_dir("/x"),
            "path rule \"/x\" is given twice; leave one out",
        ),
        (
            page(Skip),
            "path rule \"/x\" would skip class page; skip assets, debug or api alone",
        ),
        (
            Classifier::builder().rule("/x", Auth, Some(Skip)),
            "path rule \"/x\" would skip class auth; skip assets, debug or api alone",
        ),
        (
            page(Tenant).mode_of(Page, Skip),
            "class page cannot have mode skip; skip assets, debug or api alone",
        ),
        (
            page(Tenant).mode_of(Auth, Skip),
            "class auth cannot have mode skip; skip assets, debug or api alone",
        ),
        (
            page(Tenant).asset_extension(""),
            "asset extension \"\" is no extension; use 1-15 letters and digits, without the dot",
        ),
        (
            page(Tenant).asset_extension(".css"),
            "asset extension \".css\" is no extension; use 1-15 letters and digits, without the dot",
        ),
        (
            page(Tenant).asset_extension("abcdefghijklmnop"),
            "asset extension \"abcdefghijklmnop\" is no extension; use 1-15 letters and digits, without the dot",
        ),
    ];
    for (builder, want) in rows {
        let error = builder.build().map(drop).unwrap_err();
        assert_eq!(error.to_string(), want);
        let caused = std::error::Error::source(&error).is_some();
        assert_eq!(caused, matches!(error, InvalidRule::BadPrefix { .. }));
    }
}

#[test]
fn words_are_read_back() {
    for class in PathClass::ALL {
        assert_eq!(class.to_string().parse(), Ok(class));
    }
    for mode in RouteMode::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    assert_eq!(
        "Page".parse::<PathClass>().unwrap_err().to_string(),
        "path class \"Page\" is not known; use asset, api, debug, auth or page"
    );
    assert_eq!(
        "ignore".parse::<RouteMode>().unwrap_err().to_string(),
        "route mode \"ignore\" is not known; use skip, tenant, central or universal"
    );
}

/// The rules once more, one after the other and with nothing but string functions.
struct Linear {
    rules: Vec<(String, PathClass, RouteMode)>,
    page: RouteMode,
}

impl Linear {
    fn new(rules: Vec<(String, PathClass, RouteMode)>, page: RouteMode) -> Self {
        Self { rules, page }
    }

    fn classify(&self, method: Method, path: &str) -> (PathClass, RouteMode) {
        // Parameters of segments do not count.
        let cut = |segment: &str| {
            let ends = [segment.find(';'), segment.find("%3B")];
            let end = ends.into_iter().flatten().min().unwrap_or(segment.len());
            segment[..end].to_owned()
        };
        let bare: Vec<String> = path.split('/').map(cut).collect();
        let bare = bare.join("/");
        let below = |prefix: &str| {
            let rest = bare.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let matching = self.rules.iter().filter(|(prefix, _, _)| below(prefix));
        let longest = matching.max_by_key(|(prefix, _, _)| prefix.len());
        let page = (PathClass::Page, self.page);
        let found = longest.map_or(page, |(_, class, mode)| (*class, *mode));
        let read = method != Method::Other;
        let plain = ![";", "%3B", "%25"].iter().any(|odd| path.contains(odd));
        // The one segment of `SEGMENTS` that is no UTF-8.
        let plain = plain && !path.contains("t%C3/") && !path.ends_with("t%C3");
        let file = found.0 != PathClass::Asset || Self::is_file(path);
        match found.1 {
            RouteMode::Skip if !(read && plain && file) => page,
            _ => found,
        }
    }

    fn is_file(path: &str) -> bool {
        let (_, last) = path.rsplit_once('/').unwrap();
        last.rsplit_once('.').is_some_and(|(name, extension)| {
            !name.is_empty() && KNOWN.contains(&&*extension.to_ascii_lowercase())
        })
    }
}

/// The built-in extensions, and the two that the property adds.
const KNOWN: [&str; 22] = [
    "css",
    "js",
    "mjs",
    "map",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "ico",
    "webp",
    "avif",
    "woff",
    "woff2",
    "ttf",
    "eot",
    "otf",
    "mp4",
    "webm",
    "wasm",
    "webmanifest",
    "7z",
];

/// Segments that share their first eight bytes, their last eight, or both.
const SEGMENTS: [&str; 24] = [
    "a",
    "b",
    "A",
    "ab",
    "api",
    "assets",
    "segment",
    "segment1",
    "segment2",
    "segment11",
    "segment1x2345678",
    "segment1y2345678",
    "segment1x2345678z",
    "segment1-x-2345678",
    "segment1-y-2345678",
    "segment1-2345678",
    "1-2345678",
    "%C3%A9t%C3%A9",
    "%C3%A9t%C3",
    "a;b",
    "100%25",
    ".css",
    "a.b.c",
    "~",
];
const FILES: [&str; 14] = [
    "x.css",
    "x.CSS",
    "x.js",
    "x.json",
    "x.woff2",
    "x.webmanifest",
    "x.WebManifest",
    "x.7z",
    "x.",
    ".css",
    "x.css;v",
    "css",
    "a-long-name-of-a-file.Js",
    "x.css.map",
];

fn path_of(segments: &[usize], file: Option<usize>, slash: bool) -> String {
    let mut path: String = segments
        .iter()
        .map(|at| format!("/{}", SEGMENTS[*at]))
        .collect();
    path.extend(file.map(|at| format!("/{}", FILES[at])));
    if slash || path.is_empty() {
        path.push('/');
    }
    path
}

fn segments(most: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..SEGMENTS.len(), 0..=most)
}

proptest! {
    #[test]
    fn classes_are_those_of_a_walk_over_all_rules(
        rules in proptest::collection::btree_map(segments(3), (0..5usize, 0..4usize), 0..40),
        paths in proptest::collection::vec(
            (segments(4), proptest::option::of(0..FILES.len()), any::<bool>()), 1..40),
        page in 1..4usize,
    ) {
        let page = RouteMode::ALL[page];
        let mut builder = Classifier::builder().without_builtin_paths().mode_of(PathClass::Page, page);
        for extension in ["WebManifest", "7z"] {
            builder = builder.asset_extension(extension);
        }
        let mut linear = Vec::new();
        for (prefix, (class, mode)) in rules {
            let (prefix, class) = (path_of(&prefix, None, false), PathClass::ALL[class]);
            if prefix.contains([';', '%']) {
                continue;
            }
            let never = matches!(class, PathClass::Auth | PathClass::Page) || prefix == "/";
            let mode = if never { RouteMode::ALL[mode.max(1)] } else { RouteMode::ALL[mode] };
            builder = builder.rule(&*prefix, class, Some(mode));
            linear.push((prefix, class, mode));
        }
        let (classifier, linear) = (builder.build().unwrap(), Linear::new(linear, page));
        for (segments, file, slash) in paths {
            let text = path_of(&segments, file, slash);
            for method in [Method::Get, Method::Head, Method::Other] {
                let (fast, slow) = (classify(&classifier, method, &text), linear.classify(method, &text));
                prop_assert_eq!(fast, slow, "{:?} {}", method, text);
            }
        }
    }
}

/// Real directories as rules, real files below and beside them as paths.
#[test]
fn real_paths_have_the_class_of_a_walk_over_real_rules() {
    let (dirs, files) = (
        "path_real_dirs_raft_quarter.txt",
        "paths_real_node_files_every20th.txt",
    );
    let lines = |file: &str| shared_lines(&format!("corpora/{file}"));
    let (Some(dirs), Some(paths)) = (lines(dirs), lines(files)) else {
        return;
    };
    let normal = |text: &String| {
        let path = format!("/{}", text.trim_matches('/'));
        let normal = NormalPath::parse(&path).ok()?.into_cow().into_owned();
        (normal == path && path != "/").then_some(path)
    };
    let plain = |prefix: &String| !prefix.is_empty() && !prefix.contains([';', '%']);
    let prefixes: BTreeSet<String> = dirs.iter().step_by(20).filter_map(normal).collect();
    let nested = paths.iter().step_by(20).filter_map(normal);
    let nested = nested.filter_map(|path| Some(path.rsplit_once('/')?.0.to_owned()));
    let prefixes: BTreeSet<String> = nested.chain(prefixes).filter(plain).collect();
    let mut builder = Classifier::builder().without_builtin_paths();
    let mut rules = Vec::new();
    for (at, prefix) in prefixes.into_iter().enumerate() {
        let (class, mode) = (PathClass::ALL[at % 3], RouteMode::ALL[at % 4]);
        builder = builder.rule(&*prefix, class, Some(mode));
        rules.push((prefix, class, mode));
    }
    let classifier = builder.build().unwrap();
    let (count, linear) = (rules.len(), Linear::new(rules, RouteMode::Universal));
    let (mut ruled, mut of) = (0, 0);
    for path in dirs.iter().chain(&paths).filter_map(normal) {
        let fast = classify(&classifier, Method::Get, &path);
        assert_eq!(fast, linear.classify(Method::Get, &path), "{path}");
        ruled += usize::from(fast != PAGE);
        of += 1;
    }
    println!("{count} rules, {of} paths, {ruled} of them under a rule");
    assert!(ruled > 500, "the paths are meant to meet the rules");
}
