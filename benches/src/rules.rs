//! Fifty path rules: the built-in ones and what an application adds.

use tenancy_core::{Classifier, PathClass};

/// What the classifier has built in, said again for the rivals.
const BUILT_IN: [(&str, PathClass); 22] = [
    ("/assets", PathClass::Asset),
    ("/build", PathClass::Asset),
    ("/static", PathClass::Asset),
    ("/css", PathClass::Asset),
    ("/js", PathClass::Asset),
    ("/images", PathClass::Asset),
    ("/img", PathClass::Asset),
    ("/fonts", PathClass::Asset),
    ("/favicon.ico", PathClass::Asset),
    ("/_debugbar", PathClass::Debug),
    ("/_ignition", PathClass::Debug),
    ("/login", PathClass::Auth),
    ("/logout", PathClass::Auth),
    ("/register", PathClass::Auth),
    ("/password", PathClass::Auth),
    ("/forgot-password", PathClass::Auth),
    ("/reset-password", PathClass::Auth),
    ("/verify-email", PathClass::Auth),
    ("/two-factor", PathClass::Auth),
    ("/auth", PathClass::Auth),
    ("/oauth", PathClass::Auth),
    ("/api", PathClass::Api),
];

/// What the application adds, up to fifty.
const CONFIGURED: [(&str, PathClass); 28] = [
    ("/api/v1", PathClass::Api),
    ("/api/v2", PathClass::Api),
    ("/api/v2/internal", PathClass::Api),
    ("/api/v2/internal/reports", PathClass::Api),
    ("/graphql", PathClass::Api),
    ("/rpc", PathClass::Api),
    ("/webhooks", PathClass::Api),
    ("/webhooks/payments", PathClass::Api),
    ("/webhooks/mail", PathClass::Api),
    ("/account", PathClass::Page),
    ("/account/settings", PathClass::Page),
    ("/account/security", PathClass::Auth),
    ("/account/sessions", PathClass::Auth),
    ("/admin", PathClass::Page),
    ("/admin/users", PathClass::Page),
    ("/admin/reports", PathClass::Page),
    ("/billing", PathClass::Page),
    ("/billing/invoices", PathClass::Page),
    ("/blog", PathClass::Page),
    ("/blog/feed", PathClass::Api),
    ("/files/shared", PathClass::Page),
    ("/media", PathClass::Asset),
    ("/orders", PathClass::Page),
    ("/orders/export", PathClass::Api),
    ("/products", PathClass::Page),
    ("/search", PathClass::Page),
    ("/saml", PathClass::Auth),
    ("/sso", PathClass::Auth),
];

/// Endings of files in an asset directory that are skipped.
const EXTENSIONS: [&str; 20] = [
    "css", "js", "mjs", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff",
    "woff2", "ttf", "eot", "otf", "mp4", "webm", "wasm",
];

/// All rules, as they are written down.
pub fn all() -> Vec<(&'static str, PathClass)> {
    [&BUILT_IN[..], &CONFIGURED[..]].concat()
}

/// The same rules for the resolver.
pub fn classifier() -> Classifier {
    let mut builder = Classifier::builder();
    for (prefix, class) in CONFIGURED {
        builder = builder.rule(prefix, class, None);
    }
    builder.build().expect("no rule contradicts another")
}

/// The path of a target.
pub fn without_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Whether a rival skips this path of class asset: it has a known ending.
pub fn is_asset_file(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    let ending = last.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|e| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(e)))
}
