//! Schema drift: the difference between the objects of a file and those that its migrations create.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, Result};
use tenancy_core::SchemaTarget;

use crate::error::MigrateError;
use crate::schema::template;
use crate::store::Store;

/// The number of differences that a finding names.
const NAMED: usize = 3;

/// The objects of a schema: the tokens of an object's SQL, by the type and name of the object.
type Objects = BTreeMap<(String, String), String>;

/// The expected objects of each schema version, computed at the first file of that version.
#[derive(Default)]
pub(crate) struct Expected(Mutex<HashMap<u32, Arc<Objects>>>);

impl Expected {
    /// Returns in words the differences between the schema of a file and the one that the
    /// migrations up to `version` create, or `None` if there are none.
    pub(crate) fn drift(
        &self,
        store: &Store,
        connection: &Connection,
        version: u32,
    ) -> Result<Option<Box<str>>, MigrateError> {
        let expected = self.of(store, version)?;
        let found = objects(connection)?;
        let missing = expected.keys().filter(|key| !found.contains_key(*key));
        let added = found.keys().filter(|key| !expected.contains_key(*key));
        let changed = expected
            .iter()
            .filter(|(key, sql)| found.get(*key).is_some_and(|found| found != *sql));
        let describe = |what: &'static str| {
            move |(kind, name): &(String, String)| format!("{kind} {} {what}", name.escape_debug())
        };
        let all: Vec<String> = missing
            .map(describe("is missing"))
            .chain(added.map(describe("was added")))
            .chain(changed.map(|(key, _)| key).map(describe("was changed")))
            .collect();
        Ok((!all.is_empty()).then(|| in_words(&all)))
    }

    fn of(&self, store: &Store, version: u32) -> Result<Arc<Objects>, MigrateError> {
        let mut known = self.0.lock();
        if let Some(objects) = known.get(&version) {
            return Ok(objects.clone());
        }
        let (connection, guard) = template::migrated(
            &store.migrations,
            store.page_size,
            store.on_connect.as_deref(),
            store.limits,
            SchemaTarget::Version(version),
        )?;
        let objects = Arc::new(guard.ours(|| objects(&connection))?);
        known.insert(version, objects.clone());
        Ok(objects)
    }
}

fn in_words(differences: &[String]) -> Box<str> {
    let named = &differences[..differences.len().min(NAMED)];
    let mut text = named.join(", ");
    if differences.len() > NAMED {
        text.push_str(&format!(" and {} more", differences.len() - NAMED));
    }
    text.into()
}

/// Reads the objects of a schema, except the library's tables and the objects that SQLite itself
/// creates: indexes of constraints, sequences and statistics.
fn objects(connection: &Connection) -> Result<Objects> {
    let sql = "SELECT type, name, coalesce(sql, '') FROM main.sqlite_schema \
               WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND name NOT LIKE '\\_tenancy\\_%' ESCAPE '\\'";
    let mut read = connection.prepare(sql)?;
    let rows = read.query_map([], |row| {
        let sql: String = row.get(2)?;
        Ok(((row.get(0)?, row.get(1)?), tokens(&sql)))
    })?;
    rows.collect()
}

/// Returns the tokens of a statement, separated by one space. `ALTER TABLE` removes columns from
/// the text and appends others, so that white space depends on the history of a file, not on its
/// schema.
fn tokens(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' | '"' | '`' => quoted(rest, first),
            '[' => quoted(rest, ']'),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let comment = token.starts_with("--") || token.starts_with("/*");
        if !comment && !first.is_whitespace() {
            out.push_str(token);
            out.push(' ');
        }
        rest = after;
    }
    out
}

/// Returns the length of a quoted token that ends with `end`. A doubled quote ends the token and
/// begins the next, which makes no difference to a comparison.
fn quoted(text: &str, end: char) -> usize {
    let closing = text[1..].find(end);
    closing.map_or(text.len(), |at| at + 2)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use crate::schema::drift::tokens;

    #[test]
    fn white_space_and_comments_do_not_count() {
        let same = [
            "CREATE TABLE a(b TEXT, c INT)",
            "CREATE  TABLE a ( b\nTEXT , c INT ) -- the end",
            "CREATE TABLE a(/* two */b TEXT,c INT)",
        ];
        for sql in same {
            assert_eq!(tokens(sql), tokens(same[0]), "{sql}");
        }
        for sql in [
            "CREATE TABLE a(b TEXT, c INT) STRICT",
            "CREATE TABLE a(bTEXT, c INT)",
            "CREATE TABLE a('b TEXT', c INT)",
            "CREATE TABLE a(b TEXT, [c INT])",
        ] {
            assert_ne!(tokens(sql), tokens(same[0]), "{sql}");
        }
        assert_ne!(tokens("a DEFAULT ' x'"), tokens("a DEFAULT 'x'"));
        assert_eq!(tokens("'a''b' \"c"), "'a' 'b' \"c ");
        assert_eq!(tokens("/* open"), "");
    }
}
