//! The comparison of the catalog with the files.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tenancy_core::{Name, Resolver, Tenant, TenantStatus};
use tenancy_fleet::{Jobs, Progress};

use super::SqliteFleet;
use super::depth::{Depth, ValidateOptions};
use super::findings::{Finding, Problem, Validation};
use super::survey::{shards, survey, survey_trash};
use crate::disk::files::{Entry, look};
use crate::disk::place::{Place, PlaceKey};
use crate::disk::trash::Trashed;
use crate::error::{IoError, RepairError};

impl SqliteFleet {
    /// Compares the catalog with the files, and calls `progress` repeatedly. A validation changes
    /// no file and no row. Other operations may run meanwhile: a finding is verified again before
    /// it is reported.
    ///
    /// ```
    /// use tenancy_sqlite::{Depth, SqliteStorage, ValidateOptions};
    /// # let root = tempfile::tempdir()?;
    /// let fleet = SqliteStorage::create(root.path())?.fleet();
    /// let options = ValidateOptions::new().depth(Depth::Quick);
    /// let validation = fleet.validate(&options, |_| {})?;
    /// for finding in &validation.findings {
    ///     println!("{}: {finding}", finding.code());
    /// }
    /// assert!(validation.is_sound());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if an option is out of bounds, or the catalog or a directory cannot be
    /// read. A fault of a file is a finding, not an error.
    pub fn validate(
        &self,
        options: &ValidateOptions<'_>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Validation, RepairError> {
        Jobs::new(options.jobs)?;
        // Rows are read before files: the row of a file that is created meanwhile is looked up
        // later.
        let rows = self.catalog().all()?;
        let mut comparison = Comparison::new(self, &rows, options, &mut progress)?;
        comparison.warm_pool()?;
        comparison.files()?;
        comparison.trash()?;
        comparison.rows()?;
        if let Some(resolver) = options.resolver {
            comparison.names(resolver)?;
        }
        comparison.events()?;
        comparison.own_files()?;
        if options.depth > Depth::Names {
            comparison.open_files(options)?;
        }
        comparison.owners()?;
        let mut out = comparison.out;
        out.findings.sort();
        out.warnings.sort();
        out.unfinished.sort();
        Ok(out)
    }
}

/// The places at which the file of a row was seen.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) in_place: bool,
    pub(super) trashed: Option<Trashed>,
    /// Whether an entry that is no file is in the place; it has been reported already.
    unexpected: bool,
}

/// The owner of a file, by its name.
enum Owner {
    Row(usize),
    /// The row of a later incarnation owns the place.
    Later(usize),
    Nobody,
}

pub(super) struct Comparison<'v> {
    pub(super) fleet: &'v SqliteFleet,
    pub(super) rows: &'v [Tenant],
    /// The row of each locator.
    places: HashMap<u128, usize>,
    /// An entry for each row.
    pub(super) seen: Vec<Seen>,
    pub(super) out: Validation,
    /// The owner of the root.
    pub(super) owner: u32,
    /// Files and directories with an unexpected owner or mode, each with its row, if it has one.
    pub(super) suspects: Vec<(Option<usize>, PathBuf)>,
    pub(super) progress: &'v mut dyn FnMut(Progress),
    pub(super) at: Progress,
}

impl<'v> Comparison<'v> {
    fn new(
        fleet: &'v SqliteFleet,
        rows: &'v [Tenant],
        options: &ValidateOptions<'_>,
        progress: &'v mut dyn FnMut(Progress),
    ) -> Result<Self, IoError> {
        let root = fleet.driver().store.root.path();
        let meta = fs::metadata(root).map_err(IoError::at(root, "looked at"))?;
        let rounds = if options.depth > Depth::Names { 2 } else { 1 };
        let out = Validation {
            tenants: rows.len() as u64,
            ..Validation::default()
        };
        Ok(Self {
            fleet,
            rows,
            places: HashMap::with_capacity(rows.len()),
            seen: vec![Seen::default(); rows.len()],
            at: Progress {
                total: out.tenants * rounds,
                ..Progress::default()
            },
            out,
            owner: meta.uid(),
            suspects: Vec::new(),
            progress,
        })
    }

    pub(super) fn find(&mut self, tenant: Option<&Tenant>, path: Option<&Path>, problem: Problem) {
        self.out.findings.push(Finding {
            tenant: tenant.map(Tenant::to_ref),
            path: path.map(Path::to_owned),
            problem,
        });
    }

    pub(super) fn tell(&mut self, more: u64) {
        self.at.done = (self.at.done + more).min(self.at.total);
        self.at.failed = self.out.findings.len() as u64;
        (self.progress)(self.at);
    }

