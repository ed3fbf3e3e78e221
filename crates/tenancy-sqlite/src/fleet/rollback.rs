//! Going back: by the scripts, or to a copy.

use std::time::{Duration, SystemTime};

use tenancy_core::{
    CatalogWriter, Epoch, SchemaTarget, Tenant, TenantChange, TenantId, WriteError,
};

use super::Fleet;
use super::options::{FleetOptions, Restore, Trust};
use super::report::{FleetReport, Progress};
use super::run::{Did, Operation, ask_all};
use crate::catalog::Known;
use crate::copies::Copy;
use crate::error::{FileError, FleetError, MigrateError};
use crate::migrate::{Keep, Migration};
use crate::place::Place;

/// How long the file that a copy took the place of is waited for before it is left to
/// the next call: the pools close theirs when they hear of the new incarnation.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far a rollback goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Back {
    /// So many steps, of each tenant from where it is.
    Steps(u32),
    /// To this schema version; a tenant that is there or before it stays.
    To(u32),
}

/// A copy of a tenant's file that was kept before a step without a way back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCopy {
    /// Of which incarnation's file.
    pub epoch: Epoch,
    /// The schema version that it has.
    pub schema: u32,
    /// When it was made.
    pub made: SystemTime,
    /// Its size.
    pub bytes: u64,
}

