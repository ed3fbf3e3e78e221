//! `tenancy demo`: a workload on new tenants, and the proof that they stay isolated.

mod drive;
mod mix;
mod proof;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use tempfile::TempDir;
use tenancy::{Config, TenantSpec};

use crate::args::Demo;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Output, grouped};
use crate::project::{self, Project};
use drive::Tally;
use mix::{Log, Mix};
use proof::Verdict;

pub use rows::print as print_rows;

/// The files of the demo's directory.
const FILES: [(&str, &str); 5] = [
    (
        "migrations/0001_visits.sql",
        include_str!("0001_visits.sql"),
    ),
    (
        "migrations/0001_visits.down.sql",
        include_str!("0001_visits.down.sql"),
    ),
    (
        "migrations/0002_popular.sql",
        include_str!("0002_popular.sql"),
    ),
    (
        "migrations/0002_popular.down.sql",
        include_str!("0002_popular.down.sql"),
    ),
    (Config::FILE_NAME, include_str!("tenancy.toml")),
];

/// The number of tenants that are created between two checks for Ctrl-C.
const BATCH: usize = 16;

/// The result of a demo; the JSON document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    tenants: usize,
    requests: u64,
    tenant: u64,
    skip: u64,
    central: u64,
    refused: u64,
    wrong_tenant_rows: u64,
    peak_connections: u32,
    create_per_s: f64,
    resolve_ns_p50: u64,
    checkout_us_p50: f64,
    request_us_p50: f64,
    request_us_p99: f64,
    requests_per_s: f64,
}

pub fn run(args: &Demo, out: Output) -> Result<(), Failure> {
    let log = args.log.as_deref().map(read_log).transpose()?;
    let requests = log.as_ref().map_or(args.requests, |log| log.len() as u32);
    let place = Place::new(args.dir.as_deref())?;
    interrupt::watch()?;

    let config = place.config()?;
    project::make_root(&config)?;
    let project = project::open(&config)?;
    let (tenants, creating) = create(&project, args.tenants, out)?;
    let mix = Mix::new(args.tenants, log);
    let bar = out.bar(requests.into(), "serving requests");
    let started = Instant::now();
    let mut tally = drive::drive(&project, &mix, requests, &bar)?;
    let driving = started.elapsed();
    bar.finish_and_clear();

    let stopped = interrupt::requested();
    let verdict = Verdict::of(
        std::mem::take(&mut tally.written),
        proof::read_back(place.path())?,
    );
    let stats = project.pools().stats();
    let report = Report::new(tenants, creating, driving, &mut tally, &verdict, stats.peak);
    out.note(&place.farewell());
    out.record(&report)?;
    verdict.check()?;
    if tally.foreign_reads > 0 {
        return Err(Failure::refused(format!(
            "requests read {} rows of other tenants",
            tally.foreign_reads
        )));
    }
    if stats.peak > stats.max {
        let (peak, max) = (stats.peak, stats.max);
        return Err(Failure::refused(format!(
            "{peak} connections were open, but the bound is {max}"
        )));
    }
    match stopped {
        false => Ok(()),
        true => Err(Failure::refused(format!(
            "stopped after {} of {} requests for {tenants} tenants; the rows written until then are checked above",
            grouped(report.requests),
            grouped(requests.into())
        ))),
    }
}

