//! 5. Class and mode.

use super::{Mutant, Reference};

const ASSET_DIRS: [&str; 9] = [
    "/assets",
    "/build",
    "/static",
    "/css",
    "/js",
    "/images",
    "/img",
    "/fonts",
    "/favicon.ico",
];
const EXTENSIONS: [&str; 20] = [
    "css", "js", "mjs", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff",
    "woff2", "ttf", "eot", "otf", "mp4", "webm", "wasm",
];
const DEBUG: [&str; 2] = ["/_debugbar", "/_ignition"];
const LARAVEL: [&str; 3] = ["/telescope", "/horizon", "/pulse"];
const AUTH: [&str; 10] = [
    "/login",
    "/logout",
    "/register",
    "/password",
    "/forgot-password",
    "/reset-password",
    "/verify-email",
    "/two-factor",
    "/auth",
    "/oauth",
];

/// The mode that a class has where none is said.
fn mode_of(class: &str) -> &'static str {
    match class {
        "asset" | "debug" => "skip",
        _ => "universal",
    }
}

impl Reference<'_> {
    /// Every rule there is, as (prefix, class, mode): a configured one replaces a
    /// built-in one of the same prefix.
    fn all_rules(&self) -> Vec<(String, String, String)> {
        let mut rules = Vec::new();
        let mut built_in = |prefixes: &[&str], class: &str| {
            for prefix in prefixes {
                rules.push((
                    prefix.to_string(),
                    class.to_owned(),
                    mode_of(class).to_owned(),
                ));
            }
        };
        if self.config.builtin_paths {
            built_in(&ASSET_DIRS, "asset");
            built_in(&DEBUG, "debug");
            built_in(&AUTH, "auth");
            built_in(&["/api"], "api");
        }
        if self.config.preset.as_deref() == Some("laravel") {
            built_in(&LARAVEL, "debug");
        }
        for rule in &self.config.paths {
            let known = rules.iter().any(|(prefix, _, _)| *prefix == rule.prefix);
            if known && self.planted(Mutant::BuiltInsStay) {
                continue;
            }
            rules.retain(|(prefix, _, _)| *prefix != rule.prefix);
            let mode = rule.mode.as_deref().unwrap_or(mode_of(&rule.class));
            rules.push((rule.prefix.clone(), rule.class.clone(), mode.to_owned()));
        }
        rules
    }

    /// The longest whole-segment prefix, with case; else page.
    pub(super) fn classify(&self, method: &str, path: &str) -> (String, String) {
        let page = ("page".to_owned(), mode_of("page").to_owned());
        // Classes are looked up on the path with every segment cut at its first `;`.
        let segments = path.split('/').map(|segment| {
            let encoded = segment.replace("%3B", ";");
            let cut = encoded.split(';').next().expect("a first part");
            segment[..cut.len()].to_owned()
        });
        let segments: Vec<String> = segments.collect();
        let bare = match self.planted(Mutant::ParametersLeaveTheRule) {
            true => path.to_owned(),
            false => segments.join("/"),
        };
        let mut matching = self.all_rules();
        matching.retain(|(prefix, _, _)| self.is_below(prefix, &bare));
        let (class, mode) = match matching.iter().max_by_key(|(prefix, _, _)| prefix.len()) {
            Some(_) if self.planted(Mutant::FirstPrefixWins) => {
                let (_, class, mode) = matching.swap_remove(0);
                (class, mode)
            }
            Some((_, class, mode)) => (class.clone(), mode.clone()),
            None if self.planted(Mutant::ExtensionAlone) && has_extension(path, true) => {
                return ("asset".to_owned(), "skip".to_owned());
            }
            None => page.clone(),
        };
        if mode != "skip" {
            return (class, mode);
        }
        // Skip holds for GET and HEAD, other methods make it a page.
        let reads = method == "GET" || method == "HEAD" || self.planted(Mutant::AnyMethodSkips);
        // An asset is skipped only with a known extension, compared without case.
        let any_case = !self.planted(Mutant::ExtensionWithCase);
        let known =
            class != "asset" || self.planted(Mutant::AnyExtension) || has_extension(path, any_case);
        // A path with `;` (in whatever spelling) or `%25` is never skipped.
        let odd = path.contains(';') || path.contains("%3B") || path.contains("%25");
        let odd = odd && !self.planted(Mutant::SemicolonSkips);
        // Nor is one whose encoded bytes are not UTF-8.
        let odd = odd || !is_utf8(path) && !self.planted(Mutant::AnyBytesSkip);
        match reads && known && !odd {
            true => (class, mode),
            false => page,
        }
    }

    fn is_below(&self, prefix: &str, path: &str) -> bool {
        if prefix == "/" {
            return true;
        }
        match path.strip_prefix(prefix) {
            Some(rest) => {
                rest.is_empty() || rest.starts_with('/') || self.planted(Mutant::NoSegmentBoundary)
            }
            None => false,
        }
    }
}

/// Decodes everything and looks at the whole.
pub fn is_utf8(path: &str) -> bool {
    let mut bytes = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        match first {
            '%' => {
                bytes.push(u8::from_str_radix(&rest[1..3], 16).expect("a normal path"));
                rest = &rest[3..];
            }
            _ => {
                bytes.push(first as u8);
                rest = &rest[1..];
            }
        }
    }
    String::from_utf8(bytes).is_ok()
}

/// Of the last segment only; a name that is nothing but `.css` has none.
fn has_extension(path: &str, any_case: bool) -> bool {
    let last = path.rsplit('/').next().expect("one segment at least");
    let Some((name, extension)) = last.rsplit_once('.') else {
        return false;
    };
    let extension = match any_case {
        true => extension.to_ascii_lowercase(),
        false => extension.to_owned(),
    };
    !name.is_empty() && EXTENSIONS.contains(&extension.as_str())
}
