//! `idle [TENANTS [TABLES]]`: the cost of an idle connection, and of its close after a write, with
//! and without idle maintenance. Each case runs in a process of its own, over tenants that another
//! process created. Defaults to 400 tenants with 20 tables; a table has an index.
//!
//! Prints the means per connection (KiB of private memory, KiB of mapped files, which are the index
//! of the WAL in the cache of the system, and descriptors), and the median and 95th percentile of a
//! close in microseconds.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::TenantPools;
use tenancy_sqlite::{Migration, Migrations, SqliteDriver, SqliteStorage};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [how, tables, root, tenants @ ..] = &args[..]
        && ["plain", "maintained"].contains(&how.as_str())
    {
        return measure(how, tables.parse()?, Path::new(root), tenants);
    }
    let count: usize = args.first().map_or(Ok(400), |count| count.parse())?;
    let tables: usize = args.get(1).map_or(Ok(20), |tables| tables.parse())?;
    let root = tempfile::tempdir()?;
    let places = make(root.path(), count, tables)?;
    let mut told = Vec::new();
    for how in ["plain", "maintained"] {
        let mut child = Command::new(std::env::current_exe()?);
        let output = child
            .arg(how)
            .arg(tables.to_string())
            .arg(root.path())
            .args(&places)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr)?.into());
        }
        let figures = String::from_utf8(output.stdout)?;
        told.push(format!("\"{how}\":{}", figures.trim()));
    }
    println!(
        "{{\"tenants\":{count},\"tables\":{tables},{}}}",
        told.join(",")
    );
    Ok(())
}

fn driver(root: &Path, tables: usize) -> Result<SqliteDriver, Box<dyn Error>> {
    let step = |n: usize| {
        let sql = format!(
            "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, made INTEGER) STRICT;
             CREATE INDEX t{n}_name ON t{n} (name);"
        );
        Migration::new(format!("step{n}"), sql)
    };
    let migrations = Migrations::new((1..=tables).map(step))?;
    let storage = SqliteStorage::builder(root).migrations(migrations);
    Ok(match root.join("tenancy.root").exists() {
        true => storage.open_driver()?,
        false => storage.create_driver()?,
    })
}

/// Creates the tenants; returns their directory.
fn make(root: &Path, count: usize, tables: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let driver = driver(root, tables)?;
    let mut tenants = Vec::new();
    for n in 0..count {
        let id = format!("t{n}").parse()?;
        let place = driver.place(&id)?;
        tenants.push(Tenant::builder(id).placement(place).build()?);
    }
    for made in driver.provision_many(&tenants) {
        made?;
    }
    let places = tenants.iter().map(|tenant| tenant.placement());
    Ok(places.map(|place| place.locator.to_string()).collect())
}

fn measure(how: &str, tables: usize, root: &Path, places: &[String]) -> Result<(), Box<dyn Error>> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let driver = driver(root, tables)?;
    let mut tenants = Vec::new();
    for (n, place) in places.iter().enumerate() {
        let id: tenancy_core::TenantId = format!("t{n}").parse()?;
        let mut placement = driver.place(&id)?;
        placement.locator = place.as_str().into();
        tenants.push(Tenant::builder(id).placement(placement).build()?);
    }
    let pools = TenantPools::<SqliteDriver>::builder()
        .max_connections(places.len() as u32 + 1)
        .idle_maintenance_after(Duration::ZERO)
        .build(driver)?;
    let before = [kib_of("RssAnon:")?, kib_of("RssFile:")?, descriptors()?];
    for tenant in &tenants {
        let connection = pools.checkout(tenant)?;
        connection.execute("INSERT INTO t1 (name, made) VALUES ('a name', 1)", [])?;
        let sql = "SELECT count(*) FROM t1 WHERE name = ?1";
        let mut select = connection.prepare_cached(sql)?;
        let count: u32 = select.query_row(["a name"], |row| row.get(0))?;
        assert!(count > 0, "it was written");
        drop(select);
        drop(connection);
        if how == "maintained" {
            // As upkeep does from time to time, while others are opened.
            pools.reap();
        }
    }
    let now = [kib_of("RssAnon:")?, kib_of("RssFile:")?, descriptors()?];
    let each = |at: usize| now[at].saturating_sub(before[at]) as f64 / tenants.len() as f64;
    let (own, mapped, descriptors) = (each(0), each(1), each(2));
    let mut closing = Vec::new();
    for tenant in &tenants {
        let began = Instant::now();
        pools.close(tenant.id(), Duration::ZERO)?;
        closing.push(began.elapsed().as_micros());
    }
    closing.sort_unstable();
    let at = |part: usize| closing.get((closing.len() - 1) * part / 100).copied();
    let (median, most) = (at(50).unwrap_or(0), at(95).unwrap_or(0));
    println!(
        "{{\"own_kib\":{own:.1},\"mapped_kib\":{mapped:.1},\"descriptors\":{descriptors:.2},\"close_us\":{{\"median\":{median},\"p95\":{most}}}}}"
    );
    Ok(())
}

/// Reads a figure of this process from the system.
fn kib_of(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(kib.ok_or("/proc/self/status lacks it")?.parse()?)
}

fn descriptors() -> Result<u64, Box<dyn Error>> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count() as u64)
}
