//! The change feed. It is read from the rows themselves: each row, tombstones included, has the
//! version of its last write. So no queue of changes is kept for readers.

use rusqlite::{Connection, Result, Row, params};
use tenancy_core::{Change, Changes, Epoch, Name, Version};

use super::rows;
use super::rows::tenant_columns;
use crate::catalog::columns::{at_most, domain, parsed, unsigned};
use crate::catalog::rows::snapshot;

/// A reader of changes, on a dedicated connection.
pub(super) struct Feed {
    connection: Connection,
    /// The result of `data_version` just before the last read, and the catalog's version in that
    /// read.
    seen: Option<(i64, Version)>,
}

impl Feed {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            seen: None,
        }
    }

    pub(super) fn changes(&mut self, since: Version, max: usize) -> Result<Changes> {
        // Read before the snapshot: after a commit between the two, the next call reads again.
        let data_version = self.data_version()?;
        if self.seen == Some((data_version, since)) {
            return Ok(nothing_after(since));
        }
        let changes = snapshot(&self.connection, |connection| {
            let now = rows::version(connection)?;
            let changes = if since > now {
                // The catalog was restored to an older state, so the reader starts over.
                let mut changes = page(connection, Version::ZERO, now, max)?;
                changes.reset = true;
                changes
            } else {
                page(connection, since, now, max)?
            };
            Ok((now, changes))
        });
        let (now, changes) = changes?;
        self.seen = Some((data_version, now));
        Ok(changes)
    }

    /// Returns a number that changes when another connection, in any process, has committed.
    fn data_version(&self) -> Result<i64> {
        let mut read = self.connection.prepare_cached("PRAGMA data_version")?;
        read.query_row([], |row| row.get(0))
    }
}

fn nothing_after(version: Version) -> Changes {
    Changes {
        since: version,
        upto: version,
        ..Changes::default()
    }
}

/// Returns the changes after `since`, in a snapshot whose version is `now`.
fn page(connection: &Connection, since: Version, now: Version, max: usize) -> Result<Changes> {
    if since == now {
        return Ok(nothing_after(since));
    }
    // Kinds: 0 tenant, 1 removed, 2 label, 3 domain, 4 unbound label, 5 unbound domain.
    // Five indexes are merged. Each reads only rows that belong to the answer.
    let sql = "SELECT version, 0, id, NULL FROM tenants WHERE version > ?1
         UNION ALL SELECT version, 1, id, epoch FROM removed WHERE version > ?1
         UNION ALL SELECT version, 2, label, tenant FROM labels WHERE version > ?1
         UNION ALL SELECT version, 3, domain, tenant FROM domains WHERE version > ?1
         UNION ALL SELECT version, 4 + is_domain, name, NULL FROM unbound WHERE version > ?1
         ORDER BY 1 LIMIT ?2";
    let mut read = connection.prepare_cached(sql)?;
    let max = max.max(1);
    let mut found = read.query(params![since.0.cast_signed(), at_most(max)])?;
    let mut items = Vec::new();
    let mut last = since;
    while let Some(row) = found.next()? {
        last = Version(unsigned(row, 0)?);
        items.push(change(connection, row)?);
    }
    // After a full page there may be more changes; the next call reads them.
    let full = items.len() == max && last < now;
    Ok(Changes {
        since,
        upto: if full { last } else { now },
        more: full,
        reset: false,
        items,
    })
}

fn change(connection: &Connection, row: &Row<'_>) -> Result<Change> {
    Ok(match row.get(1)? {
        0 => {
            let sql = concat!(
                "SELECT ",
                tenant_columns!(),
                " FROM tenants t WHERE t.id = ?1"
            );
            let mut read = connection.prepare_cached(sql)?;
            let id = row.get_ref(2)?.as_str()?;
            Change::Tenant(read.query_row([id], |row| rows::tenant(connection, row))?)
        }
        1 => Change::Removed {
            id: parsed(row, 2)?,
            epoch: Epoch::new(unsigned(row, 3)?).unwrap_or(Epoch::FIRST),
        },
        // `Moved` also takes the name from its former owner, as the table has one owner per name.
        2 => Change::Moved {
            name: Name::Label(parsed(row, 2)?),
            id: parsed(row, 3)?,
        },
        3 => Change::Moved {
            name: Name::Domain(domain(row, 2)?),
            id: parsed(row, 3)?,
        },
        4 => Change::Unbound {
            name: Name::Label(parsed(row, 2)?),
        },
        _ => Change::Unbound {
            name: Name::Domain(domain(row, 2)?),
        },
    })
}
