//! Text from outside, made fit for an error message.

/// At most this many characters of a text from outside stand in an error: enough
/// to recognise it, too little to flood a log.
const MAX_QUOTED: usize = 80;

/// `text` in quotes, escaped and cut after [`MAX_QUOTED`] characters.
pub(crate) fn quote(text: &str) -> Box<str> {
    let mut out = String::from("\"");
    let mut chars = text.chars();
    for c in chars.by_ref().take(MAX_QUOTED) {
        out.extend(c.escape_debug());
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out.push('"');
    out.into()
}

/// [`quote`] for bytes that need not be UTF-8.
pub(crate) fn quote_bytes(bytes: &[u8]) -> Box<str> {
    // Four bytes a character at most, so that a huge input is not walked.
    quote(&String::from_utf8_lossy(
        &bytes[..bytes.len().min(4 * MAX_QUOTED + 4)],
    ))
}
