//! `tenancy validate`.

use serde::Serialize;
use tenancy::sqlite::{Finding, Fixed, Repair, ValidateOptions, Validation};

use super::{rebuild, with_bar};
use crate::args::{Depth, Global, Validate};
use crate::failure::{Failure, OneLine};
use crate::interrupt;
use crate::output::Output;
use crate::project;

/// The report of a validation; the JSON document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    tenants: u64,
    files: u64,
    /// The number of files in the warm pool.
    warm_pool: u64,
    /// The number of other files of the warm pool: being created or removed, or with a schema of
    /// another release.
    other_warm_pool: u64,
    /// The number of files opened.
    opened: u64,
    /// The number of events in the audit trail.
    events: u64,
    /// The tenants whose creation is not complete.
    unfinished: Vec<String>,
    findings: Vec<Row>,
    /// The warnings, which do not change the exit code.
    warnings: Vec<Row>,
    /// The number of findings that remain.
    left: usize,
}

/// One finding, and its repair.
#[derive(Debug, Serialize)]
struct Row {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    fixable: bool,
    says: String,
    /// The repair made by `--fix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
    /// The error of the repair.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl From<&Finding> for Row {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code(),
            tenant: finding.tenant.as_ref().map(|tenant| tenant.id.to_string()),
            path: finding.path.as_ref().map(|path| path.display().to_string()),
            fixable: finding.problem.is_fixable(),
            says: finding.to_string(),
            fixed: None,
            failed: None,
        }
    }
}

impl From<&Fixed> for Row {
    fn from(fixed: &Fixed) -> Self {
        let mut row = Self::from(&fixed.finding);
        match &fixed.result {
            Ok(repair) => row.fixed = Some(said(repair)),
            Err(error) => row.failed = Some(OneLine(error).to_string()),
        }
        row
    }
}

fn said(repair: &Repair) -> String {
    match repair {
        Repair::Quarantined(path) => format!("moved to {}", path.display()),
        Repair::Retired => "the retirement was completed".to_owned(),
        Repair::Revived => "the file is in use again".to_owned(),
        Repair::AccessCorrected => "its owner and mode were corrected".to_owned(),
        _ => "a second check found nothing to repair".to_owned(),
    }
}

pub fn run(args: &Validate, global: &Global, out: Output) -> Result<(), Failure> {
    if args.rebuild {
        return rebuild::run(global, out);
    }
    let config = project::config(global)?;
    let (project, fleet) = project::open_with_fleet(&config)?;
    let options = ValidateOptions::new()
        .depth(match args.depth {
            Depth::Names => tenancy::sqlite::Depth::Names,
            Depth::Stamps => tenancy::sqlite::Depth::Stamps,
            Depth::Quick => tenancy::sqlite::Depth::Quick,
            Depth::Full => tenancy::sqlite::Depth::Full,
        })
        .jobs(args.jobs.into())
        .resolver(project.resolver());
    let meanwhile = match args.fix {
        true => {
            "repairs made until then are kept; run the command again to see the remaining findings"
        }
        false => "nothing was changed",
    };
    interrupt::ends_with(format!("stopped; {meanwhile}"))?;
    let validation = with_bar("validating", out, |progress| {
        fleet.validate(&options, progress)
    });
    let validation = validation.map_err(|error| Failure::Refused(error.into()))?;
    let fixes = match args.fix {
        true => with_bar("fixing", out, |progress| {
            fleet.fix(&validation, &project::actor(), progress)
        }),
        false => Vec::new(),
    };
    let report = Report::new(&validation, &fixes);
    let lists = [
        ("unfinished", &[][..]),
        ("findings", &["code", "says", "fixed", "failed"]),
        ("warnings", &["code", "says"]),
    ];
    out.summary(&report, &lists)?;
    report.verdict(args)
}

impl Report {
    fn new(validation: &Validation, fixes: &[Fixed]) -> Self {
        let findings = validation.findings.iter().map(|finding| {
            let fixed = fixes.iter().find(|fixed| fixed.finding == *finding);
            fixed.map_or_else(|| Row::from(finding), Row::from)
        });
        let findings: Vec<_> = findings.collect();
        Self {
            tenants: validation.tenants,
            files: validation.files,
            warm_pool: validation.warm_pool,
            other_warm_pool: validation.other_warm_pool,
            opened: validation.opened,
            events: validation.events,
            unfinished: validation
                .unfinished
                .iter()
                .map(ToString::to_string)
                .collect(),
            left: findings.iter().filter(|row| row.fixed.is_none()).count(),
            findings,
            warnings: validation.warnings.iter().map(Row::from).collect(),
        }
    }

    fn verdict(&self, args: &Validate) -> Result<(), Failure> {
        let fixable = self.findings.iter().any(|row| row.fixable);
        let advice = match fixable && !args.fix {
            true => "follow their advice, or repair the fixable ones with --fix",
            false => "follow their advice",
        };
        match self.left {
            0 => Ok(()),
            left => Err(Failure::refused(format!("findings: {left}; {advice}"))),
        }
    }
}
