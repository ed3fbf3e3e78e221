//! The threads of a demo, which send its requests.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tenancy::{Method, RequestHead, Resolution, Tenant};

use super::mix::{self, Mix, Planned};
use crate::failure::Failure;
use crate::interrupt;
use crate::project::Project;

/// The number of threads. It exceeds most numbers of CPUs, so that the threads contend for the
/// pools.
const WORKERS: usize = 8;

/// The outcome of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub tenant: u64,
    pub skip: u64,
    pub central: u64,
    pub refused: u64,
    /// The number of other tenants' rows that requests read in their own tenant's database.
    pub foreign_reads: u32,
    /// The committed rows, each as the tenant and the number of its request.
    pub written: Vec<(String, u32)>,
    pub resolve: Vec<Duration>,
    pub checkout: Vec<Duration>,
    pub request: Vec<Duration>,
}

impl Tally {
    /// Returns the number of requests that were answered.
    pub fn requests(&self) -> u64 {
        self.tenant + self.skip + self.central + self.refused
    }

    fn add(&mut self, other: Self) {
        self.tenant += other.tenant;
        self.skip += other.skip;
        self.central += other.central;
        self.refused += other.refused;
        self.foreign_reads += other.foreign_reads;
        self.written.extend(other.written);
        self.resolve.extend(other.resolve);
        self.checkout.extend(other.checkout);
        self.request.extend(other.request);
    }

    /// Serves one request like an application: resolves it, enters the tenant's scope, and writes
    /// and reads rows with a connection.
    fn serve(&mut self, project: &Project, number: u32, planned: &Planned) -> Result<(), Failure> {
        let method = std::str::from_utf8(planned.method).unwrap_or_default();
        let head = RequestHead::new(Method::from(method), &planned.target).host(&planned.host);
        let started = Instant::now();
        let resolved = project.resolve(&head);
        self.resolve.push(started.elapsed());
        match resolved {
            Err(_) => self.refused += 1,
            Ok(resolved) => match resolved.resolution {
                Resolution::Tenant(tenant) => {
                    let scope = tenant.enter().map_err(tenancy::Error::from)?;
                    self.visit(project, &tenant, number, planned, method, &resolved.path)?;
                    drop(scope);
                    self.tenant += 1;
                }
                Resolution::Skip(_) => self.skip += 1,
                _ => self.central += 1,
            },
        }
        self.request.push(started.elapsed());
        Ok(())
    }

    /// Writes a row, and reads the latest rows. The row names the tenant for which the request was
    /// planned, not the one that the resolver returned, as the resolver is under test.
    fn visit(
        &mut self,
        project: &Project,
        tenant: &Tenant,
        number: u32,
        planned: &Planned,
        method: &str,
        path: &str,
    ) -> Result<(), Failure> {
        let asked = Instant::now();
        let mut connection = project.checkout(tenant).map_err(tenancy::Error::from)?;
        self.checkout.push(asked.elapsed());
        let mark = planned.tenant.map_or_else(|| "nobody".to_owned(), mix::id);
        self.foreign_reads += write_and_read(&mut connection, &mark, number, method, path)
            .map_err(|error| Failure::Refused(error.into()))?;
        self.written.push((mark, number));
        Ok(())
    }
}

fn write_and_read(
    connection: &mut rusqlite::Connection,
    mark: &str,
    number: u32,
    method: &str,
    path: &str,
) -> rusqlite::Result<u32> {
    // An immediate transaction waits for the write lock at its start. A deferred one would fail
    // if another request had written meanwhile.
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached(
            "INSERT INTO visits (tenant, number, method, path) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((mark, number, method, path))?;
    transaction
        .prepare_cached(
            "INSERT INTO pages (path, visits) VALUES (?1, 1)
             ON CONFLICT (path) DO UPDATE SET visits = visits + 1",
        )?
        .execute([path])?;
    let foreign = transaction
        .prepare_cached(
            "SELECT count(*) FROM (SELECT tenant FROM visits ORDER BY id DESC LIMIT 20)
             WHERE tenant <> ?1",
        )?
        .query_row([mark], |row| row.get(0))?;
    transaction.commit()?;
    Ok(foreign)
}

/// Sends all requests. Stops early after Ctrl-C.
pub fn drive(
    project: &Project,
    mix: &Mix,
    requests: u32,
    bar: &ProgressBar,
) -> Result<Tally, Failure> {
    let next = AtomicU32::new(0);
    let failed = AtomicBool::new(false);
    let work = || {
        let mut tally = Tally::default();
        while !interrupt::requested() && !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                break;
            }
            if let Err(failure) = tally.serve(project, number, &mix.request(number)) {
                failed.store(true, Ordering::Relaxed);
                return Err(failure);
            }
            bar.inc(1);
        }
        Ok(tally)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let mut all = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(tally) => all.add(tally?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}
