//! [`Template`]: a migrated, empty database in memory, of which every new file is a copy.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tenancy_core::{SchemaTarget, Tenant};

use crate::disk::hex::hex;
use crate::disk::image::{Image, sum, sum_from};
use crate::error::MigrateError;
use crate::guard::deadline::DeadlineClock;
use crate::guard::limits::Limits;
use crate::guard::rules::Purpose;
use crate::guard::state::Guard;
use crate::guard::{Hardening, install, register_functions};
use crate::raw::OnConnect;
use crate::schema::migrate::Migrations;
use crate::schema::{migrate, stamp};

/// The offsets of the file format's write and read version in a database's header, and the value
/// for WAL (SQLite file format, §1.3.3).
const FORMAT_VERSIONS: Range<usize> = 18..20;
const WAL: u8 = 2;

/// A migrated database in memory. A process runs the migrations for it once, without an fsync. It
/// is not on the disk, where it could be outdated or incomplete.
pub(crate) struct Template {
    /// The bytes of the whole file, with an empty stamp. The file is in WAL mode already, as a
    /// switch at the first open would cost fsyncs.
    bytes: Vec<u8>,
    /// The range of the stamp's page. Only these bytes differ between tenants.
    stamp: Range<usize>,
    /// The sum of all other blocks.
    sum: u64,
    /// A database with the library's own tables only, in which SQLite writes the stamps.
    stamps: Mutex<Connection>,
}

impl Template {
    /// Runs all migrations in memory.
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
        // Without this, remains of the last stamp could name one tenant in the file of another.
        stamps.pragma_update(None, "secure_delete", true)?;
        let sum = sum(&bytes).wrapping_sub(sum_from(stamp.start, &bytes[stamp.clone()]));
        Ok(Self {
            bytes,
            stamp,
            sum,
            stamps: Mutex::new(stamps),
        })
    }

    /// Returns the bytes of a new tenant's file.
    pub(crate) fn stamped(&self, tenant: &Tenant) -> rusqlite::Result<Image<'_>> {
        let page_size = self.stamp.len() as u32;
        let stamps = self.stamps.lock();
        stamp::write(&stamps, tenant)?;
        // A page does not contain its own number, so the stamp's page fits into the template.
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

/// Returns a digest of everything that determines the contents of new files.
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

/// Creates a database in memory and migrates it.
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

/// Creates a database in memory with the library's own tables.
fn empty(page_size: u32) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    crate::raw::set_flags(&connection)?;
    connection.pragma_update(None, "page_size", page_size)?;
    stamp::create(&connection)?;
    Ok(connection)
}

/// Returns a database's bytes, and the range of the stamp's page.
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
