//! The audit trail: a chain of events, in which each hash covers its event and the hash before it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use sha2::{Digest, Sha256};
use tenancy_core::{CatalogError, Version};

use super::SqliteCatalog;
use crate::catalog::columns::{at_most, unsigned};

/// An event of the audit trail: the record of one write to the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The catalog's version after the write.
    pub version: Version,
    /// The time of the write by the writer's clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// The actor that the caller of the write named.
    pub actor: Box<str>,
    /// The kind of the write. For a tenant it is `insert`, `update`, `remove`, `bind`, `verify`,
    /// `primary`, `rebind`, `unbind` or `rebuild`. For a run over many tenants it is `begin` or
    /// `end`, and for the warm pool `stock`.
    pub what: Box<str>,
    /// The id of the written tenant; `*` for a run over many tenants; empty for the warm pool.
    pub tenant: Box<str>,
    /// A summary of the written values, such as the status and the placement. It has no secret.
    pub detail: Box<str>,
}

/// A break in the chain of the audit trail: a program other than this library changed the trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event at version {at} does not follow from those before it; restore the catalog from a backup"
)]
pub struct BrokenChain {
    /// The version of the first event whose hash is wrong.
    pub at: Version,
}

impl AuditEvent {
    /// Returns the hash of this event and of `before`, the hash of the event before it. Each field
    /// is hashed with its length, so that different events never hash the same bytes.
    fn hash(&self, before: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        let numbers = [self.version.0.to_be_bytes(), self.at_ms.to_be_bytes()];
        let texts = [&self.actor, &self.what, &self.tenant, &self.detail];
        let fields = numbers.iter().map(|n| &n[..]).chain([before]);
        for field in fields.chain(texts.iter().map(|text| text.as_bytes())) {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        hash.finalize().into()
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            version: Version(unsigned(row, 0)?),
            at_ms: row.get(1)?,
            actor: row.get(2)?,
            what: row.get(3)?,
            tenant: row.get(4)?,
            detail: row.get(5)?,
        })
    }
}

const COLUMNS: &str = "SELECT version, at_ms, actor, what, tenant, detail, hash FROM events";

/// Appends an event in the writer's transaction.
pub(super) fn append(connection: &Connection, event: &AuditEvent) -> Result<()> {
    let sql = "SELECT hash FROM events ORDER BY version DESC LIMIT 1";
    let mut last = connection.prepare_cached(sql)?;
    let before: Option<[u8; 32]> = last.query_row([], |row| row.get(0)).optional()?;
    let hash = event.hash(&before.unwrap_or_default());
    let sql = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        event.version.0.cast_signed(),
        event.at_ms,
        event.actor,
        event.what,
        event.tenant,
        event.detail,
        hash
    ])?;
    Ok(())
}

impl SqliteCatalog {
    /// Returns at most `max` events with versions greater than `after`, oldest first.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    pub fn events(&self, after: Version, max: usize) -> Result<Vec<AuditEvent>, CatalogError> {
        self.read(|connection| {
            let sql = format!("{COLUMNS} WHERE version > ?1 ORDER BY version LIMIT ?2");
            let mut read = connection.prepare_cached(&sql)?;
            let bounds = params![after.0.cast_signed(), at_most(max)];
            read.query_map(bounds, AuditEvent::read)?.collect()
        })
    }

    /// Returns the latest time of the 10,000 events up to a version. The write of that version was
    /// not earlier, even if the clock was behind at that moment.
    pub(crate) fn latest_event_until(&self, upto: Version) -> Result<SystemTime, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT coalesce(max(at_ms), 0) FROM (SELECT at_ms FROM events \
                       WHERE version <= ?1 ORDER BY version DESC LIMIT 10000)";
            let mut latest = connection.prepare_cached(sql)?;
            let at_ms: i64 = latest.query_row([upto.0.cast_signed()], |row| row.get(0))?;
            Ok(UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).unwrap_or(0)))
        })
    }

    /// Recomputes the chain of hashes and returns the number of events, or the first event that
    /// does not fit.
    ///
    /// The check detects an event that another program has changed, inserted, or removed from
    /// before a later event. It does not detect that the latest events were removed, or that a
    /// person with write access to the file wrote a whole new chain. If that matters, keep a copy
    /// of [`events`](Self::events) elsewhere.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read. A broken chain is in the result.
    pub fn check_events(&self) -> Result<Result<u64, BrokenChain>, CatalogError> {
        self.read(|connection| {
            let mut read = connection.prepare(&format!("{COLUMNS} ORDER BY version"))?;
            let mut rows = read.query([])?;
            let (mut before, mut count) = ([0; 32], 0);
            while let Some(row) = rows.next()? {
                let event = AuditEvent::read(row)?;
                let hash = event.hash(&before);
                if row.get_ref(6)?.as_blob().ok() != Some(&hash[..]) {
                    return Ok(Err(BrokenChain { at: event.version }));
                }
                (before, count) = (hash, count + 1);
            }
            Ok(Ok(count))
        })
    }
}
