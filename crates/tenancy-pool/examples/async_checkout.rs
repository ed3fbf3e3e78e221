//! Connections in async code: a task waits for a seat, which holds no thread. Opening the seat and
//! the calls of a connection block, so both happen on a thread that may block. The blocking thread
//! enters the scope of the request again.
//!
//! `cargo run -p tenancy-pool --example async_checkout`

use std::error::Error;
use std::path::PathBuf;

use r2d2_sqlite::SqliteConnectionManager;
use tenancy_core::Tenant;
use tenancy_pool::{Connection, Driver, TenantPools};

/// A SQLite file for each tenant, over r2d2_sqlite's own manager.
struct Files {
    root: PathBuf,
}

impl Driver for Files {
    type Manager = SqliteConnectionManager;

    fn manager(&self, tenant: &Tenant) -> SqliteConnectionManager {
        SqliteConnectionManager::file(self.root.join(tenant.id().as_str()))
    }

    fn prepare(
        &self,
        _: &Tenant,
        connection: &mut rusqlite::Connection,
    ) -> Result<(), rusqlite::Error> {
        connection.execute_batch("CREATE TABLE IF NOT EXISTS notes (text TEXT NOT NULL)")
    }

    fn descriptors(&self) -> u32 {
        3
    }
}

type Failed = Box<dyn Error + Send + Sync>;

/// Runs `work` with a connection of the current tenant, on a thread that may block. The tenant is
/// current there until `work` has ended.
async fn with_connection<T: Send + 'static>(
    pools: &TenantPools<Files>,
    work: impl FnOnce(&mut Connection<Files>) -> T + Send + 'static,
) -> Result<T, Failed> {
    let tenant = Tenant::current().ok_or("no tenant is current here")?;
    let seat = pools.seat_async(&tenant).await?;
    let blocking = move || {
        let _scope = tenant.enter()?;
        let mut connection = seat.open()?;
        Ok(work(&mut connection))
    };
    let done = tokio::task::spawn_blocking(blocking).await;
    done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// Serves a request, without naming its tenant.
async fn note(pools: TenantPools<Files>, text: String) -> Result<u32, Failed> {
    let count = with_connection(&pools, move |connection| {
        connection.execute("INSERT INTO notes VALUES (?1)", [text])?;
        connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
    });
    Ok(count.await??)
}

/// Serves ten requests of each of three tenants, all at once.
pub fn main() -> Result<(), Failed> {
    let root = tempfile::tempdir()?;
    let files = Files {
        root: root.path().to_owned(),
    };
    let pools = TenantPools::<Files>::builder()
        .max_connections(4)
        .max_per_tenant(1) // SQLite has one writer
        .build(files)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    for id in ["acme", "beta", "gamma"] {
        let tenant = Tenant::builder(id.parse()?).build()?;
        // `attach` makes the tenant current during every poll, on any thread.
        let requests = (0..10).map(|n| tenant.attach(note(pools.clone(), format!("{id} {n}"))));
        let tasks: Vec<_> = requests.map(|request| runtime.spawn(request)).collect();
        let mut seen = Vec::new();
        for task in tasks {
            seen.push(runtime.block_on(task)??);
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=10).collect::<Vec<_>>(), "{id} saw its own notes");
        println!("{id}: {seen:?}");
    }
    assert!(Tenant::current().is_none());
    assert!(pools.stats().peak <= 4);
    Ok(())
}
