//! Which keys there are, and which is meant by one that there is not.

use std::fmt;
use std::path::Path;

use serde::Deserializer;
use serde::de::{Deserialize, Error, Visitor};
use toml::{Table, Value};

use super::{
    Config, ConfigError, PathRule, PoolConfig, ResolveConfig, RetentionConfig, StorageConfig,
};

/// Refuses the first key that is not known.
pub(super) fn check(config: &Table, file: &Path) -> Result<(), ConfigError> {
    let known = known();
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
                    nearest: dotted(nearest(key, &known)),
                });
            }
        }
    }
    Ok(())
}

/// A table (empty for the top) and a key in it.
type Key<'a> = (&'a str, &'a str);

fn dotted((table, key): Key<'_>) -> String {
    let dot = if table.is_empty() { "" } else { "." };
    format!("{table}{dot}{key}")
}

/// Every key, as the types say it.
fn known() -> Vec<Key<'static>> {
    let tables = [
        ("", fields::<Config>()),
        ("storage", fields::<StorageConfig>()),
        ("resolve", fields::<ResolveConfig>()),
        ("path", fields::<PathRule>()),
        ("pool", fields::<PoolConfig>()),
        ("retention", fields::<RetentionConfig>()),
    ];
    let keys = tables.into_iter();
    keys.flat_map(|(table, keys)| keys.iter().map(move |key| (table, *key)))
        .collect()
}

/// The known key that is the fewest edits away, a part of a key being one away from
/// the whole; one in the same table comes first.
fn nearest<'k>((table, key): Key<'_>, known: &[Key<'k>]) -> Key<'k> {
    let distance = |other: &&Key<'_>| {
        let part = key.len() > 3 && other.1.contains(key);
        let edits = if part { 1 } else { edits(key, other.1) };
        edits * 2 + usize::from(other.0 != table)
    };
    let nearest = known.iter().min_by_key(distance);
    *nearest.expect("there are known keys")
}

/// Levenshtein's distance, in bytes.
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

/// The names that serde's derive reads into a struct, so that no list of keys has
/// to be kept in step with the types.
fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    match T::deserialize(Ask) {
        Err(Fields(fields)) => fields,
        Ok(_) => &[],
    }
}

/// Deserializes nothing: it answers with the fields it is asked for.
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
    use super::*;

    #[test]
    fn the_types_say_which_keys_there_are() {
        let known = known();
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
    fn the_nearest_key_is_what_a_typo_meant() {
        let known = known();
        for (key, want) in [
            (("", "resolver"), "resolve"),
            (("", "paths"), "path"),
            (("resolve", "subdomain_of"), "resolve.subdomains_of"),
            (("resolve", "max_connections"), "pool.max_connections"),
            (("pool", "timeout"), "pool.checkout_timeout"),
            (("path", "klass"), "path.class"),
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
