//! 2. Path.

use super::{BAD_PATH, Mutant, Reason, Reference};

/// The path and the query without its `?`.
pub fn cut(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// The normalised path of a request target, for the corpora.
pub fn normal_path(target: &[u8]) -> Result<String, Reason> {
    let config = crate::case::Config::default();
    Reference::new(&config, &[]).normal(cut(target).0)
}

/// One character of a path: the byte that is meant, and whether it stood as `%XX`.
struct Character {
    meant: u8,
    encoded: bool,
}

impl Reference<'_> {
    /// `%XX` of an unreserved character is decoded, every other kept with upper-case
    /// digits, `//` merged.
    pub(super) fn normal(&self, path: &[u8]) -> Result<String, Reason> {
        if path.first() != Some(&b'/') || path.len() > 8192 {
            return Err(BAD_PATH);
        }
        let mut characters = Vec::new();
        let mut at = 0;
        while at < path.len() {
            let (character, length) = read(&path[at..])?;
            characters.push(character);
            at += length;
        }
        self.check_segments(&characters)?;
        let mut normal = String::new();
        for character in characters {
            let text = write(&character);
            if text == "/" && normal.ends_with('/') && !self.planted(Mutant::SlashesKept) {
                continue;
            }
            normal.push_str(&text);
        }
        if self.planted(Mutant::DecodesTwice) {
            let once_more = normal.replace("%25", "%");
            return self.truth().normal(once_more.as_bytes());
        }
        Ok(normal)
    }

    /// A segment whose part before `;` is `.`, `..`, or (with a `;`) empty, in
    /// whatever spelling.
    fn check_segments(&self, characters: &[Character]) -> Result<(), Reason> {
        for segment in characters.split(|c| c.meant == b'/') {
            let semicolon = segment.iter().position(|c| c.meant == b';');
            if semicolon.is_some() && self.planted(Mutant::DotBeforeSemicolon) {
                continue;
            }
            let before = &segment[..semicolon.unwrap_or(segment.len())];
            let before: Vec<u8> = before.iter().map(|c| c.meant).collect();
            let empty = before.is_empty() && semicolon.is_some();
            if before == b"." || before == b".." || empty {
                return Err(BAD_PATH);
            }
        }
        Ok(())
    }
}

/// The character at the start, and how many bytes it is written with.
fn read(path: &[u8]) -> Result<(Character, usize), Reason> {
    match path[0] {
        b'%' => {
            let digit = |at: usize| path.get(at).and_then(|byte| (*byte as char).to_digit(16));
            let (Some(high), Some(low)) = (digit(1), digit(2)) else {
                return Err(BAD_PATH);
            };
            let meant = (high * 16 + low) as u8;
            match meant {
                b'/' | b'\\' | 0x00..=0x1F | 0x7F => Err(BAD_PATH),
                // Never part of UTF-8.
                0xC0 | 0xC1 | 0xF5..=0xFF => Err(BAD_PATH),
                _ => Ok((
                    Character {
                        meant,
                        encoded: true,
                    },
                    3,
                )),
            }
        }
        b'\\' | b'#' => Err(BAD_PATH),
        meant @ 0x21..=0x7E => Ok((
            Character {
                meant,
                encoded: false,
            },
            1,
        )),
        _ => Err(BAD_PATH),
    }
}

fn write(character: &Character) -> String {
    match character.meant {
        // Unreserved (RFC 3986 §2.3).
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            (character.meant as char).to_string()
        }
        meant if character.encoded => format!("%{meant:02X}"),
        meant => (meant as char).to_string(),
    }
}
