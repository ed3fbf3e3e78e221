//! Seeding many tenants.

use crate::driver::FleetDriver;
use crate::error::FleetError;
use crate::fleet::{Fleet, split};
use crate::journal::{NewRun, RunJournal};
use crate::options::FleetOptions;
use crate::report::{FleetReport, Progress};
use crate::run::{Done, Operation};
use crate::schema::KnownSchema;

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Runs the driver's seeds on the databases of all tenants. Each seed runs exactly once on each
    /// database, even if other processes run seeds at the same time. A tenant whose schema is behind
    /// fails; migrate it first.
    ///
    /// # Errors
    /// Returns an error if an option is out of bounds, an id has no tenant, another run is in
    /// progress, or the catalog cannot be read or written. Errors of single tenants are in the
    /// report.
    pub fn seed(
        &self,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.catalog.lease("seed", &options.by)?;
        let (target, chosen) = match self.driver.seed_set() {
            None => ("0 seeds".into(), Vec::new()),
            Some(seeds) => (seeds, self.named_or_all(options)?),
        };
        let (chosen, skipped) = split(chosen, options);
        let operation = Operation {
            new: NewRun {
                what: "seed",
                target: &target,
                version: None,
                undoes: None,
            },
            options,
            current: 0,
            chosen,
            skipped,
            refused: Vec::new(),
        };
        let work = |known: &KnownSchema, _| {
            let seeded = self.driver.run_seeds(&known.tenant)?;
            Ok(Done {
                tenant: known.tenant.clone(),
                from: seeded.before,
                to: seeded.now,
                schema: None,
                restored: false,
            })
        };
        self.run(&mut lease, operation, work, &mut progress)
    }
}
