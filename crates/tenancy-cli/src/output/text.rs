//! Records as text: tables that fit the terminal, fields below each other, numbers in groups.

use serde_json::{Map, Value};

use super::WIDTH;

/// A heading and a line for each: what stands in its first column, and what the others
/// say of it. An item without columns is a text.
pub fn section(heading: &str, columns: &[&str], items: &[Value]) -> String {
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
pub fn cells(
    columns: &[&str],
    row: &Map<String, Value>,
    text: fn(&Value) -> String,
) -> Vec<String> {
    let cell = |column: &&str| row.get(*column).map(text).unwrap_or_default();
    columns.iter().map(cell).collect()
}

/// `name  value` lines; a list has a line for each of its items.
pub fn fields(object: &Map<String, Value>, text: fn(&Value) -> String) -> String {
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
pub fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
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

/// A value of somebody's database, which is left as it is.
pub fn verbatim(value: &Value) -> String {
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
