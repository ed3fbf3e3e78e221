//! The output of all commands: text and, from the same values, JSON.

mod text;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::{Failure, complain};

pub use text::grouped;
use text::{Table, cells, fields, plain, section, table, text, verbatim};

/// The width of a terminal that does not report its width.
const WIDTH: usize = 80;

/// The number of rows that determine the widths of a table's columns. Only these are held in
/// memory.
const FIRST_ROWS: usize = 1_000;

/// The largest number of columns of a table. Rows with more columns are printed as records.
const MAX_COLUMNS: usize = 12;

/// The destinations of results, notes and progress.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
    /// The width of the terminal, or `usize::MAX` if standard output is not a terminal: then
    /// nothing is cut or wrapped.
    width: usize,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        let width = match io::stdout().is_terminal() {
            true => rustix::termios::tcgetwinsize(io::stdout())
                .ok()
                .map(|size| usize::from(size.ws_col))
                .filter(|width| *width > 0)
                .unwrap_or(WIDTH),
            false => usize::MAX,
        };
        Self { json, quiet, width }
    }

    /// Prints one result: as a JSON document, or as text with one line per field.
    pub fn record(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = match self.json {
            true => json(value)? + "\n",
            false => fields(&object(value)?, text, self.width),
        };
        raw(text.as_bytes())
    }

    /// Prints several results as they come: as JSON lines, or as a table with these columns.
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
        stream(&head, rows, self.width).map(drop)
    }

    /// Prints the report of a run: as a JSON document, or as text. The text has a section for each
    /// of `lists`, with these fields of its items, and then the fields of the report, with the
    /// length of each list. Long texts are wrapped, never cut.
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
                parts.push(section(list, columns, items, self.width));
            }
        }
        for value in object.values_mut() {
            if let Value::Array(items) = value {
                *value = items.len().into();
            }
        }
        parts.push(fields(&object, text, self.width));
        raw(parts.join("\n").as_bytes())
    }

    /// Prints several results: as JSON lines, or as text. The text is a table with these columns, a
    /// section with the field `reason` of each row that has it, and then `figures`.
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
        let cells: Vec<_> = rows.iter().map(|row| cells(columns, row, text)).collect();
        let mut parts = vec![table(&head, &cells, self.width)];
        let reasons = rows.into_iter().filter(|row| row[reason] != Value::Null);
        let reasons: Vec<_> = reasons.map(Value::Object).collect();
        if !reasons.is_empty() {
            parts.push(section(reason, &[columns[0], reason], &reasons, self.width));
        }
        parts.push(fields(&object(figures)?, text, self.width));
        raw(parts.join("\n").as_bytes())
    }

    /// Prints the rows of a query: as JSON lines, as a table, or, if there are too many columns for a
    /// table, as records.
    pub fn query(
        self,
        columns: &[&str],
        rows: impl Iterator<Item = Result<Map<String, Value>, Failure>>,
    ) -> Result<(), Failure> {
        if self.json {
            return lines(rows);
        }
        if columns.len() > MAX_COLUMNS {
            return records(rows, self.width);
        }
        let head: Vec<_> = columns.iter().map(|column| plain(column)).collect();
        let rows = rows.map(|row| Ok(cells(columns, &row?, verbatim)));
        if stream(&head, rows, self.width)? {
            self.note("note: cells that end with … are cut; --json prints them in full");
        }
        Ok(())
    }

    /// Prints a note on stderr, except with `--json` or `--quiet`.
    pub fn note(self, text: &str) {
        if !self.json && !self.quiet {
            complain(format_args!("{text}"));
        }
    }

    /// Returns a progress bar on stderr, which is hidden if stderr is not a terminal.
    pub fn bar(self, len: u64, what: &'static str) -> ProgressBar {
        let hidden = self.quiet || !io::stderr().is_terminal();
        let target = match hidden {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // An error of drawing the bar is ignored.
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

/// Prints the rows of a table as they come, and returns whether a cell was cut.
fn stream(
    head: &[String],
    mut rows: impl Iterator<Item = Result<Vec<String>, Failure>>,
    width: usize,
) -> Result<bool, Failure> {
    let first = rows.by_ref().take(FIRST_ROWS);
    let first = first.collect::<Result<Vec<_>, _>>()?;
    let mut table = Table::new(head, &first, width);
    let mut out = io::BufWriter::new(io::stdout().lock());
    out.write_all(table.line(head).as_bytes())?;
    for row in first.into_iter().map(Ok).chain(rows) {
        out.write_all(table.line(&row?).as_bytes())?;
    }
    out.flush()?;
    Ok(table.has_cut)
}

/// Prints each row as a record, with an empty line between records.
fn records(
    rows: impl Iterator<Item = Result<Map<String, Value>, Failure>>,
    width: usize,
) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (at, row) in rows.enumerate() {
        let apart = if at == 0 { "" } else { "\n" };
        write!(out, "{apart}{}", fields(&row?, verbatim, width))?;
    }
    Ok(out.flush()?)
}

/// Writes bytes to standard output.
pub fn raw(text: &[u8]) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text)?)
}

/// Returns a value as one line of JSON.
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

/// Prints each value as one line of JSON.
fn lines<T: Serialize>(rows: impl Iterator<Item = Result<T, Failure>>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for row in rows {
        writeln!(out, "{}", json(&row?)?)?;
    }
    Ok(out.flush()?)
}
