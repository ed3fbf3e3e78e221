//! Seeding tenants.

use super::Fleet;
use super::options::FleetOptions;
use super::report::{FleetReport, Progress};
use super::run::{Did, Operation};
use crate::catalog::Known;
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
        let shared = &self.driver.shared;
        let chosen = match &options.only {
            _ if shared.seeds.is_empty() => Vec::new(),
            Some(ids) => self.named(ids)?,
            None => self.catalog.all_known()?,
        };
        let operation = Operation {
            what: "seed",
            target: format!("{} seeds {}", shared.seeds.len(), shared.seeds.sum()),
            options,
            current: 0,
            chosen,
        };
        let work = |known: &Known| -> Result<Did, FileError> {
            let seeded = shared.seed(&known.tenant)?;
            Ok(Did {
                tenant: known.tenant.clone(),
                from: seeded.before,
                to: seeded.now,
                schema: None,
                restored: false,
            })
        };
        self.run(operation, work, &mut progress)
    }
}
