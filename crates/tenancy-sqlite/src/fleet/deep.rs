//! The checks of the contents of files: stamps, schemas, damage.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension};
use tenancy_core::{Tenant, TenantStatus};
use tenancy_fleet::{Jobs, with_causes};

use super::depth::{Depth, ValidateOptions};
use super::findings::Problem;
use super::validate::{Comparison, Seen, is_nothing};
use crate::catalog::WarmDatabase;
use crate::disk::place::Place;
use crate::error::{FileError, RepairError, sqlite};
use crate::guard::deadline::{DeadlineClock, bounded};
use crate::guard::references::planted;
use crate::guard::register_functions;
use crate::ops::maintenance::{Check, faults};
use crate::ops::open::connect;
use crate::raw;
use crate::raw::is_wal;
use crate::schema::drift::Expected;
use crate::schema::stamp;
use crate::schema::stamp::{Claim, Stamp};
use crate::store::Store;

impl Comparison<'_> {
    /// Opens the file of every row that has one, `jobs` files at a time.
    pub(super) fn open_files(&mut self, options: &ValidateOptions<'_>) -> Result<(), RepairError> {
        let fleet = self.fleet;
        let store = &*fleet.driver().store;
        let seen = std::mem::take(&mut self.seen);
        let path = |(tenant, seen): (_, Seen)| {
            let path = match (seen.trashed, Place::of(tenant)) {
                (Some(trashed), _) => trashed.path,
                (None, Ok(place)) if seen.in_place => store.root.file(&place),
                _ => return None,
            };
            Some((tenant, path))
        };
        let files: Vec<(&Tenant, PathBuf)> = self.rows.iter().zip(seen).filter_map(path).collect();
        let expected = Expected::default();
        let look = |(tenant, path): &(&Tenant, PathBuf)| {
            let problem = store.look_into(tenant, path, options.depth, &expected);
            let problem = match problem {
                // The file is gone since it was listed; that of a retired tenant may be moved or
                // removed.
                Some(_) if is_nothing(path).unwrap_or(false) => {
                    let retiring = tenant.status() == TenantStatus::Retiring;
                    (!retiring).then_some(Problem::Missing)
                }
                problem => problem,
            };
            // Another operation may have changed the tenant meanwhile.
            problem.filter(|_| fleet.is_as_it_was(tenant).unwrap_or(true))
        };
        Jobs::new(options.jobs)?.run(
            &files,
            || true,
            look,
            |results| {
                let looked = results.len() as u64;
                self.out.opened += looked;
                for (at, problem) in results {
                    let (tenant, path) = &files[at];
                    if let Some(problem) = problem {
                        self.find(Some(tenant), Some(path), problem);
                    }
                }
                self.tell(looked);
                Ok::<(), RepairError>(())
            },
        )?;
        self.open_warm_pool()?;
        self.claims();
        // Rows without a file were not opened.
        self.tell(self.at.total);
        Ok(())
    }

    /// Reports files of the warm pool that belong to a tenant: a restored, older catalog still
    /// lists files that tenants have taken since.
    fn open_warm_pool(&mut self) -> Result<(), RepairError> {
        let fleet = self.fleet;
        for WarmDatabase { place, .. } in fleet.catalog().warm_pool()? {
            let path = fleet.driver().store.root.file(&place);
            let Some(claim) = self.claim_of(&path) else {
                continue;
            };
            // A tenant may have taken the file since the list was read.
            if claim.id != *place.placeholder().id() && fleet.catalog().is_in_warm_pool(&place)? {
                let found = format!("stamped {}@{}", claim.id, claim.epoch).into();
                self.find(None, Some(&path), Problem::Foreign { found });
            }
        }
        Ok(())
    }

    /// Returns the owner of a file by its stamp; `None` if it is gone or cannot be read.
    fn claim_of(&mut self, path: &Path) -> Option<Claim> {
        self.out.opened += 1;
        let connection = raw::connect(path, self.fleet.driver().store.busy_timeout);
        stamp::claim(&connection.ok()?).ok()?
    }

    /// Changes an orphan into a duplicate if it has the stamp of a tenant.
    fn claims(&mut self) {
        let mut findings = std::mem::take(&mut self.out.findings);
        for finding in &mut findings {
            let (Problem::Orphan, Some(path)) = (&finding.problem, &finding.path) else {
                continue;
            };
            if let Some(claim) = self.claim_of(path) {
                let row = self
                    .rows
                    .binary_search_by(|tenant| tenant.id().cmp(&claim.id));
                let row = row.ok().map(|row| &self.rows[row]);
                if let Some(tenant) = row.filter(|tenant| tenant.epoch() == claim.epoch) {
                    finding.tenant = Some(tenant.to_ref());
                    finding.problem = Problem::Duplicate;
                }
            }
        }
        self.out.findings = findings;
    }
}

