//! SQLite's `instr`, `replace`, `trim`, `ltrim` and `rtrim` in linear time.
//!
//! The time of SQLite's own functions grows with the product of their arguments' lengths, within
//! one step of its machine, in which no deadline is checked. The functions of this module return
//! the same bytes for every type of argument, and check the deadline. Like SQLite's own, they are
//! innocuous, so that views and indexes of a file may call them.

mod charset;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use memchr::memmem;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};

use crate::guard::deadline::DeadlineClock;
use crate::guard::functions::charset::is_continuation;
use charset::CharSet;

/// The number of matches between two checks of the deadline.
const MATCHES: usize = 1_024;

/// Registers the functions. Their results have at most `longest` bytes.
pub(crate) fn register(
    connection: &Connection,
    deadline: &DeadlineClock,
    longest: usize,
) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    let own = deadline.clone();
    connection.create_scalar_function("instr", 2, flags, move |c| {
        own.check()?;
        instr(c.get_raw(0), c.get_raw(1))
    })?;
    let own = deadline.clone();
    connection.create_scalar_function("replace", 3, flags, move |c| {
        own.check()?;
        replace(c, &own, longest)
    })?;
    let trims = [
        ("trim", true, true),
        ("ltrim", true, false),
        ("rtrim", false, true),
    ];
    for (name, left, right) in trims {
        let own = deadline.clone();
        connection.create_scalar_function(name, 2, flags, move |c| trim(c, &own, left, right))?;
    }
    Ok(())
}

/// A result that is TEXT of any bytes, or NULL.
struct Text(Option<Vec<u8>>);

impl ToSql for Text {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let text = self.0.as_deref();
        Ok(ToSqlOutput::Borrowed(
            text.map_or(ValueRef::Null, ValueRef::Text),
        ))
    }
}

/// Returns a value as SQLite's text of it, or `None` if it is NULL.
fn text(value: ValueRef<'_>) -> Result<Option<Cow<'_, [u8]>>> {
    Ok(match value {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.into()),
        ValueRef::Integer(number) => Some(number.to_string().into_bytes().into()),
        ValueRef::Real(number) => Some(text_of(number)?.into_bytes().into()),
    })
}

/// Returns a number as text in SQLite's format, which SQLite itself produces.
fn text_of(number: f64) -> Result<String> {
    thread_local! {
        static SQLITE: Option<Connection> = Connection::open_in_memory().ok();
    }
    SQLITE.with(|sqlite| {
        let sqlite = sqlite.as_ref().ok_or_else(|| failure(ffi::SQLITE_NOMEM))?;
        let mut cast = sqlite.prepare_cached("SELECT CAST(?1 AS TEXT)")?;
        cast.query_row([number], |row| row.get(0))
    })
}

fn failure(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}

fn instr(haystack: ValueRef<'_>, needle: ValueRef<'_>) -> Result<Option<i64>> {
    let blobs = matches!((haystack, needle), (ValueRef::Blob(_), ValueRef::Blob(_)));
    let (Some(haystack), Some(needle)) = (text(haystack)?, text(needle)?) else {
        return Ok(None);
    };
    let Some(first) = needle.first() else {
        return Ok(Some(1));
    };
    let at = match !blobs && is_continuation(*first) {
        // In text SQLite compares only from the start of the text and of each character.
        true => haystack.starts_with(&needle).then_some(0),
        false => memmem::find(&haystack, &needle),
    };
    let number = |at: usize| match at {
        0 => 1,
        at if blobs => at + 1,
        at => {
            2 + haystack[1..at]
                .iter()
                .filter(|b| !is_continuation(**b))
                .count()
        }
    };
    Ok(Some(at.map_or(0, number) as i64))
}

fn replace(context: &Context<'_>, deadline: &DeadlineClock, longest: usize) -> Result<Text> {
    let (Some(whole), Some(pattern)) = (text(context.get_raw(0))?, text(context.get_raw(1))?)
    else {
        return Ok(Text(None));
    };
    // A pattern that begins with NUL counts as empty.
    if pattern.first().is_none_or(|first| *first == 0) {
        return Ok(Text(Some(whole.into_owned())));
    }
    let Some(by) = text(context.get_raw(2))? else {
        return Ok(Text(None));
    };
    // SQLite counts the byte that ends a text, too.
    if whole.len() >= longest {
        return Err(failure(ffi::SQLITE_TOOBIG));
    }
    let (mut out, mut done) = (Vec::with_capacity(whole.len()), 0);
    for (n, at) in memmem::find_iter(&whole, &*pattern).enumerate() {
        out.extend_from_slice(&whole[done..at]);
        out.extend_from_slice(&by);
        done = at + pattern.len();
        if out.len() + (whole.len() - done) > longest {
            return Err(failure(ffi::SQLITE_TOOBIG));
        }
        if n % MATCHES == 0 {
            deadline.check()?;
        }
    }
    out.extend_from_slice(&whole[done..]);
    Ok(Text(Some(out)))
}

fn trim(context: &Context<'_>, deadline: &DeadlineClock, left: bool, right: bool) -> Result<Text> {
    deadline.check()?;
    let (Some(whole), Some(set)) = (text(context.get_raw(0))?, text(context.get_raw(1))?) else {
        return Ok(Text(None));
    };
    let set = CharSet::parse(&set);
    let mut rest = &*whole;
    if left {
        rest = set.trim_start(rest, deadline)?;
    }
    if right {
        rest = set.trim_end(rest, deadline)?;
    }
    Ok(Text(Some(rest.to_vec())))
}