    fn warm_pool(&mut self) -> Result<(), RepairError> {
        let fingerprint = &self.fleet.driver().store.fingerprint;
        for waiting in self.fleet.catalog().warm_pool()? {
            match waiting.ready && waiting.fingerprint == *fingerprint {
                true => self.out.warm_pool += 1,
                false => self.out.other_warm_pool += 1,
            }
        }
        Ok(())
    }

    /// Compares the directories of tenants' files with the rows.
    fn files(&mut self) -> Result<(), RepairError> {
        for (row, tenant) in self.rows.iter().enumerate() {
            match Place::of(tenant) {
                Ok(place) => drop(self.places.insert(place.key().locator(), row)),
                Err(_) if tenant.status() == TenantStatus::Provisioning => {}
                Err(_) => self.find(Some(tenant), None, Problem::Placement),
            }
        }
        let root = &self.fleet.driver().store.root;
        let shards = shards(root)?;
        self.strays(shards.strays);
        for (path, found) in shards.unexpected {
            self.find(None, Some(&path), Problem::NotAFile { found });
        }
        for shard in shards.dirs {
            self.access(None, &shard)?;
            let survey = survey(&shard)?;
            self.out.files += survey.databases.len() as u64;
            let databases = survey.databases.len() as u64;
            for (key, odd) in survey.databases {
                self.database(&shard, &key, odd)?;
            }
            for (sidecar, main) in survey.sidecars {
                match is_nothing(&main)? {
                    true if is_nothing(&sidecar)? => {}
                    true => self.find(None, Some(&sidecar), Problem::Sidecar),
                    false => self.sidecar(&sidecar, &main)?,
                }
            }
            self.strays(survey.strays);
            self.tell(databases);
        }
        Ok(())
    }

    fn database(
        &mut self,
        shard: &Path,
        key: &PlaceKey,
        odd: Option<&'static str>,
    ) -> Result<(), RepairError> {
        let path = shard.join(key.place().file_name());
        match (self.row_of(*key), odd) {
            (Owner::Row(row), None) => {
                self.seen[row].in_place = true;
                self.access(Some(row), &path)?;
            }
            (Owner::Row(row), Some(found)) => self.unexpected(row, &path, found),
            (_, Some(_)) => self.find(None, Some(&path), Problem::Stray),
            (Owner::Later(row), None) => {
                let tenant = &self.rows[row];
                if self.fleet.is_as_it_was(tenant)? && !is_nothing(&path)? {
                    self.find(Some(tenant), Some(&path), Problem::Superseded);
                }
            }
            (Owner::Nobody, None) => {
                match self.fleet.is_orphan(&key.place(), &path)? {
                    true => self.find(None, Some(&path), Problem::Orphan),
                    // The file belongs to the warm pool.
                    false => self.access(None, &path)?,
                }
            }
        }
        Ok(())
    }

    /// Checks the owner and mode of a sidecar, if a row names its database.
    fn sidecar(&mut self, sidecar: &Path, main: &Path) -> Result<(), RepairError> {
        let key = main.file_name().and_then(Place::key_of);
        match key.map(|key| self.row_of(key)) {
            Some(Owner::Row(row)) => self.access(Some(row), sidecar),
            _ => Ok(()),
        }
    }

    /// Returns the owner of a file, by its name.
    fn row_of(&self, key: PlaceKey) -> Owner {
        let Some(row) = self.places.get(&key.locator()).copied() else {
            return Owner::Nobody;
        };
        match key.epoch().cmp(&self.rows[row].epoch()) {
            Ordering::Equal => Owner::Row(row),
            Ordering::Less => Owner::Later(row),
            Ordering::Greater => Owner::Nobody,
        }
    }

    fn warn_if_expired(&mut self, row: usize, trashed: &Trashed) -> Result<(), RepairError> {
        let file = self.fleet.look_up(trashed)?;
        if file.is_some_and(|(_, file)| file.is_expired()) {
            self.out.warnings.push(Finding {
                tenant: Some(self.rows[row].to_ref()),
                path: Some(trashed.path.clone()),
                problem: Problem::Expired,
            });
        }
        Ok(())
    }

    /// Reports another kind of entry in the place of a row's file.
    fn unexpected(&mut self, row: usize, path: &Path, found: &'static str) {
        self.seen[row].unexpected = true;
        let problem = Problem::NotAFile { found };
        self.find(Some(&self.rows[row]), Some(path), problem);
    }

    fn strays(&mut self, strays: Vec<PathBuf>) {
        for stray in strays {
            self.find(None, Some(&stray), Problem::Stray);
        }
    }

