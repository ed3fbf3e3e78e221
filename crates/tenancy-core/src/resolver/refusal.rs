//! [`Refusal`]: the response to a refused request.

use std::borrow::Cow;
use std::time::Duration;

use super::reason::Reason;
use crate::maintenance::Maintenance;

/// The response to a refused request. It holds no text of the request. A maintenance message of the
/// operator is escaped.
///
/// ```
/// use tenancy_core::{MemoryCatalog, Method, RequestHead, Resolver, Rule};
/// let resolver = Resolver::builder(MemoryCatalog::new()).rule(Rule::domain()).build()?;
/// let head = RequestHead::new(Method::Get, "/").host("nobody.example");
/// let refusal = resolver.resolve(&head).unwrap_err().refusal("application/json");
/// assert_eq!((refusal.status, refusal.content_type), (404, "application/problem+json"));
/// let body = r#"{"type":"about:blank","title":"Not found","status":404,"reason":"no_tenant"}"#;
/// assert_eq!(refusal.body, body);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The reason of the refusal.
    pub reason: Reason,
    /// The HTTP status of the response.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The time after which the client should try again, if the operator set one.
    pub retry_after: Option<Duration>,
    /// The body of the response. A response to a HEAD request must omit it.
    pub body: String,
}

impl Refusal {
    /// Returns the response for this reason. If the tenant is in maintenance, `down` is that
    /// maintenance.
    pub(super) fn new(reason: Reason, down: Option<&Maintenance>, accept: &str) -> Self {
        let message = down.and_then(|down| down.message.as_deref());
        let (content_type, body) = match prefers_json(accept) {
            true => ("application/problem+json", problem(reason, message)),
            false => ("text/html; charset=utf-8", page(reason, message)),
        };
        Self {
            reason,
            status: reason.status(),
            content_type,
            retry_after: down.and_then(|down| down.retry_after),
            body,
        }
    }

    /// Returns all headers of the response. They set the type of the body, and keep caches from
    /// storing the response and browsers from guessing another type. If there is a time for
    /// `Retry-After`, it is rounded up to whole seconds.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let seconds = |after: Duration| after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let retry = self.retry_after.map(seconds);
        [
            ("content-type", Cow::Borrowed(self.content_type)),
            ("cache-control", Cow::Borrowed("no-store")),
            ("x-content-type-options", Cow::Borrowed("nosniff")),
        ]
        .into_iter()
        .chain(retry.map(|after| ("retry-after", Cow::Owned(after.to_string()))))
    }
}

fn problem(reason: Reason, message: Option<&str>) -> String {
    let (title, status) = (reason.title(), reason.status());
    let detail = message.map(|message| format!(",\"detail\":\"{}\"", escape(message, In::Json)));
    let detail = detail.unwrap_or_default();
    format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"reason\":\"{reason}\"{detail}}}"
    )
}

fn page(reason: Reason, message: Option<&str>) -> String {
    let title = reason.title();
    let text = match message {
        Some(message) => escape(message, In::Html),
        None => reason.advice().to_owned(),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
}

/// The format that a text is written in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum In {
    Html,
    Json,
}

/// Escapes a text. HTML cannot express most control characters, so all of them except the end of a
/// line and the tab are skipped there.
fn escape(text: &str, place: In) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match (c, place) {
            ('<' | '>' | '&' | '"' | '\'', In::Html) => out.push_str(&format!("&#{};", c as u32)),
            ('\n' | '\t', In::Html) => out.push(c),
            (c, In::Html) if c.is_control() => {}
            ('"' | '\\', In::Json) => out.extend(['\\', c]),
            // `<` and the others are escaped too, as a page may put the text into a script.
            ('<' | '>' | '&' | '\u{2028}' | '\u{2029}', In::Json) => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            (c, In::Json) if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            (c, _) => out.push(c),
        }
    }
    out
}

/// Returns whether an `Accept` header prefers JSON to HTML (RFC 9110 §12.5.1).
fn prefers_json(accept: &str) -> bool {
    let json = ["application/problem+json", "application/json"];
    let json = json.iter().map(|kind| quality(accept, kind)).max();
    json > Some(quality(accept, "text/html"))
}

/// Returns the quality that an `Accept` header gives a type, in thousandths. The most specific
/// range that holds the type decides.
fn quality(accept: &str, kind: &str) -> u16 {
    let whole = kind.split('/').next().unwrap_or_default();
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let specific = match name.split_once('/')? {
            _ if name == kind => 3,
            (top, "*") if top == whole => 2,
            ("*", "*") => 1,
            _ => return None,
        };
        let q = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let q = match q {
            None => 1.0,
            Some(q) => q.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?,
        };
        Some((specific, (q * 1000.0) as u16))
    });
    ranges.max().map_or(0, |(_, q)| q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accept_header_is_read_by_its_most_specific_ranges() {
        for (accept, json) in [
            ("", false),
            ("*/*", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
            ),
            ("application/json", true),
            ("application/problem+json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/*", true),
            ("application/json, text/html", false),
            ("application/json, text/html;q=0.9", true),
            ("application/json;q=0.5, text/html;q=0.9", false),
            ("text/html;q=0, */*", true),
            ("application/json;q=0, */*", false),
            ("application/*;q=0.9, text/*;q=0.1", true),
            ("application/json;q=x", false),
            ("application/json;q=2", false),
            (",;/,application/json", true),
        ] {
            assert_eq!(prefers_json(accept), json, "{accept:?}");
        }
    }

    #[test]
    fn a_text_is_escaped_for_where_it_is_put() {
        for (text, html, json) in [
            ("back at noon", "back at noon", "back at noon"),
            ("é 漢 \u{1F600}", "é 漢 \u{1F600}", "é 漢 \u{1F600}"),
            (
                "</p><script>alert('x')</script>",
                "&#60;/p&#62;&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;",
                "\\u003c/p\\u003e\\u003cscript\\u003ealert('x')\\u003c/script\\u003e",
            ),
            ("a & \"b\"", "a &#38; &#34;b&#34;", "a \\u0026 \\\"b\\\""),
            ("\\\n\0\u{1b}", "\\\n", "\\\\\\u000a\\u0000\\u001b"),
            ("\u{2028}\u{7f}", "\u{2028}", "\\u2028\\u007f"),
        ] {
            assert_eq!(escape(text, In::Html), html, "{text:?}");
            assert_eq!(escape(text, In::Json), json, "{text:?}");
        }
    }

    #[test]
    fn any_text_survives_json_and_opens_no_tag() {
        // Every character of the first plane, four together.
        let all: Vec<char> = (0..=0xffff).filter_map(char::from_u32).collect();
        for text in all.chunks(4).map(|chunk| chunk.iter().collect::<String>()) {
            let json = format!("\"{}\"", escape(&text, In::Json));
            assert_eq!(serde_json::from_str::<String>(&json).expect(&json), text);
            let html = escape(&text, In::Html);
            assert!(!html.contains(['<', '>', '"', '\'']), "{html}");
        }
    }
}
