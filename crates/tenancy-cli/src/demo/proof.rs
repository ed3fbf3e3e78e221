//! The proof that every row is in its tenant's database: a second process reads all rows back.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// A row that was read back: the tenant in whose database it is (`holder`), the tenant in the row,
/// and the number of the request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    pub holder: String,
    pub tenant: String,
    pub number: u32,
}

impl Found {
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let mut next = || parts.next();
        let (holder, tenant, number) = (next()?, next()?, next()?.parse().ok()?);
        Some(Self {
            holder: holder.to_owned(),
            tenant: tenant.to_owned(),
            number,
        })
    }
}

/// The comparison of the rows written with the rows read back.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// The rows in another tenant's database, and the rows that no request wrote.
    pub wrong: Vec<String>,
    /// The committed rows that are missing.
    pub lost: Vec<String>,
}

impl Verdict {
    /// Compares the rows in both directions: each row must be found as often as it was written, and
    /// each found row must have been written.
    pub fn of(mut written: Vec<(String, u32)>, mut found: Vec<Found>) -> Self {
        let key = |row: &Found| (row.tenant.clone(), row.number);
        written.sort_unstable();
        found.sort_unstable_by_key(key);
        let mut verdict = Self::default();
        let mut written = written.into_iter().peekable();
        for row in found {
            let own = key(&row);
            while let Some((tenant, number)) = written.next_if(|next| *next < own) {
                verdict.lost.push(format!("request {number} of {tenant}"));
            }
            let known = written.next_if(|next| *next == own).is_some();
            if !known || row.holder != row.tenant {
                let Found {
                    holder,
                    tenant,
                    number,
                } = row;
                verdict
                    .wrong
                    .push(format!("{holder} holds request {number} of {tenant}"));
            }
        }
        verdict
            .lost
            .extend(written.map(|(tenant, number)| format!("request {number} of {tenant}")));
        verdict
    }

    /// Returns an error with the number of wrong rows, or of lost rows, and the first of them.
    pub fn check(&self) -> Result<(), Failure> {
        let of = |rows: &[String], what| match rows {
            [] => Ok(()),
            [first, ..] => Err(Failure::refused(format!(
                "{what}: {}; the first: {first}",
                rows.len()
            ))),
        };
        of(
            &self.wrong,
            "rows in another tenant's database or written by no request",
        )?;
        of(&self.lost, "committed rows that are missing")
    }
}

/// Starts a second process that reads every row.
pub fn read_back(dir: &Path) -> Result<Vec<Found>, Failure> {
    let failed = |cause: std::io::Error| {
        Failure::refused(format!(
            "the second process that reads the rows back failed: {cause}"
        ))
    };
    let mut child = std::env::current_exe()
        .and_then(|me| {
            let mut command = Command::new(me);
            command
                .arg("demo-rows")
                .arg(dir)
                .stdin(Stdio::null())
                .stdout(Stdio::piped());
            command.spawn()
        })
        .map_err(failed)?;
    let stdout = child.stdout.take().expect("it was asked for");
    let mut found = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(failed)?;
        let row = Found::parse(&line);
        found.push(row.ok_or_else(|| {
            Failure::refused(format!(
                "the second process printed {line:?}, which is not a row"
            ))
        })?);
    }
    match child.wait().map_err(failed)? {
        status if status.success() => Ok(found),
        status => Err(failed(std::io::Error::other(status.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(holder: &str, tenant: &str, number: u32) -> Found {
        Found {
            holder: holder.into(),
            tenant: tenant.into(),
            number,
        }
    }

    #[test]
    fn rows_are_compared_in_both_directions_with_their_counts() {
        let written = || {
            vec![
                ("b".to_owned(), 2),
                ("a".to_owned(), 1),
                ("a".to_owned(), 3),
            ]
        };
        let right = vec![found("a", "a", 1), found("a", "a", 3), found("b", "b", 2)];
        assert_eq!(Verdict::of(written(), right.clone()), Verdict::default());
        let change = |change: fn(&mut Vec<Found>)| {
            let mut found = right.clone();
            change(&mut found);
            let verdict = Verdict::of(written(), found);
            assert_eq!(verdict.check().is_err(), verdict != Verdict::default());
            (verdict.wrong.len(), verdict.lost.len())
        };
        assert_eq!(change(|rows| drop(rows.remove(1))), (0, 1), "a lost row");
        assert_eq!(change(|rows| rows.clear()), (0, 3), "all lost");
        assert_eq!(
            change(|rows| rows.push(found("a", "a", 1))),
            (1, 0),
            "a row twice"
        );
        assert_eq!(
            change(|rows| rows.push(found("a", "c", 9))),
            (1, 0),
            "an unknown row"
        );
        assert_eq!(
            change(|rows| rows[0].holder = "b".into()),
            (1, 0),
            "in the wrong file"
        );
        assert_eq!(
            change(|rows| rows[2] = found("a", "a", 2)),
            (1, 1),
            "under a wrong name"
        );
    }
}
