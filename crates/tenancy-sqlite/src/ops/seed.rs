//! The run of seeds in a tenant's database.

use tenancy_core::Tenant;
use tenancy_fleet::Seeded;

use crate::error::{FileError, OpenError};
use crate::ops::open::open_to_migrate;
use crate::schema::seeds::Seeding;
use crate::store::Store;

impl Store {
    /// Runs the seeds that have not been run in this tenant's database.
    pub(crate) fn seed(&self, tenant: &Tenant) -> Result<Seeded, FileError> {
        let (connection, guard, found) = open_to_migrate(self, tenant)?;
        let newest = self.migrations.newest();
        if found < newest {
            // Seeds are written for the newest schema.
            let tenant = tenant.to_ref();
            return Err(OpenError::Behind {
                tenant,
                found,
                newest,
            }
            .into());
        }
        let mut seeded = Seeded { before: 0, now: 0 };
        for (name, sql) in self.seeds.iter() {
            let seeding = Seeding {
                connection: &connection,
                guard: &guard,
                name,
            };
            let done = seeding.was_run()?;
            if !done {
                self.step("seed")?;
            }
            if done || !seeding.run(sql)? {
                seeded.before += 1;
            }
            seeded.now += 1;
        }
        Ok(seeded)
    }
}
