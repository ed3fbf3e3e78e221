//! The list of the warm pool: the places of databases that are provisioned in advance.

use rusqlite::{OptionalExtension, Result, Row, params};
use tenancy_core::{Actor, CatalogError, Epoch, NewTenant, Placement, WriteError};

use super::SqliteCatalog;
use crate::catalog::columns::unsigned;
use crate::catalog::transaction::{Done, Synced, Write};
use crate::disk::place::{KIND, Place};

/// A database of the warm pool, as listed in the catalog.
#[derive(Debug, Clone)]
pub(crate) struct WarmDatabase {
    pub(crate) place: Place,
    pub(crate) fingerprint: Box<str>,
    pub(crate) schema: u32,
    pub(crate) ready: bool,
    pub(crate) at_ms: i64,
}

impl WarmDatabase {
    /// Returns whether the next process that fills the warm pool has to remove the database.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.fingerprint.is_empty()
    }
}

/// The database that a new tenant took from the warm pool.
pub(super) struct Taken {
    pub(super) placement: Placement,
    pub(super) schema: u32,
}

impl SqliteCatalog {
    /// Returns all databases of the warm pool, ready or not.
    pub(crate) fn warm_pool(&self) -> Result<Vec<WarmDatabase>, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT locator, fingerprint, schema, ready, at_ms FROM stock";
            let mut all = connection.prepare_cached(sql)?;
            let all = all.query_map([], warm_database)?;
            // An invalid locator is skipped, as a person must have written it.
            all.filter_map(Result::transpose).collect()
        })
    }

    /// Returns whether this place is listed in the warm pool, ready or not.
    pub(crate) fn is_in_warm_pool(&self, place: &Place) -> Result<bool, CatalogError> {
        self.read(|connection| {
            let sql = "SELECT 1 FROM stock WHERE locator = ?1";
            let mut find = connection.prepare_cached(sql)?;
            Ok(place.epoch == Epoch::FIRST && find.exists([&place.locator])?)
        })
    }

    /// Takes over the places that have been pending for longer than `timeout_ms`. Then lists places
    /// of `drawn` as pending, until `wanted` places with this fingerprint are listed. Returns all
    /// these places.
    pub(crate) fn begin_warm_databases(
        &self,
        (fingerprint, schema): (&str, u32),
        (wanted, drawn): (usize, &[Placement]),
        timeout_ms: i64,
        by: &Actor,
    ) -> Result<Vec<Place>, WriteError> {
        self.write(Synced::Now, by, |write| {
            let sql = "UPDATE stock SET at_ms = ?1
                WHERE fingerprint = ?2 AND ready = 0 AND abs(?1 - at_ms) > ?3 RETURNING locator";
            let values = params![write.at_ms, fingerprint, timeout_ms];
            let mut begun: Vec<Box<str>> = write.all(sql, values)?;
            let sql = "SELECT count(*) FROM stock WHERE fingerprint = ?1";
            let there: Vec<i64> = write.all(sql, [fingerprint])?;
            let there = usize::try_from(there[0]).unwrap_or(usize::MAX);
            for place in drawn.iter().take(wanted.saturating_sub(there)) {
                let sql = "INSERT INTO stock VALUES (?1, ?2, ?3, 0, ?4)";
                write.run(
                    sql,
                    params![place.locator, fingerprint, schema, write.at_ms],
                )?;
                begun.push(place.locator.clone());
            }
            write.warm_pool_event("begun", begun.len())?;
            let begun = begun.iter();
            Ok(begun
                .filter_map(|locator| Place::parse(locator, Epoch::FIRST))
                .collect())
        })
    }

    /// Marks places as ready for new tenants.
    pub(crate) fn mark_warm_databases_ready(
        &self,
        places: &[&Place],
        by: &Actor,
    ) -> Result<(), WriteError> {
        self.for_each_warm_database(
            "ready",
            places,
            by,
            "UPDATE stock SET ready = 1 WHERE locator = ?1 AND fingerprint <> ''",
        )?;
        Ok(())
    }

    /// Withdraws places for good, and returns those that no tenant had taken. A withdrawn place has
    /// no fingerprint, so no process marks it as ready again, even if its removal takes long.
    pub(crate) fn withdraw_warm_databases(
        &self,
        places: &[&Place],
        by: &Actor,
    ) -> Result<Vec<Place>, WriteError> {
        let sql = "UPDATE stock SET ready = 0, fingerprint = '', at_ms = unixepoch() * 1000
            WHERE locator = ?1";
        self.for_each_warm_database("withdrawn", places, by, sql)
    }

    /// Removes places from the list, after their files were removed.
    pub(crate) fn forget_warm_databases(
        &self,
        places: &[Place],
        by: &Actor,
    ) -> Result<(), WriteError> {
        let places: Vec<&Place> = places.iter().collect();
        self.for_each_warm_database(
            "forgotten",
            &places,
            by,
            "DELETE FROM stock WHERE locator = ?1",
        )?;
        Ok(())
    }

    /// Runs `sql` for each place, and returns the places for which it found a row.
    fn for_each_warm_database(
        &self,
        what: &str,
        places: &[&Place],
        by: &Actor,
        sql: &str,
    ) -> Result<Vec<Place>, WriteError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        self.write(Synced::Now, by, |write| {
            let mut found = Vec::new();
            for place in places {
                if write.run(sql, [&place.locator])? == 1 {
                    found.push((*place).clone());
                }
            }
            write.warm_pool_event(what, found.len())?;
            Ok(found)
        })
    }

    /// Clears `from_warm_pool` in insertions for which the warm pool has no database, because an
    /// insertion that takes one needs an fsync.
    pub(super) fn skip_empty_warm_pool(&self, new: &mut [NewTenant]) -> Result<(), CatalogError> {
        if new.iter().all(|new| new.from_warm_pool.is_none()) {
            return Ok(());
        }
        self.read(|connection| {
            let sql = "SELECT 1 FROM stock WHERE fingerprint = ?1 AND ready = 1";
            let mut find = connection.prepare_cached(sql)?;
            for new in new {
                if let Some(from) = &new.from_warm_pool
                    && !find.exists([&from.fingerprint])?
                {
                    new.from_warm_pool = None;
                }
            }
            Ok(())
        })
    }
}

