//! The manager of r2d2_sqlite, and the async example over it.

use std::path::{Path, PathBuf};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use tenancy_core::Tenant;
use tenancy_pool::{CheckoutError, Driver, TenantPools};

use crate::util::*;

#[path = "../examples/async_checkout.rs"]
mod async_checkout;

/// A SQLite file for each tenant.
struct Sqlite(PathBuf);

impl Driver for Sqlite {
    type Manager = SqliteConnectionManager;

    fn manager(&self, tenant: &Tenant) -> SqliteConnectionManager {
        SqliteConnectionManager::file(self.0.join(tenant.id().as_str()))
    }

    fn prepare(&self, tenant: &Tenant, conn: &mut Connection) -> Result<(), rusqlite::Error> {
        conn.execute_batch("CREATE TABLE note (text)")?;
        conn.execute("INSERT INTO note VALUES (?1)", [tenant.id().as_str()])?;
        Ok(())
    }
}

#[test]
fn r2d2_sqlites_own_manager_makes_a_driver() {
    let root = tempfile::tempdir().expect("a directory");
    let builder = TenantPools::<Sqlite>::builder().max_connections(2);
    let pools = builder.build(Sqlite(root.path().into())).expect("pools");
    // Three tenants on two connections: files are closed and opened again meanwhile.
    for round in 1..4 {
        for id in ["acme", "beta", "gamma"] {
            let conn = pools.checkout(&tenant(id)).expect("a connection");
            conn.execute("INSERT INTO note VALUES (?1)", [id])
                .expect("a row");
            let rows = "SELECT count(*), count(*) FILTER (WHERE text = ?1) FROM note";
            let rows = conn.query_row(rows, [id], |row| Ok((row.get(0)?, row.get(1)?)));
            assert_eq!(rows, Ok((round + 1, round + 1)), "{id} in round {round}");
        }
    }
    let counters = pools.stats().counters;
    assert_eq!((pools.stats().peak, counters.evicted), (2, 7));
    let evicted = ["acme", "beta", "gamma"].map(|id| {
        let of_tenant = pools.tenant_stats(tenant(id).id()).expect("it was seen");
        of_tenant.counters.evicted
    });
    assert_eq!(evicted, [3, 2, 2], "by owner");
}

#[test]
fn an_error_of_r2d2_sqlites_manager_is_returned_unchanged() {
    let builder = TenantPools::<Sqlite>::builder();
    let pools = builder.build(Sqlite("/nowhere".into())).expect("pools");
    let refused = pools
        .checkout(&tenant("acme"))
        .expect_err("it is not there");
    assert!(
        matches!(&refused, CheckoutError::Connect { source: rusqlite::Error::SqliteFailure(code, _), .. }
            if code.code == rusqlite::ErrorCode::CannotOpen),
        "{refused:?}"
    );
}

#[test]
fn no_database_is_named_outside_of_tests() {
    fn sources(of: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(of).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() > 10, "{found:?}");
    for path in found {
        let source = std::fs::read_to_string(&path).expect("a source");
        assert!(!source.contains("rusqlite"), "{}", path.display());
    }
}

#[test]
fn the_async_example_keeps_tenants_apart() {
    async_checkout::main().expect("it ends well");
}
