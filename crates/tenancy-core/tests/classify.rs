//! Classes and modes of paths, and rules that are refused.

use tenancy_core::{
    Classified, Classifier, ClassifierBuilder, InvalidRule, Method, NormalPath, PathClass, Preset,
    RouteMode,
};

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
    let rows: [(ClassifierBuilder, &str); 20] = [
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
            "path rule \"/x%2Fy\" can match no request; write its prefix as a path that would be accepted",
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
            "path rule \"/%61\" is not in normal form; write it as \"/a\"",
        ),
        (
            rule("/%c3"),
            "path rule \"/%c3\" is not in normal form; write it as \"/%C3\"",
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
            "asset extension \"\" is none; use 1-15 letters and digits, without the dot",
        ),
        (
            page(Tenant).asset_extension(".css"),
            "asset extension \".css\" is none; use 1-15 letters and digits, without the dot",
        ),
        (
            page(Tenant).asset_extension("abcdefghijklmnop"),
            "asset extension \"abcdefghijklmnop\" is none; use 1-15 letters and digits, without the dot",
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