    fn trash(&mut self) -> Result<(), RepairError> {
        let (trashed, strays) = survey_trash(&self.fleet.driver().store.root)?;
        self.strays(strays);
        self.out.files += trashed.len() as u64;
        for (trashed, odd) in trashed {
            match (self.row_of(trashed.place.key()), odd) {
                (Owner::Row(row), Some(found)) => self.unexpected(row, &trashed.path, found),
                (_, Some(_)) => self.find(None, Some(&trashed.path), Problem::Stray),
                (Owner::Row(row), None) if !self.seen[row].in_place => {
                    self.access(Some(row), &trashed.path)?;
                    self.seen[row].trashed = Some(trashed);
                }
                // A rollback has moved the file there.
                (Owner::Later(row), None) => {
                    self.access(Some(row), &trashed.path)?;
                    self.warn_if_expired(row, &trashed)?;
                }
                _ if self.fleet.is_orphan(&trashed.place, &trashed.path)? => {
                    self.find(None, Some(&trashed.path), Problem::Orphan);
                }
                // A second file of one place, or a file that was retired a moment ago.
                _ => {}
            }
        }
        Ok(())
    }

    /// Reports rows without a file, and rows whose file is not where the status requires it.
    fn rows(&mut self) -> Result<(), RepairError> {
        let rows = self.rows;
        for (row, tenant) in rows.iter().enumerate() {
            let Ok(place) = Place::of(tenant) else {
                continue;
            };
            if tenant.status() == TenantStatus::Provisioning {
                if self.fleet.is_as_it_was(tenant)? {
                    self.out.unfinished.push(tenant.to_ref());
                }
                continue;
            }
            let store = &self.fleet.driver().store;
            let retiring = tenant.status() == TenantStatus::Retiring;
            let seen = &self.seen[row];
            if seen.unexpected {
                continue;
            }
            let (path, problem) = match (&seen.trashed, seen.in_place) {
                (_, true) if retiring => (store.root.file(&place), Problem::HalfRetired),
                (_, true) => continue,
                (Some(trashed), _) if !retiring => (trashed.path.clone(), Problem::InTrash),
                (Some(trashed), _) => {
                    self.warn_if_expired(row, &trashed.clone())?;
                    continue;
                }
                (None, _) if retiring => (store.root.file(&place), Problem::Gone),
                (None, _) => (store.root.file(&place), Problem::Missing),
            };
            // The tenant may have been retired, revived or destroyed since.
            let there = problem.is_about_a_file_that_is_there();
            if self.fleet.is_as_it_was(tenant)? && is_nothing(&path)? != there {
                self.find(Some(tenant), Some(&path), problem);
            }
        }
        Ok(())
    }

    /// Reports names that route to no tenant, or to another one.
    fn names(&mut self, resolver: &Resolver) -> Result<(), RepairError> {
        let names = self.fleet.catalog().all_names()?;
        let mut found = Vec::new();
        for (label, tenant) in names.labels {
            if resolver.is_reserved(&label) {
                let label = label.as_str().into();
                found.push((tenant, Problem::Reserved { label }));
            }
        }
        for (domain, tenant) in names.domains {
            if resolver.is_central(&domain) {
                found.push((tenant, Problem::Central { domain }));
            } else if let by @ Name::Label(_) = resolver.name_for(&domain) {
                found.push((tenant, Problem::Shadowed { domain, by }));
            }
        }
        for (id, problem) in found {
            let row = self.rows.binary_search_by(|tenant| tenant.id().cmp(&id));
            // A tenant that was created since is compared by the next validation.
            if let Ok(row) = row {
                self.find(Some(&self.rows[row]), None, problem);
            }
        }
        Ok(())
    }

    fn events(&mut self) -> Result<(), RepairError> {
        match self.fleet.catalog().check_events()? {
            Ok(events) => self.out.events = events,
            Err(broken) => {
                let path = self.fleet.catalog().path();
                self.find(None, Some(path), Problem::BrokenChain { at: broken.at });
            }
        }
        Ok(())
    }
}

impl SqliteFleet {
    /// Returns whether the file still exists, and neither a row nor the warm pool has its place.
    pub(super) fn is_orphan(&self, place: &Place, path: &Path) -> Result<bool, RepairError> {
        // The warm pool is read first: taking a file adds the row before the list loses the place.
        if self.catalog().is_in_warm_pool(place)? {
            return Ok(false);
        }
        let owner = self.catalog().at_place(place)?;
        let owned = owner.is_some_and(|owner| owner.epoch() == place.epoch);
        Ok(!owned && !is_nothing(path)?)
    }

    /// Returns whether the row has not changed since it was read.
    pub(super) fn is_as_it_was(&self, tenant: &Tenant) -> Result<bool, RepairError> {
        let now = self.catalog().by_id(tenant.id())?;
        Ok(now.is_some_and(|now| now.version() == tenant.version()))
    }
}

pub(super) fn is_nothing(path: &Path) -> Result<bool, IoError> {
    Ok(look(path).map_err(IoError::at(path, "looked at"))? == Entry::Missing)
}
