//! `tenancy rollback`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use tenancy::fleet::{PlannedRollback, RollbackPlan, RollbackTo, SchemaStep};

use super::{Failed, Skipped, options};
use crate::args::{Global, Rollback};
use crate::failure::Failure;
use crate::output::{Output, grouped};
use crate::project;
use crate::terminal;

/// The number of tenants and of problems that a question names for each pair of versions.
/// `--pretend` names all.
const NAMED: usize = 8;

pub fn run(args: &Rollback, global: &Global, out: Output) -> Result<(), Failure> {
    let mut options = options(&args.choice, &args.pace)?;
    if args.restore_copies {
        options = options.restore_snapshots();
    }
    if args.no_copy {
        options = options.without_snapshots();
    }
    let fleet = project::fleet(&project::config(global)?)?;
    if args.yes && !args.pretend {
        return super::run("rolling back", out, |progress| {
            fleet.rollback(extent(args), &options, progress)
        });
    }
    let plan = fleet.plan_rollback(extent(args), &options)?;
    if args.pretend {
        return Plan::from(&plan).print(out);
    }
    if terminal::is_attended() {
        eprint!("{}", shown(&plan));
    }
    terminal::confirm(&question(&plan, args))?;
    super::run("rolling back", out, |progress| {
        fleet.rollback_as_planned(plan, &options, progress)
    })
}

fn extent(args: &Rollback) -> RollbackTo {
    match (args.run, args.steps, args.to) {
        (Some(run), _, _) => RollbackTo::Run(run),
        (_, Some(steps), _) => RollbackTo::Steps(steps),
        (_, _, Some(version)) => RollbackTo::Version(version),
        _ => RollbackTo::LastRun,
    }
}

fn question(plan: &RollbackPlan, args: &Rollback) -> String {
    let going = plan
        .tenants
        .iter()
        .filter(|tenant| tenant.problem.is_none());
    let what = match plan.undoes {
        Some(run) => format!("undoing run {run}"),
        None => "rolling back".to_owned(),
    };
    let copies = match args.no_copy {
        true => ", and without a snapshot",
        false => "",
    };
    format!(
        "{what} for {} tenants, which deletes the data that only newer tables and columns have{copies}",
        grouped(going.count() as u64)
    )
}

/// The version of a tenant before and after the rollback, and whether the rollback is known to
/// fail.
type Way = (Option<u32>, Option<u32>, bool);

/// Returns the plan as text for the question: the tenants by version, and the scripts.
fn shown(plan: &RollbackPlan) -> String {
    let mut text = String::new();
    let mut ways: BTreeMap<Way, Vec<&PlannedRollback>> = BTreeMap::new();
    for tenant in &plan.tenants {
        let way = (tenant.from, tenant.to, tenant.problem.is_some());
        ways.entry(way).or_default().push(tenant);
    }
    for ((from, to, fails), tenants) in ways.iter().rev() {
        let names = tenants.iter().take(NAMED);
        let names: Vec<_> = names.map(|tenant| tenant.tenant.id().as_str()).collect();
        let more = if tenants.len() > NAMED { ", …" } else { "" };
        let count = grouped(tenants.len() as u64);
        let way = match fails {
            true => "cannot be rolled back".to_owned(),
            false => self::way(*from, *to),
        };
        let _ = writeln!(text, "{way}: {count} tenants ({}{more})", names.join(", "));
        let problems = tenants
            .iter()
            .filter_map(|tenant| tenant.problem.as_deref());
        for problem in problems.take(NAMED) {
            let _ = writeln!(text, "  {problem}");
        }
        let restored = tenants
            .iter()
            .filter(|tenant| tenant.snapshot.is_some())
            .count();
        if restored > 0 {
            let _ = writeln!(
                text,
                "  {restored} of them by a snapshot; all data written after it is lost"
            );
        }
    }
    for script in scripts(plan) {
        let _ = writeln!(text, "-- {} {}", script.version, script.name);
        let _ = writeln!(
            text,
            "{}",
            script.down.as_deref().unwrap_or_default().trim_end()
        );
    }
    text
}

fn way(from: Option<u32>, to: Option<u32>) -> String {
    let version = |version: Option<u32>| version.map_or("?".to_owned(), |v| v.to_string());
    format!("{} -> {}", version(from), version(to))
}

/// The plan of a rollback.
#[derive(Debug, Serialize)]
struct Plan {
    /// The number of the run that the rollback undoes, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<u64>,
    /// The number of tenants that need no rollback.
    current: u64,
    tenants: Vec<Row>,
    failed: Vec<Failed>,
    #[serde(rename = "left_out")]
    skipped: Vec<Skipped>,
    /// The scripts that would run, the newest first.
    scripts: Vec<Script>,
}

#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    from: Option<u32>,
    to: Option<u32>,
    /// The versions before and after, like `3 -> 2`.
    way: String,
    steps: Vec<String>,
    /// The version of the snapshot that would be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<u32>,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Script {
    version: u32,
    name: String,
    down: Option<String>,
}

/// Returns each script once, the newest first. No script runs for a tenant that is restored from a
/// snapshot.
fn scripts(plan: &RollbackPlan) -> Vec<Script> {
    let going = plan.tenants.iter();
    let going = going.filter(|tenant| tenant.problem.is_none() && tenant.snapshot.is_none());
    let steps = going.flat_map(|tenant| &tenant.steps);
    let mut scripts: Vec<_> = steps
        .map(|step| Script {
            version: step.version,
            name: step.name.to_string(),
            down: step.down.as_deref().map(str::to_owned),
        })
        .collect();
    scripts.sort_by(|a, b| b.cmp(a));
    scripts.dedup();
    scripts
}

impl From<&RollbackPlan> for Plan {
    fn from(plan: &RollbackPlan) -> Self {
        let (mut tenants, mut failed) = (Vec::new(), Vec::new());
        for planned in &plan.tenants {
            let tenant = planned.tenant.id().to_string();
            match &planned.problem {
                Some(why) => failed.push(Failed {
                    tenant,
                    why: why.to_string(),
                }),
                None => tenants.push(Row {
                    tenant,
                    from: planned.from,
                    to: planned.to,
                    way: way(planned.from, planned.to),
                    steps: planned.steps.iter().map(step).collect(),
                    copy: planned.snapshot.as_ref().map(|of| of.schema),
                }),
            }
        }
        Self {
            undoes: plan.undoes,
            current: plan.current,
            tenants,
            failed,
            skipped: plan.skipped.iter().map(Skipped::from).collect(),
            scripts: scripts(plan),
        }
    }
}

fn step(step: &SchemaStep) -> String {
    format!("{} {}", step.version, step.name)
}

impl Plan {
    fn print(&self, out: Output) -> Result<(), Failure> {
        let why = &["tenant", "why"][..];
        let lists = [
            ("tenants", &["tenant", "way", "steps"][..]),
            ("failed", why),
            ("left_out", why),
            ("scripts", &["version", "name", "down"]),
        ];
        out.summary(self, &lists)?;
        match self.failed.len() {
            0 => Ok(()),
            failed => Err(Failure::Partial(format!(
                "{failed} tenants cannot be rolled back; nothing was changed"
            ))),
        }
    }
}