impl Fleet {
    /// Takes the schema of all tenants back: by the scripts where every step has one.
    /// Where one has none, and [`restore_copies`](FleetOptions::restore_copies) was
    /// said, the copy that was kept before that step becomes the tenant's file: a new
    /// incarnation, so that pools close what they have of the old one, whose file goes
    /// to the trash. What was written since the copy is lost to the tenant.
    ///
    /// A call that was interrupted is gone on with by the same call: no tenant goes back
    /// twice. Programs of the newer schema refuse the tenants afterwards as behind, or
    /// migrate them again, as they were told.
    ///
    /// ```
    /// # use tenancy_core::{Actor, CatalogWriter, NewTenant, Provisioner};
    /// use tenancy_sqlite::{Back, FleetOptions, Migration, Migrations, SqliteStorage};
    /// # let dir = tempfile::tempdir()?;
    /// # let root = dir.path();
    /// let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT")
    ///     .down("DROP TABLE notes");
    /// let storage = SqliteStorage::builder(root).migrations(Migrations::new([notes])?).create()?;
    /// # let mut acme = NewTenant::new("acme".parse()?);
    /// # acme.placement = storage.driver().place(&acme.id)?;
    /// # storage.driver().provision(&storage.catalog().insert(acme, &Actor::new("docs"))?)?;
    /// let fleet = storage.fleet();
    /// let only = FleetOptions::new().only(["acme".parse()?]);
    /// let report = fleet.rollback(Back::Steps(1), &only, |_| {})?;
    /// assert_eq!((report.done[0].from, report.done[0].to), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When an option is out of bounds, there is no tenant of an id that was named, or the catalog cannot be asked
    /// or written. That a tenant failed is in the report.
    pub fn rollback(
        &self,
        back: Back,
        options: &FleetOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<FleetReport, FleetError> {
        self.check_options(options)?;
        let (target, current, chosen) = match back {
            Back::To(version) => {
                let (current, chosen) = self.above(version, options)?;
                (format!("to {version}"), current, chosen)
            }
            Back::Steps(steps) => {
                let target = format!("{steps} steps of {}", options.names());
                let chosen = self.where_they_are("rollback", &target, options)?;
                (target, 0, chosen)
            }
        };
        let operation = Operation {
            what: "rollback",
            target,
            options,
            current,
            chosen,
        };
        let work = |known: &Known| self.roll_back_one(known, back, options);
        self.run(operation, work, &mut progress)
    }

    /// The copies of a tenant's file that were kept before steps without a way back,
    /// oldest first.
    ///
    /// # Errors
    /// When there is no such tenant, or they cannot be listed.
    pub fn copies(&self, id: &TenantId) -> Result<Vec<KeptCopy>, FleetError> {
        let known = self.named(std::slice::from_ref(id))?;
        let mut kept = Vec::new();
        for Known { tenant, .. } in known {
            // A placement that is not this driver's has no copies here.
            let Ok(place) = Place::of(&tenant) else {
                continue;
            };
            let copies = self.driver.shared.root.copies_of(&place.locator)?;
            kept.extend(copies.into_iter().map(|copy| KeptCopy {
                epoch: copy.place.epoch,
                schema: copy.schema,
                made: copy.made,
                bytes: copy.bytes,
            }));
        }
        Ok(kept)
    }

    /// Removes all copies that are older than this; how many there were. Nothing else
    /// does while their tenants live: call it when a release has proven itself.
    ///
    /// # Errors
    /// When they cannot be listed or removed.
    pub fn forget_copies(&self, older_than: Duration) -> Result<u64, FleetError> {
        let root = &self.driver.shared.root;
        let mut removed = 0;
        for copy in root.copies()? {
            if copy.made.elapsed().is_ok_and(|age| age >= older_than) {
                root.remove_copy(&copy)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Tenants that may be above `version`, and how many are known not to be.
    fn above(&self, version: u32, options: &FleetOptions) -> Result<(u64, Vec<Known>), FleetError> {
        if let Some(ids) = &options.only {
            return Ok((0, self.named(ids)?));
        }
        if options.trust == Trust::Files {
            return Ok((0, self.catalog.all_known()?));
        }
        let counts = self.catalog.schema_counts(version)?;
        let mut chosen = self.catalog.not_at_schema(version)?;
        chosen.retain(|known| known.schema.is_none_or(|schema| schema > version));
        Ok((counts.current + counts.behind, chosen))
    }

    /// The tenants that go back from where they are, with the version that counts as
    /// that: after an interrupted call those that it had not reached, with the version
    /// that it had found.
    fn where_they_are(
        &self,
        what: &str,
        target: &str,
        options: &FleetOptions,
    ) -> Result<Vec<Known>, FleetError> {
        let mut chosen = match &options.only {
            Some(ids) => self.named(ids)?,
            None => self.catalog.all_known()?,
        };
        if let Some(left) = self.catalog.unfinished(what, target)? {
            chosen.retain_mut(|known| match left.get(known.tenant.id()) {
                None => false,
                Some(was) => {
                    known.schema = *was;
                    true
                }
            });
            return Ok(chosen);
        }
        let versions = ask_all(&chosen, options, |known| {
            self.driver.shared.schema_of(&known.tenant)
        });
        for (known, version) in chosen.iter_mut().zip(versions) {
            // Why it cannot be read is found again, and reported, when it is its turn.
            known.schema = version.and_then(Result::ok);
        }
        Ok(chosen)
    }

    fn roll_back_one(
        &self,
        known: &Known,
        back: Back,
        options: &FleetOptions,
    ) -> Result<Did, FileError> {
        let shared = &self.driver.shared;
        let tenant = &known.tenant;
        let from = shared.schema_of(tenant)?;
        let to = match back {
            Back::To(version) => version,
            Back::Steps(steps) => known.schema.unwrap_or(from).saturating_sub(steps),
        };
        let did = |tenant: Tenant, to, restored| Did {
            tenant,
            from,
            to,
            schema: Some(to),
            restored,
        };
        // What an earlier call had to leave where it was.
        let _ = shared.put_away(tenant, Duration::ZERO);
        if from <= to {
            return Ok(did(tenant.clone(), from, false));
        }
        match shared.migrations.irreversible(to, from) {
            None => {
                let target = SchemaTarget::Version(to);
                shared.migrate(tenant, target, Keep::Nothing)?;
                Ok(did(tenant.clone(), to, false))
            }
            Some((version, step)) if options.restore == Restore::Never => {
                let name = step.map_or("", Migration::name).into();
                Err(MigrateError::Irreversible { version, name }.into())
            }
            Some((version, _)) => {
                let copy = self.copy_for(tenant, version, to)?;
                let next = self.turn_to(&copy, tenant, to, options)?;
                Ok(did(next, to, true))
            }
        }
    }

    /// The latest copy that leads to `to`: by going up, or down by scripts.
    fn copy_for(&self, tenant: &Tenant, version: u32, to: u32) -> Result<Copy, FileError> {
        let shared = &self.driver.shared;
        let copies = shared.root.copies_of(&tenant.placement().locator)?;
        let leads = |copy: &Copy| shared.migrations.irreversible(to, copy.schema).is_none();
        let copy = copies.into_iter().rfind(leads);
        copy.ok_or_else(|| FileError::NoCopy {
            tenant: tenant.to_ref(),
            version,
            to,
        })
    }

    /// Makes a copy the file of the tenant's next incarnation; that incarnation.
    ///
    /// The row turns to the new file in one write. A process that dies before it leaves
    /// a file that no row names, which the next attempt replaces under the same lock;
    /// one that dies after it leaves the old file where nobody opens it, for
    /// [`put_away`](crate::driver::Shared::put_away).
    fn turn_to(
        &self,
        copy: &Copy,
        tenant: &Tenant,
        to: u32,
        options: &FleetOptions,
    ) -> Result<Tenant, FileError> {
        let shared = &self.driver.shared;
        let next = tenant.to_builder().epoch(tenant.epoch().next()).build();
        let next = next.expect("it keeps the bounds that it kept");
        let staged = shared.stage_copy(copy, tenant, &next, to)?;
        let place = Place::of(&next)?;
        let path = shared.root.file(&place);
        let dir = shared.root.lock_dir(&place)?;
        self.still_current(tenant)?;
        shared.step("put the restored file in place")?;
        dir.put_restored(staged, &path)?;
        // Nobody commits into the old file from here to its end.
        let fence = shared.fence(tenant)?;
        shared.step("turn to the restored file")?;
        let next = self.turn_row(tenant, to, options)?;
        // If not, its next open is of an incarnation that is gone from the catalog, and
        // who has it open still is refused his commits.
        let _ = fence.close();
        drop(dir);
        // Its data is out of reach already; who still has it open is waited for by the
        // next call.
        let _ = shared.put_away(&next, PATIENCE);
        Ok(next)
    }

    /// Makes the tenant's next incarnation the one that its row names.
    fn turn_row(
        &self,
        tenant: &Tenant,
        to: u32,
        options: &FleetOptions,
    ) -> Result<Tenant, FileError> {
        loop {
            // Its status may change meanwhile; its incarnation does so under the lock.
            let now = self.still_current(tenant)?;
            let mut change = TenantChange::default();
            change.reincarnate = Some(now.placement().clone());
            change.schema = Some(to);
            match self
                .catalog
                .update(now.id(), now.version(), change, &options.by)
            {
                Err(WriteError::Conflict { .. }) => {}
                done => return Ok(done?),
            }
        }
    }

    /// The tenant's row, if it is still of the same incarnation.
    fn still_current(&self, tenant: &Tenant) -> Result<Tenant, FileError> {
        let known = self.catalog.known(tenant.id());
        let known = known.map_err(WriteError::from)?;
        let id = tenant.id().clone();
        let now = known.ok_or(WriteError::Unknown { id })?.tenant;
        if now != *tenant || now.placement() != tenant.placement() {
            let (tenant, current) = (tenant.to_ref(), now.to_ref());
            return Err(FileError::Superseded { tenant, current });
        }
        Ok(now)
    }
}
