//! The known keys of a config, and the search for the one most similar to an unknown key.

use std::fmt;
use std::path::Path;

use serde::Deserializer;
use serde::de::{Deserialize, Error, Visitor};
use toml::{Table, Value};

use super::error::ConfigError;

/// Returns an error for the first key that is not known.
pub(super) fn check(config: &Table, known: &[Key<'_>], file: &Path) -> Result<(), ConfigError> {
    for (table, value) in config {
        let inner: Vec<&Table> = match value {
            Value::Table(inner) => vec![inner],
            Value::Array(all) => all.iter().filter_map(Value::as_table).collect(),
            _ => Vec::new(),
        };
        let keys = inner.into_iter().flat_map(Table::keys);
        let keys = keys.map(|key| (table.as_str(), key.as_str()));
        for key in std::iter::once(("", table.as_str())).chain(keys) {
            if !known.contains(&key) {
                return Err(ConfigError::UnknownKey {
                    file: file.into(),
                    key: dotted(key),
                    nearest: dotted(nearest(key, known)),
                });
            }
        }
    }
    Ok(())
}

/// A table and a key in it. The table is empty for the keys outside tables.
pub(super) type Key<'a> = (&'a str, &'a str);

fn dotted((table, key): Key<'_>) -> String {
    let dot = if table.is_empty() { "" } else { "." };
    format!("{table}{dot}{key}")
}

/// The keys of earlier versions, with their names of today.
const RENAMED: [(Key<'_>, Key<'_>); 1] = [(("storage", "stock"), ("storage", "warm_pool"))];

/// Returns the known key with the smallest edit distance. The new name of a renamed key has
/// distance 0, and a known key that contains the unknown one distance 1. Among equal distances, a
/// key in the same table is preferred.
fn nearest<'k>((table, key): Key<'_>, known: &[Key<'k>]) -> Key<'k> {
    let distance = |other: &&Key<'_>| {
        let part = key.len() > 3 && other.1.contains(key);
        let edits = match RENAMED.contains(&((table, key), **other)) {
            true => 0,
            false if part => 1,
            false => edits(key, other.1),
        };
        edits * 2 + usize::from(other.0 != table)
    };
    let nearest = known.iter().min_by_key(distance);
    *nearest.expect("there are known keys")
}

/// Returns the Levenshtein distance of two texts, in bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Returns the field names of a struct that derives `Deserialize`, so that no list of keys has to
/// be kept in step with the types.
pub(super) fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    match T::deserialize(Ask) {
        Err(Fields(fields)) => fields,
        Ok(_) => &[],
    }
}

/// A deserializer without a value. Its error lists the fields of the type to deserialize.
struct Ask;

#[derive(Debug)]
struct Fields(&'static [&'static str]);

impl<'de> Deserializer<'de> for Ask {
    type Error = Fields;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fields> {
        Err(Fields(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fields> {
        Err(Fields(fields))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes
        byte_buf option unit unit_struct newtype_struct seq tuple tuple_struct map
        enum identifier ignored_any
    }
}

impl Error for Fields {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl std::error::Error for Fields {}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the fields are {:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::known_keys;
    use super::*;

    #[test]
    fn the_known_keys_are_those_of_the_types() {
        let known = known_keys();
        for key in [
            ("", "path"),
            ("storage", "root"),
            ("resolve", "central_domains"),
            ("path", "prefix"),
            ("pool", "checkout_timeout"),
        ] {
            assert!(known.contains(&key), "{key:?} is not among {known:?}");
        }
        assert!(!known.contains(&("", "file")), "`file` is no key");
    }

    #[test]
    fn the_nearest_key_corrects_a_typo() {
        let known = known_keys();
        for (key, want) in [
            (("", "resolver"), "resolve"),
            (("", "paths"), "path"),
            (("resolve", "subdomain_of"), "resolve.subdomains_of"),
            (("resolve", "max_connections"), "pool.max_connections"),
            (("pool", "timeout"), "pool.checkout_timeout"),
            (("path", "klass"), "path.class"),
            (("storage", "stock"), "storage.warm_pool"),
        ] {
            assert_eq!(dotted(nearest(key, &known)), want, "{key:?}");
        }
    }

    #[test]
    fn edits_are_counted() {
        for (a, b, want) in [
            ("", "", 0),
            ("abc", "", 3),
            ("header", "headr", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!(edits(a, b), want, "{a} {b}");
            assert_eq!(edits(b, a), want, "{b} {a}");
        }
    }
}
