//! [`CharSet`]: the characters that `trim` removes.

use rusqlite::Result;

use crate::guard::deadline::DeadlineClock;

/// The number of characters between two checks of the deadline.
const CHARACTERS: usize = 4_096;

const NONE: u32 = u32::MAX;

/// The characters of a text up to its first NUL, by SQLite's rule: a character is a byte below
/// 0xC0, or a byte from 0xC0 on with all continuation bytes that follow. If several characters
/// match, the first in the text counts, as in SQLite. The number of a character is its position in
/// the text.
pub(crate) struct CharSet<'s> {
    /// The number of each character of one byte.
    single: [u32; 256],
    /// The characters of several bytes with their numbers, sorted, each once.
    long: Vec<(&'s [u8], u32)>,
}

impl<'s> CharSet<'s> {
    pub(crate) fn parse(text: &'s [u8]) -> Self {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let (mut single, mut long) = ([NONE; 256], Vec::new());
        let (mut at, mut number) = (0, 0);
        while let Some(&first) = text.get(at) {
            let tail = text[at + 1..].iter().take_while(|b| is_continuation(**b));
            let len = if first >= 0xc0 { 1 + tail.count() } else { 1 };
            match len {
                1 => {
                    let known = &mut single[usize::from(first)];
                    *known = number.min(*known);
                }
                _ => long.push((&text[at..at + len], number)),
            }
            at += len;
            number += 1;
        }
        long.sort_unstable();
        long.dedup_by_key(|(character, _)| *character);
        Self { single, long }
    }

    pub(crate) fn trim_start<'t>(
        &self,
        mut text: &'t [u8],
        deadline: &DeadlineClock,
    ) -> Result<&'t [u8]> {
        for n in 0_usize.. {
            let Some(&first) = text.first() else { break };
            if n % CHARACTERS == 0 {
                deadline.check()?;
            }
            let mut best = (self.single[usize::from(first)], 1);
            self.walk(text, |number, len| best = best.min((number, len)));
            if best.0 == NONE {
                break;
            }
            text = &text[best.1..];
        }
        Ok(text)
    }

    pub(crate) fn trim_end<'t>(
        &self,
        mut text: &'t [u8],
        deadline: &DeadlineClock,
    ) -> Result<&'t [u8]> {
        // The character of several bytes that ends here: its start, and the number of each of its
        // prefixes by length. They are found once, and reused while its continuation bytes are
        // removed one by one.
        let (mut begin, mut numbers) = (usize::MAX, Vec::new());
        for n in 0_usize.. {
            let Some(&last) = text.last() else { break };
            if n % CHARACTERS == 0 {
                deadline.check()?;
            }
            let mut best = (self.single[usize::from(last)], 1);
            if is_continuation(last) {
                if begin >= text.len() - 1 {
                    let tail = text.iter().rev().take_while(|b| is_continuation(**b));
                    begin = (text.len() - 1).saturating_sub(tail.count());
                    numbers.clear();
                    numbers.resize(text.len() - begin, NONE);
                    self.walk(&text[begin..], |number, len| numbers[len - 1] = number);
                }
                let len = text.len() - begin;
                best = best.min((numbers[len - 1], len));
            }
            if best.0 == NONE {
                break;
            }
            text = &text[..text.len() - best.1];
        }
        Ok(text)
    }

    /// Calls `found` with the number and length of each character of several bytes at the start of
    /// a text.
    fn walk(&self, text: &[u8], mut found: impl FnMut(u32, usize)) {
        let mut left = &self.long[..];
        for (at, byte) in text.iter().enumerate() {
            if at > 0 && !is_continuation(*byte) {
                return;
            }
            // All in `left` agree up to here, and a prefix sorts before a longer character.
            let less = left.partition_point(|(c, _)| c.get(at) < Some(byte));
            left = &left[less..];
            left = &left[..left.partition_point(|(c, _)| c.get(at) == Some(byte))];
            match left.first() {
                None => return,
                Some((character, number)) if character.len() == at + 1 => found(*number, at + 1),
                Some(_) => {}
            }
        }
    }
}

pub(crate) const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}
