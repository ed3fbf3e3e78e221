//! `tenancy migrate`.

use serde::Serialize;
use tenancy::fleet::{MigrationPlan, PlannedMigration, SchemaCounts};
use tenancy::sqlite::SqliteFleet;

use super::options;
use crate::args::{Global, Migrate};
use crate::failure::Failure;
use crate::output::{Output, grouped};
use crate::project;

pub fn run(args: &Migrate, global: &Global, out: Output) -> Result<(), Failure> {
    let options = options(&args.choice, &args.pace)?.canary(args.canary as usize);
    let fleet = project::fleet(&project::config(global)?)?;
    if args.check && args.choice.is_all() {
        return check(&fleet, out);
    }
    if args.check || args.pretend {
        let plan = Plan::from(fleet.plan(&options)?);
        return if args.check {
            plan.check(out)
        } else {
            plan.print(out)
        };
    }
    super::run("migrating", out, |progress| {
        fleet.migrate(&options, progress)
    })
}

/// The number of tenants per state of the schema.
#[derive(Debug, Serialize)]
pub struct Counts {
    newest: u32,
    current: u64,
    behind: u64,
    ahead: u64,
    unknown: u64,
}

impl From<SchemaCounts> for Counts {
    fn from(counts: SchemaCounts) -> Self {
        Self {
            newest: counts.newest,
            current: counts.current,
            behind: counts.behind,
            ahead: counts.ahead,
            unknown: counts.unknown,
        }
    }
}

/// Counts the tenants that are not at the newest version. Reads only the catalog, as opening all
/// files could take long.
fn check(fleet: &SqliteFleet, out: Output) -> Result<(), Failure> {
    let counts = fleet.check()?;
    out.record(&Counts::from(counts))?;
    let newest = counts.newest;
    match (counts.behind + counts.unknown, counts.ahead) {
        (0, 0) => Ok(()),
        (0, ahead) => Err(Failure::refused(format!(
            "{} tenants are ahead of schema version {newest}, the newest of the known migrations; \
             use a newer program or its migrations",
            grouped(ahead)
        ))),
        (behind, _) => Err(Failure::refused(format!(
            "{} tenants are not at schema version {newest}; `tenancy status --behind` lists \
             them, `tenancy migrate` migrates them",
            grouped(behind)
        ))),
    }
}

/// The plan of a migration.
#[derive(Debug, Serialize)]
struct Plan {
    newest: u32,
    tenants: Vec<Row>,
    /// The tenants whose files cannot be read.
    failed: Vec<super::Failed>,
}

#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    from: u32,
    steps: Vec<String>,
}

impl From<MigrationPlan> for Plan {
    fn from(plan: MigrationPlan) -> Self {
        let (mut tenants, mut failed) = (Vec::new(), Vec::new());
        for PlannedMigration {
            tenant,
            from,
            steps,
            ..
        } in plan.tenants
        {
            let tenant = tenant.id().to_string();
            match from {
                Ok(from) => tenants.push(Row {
                    tenant,
                    from,
                    steps: steps
                        .iter()
                        .map(|step| format!("{} {}", step.version, step.name))
                        .collect(),
                }),
                Err(why) => failed.push(super::Failed {
                    tenant,
                    why: why.into(),
                }),
            }
        }
        Self {
            newest: plan.target,
            tenants,
            failed,
        }
    }
}

impl Plan {
    fn print(&self, out: Output) -> Result<(), Failure> {
        let lists = [
            ("tenants", &["tenant", "from", "steps"][..]),
            ("failed", &["tenant", "why"]),
        ];
        out.summary(self, &lists)?;
        match self.failed.len() {
            0 => Ok(()),
            failed => Err(Failure::Partial(format!(
                "the files of {failed} tenants cannot be read; run `tenancy validate` for details"
            ))),
        }
    }

    fn check(&self, out: Output) -> Result<(), Failure> {
        self.print(out)?;
        match self.tenants.len() {
            0 => Ok(()),
            behind => Err(Failure::refused(format!(
                "{behind} tenants are not at schema version {}; `tenancy migrate` migrates them",
                self.newest
            ))),
        }
    }
}