impl Store {
    /// Returns the first fault of a tenant's file.
    fn look_into(
        &self,
        tenant: &Tenant,
        path: &Path,
        depth: Depth,
        expected: &Expected,
    ) -> Option<Problem> {
        let look = || -> Result<Option<Problem>, FileError> {
            let at = |source| sqlite(path, source);
            let mut connection = connect(self, tenant, path)?;
            let stamp = stamp::read(&connection, tenant).map_err(at)?;
            let schema = match judge_stamp(stamp, tenant.status()) {
                Ok(schema) => schema,
                Err(problem) => return Ok(Some(problem)),
            };
            let history = bounded(&connection, || self.judge_history(&connection, schema));
            if let Some(problem) = history.map_err(at)? {
                return Ok(Some(problem));
            }
            let planted = bounded(&connection, || planted(&connection)).map_err(at)?;
            if let Some(planted) = planted.first() {
                let what = planted.to_string().into();
                return Ok(Some(Problem::Planted { what }));
            }
            if depth > Depth::Stamps {
                if let Some(says) = self.fault(&mut connection, depth).map_err(at)? {
                    return Ok(Some(Problem::Damaged { says }));
                }
                if let Some(version) = schema
                    && let Some(what) = expected.drift(self, &connection, version)?
                {
                    return Ok(Some(Problem::Drifted { version, what }));
                }
            }
            let newest = self.migrations.newest();
            Ok(match schema {
                Some(found) if found < newest => Some(Problem::Behind { found, newest }),
                Some(_) if !is_wal(&connection).map_err(at)? => Some(Problem::NoWal),
                _ => None,
            })
        };
        look().unwrap_or_else(|error| match &error {
            FileError::Sqlite { source, .. } if is_damage(source) => {
                let says = source.to_string().into();
                Some(Problem::Damaged { says })
            }
            error => {
                let why = with_causes(error).into();
                Some(Problem::Unreadable { why })
            }
        })
    }

    /// Checks a file for damage by SQLite, and returns the first fault.
    fn fault(
        &self,
        connection: &mut Connection,
        depth: Depth,
    ) -> rusqlite::Result<Option<Box<str>>> {
        let (on_connect, deadline) = (self.on_connect.as_deref(), DeadlineClock::default());
        register_functions(connection, on_connect, &deadline, self.limits)?;
        let check = match depth {
            Depth::Full => Check::Full,
            _ => Check::Quick,
        };
        Ok(faults(connection, check)?.into_iter().next())
    }

    /// Compares the history of an open file with the migrations.
    fn judge_history(
        &self,
        connection: &Connection,
        schema: Option<u32>,
    ) -> rusqlite::Result<Option<Problem>> {
        let newest = self.migrations.newest();
        let Some(found) = schema else {
            return Ok(None);
        };
        if found > newest {
            return Ok(Some(Problem::Ahead { found, newest }));
        }
        let sql = "SELECT name, sha256 FROM main._tenancy_migrations WHERE version = ?1";
        let mut history = connection.prepare(sql)?;
        for (version, known) in (1..=found).zip(self.migrations.iter()) {
            let applied = history.query_row([version], |row| {
                Ok((row.get::<_, Box<str>>(0)?, row.get::<_, Vec<u8>>(1)?))
            });
            let same = applied
                .optional()?
                .is_some_and(|(name, sum)| *name == *known.name() && sum == known.sha256());
            if !same {
                return Ok(Some(Problem::Diverged { version }));
            }
        }
        Ok(None)
    }
}

/// Returns the schema version of a tenant's own file; `None` for the closed file of a retired
/// tenant.
fn judge_stamp(stamp: Stamp, status: TenantStatus) -> Result<Option<u32>, Problem> {
    match stamp {
        Stamp::Own { schema } | Stamp::FromWarmPool { schema } | Stamp::Unplaced { schema } => {
            Ok(Some(schema))
        }
        Stamp::Closed if status == TenantStatus::Retiring => Ok(None),
        Stamp::Closed => Err(Problem::Closed),
        Stamp::Foreign(found) => Err(Problem::Foreign { found }),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}
