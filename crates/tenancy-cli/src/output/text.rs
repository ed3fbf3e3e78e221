//! The text form of the output: tables that fit the terminal, records, grouped numbers.

use serde_json::{Map, Value};

/// Returns a heading and one line per item: the first of its `columns`, then the others. If an
/// item has none of them, the line is the item itself.
pub fn section(heading: &str, columns: &[&str], items: &[Value], width: usize) -> String {
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
        named(items.iter().map(line).collect(), text, width)
    )
}

/// Returns the values of these columns as text.
pub fn cells(
    columns: &[&str],
    row: &Map<String, Value>,
    text: fn(&Value) -> String,
) -> Vec<String> {
    let cell = |column: &&str| row.get(*column).map(text).unwrap_or_default();
    columns.iter().map(cell).collect()
}

/// Returns one line `name  value` per field, and one line per item for a list.
pub fn fields(object: &Map<String, Value>, text: fn(&Value) -> String, width: usize) -> String {
    let lines = object
        .iter()
        .map(|(name, value)| (name.replace('_', " "), value.clone()));
    named(lines.collect(), text, width)
}

/// Returns each value after its name. The values are aligned.
fn named(lines: Vec<(String, Value)>, text: fn(&Value) -> String, width: usize) -> String {
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
            Value::String(long) => wrap(&plain(long), width.saturating_sub(indent)),
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

/// Breaks a text into lines, between words.
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

/// A table without rules. Its first rows determine the widths of the columns, so that later rows
/// can be printed as they come.
pub struct Table {
    widths: Vec<usize>,
    /// Whether the table has a largest width, so that cells wider than their column are cut.
    is_bounded: bool,
    /// Whether a cell was cut.
    pub has_cut: bool,
}

impl Table {
    /// Computes column widths so that the head and the first rows fit into `width`. The widest
    /// column is narrowed first.
    pub fn new(head: &[String], first: &[Vec<String>], width: usize) -> Self {
        let rows = || std::iter::once(head).chain(first.iter().map(Vec::as_slice));
        let widest = |at: usize| rows().map(|row| row[at].chars().count()).max();
        let mut widths: Vec<usize> = (0..head.len()).map(|at| widest(at).unwrap_or(0)).collect();
        let gaps = 2 * head.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            match widths.iter_mut().max() {
                Some(widest) if *widest > 1 => *widest -= 1,
                _ => break,
            }
        }
        Self {
            widths,
            is_bounded: width < usize::MAX,
            has_cut: false,
        }
    }

    /// Returns a row as a line. In a bounded table, cells wider than their column are cut.
    pub fn line(&mut self, row: &[String]) -> String {
        let last = row.len().saturating_sub(1);
        let mut line = String::new();
        for (at, (cell, &width)) in row.iter().zip(&self.widths).enumerate() {
            let is_cut = self.is_bounded && cell.chars().count() > width;
            self.has_cut |= is_cut;
            match is_cut {
                true => line.push_str(&cut(cell, width)),
                false => line.push_str(&format!("{cell:width$}")),
            }
            line.push_str(if at == last { "" } else { "  " });
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// Returns a whole table as text.
pub fn table(head: &[String], rows: &[Vec<String>], width: usize) -> String {
    let mut table = Table::new(head, rows, width);
    let lines = std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
    lines.map(|row| table.line(row)).collect()
}

fn cut(cell: &str, width: usize) -> String {
    let kept = cell.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// Returns a value as text, with grouped numbers. `null` is the empty text.
pub fn text(value: &Value) -> String {
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

/// Returns a value of a tenant's database as text. Numbers are not grouped.
pub fn verbatim(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// Returns a number with separators, like `10,000`.
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

/// Escapes control characters, so that text from outside cannot control the terminal.
pub fn plain(text: &str) -> String {
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
    fn a_table_fits_the_terminal_and_is_uncut_without_one() {
        let row = vec!["a".repeat(63), "active".into(), "é".repeat(200)];
        let head = ["ID", "STATUS", "NAME"].map(str::to_owned);
        let bounded = table(&head, std::slice::from_ref(&row), 80);
        assert_eq!(widest(&bounded), 80, "{bounded}");
        assert!(
            bounded.contains("active"),
            "the narrow column stays whole: {bounded}"
        );
        assert!(bounded.contains('…'), "{bounded}");
        let whole = table(&head, std::slice::from_ref(&row), usize::MAX);
        assert!(row.iter().all(|cell| whole.contains(cell)), "{whole}");
        // Later rows may be wider than those that the widths are of.
        let mut narrow = Table::new(&head, &[], 80);
        assert!(narrow.line(&row).chars().count() <= 80 && narrow.has_cut);
        let mut free = Table::new(&head, &[], usize::MAX);
        assert_eq!(free.line(&row), format!("{}  active  {}\n", row[0], row[2]));
        assert!(!free.has_cut);
        // More columns than there is room for are still all there.
        assert!(table(&["a".into(), "b".into()], &[], 1).contains('b'));
    }

    #[test]
    fn fields_keep_their_order_and_lists_have_a_line_per_item() {
        let object = json!({"id": "acme", "wrong_tenant_rows": 0, "name": null,
            "domains": ["a.example", "b.example"], "requests": 10000,
            "requests_per_s": 6036.6});
        assert_eq!(
            fields(object.as_object().expect("an object"), text, 80),
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
        let text = fields(object.as_object().expect("an object"), text, 80);
        assert_eq!(text, "name  \\u{1b}[31mred\\n\n");
    }

    #[test]
    fn long_sentences_are_wrapped_between_words() {
        let object = json!({"message": "word ".repeat(40).trim()});
        assert!(widest(&fields(object.as_object().expect("an object"), text, 80)) <= 80);
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
