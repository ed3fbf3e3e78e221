//! The audit trail: one event for every write, with a hash over the event and the hash before it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use sha2::{Digest, Sha256};
use tenancy_core::{CatalogError, Version};

use super::SqliteCatalog;
use crate::catalog::columns::{at_most, unsigned};

/// A write to the catalog, as recorded in its audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The catalog's version after the write.
    pub version: Version,
    /// The time of the write, in milliseconds since 1970 by the writer's clock.
    pub at_ms: i64,
    /// The actor that the writer named.
    pub actor: Box<str>,
    /// The kind of the write: `insert`, `update`, `remove`, `bind`, `verify`, `primary`, `rebind`,
    /// `unbind` or `rebuild`; `begin` and `end` of a run over many tenants; `stock` of the warm pool.
    pub what: Box<str>,
    /// The id of the written tenant, `*` for a run over many tenants, and empty for the warm pool.
    pub tenant: Box<str>,
    /// The written values, such as the status and the placement; never a secret.
    pub detail: Box<str>,
}

/// A change to the audit trail that this library did not make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event at version {at} does not follow from those before it; restore the catalog from a backup"
)]
pub struct BrokenChain {
    /// The version of the first event whose hash is wrong.
    pub at: Version,
}

impl AuditEvent {
    /// Returns the hash of this event and of `before`, the hash before it. Each field is hashed with
    /// its length, so that no two events have the same bytes.
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
    /// Returns at most `max` events after a version, oldest first.
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

    /// Returns the latest time of the 10,000 events up to a version: a lower bound of the
    /// time of that version, whatever the clock showed at the moment of its write.
    pub(crate) fn latest_event_until(&self, upto: Version) -> Result<SystemTime, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT coalesce(max(at_ms), 0) FROM (SELECT at_ms FROM events \
                       WHERE version <= ?1 ORDER BY version DESC LIMIT 10000)";
            let mut latest = connection.prepare_cached(sql)?;
            let at_ms: i64 = latest.query_row([upto.0.cast_signed()], |row| row.get(0))?;
            Ok(UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).unwrap_or(0)))
        })
    }

    /// Recomputes the chain of hashes and returns the number of events, or the first event that does
    /// not fit.
    ///
    /// It detects rows that were changed, added or removed by hand. A person with write access to the
    /// file can also write a whole new chain: where that matters, keep the last hash elsewhere.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read. A broken chain is not an error but a result.
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
