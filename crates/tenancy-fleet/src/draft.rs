//! The draft of a rollback: the target version of each tenant.

use std::collections::btree_map::{BTreeMap, Entry};

use tenancy_core::TenantId;

use crate::driver::FleetDriver;
use crate::error::{FleetError, TenantError};
use crate::fleet::{Fleet, split};
use crate::journal::RunJournal;
use crate::options::{FleetOptions, Trust};
use crate::report::Skipped;
use crate::schema::{KnownSchema, Selection};

/// The tenants of a rollback, each with its target version.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The target as text.
    pub(crate) target: String,
    pub(crate) version: Option<u32>,
    pub(crate) undoes: Option<u64>,
    /// The number of tenants that need no work.
    pub(crate) current: u64,
    pub(crate) skipped: Vec<(KnownSchema, Skipped)>,
    /// The tenants to roll back, with the versions that the survey read, and their target versions.
    pub(crate) going: Vec<(KnownSchema, u32)>,
    pub(crate) refused: Vec<(KnownSchema, TenantError)>,
    /// Whether the stop was requested before all databases were read.
    pub(crate) stopped: bool,
}

impl<D: FleetDriver, C: RunJournal> Fleet<D, C> {
    /// Drafts the rollback of all chosen tenants to one version.
    pub(crate) fn draft_version(
        &self,
        version: u32,
        options: &FleetOptions,
    ) -> Result<Draft, FleetError> {
        let newest = self.driver.newest_schema();
        if version > newest {
            let wanted = version;
            return Err(FleetError::NoSuchVersion { wanted, newest });
        }
        let (current, mut chosen) = self.above(version, options)?;
        let mut draft = Draft {
            target: format!("to {version}"),
            version: Some(version),
            current,
            ..Draft::default()
        };
        if options.only.is_none() {
            self.add_unfinished(&mut draft, &mut chosen)?;
        }
        for known in self.choose(&mut draft, chosen, options) {
            draft.going.push((known, version));
        }
        Ok(draft)
    }

    /// Adds the unfinished tenants of a run to the same version. They may be at that version already,
    /// but an interrupted restore may have to be completed.
    fn add_unfinished(
        &self,
        draft: &mut Draft,
        chosen: &mut Vec<KnownSchema>,
    ) -> Result<(), FleetError> {
        let unfinished = self.catalog.unfinished("rollback", &draft.target)?;
        let Some(mut unfinished) = unfinished else {
            return Ok(());
        };
        for known in chosen.iter() {
            unfinished.left.remove(known.tenant.id());
        }
        for id in unfinished.left.keys() {
            if let Some(known) = self.catalog.known_schema(id)? {
                draft.current = draft.current.saturating_sub(1);
                chosen.push(known);
            }
        }
        chosen.sort_by(|a, b| a.tenant.id().cmp(b.tenant.id()));
        Ok(())
    }

    /// Drafts the rollback of all chosen tenants by a number of steps. The resulting version, the same
    /// for all, is recorded in the journal, so that an interrupted run is resumed to this version
    /// and does not undo further steps.
    pub(crate) fn draft_steps(
        &self,
        steps: u32,
        options: &FleetOptions,
    ) -> Result<Draft, FleetError> {
        let mut draft = Draft {
            target: format!("{steps} steps of {}", options.names()),
            ..Draft::default()
        };
        let mut chosen = self.named_or_all(options)?;
        let unfinished = self.catalog.unfinished("rollback", &draft.target)?;
        let unfinished = unfinished.and_then(|run| run.version.zip(Some(run.left)));
        if let Some((_, left)) = &unfinished {
            chosen.retain(|known| left.contains_key(known.tenant.id()));
        }
        let chosen = self.choose(&mut draft, chosen, options);
        let version = match unfinished {
            Some((version, _)) => version,
            None => one_version(&chosen, steps)?,
        };
        draft.version = Some(version);
        draft.going = chosen.into_iter().map(|known| (known, version)).collect();
        Ok(draft)
    }

    /// Moves skipped tenants to the draft. Returns the others, with the versions that a survey reads.
    pub(crate) fn choose(
        &self,
        draft: &mut Draft,
        chosen: Vec<KnownSchema>,
        options: &FleetOptions,
    ) -> Vec<KnownSchema> {
        let (mut chosen, skipped) = split(chosen, options);
        draft.skipped.extend(skipped);
        draft.stopped = self.survey(&mut chosen, options).is_none();
        chosen
    }

    /// Returns the tenants that may be above `version`, and the number of those that are known to be at
    /// or below it.
    fn above(
        &self,
        version: u32,
        options: &FleetOptions,
    ) -> Result<(u64, Vec<KnownSchema>), FleetError> {
        if options.only.is_some() || options.trust == Trust::Databases {
            return Ok((0, self.named_or_all(options)?));
        }
        let counts = self.catalog.schema_counts(version)?;
        let mut chosen = self.catalog.known_schemas(Selection::NotAt(version))?;
        chosen.retain(|known| known.schema.is_none_or(|schema| schema > version));
        Ok((counts.current + counts.behind, chosen))
    }
}

/// Returns the version that is a number of steps below the common version of all tenants. Tenants
/// whose versions cannot be read are ignored here, and fail later.
fn one_version(chosen: &[KnownSchema], steps: u32) -> Result<u32, FleetError> {
    let mut found: BTreeMap<u32, (u64, &TenantId)> = BTreeMap::new();
    for known in chosen {
        let Some(version) = known.schema else {
            continue;
        };
        match found.entry(version) {
            Entry::Occupied(mut entry) => entry.get_mut().0 += 1,
            Entry::Vacant(entry) => drop(entry.insert((1, known.tenant.id()))),
        }
    }
    match found.len() {
        0 => Ok(0),
        1 => {
            let version = found.keys().next().copied().unwrap_or(0);
            let too_many = FleetError::TooManySteps { steps, version };
            version.checked_sub(steps).ok_or(too_many)
        }
        _ => {
            let found = found.into_iter().rev();
            let found = found.map(|(version, (count, first))| (version, count, first.clone()));
            let found = found.collect();
            Err(FleetError::MixedVersions { found })
        }
    }
}