impl Write<'_> {
    /// Takes a ready database from the warm pool for a new tenant, if there is one.
    pub(super) fn take_from_warm_pool(&self, fingerprint: &str) -> Done<Option<Taken>> {
        let sql = "DELETE FROM stock WHERE locator = (SELECT locator FROM stock
                WHERE fingerprint = ?1 AND ready = 1 LIMIT 1) RETURNING locator, schema";
        let mut take = self.transaction.prepare_cached(sql)?;
        let taken = take.query_row([fingerprint], |row| {
            Ok(Taken {
                placement: Placement::new(KIND, row.get::<_, Box<str>>(0)?),
                schema: row.get(1)?,
            })
        });
        Ok(taken.optional()?)
    }

    fn all<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<T>> {
        let mut all = self.transaction.prepare_cached(sql)?;
        let all = all.query_map(values, |row| row.get(0))?;
        all.collect()
    }

    /// Appends an event about databases of the warm pool to the audit trail, unless `count` is 0.
    fn warm_pool_event(&mut self, what: &str, count: usize) -> Done<()> {
        if count == 0 {
            return Ok(());
        }
        self.next();
        self.event_of("stock", "", format!("{count} {what}"))
    }
}

fn warm_database(row: &Row<'_>) -> Result<Option<WarmDatabase>> {
    let place = Place::parse(row.get_ref(0)?.as_str()?, Epoch::FIRST);
    let Some(place) = place else {
        return Ok(None);
    };
    Ok(Some(WarmDatabase {
        place,
        fingerprint: row.get(1)?,
        schema: u32::try_from(unsigned(row, 2)?).unwrap_or(u32::MAX),
        ready: row.get(3)?,
        at_ms: row.get(4)?,
    }))
}

#[cfg(test)]
mod tests {
    use tenancy_core::{CatalogWriter, FromWarmPool, TenantStatus};

    use super::*;

    type Tested = std::result::Result<(), Box<dyn std::error::Error>>;

    fn begin(catalog: &SqliteCatalog, wanted: usize, timeout_ms: i64) -> Vec<Place> {
        let drawn = (0..wanted).map(|_| Place::draw().expect("random bytes"));
        let (like, drawn) = (("like this", 1), drawn.collect::<Vec<_>>());
        let begun =
            catalog.begin_warm_databases(like, (wanted, &drawn), timeout_ms, &Actor::new("test"));
        begun.expect("a write")
    }

    /// Both callers have counted the list before either has written to it.
    #[test]
    fn the_second_of_two_callers_begins_only_the_missing_databases() -> Tested {
        let root = tempfile::tempdir()?;
        let catalog = crate::SqliteStorage::create(root.path())?.catalog().clone();
        let begun = |wanted, timeout_ms| begin(&catalog, wanted, timeout_ms).len();
        assert_eq!(begun(3, 60_000), 3);
        assert_eq!(begun(3, 60_000), 0, "they are pending");
        assert_eq!(begun(4, 60_000), 1);
        assert_eq!(begun(5, -1), 5, "four that timed out and a new one");
        Ok(())
    }

    /// The file is stamped and seeded durably before the row is active: if a power cut lost the
    /// row, the file would be in the warm pool again, for another tenant.
    #[test]
    fn taking_a_file_of_the_warm_pool_syncs_the_row() -> Tested {
        let mut new = NewTenant::new("acme".parse()?);
        new.status = TenantStatus::Provisioning;
        assert_eq!(Synced::of(&[new.clone()]), Synced::WithNext);
        new.from_warm_pool = Some(FromWarmPool {
            fingerprint: "like this".into(),
            status: TenantStatus::Provisioning,
        });
        assert_eq!(Synced::of(&[new]), Synced::Now);
        Ok(())
    }

    /// The file of a withdrawn database may be removed at any time.
    #[test]
    fn a_withdrawn_database_is_never_ready_again() -> Tested {
        let root = tempfile::tempdir()?;
        let (catalog, by) = (
            crate::SqliteStorage::create(root.path())?.catalog().clone(),
            Actor::new("test"),
        );
        let begun = begin(&catalog, 1, 60_000);
        let places: Vec<&Place> = begun.iter().collect();
        catalog.mark_warm_databases_ready(&places, &by)?;
        assert_eq!(catalog.withdraw_warm_databases(&places, &by)?, begun);
        assert_ne!(begin(&catalog, 1, -1), begun);
        catalog.mark_warm_databases_ready(&places, &by)?;
        let mut new = [NewTenant::new("acme".parse()?)];
        new[0].from_warm_pool = Some(FromWarmPool {
            fingerprint: "".into(),
            status: TenantStatus::Active,
        });
        let acme = catalog.insert(new[0].clone(), &by)?;
        assert_eq!(acme.placement(), &new[0].placement);
        Ok(())
    }
}
