//! The template: a migrated, empty database in memory that every new file is a copy of.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tenancy_core::{SchemaTarget, Tenant};

use crate::disk::hex::hex;
use crate::disk::image::{Image, sum, sum_from};
use crate::error::MigrateError;
use crate::guard::Hardening;
use crate::guard::deadline::DeadlineClock;
use crate::guard::limits::Limits;
use crate::guard::rules::Purpose;
use crate::guard::state::Guard;
use crate::guard::{install, register_functions};
use crate::raw::OnConnect;
use crate::schema::migrate::Migrations;
use crate::schema::{migrate, stamp};

/// Offsets of the file format's write and read version in a database's header,
/// and the value that means write-ahead log (SQLite file format, §1.3.3).
const FORMAT_VERSIONS: Range<usize> = 18..20;
const WAL: u8 = 2;

/// A migrated database in memory. Making it costs the migrations once a process and
/// no fsync; nothing of it is on disk that could be stale or torn.
pub(crate) struct Template {
    /// The whole file, with an empty stamp. It is in WAL mode already: switching to it
    /// would cost the first open some fsyncs.
    bytes: Vec<u8>,
    /// The page of the stamp: all in which one tenant's file differs from another's.
    stamp: Range<usize>,
    /// The sum of all other blocks.
    sum: u64,
    /// A database of nothing but our own tables, in which SQLite writes the stamps.
    stamps: Mutex<Connection>,
}

impl Template {
    /// Runs all migrations.
    pub(crate) fn build(
        migrations: &Migrations,
        page_size: u32,
        on_connect: Option<&OnConnect>,
        limits: Limits,
    ) -> Result<Self, MigrateError> {
        let (connection, guard) = migrated(
            migrations,
            page_size,
            on_connect,
            limits,
            SchemaTarget::Latest,
        )?;
        let (mut bytes, stamp) = guard.ours(|| image(&connection, page_size))?;
        if let Some(versions) = bytes.get_mut(FORMAT_VERSIONS) {
            versions.fill(WAL);
        }
        let stamps = empty(page_size)?;
        // What a stamp leaves of the one before would tell a tenant of another.
        stamps.pragma_update(None, "secure_delete", true)?;
        let sum = sum(&bytes).wrapping_sub(sum_from(stamp.start, &bytes[stamp.clone()]));
        Ok(Self {
            bytes,
            stamp,
            sum,
            stamps: Mutex::new(stamps),
        })
    }

    /// A new tenant's file.
    pub(crate) fn stamped(&self, tenant: &Tenant) -> rusqlite::Result<Image<'_>> {
        let page_size = self.stamp.len() as u32;
        let stamps = self.stamps.lock();
        stamp::write(&stamps, tenant)?;
        // Pages do not know their number: it is the same page in either database.
        let (own, at) = image(&stamps, page_size)?;
        drop(stamps);
        let stamp: Box<[u8]> = own[at].into();
        let sum = self.sum.wrapping_add(sum_from(self.stamp.start, &stamp));
        Ok(Image {
            before: &self.bytes[..self.stamp.start],
            stamp,
            after: &self.bytes[self.stamp.end..],
            sum,
        })
    }
}

/// What new files are like: the same for all who make the same.
pub(crate) fn fingerprint(migrations: &Migrations, page_size: u32) -> Box<str> {
    let mut digest = Sha256::new_with_prefix(stamp::BASE);
    digest.update(page_size.to_be_bytes());
    for migration in migrations.iter() {
        digest.update((migration.name().len() as u64).to_be_bytes());
        digest.update(migration.name());
        digest.update(migration.sha256());
    }
    hex(&digest.finalize()).into()
}

/// Makes a database in memory and migrates it.
pub(crate) fn migrated(
    migrations: &Migrations,
    page_size: u32,
    on_connect: Option<&OnConnect>,
    limits: Limits,
    target: SchemaTarget,
) -> Result<(Connection, Arc<Guard>), MigrateError> {
    let mut connection = empty(page_size)?;
    let deadline = DeadlineClock::default();
    register_functions(&mut connection, on_connect, &deadline, limits)?;
    let (purpose, hardening) = (Purpose::Migration, Hardening::Strict);
    let guard = install(&connection, purpose, hardening, limits, &deadline)?;
    migrate::run(&connection, &guard, migrations, target, &|_| Ok(()))?;
    Ok((connection, guard))
}

/// A database in memory with our own tables.
fn empty(page_size: u32) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    crate::raw::set_flags(&connection)?;
    connection.pragma_update(None, "page_size", page_size)?;
    stamp::create(&connection)?;
    Ok(connection)
}

/// A database's bytes, and where among them the page of the stamp is.
fn image(connection: &Connection, page_size: u32) -> rusqlite::Result<(Vec<u8>, Range<usize>)> {
    let page_size = page_size as usize;
    let mut root = connection.prepare_cached(
        "SELECT rootpage FROM main.sqlite_schema WHERE type = 'table' AND name = '_tenancy_stamp'",
    )?;
    let page: u32 = root.query_row([], |row| row.get(0))?;
    let page = page as usize;
    let bytes = connection.serialize("main")?.to_vec();
    Ok((bytes, (page - 1) * page_size..page * page_size))
}
