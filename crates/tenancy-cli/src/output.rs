//! Everything that is printed: for people and, from the same values, as JSON.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// No table is wider, so that it fits the narrowest usual terminal.
const WIDTH: usize = 80;

/// With more columns a table has no room for what stands in them.
const MAX_COLUMNS: usize = 12;

/// Where results, notes and progress go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Prints one result: a JSON document, or its fields one below the other.
    pub fn record(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = match self.json {
            true => json(value)? + "\n",
            false => fields(&object(value)?, text),
        };
        raw(text.as_bytes())
    }

    /// Prints several results: JSON lines as they come, or a table of these
    /// columns.
    pub fn rows<T: Serialize>(
        self,
        columns: &[&str],
        rows: impl Iterator<Item = Result<T, Failure>>,
    ) -> Result<(), Failure> {
        if self.json {
            return lines(rows);
        }
        let head: Vec<_> = columns.iter().map(|column| column.to_uppercase()).collect();
        let rows = rows.map(|row| Ok(cells(columns, &object(&row?)?, text)));
        raw(table(head, rows.collect::<Result<_, Failure>>()?).as_bytes())
    }

    /// Prints what a run came to: one JSON document; or for people these lists of it,
    /// with what stands in these fields of each item, wrapped and never cut, then the
    /// figures, which come last.
    pub fn summary(self, value: &impl Serialize, lists: &[(&str, &[&str])]) -> Result<(), Failure> {
        if self.json {
            return self.record(value);
        }
        let mut object = object(value)?;
        let mut parts = Vec::new();
        for (list, columns) in lists {
            if let Some(Value::Array(items)) = object.get(*list)
                && !items.is_empty()
            {
                parts.push(section(list, columns, items));
            }
        }
        for value in object.values_mut() {
            if let Value::Array(items) = value {
                *value = items.len().into();
            }
        }
        parts.push(fields(&object, text));
        raw(parts.join("\n").as_bytes())
    }

    /// Prints several results and what they come to: JSON lines; or a table of these
    /// columns, what stands in `reason` in full, and the figures last.
    pub fn listing<T: Serialize>(
        self,
        columns: &[&str],
        reason: &str,
        rows: impl Iterator<Item = Result<T, Failure>>,
        figures: &impl Serialize,
    ) -> Result<(), Failure> {
        if self.json {
            return lines(rows);
        }
        let rows = rows.map(|row| object(&row?));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let head: Vec<_> = columns.iter().map(|column| column.to_uppercase()).collect();
        let cells = rows.iter().map(|row| cells(columns, row, text));
        let mut parts = vec![table(head, cells.collect())];
        let reasons = rows.into_iter().filter(|row| row[reason] != Value::Null);
        let reasons: Vec<_> = reasons.map(Value::Object).collect();
        if !reasons.is_empty() {
            parts.push(section(reason, &[columns[0], reason], &reasons));
        }
        parts.push(fields(&object(figures)?, text));
        raw(parts.join("\n").as_bytes())
    }

    /// Prints what a query found: JSON lines, or a table with the values as they are,
    /// or where that would be too wide each row as a record.
    pub fn query(
        self,
        columns: &[&str],
        rows: impl Iterator<Item = Result<Map<String, Value>, Failure>>,
    ) -> Result<(), Failure> {
        if self.json {
            return lines(rows);
        }
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if columns.len() > MAX_COLUMNS {
            let records: Vec<_> = rows.iter().map(|row| fields(row, verbatim)).collect();
            return raw(records.join("\n").as_bytes());
        }
        let rows = rows.iter().map(|row| cells(columns, row, verbatim));
        let head = columns.iter().map(|column| plain(column)).collect();
        let table = table(head, rows.collect());
        raw(table.as_bytes())?;
        if table.contains('…') {
            self.note("note: what ends with … is cut; --json prints it whole");
        }
        Ok(())
    }

    /// Says something to people, on stderr.
    pub fn note(self, text: &str) {
        if !self.json && !self.quiet {
            eprintln!("{text}");
        }
    }

    /// A progress bar on stderr, seen only on a terminal.
    pub fn bar(self, len: u64, what: &'static str) -> ProgressBar {
        let hidden = self.quiet || !io::stderr().is_terminal();
        let target = match hidden {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // What cannot be written is not shown.
            let _ = write!(out, "{}/s", grouped(state.per_sec() as u64));
        };
        let template = "{msg:18} {bar:28} {human_pos:>10}/{human_len} {rate:>9} {eta:>4}";
        let style = ProgressStyle::with_template(template)
            .expect("the template is one")
            .with_key("rate", rate);
        let bar = ProgressBar::with_draw_target(Some(len), target).with_style(style);
        bar.set_message(what);
        if !hidden {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        bar
    }
}

/// Prints what is complete already.
pub fn raw(text: &[u8]) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text)?)
}

/// One line of JSON.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Refused(error.into()))
}

fn object(value: &impl Serialize) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Ok(Map::from_iter([("result".to_owned(), other)])),
        Err(error) => Err(Failure::Refused(error.into())),
    }
}

