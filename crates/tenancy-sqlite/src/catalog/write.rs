//! The writes of a catalog. Each is one immediate transaction, which writes the clock, the rows and
//! the event.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tenancy_core::{
    Actor, Binding, CatalogError, CatalogWriter, Domain, Epoch, Name, NewTenant, Proof, Tenant,
    TenantChange, TenantId, Version, WriteError,
};

use super::events::AuditEvent;
use super::names::expired_at;
use super::{SqliteCatalog, events, maintenance, rows, storage};
use crate::catalog::columns;
use crate::catalog::transaction::{Done, Fault, Synced, Write};

impl SqliteCatalog {
    /// Runs `f` in a write transaction, which is rolled back if `f` fails.
    pub(super) fn write<T>(
        &self,
        synced: Synced,
        by: &Actor,
        f: impl FnOnce(&mut Write<'_>) -> Done<T>,
    ) -> Result<T, WriteError> {
        let mut connection = self.0.writer.lock();
        let write = |connection: &mut Connection| -> Done<T> {
            let mut write = Write::begin(connection, by)?;
            let out = f(&mut write)?;
            write.commit()?;
            Ok(out)
        };
        if synced == Synced::Now {
            return Ok(write(&mut connection)?);
        }
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(Fault::from)?;
        let out = write(&mut connection);
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(Fault::from)?;
        Ok(out?)
    }

    /// Inserts tenants with their epochs and statuses in one transaction, each with the schema
    /// version of its file.
    pub(crate) fn insert_rebuilt(
        &self,
        found: Vec<(Tenant, u32)>,
        by: &Actor,
    ) -> Result<(), WriteError> {
        self.write(Synced::Now, by, |write| {
            for (tenant, schema) in found {
                write.next();
                let tenant = tenant.to_builder().version(write.version).build();
                let tenant = tenant.map_err(WriteError::from)?;
                write.store(&tenant, Some(schema))?;
                let id = tenant.id().as_str();
                write.run("INSERT INTO labels VALUES (?1, ?1, NULL)", [id])?;
                write.event("rebuild", tenant.id(), describe(&tenant))?;
            }
            Ok(())
        })
    }

    /// Runs several writes in one transaction, and returns a result for each. If SQLite fails, its
    /// error is the result of every write.
    fn write_each<I, T>(
        &self,
        synced: Synced,
        by: &Actor,
        inputs: Vec<I>,
        mut f: impl FnMut(&mut Write<'_>, I) -> Done<T>,
    ) -> Vec<Result<T, WriteError>> {
        let count = inputs.len();
        if count == 0 {
            return Vec::new();
        }
        let done = self.write(synced, by, |write| {
            let mut each = |input| write.each(|write| f(write, input));
            inputs.into_iter().map(&mut each).collect()
        });
        done.unwrap_or_else(|error| {
            let error = std::sync::Arc::new(error);
            let again = || Err(CatalogError::new(error.clone()).into());
            std::iter::repeat_with(again).take(count).collect()
        })
    }
}

impl CatalogWriter for SqliteCatalog {
    fn record_storage(&self, id: &str) -> Result<(), WriteError> {
        Ok(storage::record(&self.0.writer.lock(), id)?)
    }

    fn insert(&self, mut new: NewTenant, by: &Actor) -> Result<Tenant, WriteError> {
        self.skip_empty_warm_pool(std::slice::from_mut(&mut new))?;
        let synced = Synced::of(std::slice::from_ref(&new));
        self.write(synced, by, |write| write.insert(new))
    }

    fn insert_many(&self, mut new: Vec<NewTenant>, by: &Actor) -> Vec<Result<Tenant, WriteError>> {
        // An error is ignored here: if the catalog cannot be read, the write returns the error.
        let _ = self.skip_empty_warm_pool(&mut new);
        self.write_each(Synced::of(&new), by, new, |write, new| write.insert(new))
    }

    fn update(
        &self,
        id: &TenantId,
        seen: Version,
        change: TenantChange,
        by: &Actor,
    ) -> Result<Tenant, WriteError> {
        self.write(Synced::Now, by, |write| write.update(id, seen, change))
    }

    fn update_many(
        &self,
        changes: Vec<(Tenant, TenantChange)>,
        by: &Actor,
    ) -> Vec<Result<Tenant, WriteError>> {
        self.write_each(Synced::Now, by, changes, |write, (seen, change)| {
            write.update(seen.id(), seen.version(), change)
        })
    }

    fn remove(&self, id: &TenantId, seen: Version, by: &Actor) -> Result<Version, WriteError> {
        self.write(Synced::Now, by, |write| write.remove(id, seen))
    }

    fn bind(
        &self,
        name: &Name,
        id: &TenantId,
        proof: Proof,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.write(Synced::Now, by, |write| write.bind(name, id, proof))
    }

    fn verify(
        &self,
        domain: &Domain,
        id: &TenantId,
        txt: &str,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.write(Synced::Now, by, |write| write.verify(domain, id, txt))
    }

    fn make_primary(
        &self,
        domain: &Domain,
        id: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.write(Synced::Now, by, |write| write.make_primary(domain, id))
    }

    fn rebind(
        &self,
        name: &Name,
        from: &TenantId,
        to: &TenantId,
        by: &Actor,
    ) -> Result<Version, WriteError> {
        self.write(Synced::Now, by, |write| write.rebind(name, from, to))
    }

    fn unbind(&self, name: &Name, id: &TenantId, by: &Actor) -> Result<Version, WriteError> {
        self.write(Synced::Now, by, |write| write.unbind(name, id))
    }

    fn names(&self, id: &TenantId) -> Result<Vec<Binding>, CatalogError> {
        let expired = expired_at(now_ms());
        self.read(|connection| rows::names(connection, id, expired))
    }

    fn page(&self, after: Option<&TenantId>, max: usize) -> Result<Vec<Tenant>, CatalogError> {
        self.read(|connection| rows::page(connection, after, max))
    }
}

impl<'w> Write<'w> {
    fn begin(connection: &'w mut Connection, actor: &'w Actor) -> Done<Self> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = connection.transaction_with_behavior(behavior)?;
        Ok(Self {
            version: rows::version(&transaction)?,
            transaction,
            actor,
            at_ms: now_ms(),
        })
    }

    fn commit(self) -> Done<()> {
        let version = self.version.0.cast_signed();
        self.run("UPDATE clock SET version = ?1", [version])?;
        Ok(self.transaction.commit()?)
    }

    /// Runs one of several writes. If it is refused, only this write is rolled back.
    fn each<T>(&mut self, f: impl FnOnce(&mut Self) -> Done<T>) -> Done<Result<T, WriteError>> {
        let before = self.version;
        self.run("SAVEPOINT one", [])?;
        let out = match f(self) {
            Ok(out) => Ok(out),
            Err(fault) if fault.is_of_one_row() => {
                self.version = before;
                self.run("ROLLBACK TO one", [])?;
                Err(fault.into())
            }
            Err(fault) => return Err(fault),
        };
        self.run("RELEASE one", [])?;
        Ok(out)
    }

    /// Returns the version of the next row. Each row has its own, so that the feed can be paged.
    pub(super) fn next(&mut self) -> i64 {
        self.version.0 += 1;
        self.version.0.cast_signed()
    }

    /// Appends an event about a tenant to the audit trail.
    pub(super) fn event(
        &mut self,
        what: &str,
        tenant: &TenantId,
        detail: impl Into<Box<str>>,
    ) -> Done<()> {
        self.event_of(what, tenant.as_str(), detail)
    }

    /// Appends an event about the tenant or tenants that `tenant` stands for.
    pub(super) fn event_of(
        &mut self,
        what: &str,
        tenant: &str,
        detail: impl Into<Box<str>>,
    ) -> Done<()> {
        let event = AuditEvent {
            version: self.version,
            at_ms: self.at_ms,
            actor: self.actor.as_str().into(),
            what: what.into(),
            tenant: tenant.into(),
            detail: detail.into(),
        };
        Ok(events::append(&self.transaction, &event)?)
    }

    pub(super) fn run(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.transaction.prepare_cached(sql)?.execute(values)
    }

    fn insert(&mut self, new: NewTenant) -> Done<Tenant> {
        let id = new.id;
        let label = Name::Label(id.clone());
        match self.owner(&label)? {
            None => {}
            Some(owner) if owner == id => return Err(WriteError::Exists { id }.into()),
            Some(_) => return Err(WriteError::NameTaken { name: label }.into()),
        }
        self.next();
        let mut row = Tenant::builder(id.clone()).status(new.status);
        row = row.placement(new.placement).attributes(new.attributes);
        let (epoch, mut schema) = (self.next_epoch(&id)?, new.schema);
        // A file of the warm pool is named for a first incarnation, so a later one cannot take it.
        if let Some(from) = new.from_warm_pool.filter(|_| epoch == Epoch::FIRST)
            && let Some(taken) = self.take_from_warm_pool(&from.fingerprint)?
        {
            row = row.status(from.status).placement(taken.placement);
            schema = Some(taken.schema);
        }
        let row = row.epoch(epoch).version(self.version).build();
        let tenant = row.map_err(WriteError::from)?;
        self.store(&tenant, schema)?;
        // If the caller's own placement is one of the warm pool, that database counts as taken.
        let sql = "DELETE FROM stock WHERE locator = ?1";
        self.run(sql, [&tenant.placement().locator])?;
        let sql = "INSERT INTO labels VALUES (?1, ?1, NULL)";
        self.run(sql, [id.as_str()])?;
        self.event("insert", &id, describe(&tenant))?;
        for name in &new.names {
            self.bind(name, &id, Proof::Trusted)?;
        }
        Ok(tenant)
    }

    fn update(&mut self, id: &TenantId, seen: Version, change: TenantChange) -> Done<Tenant> {
        let old = self.get_at(id, seen)?;
        self.next();
        let schema = change.schema;
        let tenant = change.apply(&old, self.version).map_err(WriteError::from)?;
        self.store(&tenant, schema)?;
        self.event("update", id, describe(&tenant))?;
        Ok(tenant)
    }

    fn remove(&mut self, id: &TenantId, seen: Version) -> Done<Version> {
        let epoch = self.get_at(id, seen)?.epoch();
        // The names come first, so that the feed releases a name before another tenant gets it.
        for binding in rows::names(&self.transaction, id, i64::MAX)? {
            self.release(&binding.name)?;
        }
        self.run("DELETE FROM claims WHERE tenant = ?1", [id.as_str()])?;
        self.run("DELETE FROM labels WHERE tenant = ?1", [id.as_str()])?;
        self.run("DELETE FROM attributes WHERE tenant = ?1", [id.as_str()])?;
        self.run("DELETE FROM tenants WHERE id = ?1", [id.as_str()])?;
        let version = self.next();
        let sql = "INSERT OR REPLACE INTO removed VALUES (?1, ?2, ?3)";
        self.run(
            sql,
            params![id.as_str(), epoch.get().cast_signed(), version],
        )?;
        self.event("remove", id, format!("epoch {epoch}"))?;
        Ok(self.version)
    }

    pub(super) fn get(&self, id: &TenantId) -> Done<Tenant> {
        let found = rows::by_id(&self.transaction, id)?;
        Ok(found.ok_or_else(|| WriteError::Unknown { id: id.clone() })?)
    }

    fn get_at(&self, id: &TenantId, seen: Version) -> Done<Tenant> {
        let tenant = self.get(id)?;
        if tenant.version() != seen {
            return Err(WriteError::Conflict {
                id: id.clone(),
                seen,
                current: tenant.version(),
            }
            .into());
        }
        Ok(tenant)
    }

    fn next_epoch(&self, id: &TenantId) -> Done<Epoch> {
        let sql = "SELECT epoch FROM removed WHERE id = ?1";
        let mut read = self.transaction.prepare_cached(sql)?;
        let last = read.query_row([id.as_str()], |row| columns::unsigned(row, 0));
        let last = last.optional()?.and_then(Epoch::new);
        Ok(last.map_or(Epoch::FIRST, Epoch::next))
    }

    /// Writes the tenant's row and attributes. Without a `schema` the known schema stays; if the
    /// epoch changes, it becomes unknown.
    fn store(&self, tenant: &Tenant, schema: Option<u32>) -> Done<()> {
        let (id, place, down) = (
            tenant.id().as_str(),
            tenant.placement(),
            tenant.maintenance(),
        );
        let retry = down.and_then(|down| down.retry_after);
        let sql =
            "INSERT INTO tenants VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
            ?14)
            ON CONFLICT (id) DO UPDATE SET epoch = ?2, version = ?3, status = ?4, kind = ?5,
            shard = ?6, owner = ?7, region = ?8, locator = ?9, down = ?10, retry_after_ms = ?11,
            message = ?12, secret = ?13,
            schema = coalesce(?14, CASE WHEN epoch = ?2 THEN schema END)";
        self.run(
            sql,
            params![
                id,
                tenant.epoch().get().cast_signed(),
                tenant.version().0.cast_signed(),
                tenant.status().as_str(),
                place.kind,
                place.shard,
                place.owner,
                place.region,
                place.locator,
                down.is_some(),
                retry.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
                down.and_then(|down| down.message.as_deref()),
                down.and_then(|down| down.secret.as_ref())
                    .map(maintenance::hex),
                schema,
            ],
        )?;
        self.run("DELETE FROM attributes WHERE tenant = ?1", [id])?;
        for (name, value) in tenant.attributes().iter() {
            let sql = "INSERT INTO attributes VALUES (?1, ?2, ?3)";
            self.run(sql, [id, name, value])?;
        }
        Ok(())
    }
}

/// Returns the time, in milliseconds since 1970.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the description of a tenant's row for the audit trail, without attributes and secrets.
fn describe(tenant: &Tenant) -> String {
    let place = tenant.placement();
    let down = tenant.maintenance().map_or("", |_| " in maintenance");
    format!(
        "{}{down} epoch {} at {}:{}:{}",
        tenant.status(),
        tenant.epoch(),
        place.kind,
        place.shard,
        place.locator
    )
}
