//! The grammars of the routing rules, written a second time: plain loops over bytes that share
//! nothing with the library.

/// 1–63 of `a-z`, `0-9` and inner hyphens.
pub fn is_label(bytes: &[u8]) -> bool {
    let alphabet = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(alphabet)
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

/// The normal form of the path in a request target; nothing when it is refused. Works in
/// whole steps, each over all of the path: cut, refuse, decode, split, judge, join.
pub fn normal_path(target: &[u8]) -> Option<String> {
    let path = target.split(|b| *b == b'?').next()?;
    if path.first() != Some(&b'/') || path.len() > 8192 {
        return None;
    }
    let mut segments = Vec::new();
    for raw in path[1..].split(|b| *b == b'/') {
        let units = units(raw)?;
        let name: Vec<u8> = units
            .iter()
            .map(|u| u.0)
            .take_while(|b| *b != b';')
            .collect();
        let with_parameters = name.len() < units.len();
        if name == b"." || name == b".." || (name.is_empty() && with_parameters) {
            return None;
        }
        segments.push(units.into_iter().map(|u| u.1).collect::<String>());
    }
    // `//` is merged: an empty segment is kept only at the end, where it is the final slash.
    let last = segments.pop()?;
    segments.retain(|segment| !segment.is_empty());
    segments.push(last);
    Some(format!("/{}", segments.join("/")))
}

/// A segment as what each byte or escape stands for, and how that is written.
fn units(segment: &[u8]) -> Option<Vec<(u8, String)>> {
    let mut units = Vec::new();
    let mut rest = segment;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            let allowed = (0x21..=0x7e).contains(first) && *first != b'\\' && *first != b'#';
            units.push(allowed.then(|| (*first, char::from(*first).to_string()))?);
            continue;
        }
        let [high, low, behind @ ..] = rest else {
            return None;
        };
        rest = behind;
        let hex = |b: u8| u8::try_from(char::from(b).to_digit(16)?).ok();
        let byte = hex(*high)? * 16 + hex(*low)?;
        if byte < 0x20 || byte == 0x7f || byte == b'/' || byte == b'\\' {
            return None;
        }
        // Never part of UTF-8.
        if matches!(byte, 0xc0 | 0xc1 | 0xf5..) {
            return None;
        }
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        units.push(match unreserved {
            true => (byte, char::from(byte).to_string()),
            false => (byte, format!("%{byte:02X}")),
        });
    }
    Some(units)
}

/// What a host is.
#[derive(Debug, PartialEq, Eq)]
pub enum Host {
    /// A name in canonical form.
    Name(String),
    /// What stands in brackets.
    V6(std::net::Ipv6Addr),
}

/// The host of a Host line without its port; nothing when it breaks the grammar.
pub fn host(raw: &[u8]) -> Option<Host> {
    let text = std::str::from_utf8(raw).ok()?;
    if let Some(behind) = text.strip_prefix('[') {
        let (address, port) = behind.split_once(']')?;
        port_or_nothing(port)?;
        return address.parse().ok().map(Host::V6);
    }
    let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
    port_or_nothing(port)?;
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let labels = name.split('.').all(|label| is_label(label.as_bytes()));
    (labels && name.len() <= 253).then_some(Host::Name(name))
}

fn port_or_nothing(text: &str) -> Option<()> {
    let Some(digits) = text.strip_prefix(':') else {
        return text.is_empty().then_some(());
    };
    let number = digits.trim_start_matches('0');
    let fits = number.is_empty() || number.parse::<u16>().is_ok();
    (digits.bytes().all(|b| b.is_ascii_digit()) && fits).then_some(())
}