/// One line of JSON for each.
fn lines<T: Serialize>(rows: impl Iterator<Item = Result<T, Failure>>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for row in rows {
        writeln!(out, "{}", json(&row?)?)?;
    }
    Ok(out.flush()?)
}

/// A heading and a line for each: what stands in its first column, and what the others
/// say of it. An item without columns is a text.
fn section(heading: &str, columns: &[&str], items: &[Value]) -> String {
    let said = |value: &Value| match value {
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
        one => text(one),
    };
    let line = |item: &Value| {
        let mut values = columns
            .iter()
            .filter_map(|column| item.get(*column))
            .map(said);
        let first = values.next().unwrap_or_else(|| text(item));
        (first, Value::String(values.collect::<Vec<_>>().join(": ")))
    };
    let heading = plain(&heading.replace('_', " ").to_uppercase());
    format!(
        "{heading}\n{}",
        named(items.iter().map(line).collect(), text)
    )
}

/// What stands in these columns.
fn cells(columns: &[&str], row: &Map<String, Value>, text: fn(&Value) -> String) -> Vec<String> {
    let cell = |column: &&str| row.get(*column).map(text).unwrap_or_default();
    columns.iter().map(cell).collect()
}

/// `name  value` lines; a list has a line for each of its items.
fn fields(object: &Map<String, Value>, text: fn(&Value) -> String) -> String {
    let lines = object
        .iter()
        .map(|(name, value)| (name.replace('_', " "), value.clone()));
    named(lines.collect(), text)
}

/// Values, each with its name before it.
fn named(lines: Vec<(String, Value)>, text: fn(&Value) -> String) -> String {
    let widths = lines.iter().map(|(name, _)| name.chars().count());
    let indent = widths.max().unwrap_or(0) + 2;
    let mut out = String::new();
    for (name, value) in lines {
        let lines = match &value {
            Value::Null => continue,
            Value::Array(items) => items.iter().map(text).collect(),
            Value::Object(items) => items
                .iter()
                .map(|(k, v)| format!("{}={}", plain(k), text(v)))
                .collect(),
            Value::String(long) => wrap(&plain(long), WIDTH.saturating_sub(indent)),
            scalar => vec![text(scalar)],
        };
        let mut name = plain(&name);
        for line in lines {
            out.push_str(format!("{name:indent$}{line}").trim_end());
            out.push('\n');
            name.clear();
        }
    }
    out
}

/// Breaks a sentence between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A table without lines; what is too wide loses its ends, the widest column first.
fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let columns = head.len();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |at: usize| {
        rows.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(width).collect();
    let gaps = 2 * columns.saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > WIDTH {
        let widest = widths.iter_mut().max().expect("a table has columns");
        *widest -= 1;
    }
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| {
            let cell = cut(cell, width);
            format!("{cell:width$}")
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn cut(cell: &str, width: usize) -> String {
    match cell.chars().count() <= width {
        true => cell.to_owned(),
        false => cell.chars().take(width - 1).chain(['…']).collect(),
    }
}

/// A value for people.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => grouped(whole),
            (None, Some(real)) if real >= 0.0 => {
                let tenths = (real * 10.0).round() as u64;
                format!("{}.{}", grouped(tenths / 10), tenths % 10)
            }
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// A value of somebody's database, which is left as it is.
fn verbatim(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// `10,000`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Text from outside must not drive the terminal.
fn plain(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn widest(text: &str) -> usize {
        text.lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_table_is_never_wider_than_80_columns() {
        let row = vec!["a".repeat(63), "active".into(), "é".repeat(200)];
        let head = ["ID", "STATUS", "NAME"].map(str::to_owned).to_vec();
        let text = table(head, vec![row]);
        assert_eq!(widest(&text), 80, "{text}");
        assert!(
            text.contains("active"),
            "the narrow column stays whole: {text}"
        );
        assert!(text.contains('…'), "{text}");
    }

    #[test]
    fn fields_stand_in_their_order_and_lists_below_each_other() {
        let object = json!({"id": "acme", "wrong_tenant_rows": 0, "name": null,
            "domains": ["a.example", "b.example"], "requests": 10000,
            "requests_per_s": 6036.6});
        assert_eq!(
            fields(object.as_object().expect("an object"), text),
            "id                 acme\n\
             wrong tenant rows  0\n\
             domains            a.example\n                   b.example\n\
             requests           10,000\n\
             requests per s     6,036.6\n"
        );
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let object = json!({"name": "\u{1b}[31mred\n"});
        let text = fields(object.as_object().expect("an object"), text);
        assert_eq!(text, "name  \\u{1b}[31mred\\n\n");
    }

    #[test]
    fn long_sentences_are_wrapped_between_words() {
        let object = json!({"message": "word ".repeat(40).trim()});
        assert!(widest(&fields(object.as_object().expect("an object"), text)) <= 80);
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), want);
        }
    }
}