impl Report {
    fn new(
        tenants: usize,
        creating: Duration,
        driving: Duration,
        tally: &mut Tally,
        verdict: &Verdict,
        peak: u32,
    ) -> Self {
        let us = |time: Duration| tenths(time.as_nanos() as f64 / 1000.0);
        Self {
            tenants,
            requests: tally.requests(),
            tenant: tally.tenant,
            skip: tally.skip,
            central: tally.central,
            refused: tally.refused,
            wrong_tenant_rows: verdict.wrong.len() as u64 + u64::from(tally.foreign_reads),
            peak_connections: peak,
            create_per_s: rate(tenants as u64, creating),
            resolve_ns_p50: percentile(&mut tally.resolve, 50).as_nanos() as u64,
            checkout_us_p50: us(percentile(&mut tally.checkout, 50)),
            request_us_p50: us(percentile(&mut tally.request, 50)),
            request_us_p99: us(percentile(&mut tally.request, 99)),
            requests_per_s: rate(tally.requests(), driving),
        }
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    let at = times.len().saturating_sub(1) * percent / 100;
    match times.is_empty() {
        true => Duration::ZERO,
        false => *times.select_nth_unstable(at).1,
    }
}

fn rate(count: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => tenths(count as f64 / time.as_secs_f64()),
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn read_log(path: &Path) -> Result<Log, Failure> {
    let text = fs::read(path)
        .map_err(|cause| Failure::file(path, "the access log cannot be read", &cause))?;
    let log = Log::new(text);
    match log.len() {
        0 => Err(Failure::usage(format!(
            "{}: the access log is empty",
            path.display()
        ))),
        _ => Ok(log),
    }
}

/// Creates tenants until all are created or Ctrl-C is pressed. Returns their number and the time
/// that it took.
fn create(project: &Project, tenants: u32, out: Output) -> Result<(usize, Duration), Failure> {
    let spec = |tenant| -> Result<TenantSpec, Failure> {
        let id = mix::id(tenant).parse().map_err(tenancy::Error::from)?;
        let spec = TenantSpec::new(id);
        Ok(mix::domain(tenant).into_iter().fold(spec, TenantSpec::name))
    };
    let specs = (0..tenants).map(spec).collect::<Result<Vec<_>, _>>()?;
    let bar = out.bar(tenants.into(), "creating tenants");
    let started = Instant::now();
    let mut created = 0;
    for batch in specs.chunks(BATCH) {
        if interrupt::requested() {
            break;
        }
        for result in project.create_many(batch) {
            result?;
            created += 1;
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok((created, started.elapsed()))
}

/// The directory of the demo's files.
enum Place {
    /// A temporary directory, removed at the end.
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Place {
    /// Writes the demo's files to a temporary or an empty directory.
    fn new(dir: Option<&Path>) -> Result<Self, Failure> {
        let place = match dir {
            None => Self::Temporary(tempfile::Builder::new().prefix("tenancy-demo-").tempdir()?),
            Some(dir) => {
                let entries = fs::read_dir(dir).ok();
                if dir.exists() && entries.is_none_or(|mut entries| entries.next().is_some()) {
                    return Err(Failure::usage(format!(
                        "{} is not an empty directory; name an empty or a new one",
                        dir.display()
                    )));
                }
                Self::Kept(dir.into())
            }
        };
        let migrations = place.path().join("migrations");
        fs::create_dir_all(&migrations).map_err(|cause| {
            Failure::file(&migrations, "the directory cannot be created", &cause)
        })?;
        for (name, text) in FILES {
            let path = place.path().join(name);
            fs::write(&path, text)
                .map_err(|cause| Failure::file(&path, "cannot be written", &cause))?;
        }
        Ok(place)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.path().join(Config::FILE_NAME))?)
    }

    fn farewell(&self) -> String {
        match self {
            Self::Temporary(_) => "a second process has read every row back".to_owned(),
            Self::Kept(dir) => format!(
                "a second process has read every row back; to list the tenants:\n  \
                 tenancy --config {} list",
                dir.join(Config::FILE_NAME).display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times = |count: u64| {
            (1..=count)
                .rev()
                .map(Duration::from_nanos)
                .collect::<Vec<_>>()
        };
        assert_eq!(percentile(&mut times(0), 50), Duration::ZERO);
        assert_eq!(percentile(&mut times(1), 99), Duration::from_nanos(1));
        assert_eq!(percentile(&mut times(101), 50), Duration::from_nanos(51));
        assert_eq!(percentile(&mut times(101), 99), Duration::from_nanos(100));
    }

    #[test]
    fn the_config_of_the_demo_is_valid() {
        let (name, text) = FILES[FILES.len() - 1];
        Config::parse(text, Path::new(name)).expect("a config");
    }
}
