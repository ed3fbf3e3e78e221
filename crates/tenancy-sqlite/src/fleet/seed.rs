//! Seeding tenants.

use super::Fleet;
use super::options::FleetOptions;
use super::report::{FleetReport, Progress};
use super::run::{Did, Operation, leave_out};
use crate::catalog::{Known, NewRun};
use crate::error::{FileError, FleetError};

impl Fleet {
    /// Runs the driver's [`Seeds`](crate::Seeds) in all tenants: in each those that it
    /// has not had, exactly once, whoever else is at it. A tenant whose schema is behind
    /// fails: migrate first.
    ///
    /// # Errors
    /// When an option is out of bounds, there is no tenant of an id that was named, or the catalog cannot be asked
    /// or written. That a tenant failed is in the report.
    pub fn seed(
        &self,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let mut lease = self.lease("seed", &options.by)?;
        let shared = &self.driver.shared;
        let chosen = match &options.only {
            _ if shared.seeds.is_empty() => Vec::new(),
            Some(ids) => self.named(ids)?,
            None => self.catalog.all_known()?,
        };
        let (chosen, left_out) = leave_out(chosen, options);
        let new = NewRun {
            what: "seed",
            target: &format!("{} seeds {}", shared.seeds.len(), shared.seeds.sum()),
            version: None,
            undoes: None,
        };
        let operation = Operation {
            new,
            options,
            current: 0,
            chosen,
            left_out,
            refused: Vec::new(),
        };
        let work = |known: &Known, _| -> Result<Did, FileError> {
            let seeded = shared.seed(&known.tenant)?;
            Ok(Did {
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
