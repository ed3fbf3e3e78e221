//! The commands about many tenants, and their report.

pub mod migrate;
pub mod rebuild;
pub mod rollback;
pub mod seed;
pub mod status;
pub mod validate;

use serde::Serialize;
use tenancy::TenantId;
use tenancy::fleet::{FleetError, FleetOptions, FleetReport, Progress, RunEnd, TenantSkipped};

use crate::args::{Choice, Pace};
use crate::failure::{Failure, OneLine};
use crate::interrupt;
use crate::output::{Output, grouped};
use crate::project;

/// The report of a run; the JSON document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    /// The number of the run in the catalog; absent if there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    /// The number of tenants without work. Their files were not opened.
    current: u64,
    done: Vec<Done>,
    failed: Vec<Failed>,
    #[serde(rename = "left_out")]
    skipped: Vec<Skipped>,
    not_reached: u64,
    /// The end of the run: `through`, `failures`, `canary` or `stopped`.
    end: &'static str,
}

#[derive(Debug, Serialize)]
struct Done {
    tenant: String,
    from: u32,
    to: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
}

#[derive(Debug, Serialize)]
struct Failed {
    tenant: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Skipped {
    tenant: String,
    why: String,
}

impl From<&TenantSkipped> for Skipped {
    fn from(skipped: &TenantSkipped) -> Self {
        Self {
            tenant: skipped.tenant.id.to_string(),
            why: skipped.why.to_string(),
        }
    }
}

impl From<&FleetReport> for Report {
    fn from(report: &FleetReport) -> Self {
        let done = report.done.iter().map(|done| Done {
            tenant: done.tenant.id.to_string(),
            from: done.from,
            to: done.to,
            restored: done.restored,
        });
        let failed = report.failed.iter().map(|failed| Failed {
            tenant: failed.tenant.id.to_string(),
            why: OneLine(&failed.error).to_string(),
        });
        let skipped = report.skipped.iter().map(Skipped::from);
        Self {
            run: report.run,
            current: report.current,
            done: done.collect(),
            failed: failed.collect(),
            skipped: skipped.collect(),
            not_reached: report.not_reached,
            end: match report.end {
                RunEnd::Through => "through",
                RunEnd::Failures => "failures",
                RunEnd::Canary => "canary",
                _ => "stopped",
            },
        }
    }
}

/// Returns the library's options for the arguments.
fn options(choice: &Choice, pace: &Pace) -> Result<FleetOptions, Failure> {
    let ids = |texts: &[String]| -> Result<Vec<TenantId>, Failure> {
        let ids: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
        Ok(ids.map_err(tenancy::Error::from)?)
    };
    let mut options = FleetOptions::new()
        .skip(ids(&choice.skip)?)
        .jobs(pace.jobs.into())
        .by(project::actor())
        .stop(&interrupt::stop());
    if !choice.tenants.is_empty() {
        options = options.only(ids(&choice.tenants)?);
    }
    if pace.keep_going {
        options = options.keep_going();
    }
    Ok(options)
}

/// Runs an operation on many tenants, with a progress bar, and prints its report.
fn run(
    what: &'static str,
    out: Output,
    run: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<FleetReport, FleetError>,
) -> Result<(), Failure> {
    interrupt::watch()?;
    let report = with_bar(what, out, run)?;
    let why = &["tenant", "why"][..];
    out.summary(
        &Report::from(&report),
        &[("failed", why), ("left_out", why)],
    )?;
    verdict(&report)
}

/// Runs an operation with a progress bar.
fn with_bar<T>(
    what: &'static str,
    out: Output,
    run: impl FnOnce(&mut dyn FnMut(Progress)) -> T,
) -> T {
    let bar = out.bar(0, what);
    let done = run(&mut |at| {
        bar.set_length(at.total);
        bar.set_position(at.done);
    });
    bar.finish_and_clear();
    done
}

/// Returns a failure if tenants failed or the run was stopped.
fn verdict(report: &FleetReport) -> Result<(), Failure> {
    let failed = report.failed.len() as u64;
    let reached = report.done.len() as u64 + failed;
    let all = grouped(reached + report.not_reached);
    if failed > 0 {
        let left = match report.not_reached {
            0 => String::new(),
            left => format!(", not begun: {}", grouped(left)),
        };
        return Err(Failure::Partial(format!(
            "{} of {all} tenants failed{left}; correct what is named above, then run the command again",
            grouped(failed)
        )));
    }
    match report.end {
        RunEnd::Through => Ok(()),
        _ => Err(Failure::refused(format!(
            "stopped after {} of {all} tenants; run the command again to continue",
            grouped(reached)
        ))),
    }
}
