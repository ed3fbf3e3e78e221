//! The template: a migrated, empty database in memory that every new file is a copy of.

use parking_lot::Mutex;
use rusqlite::Connection;
use tenancy_core::{SchemaTarget, Tenant};

use crate::driver::OnConnect;
use crate::error::MigrateError;
use crate::harden::{self, Hardening, Purpose};
use crate::migrate::{self, Migrations};
use crate::stamp;

/// Offsets of the file format's write and read version in a database's header,
/// and the value that means write-ahead log (SQLite file format, §1.3.3).
const FORMAT_VERSIONS: std::ops::RangeInclusive<usize> = 18..=19;
const WAL: u8 = 2;

/// A migrated database in memory. Making it costs the migrations once a process and
/// no fsync; nothing of it is on disk that could be stale or torn.
#[derive(Debug)]
pub(crate) struct Template {
    connection: Mutex<Connection>,
}

impl Template {
    /// Runs all migrations.
    pub(crate) fn build(
        migrations: &Migrations,
        page_size: u32,
        on_connect: Option<&OnConnect>,
    ) -> Result<Self, MigrateError> {
        let mut connection = Connection::open_in_memory()?;
        harden::set_flags(&connection)?;
        connection.pragma_update(None, "page_size", page_size)?;
        stamp::create(&connection)?;
        if let Some(on_connect) = on_connect {
            on_connect(&mut connection)?;
        }
        let guard = harden::guard(&connection, Purpose::Migration, Hardening::Strict)?;
        migrate::run(
            &connection,
            &guard,
            migrations,
            SchemaTarget::Latest,
            &|_| Ok(()),
        )?;
        // From here on only our own UPDATE runs on it.
        let none: Option<fn(rusqlite::hooks::AuthContext<'_>) -> _> = None;
        connection.authorizer(none)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// The bytes of a new tenant's file: stamped, in WAL mode already (switching to
    /// it would cost the first open some fsyncs).
    pub(crate) fn stamped(&self, tenant: &Tenant) -> rusqlite::Result<Vec<u8>> {
        let connection = self.connection.lock();
        stamp::write(&connection, tenant)?;
        let mut bytes = connection.serialize("main")?.to_vec();
        drop(connection);
        if let Some(versions) = bytes.get_mut(FORMAT_VERSIONS) {
            versions.fill(WAL);
        }
        Ok(bytes)
    }
}
