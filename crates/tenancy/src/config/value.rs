//! The values for which TOML has no type: words and durations.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};
use tenancy_core::{PathClass, Preset, RouteMode, RuleKind};

/// A type whose values are written as one of a few words.
pub(super) trait Word: Sized {
    fn from_word(word: &str) -> Result<Self, String>;
}

fn parsed<T: FromStr<Err: Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|error: T::Err| error.to_string())
}

impl Word for PathClass {
    fn from_word(word: &str) -> Result<Self, String> {
        parsed(word)
    }
}

impl Word for RouteMode {
    fn from_word(word: &str) -> Result<Self, String> {
        parsed(word)
    }
}

impl Word for RuleKind {
    fn from_word(word: &str) -> Result<Self, String> {
        if word == Self::Custom.as_str() {
            return Err("rule \"custom\" cannot be configured in a file; add it in code with `Rule::custom`".into());
        }
        let listed: Vec<_> = Self::ALL
            .into_iter()
            .filter(|rule| *rule != Self::Custom)
            .collect();
        choose("rule", word, &listed, Self::as_str)
    }
}

impl Word for Preset {
    fn from_word(word: &str) -> Result<Self, String> {
        choose("preset", word, &[Self::Laravel], |_| "laravel")
    }
}

fn choose<T: Copy>(
    what: &str,
    word: &str,
    of: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let found = of.iter().copied().find(|value| name(*value) == word);
    found.ok_or_else(|| {
        let known: Vec<_> = of.iter().map(|value| name(*value)).collect();
        format!("{what} {word:?} is not known; use {}", known.join(", "))
    })
}

pub(super) fn word<'de, T: Word, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let word = String::deserialize(from)?;
    T::from_word(&word).map_err(D::Error::custom)
}

pub(super) fn maybe_word<'de, T: Word, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    word(from).map(Some)
}

pub(super) fn words<'de, T: Word, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    for (at, word) in words.iter().enumerate() {
        if words[..at].contains(word) {
            return Err(D::Error::custom(format!(
                "{word:?} is listed twice; list it once"
            )));
        }
    }
    let values = words.iter().map(|word| T::from_word(word));
    values.collect::<Result<_, _>>().map_err(D::Error::custom)
}

pub(super) fn maybe_duration<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    duration(&text).map(Some).ok_or_else(|| {
        D::Error::custom(format!(
            "{text:?} is not a duration; write a whole number and ms, s, m, h or d, like \"500ms\" or \"5s\""
        ))
    })
}

/// Parses a duration like `500ms`, `5s`, `2m`, `1h` or `30d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        "d" => number.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_with_its_unit() {
        for (text, want) in [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("30d", Some(2_592_000_000)),
            ("0s", Some(0)),
            ("5", None),
            ("", None),
            ("s", None),
            ("5 s", None),
            ("-5s", None),
            ("5.5s", None),
            ("5sec", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ] {
            assert_eq!(duration(text), want.map(Duration::from_millis), "{text:?}");
        }
    }
}
