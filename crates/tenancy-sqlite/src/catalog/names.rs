//! The names of tenants: binding, claiming, verifying, rebinding and unbinding.

use rusqlite::{OptionalExtension, params};
use tenancy_core::{CLAIM_TTL, Challenge, Domain, Name, Proof, TenantId, Version, WriteError};

use crate::catalog::columns;
use crate::catalog::transaction::{Done, Fault, Write};

/// Returns the latest time at which a claim that has now expired began, in milliseconds since 1970.
pub(super) fn expired_at(now_ms: i64) -> i64 {
    now_ms.saturating_sub(CLAIM_TTL.as_millis() as i64)
}

impl Write<'_> {
    pub(super) fn bind(&mut self, name: &Name, id: &TenantId, proof: Proof) -> Done<Version> {
        self.get(id)?;
        if self.owner(name)?.is_some_and(|owner| owner != *id) {
            return Err(WriteError::NameTaken { name: name.clone() }.into());
        }
        match (name, proof) {
            (_, Proof::Trusted) => {
                self.route(name, id)?;
                self.event("bind", id, format!("{name} trusted"))?;
            }
            (Name::Domain(domain), Proof::Pending(challenge)) => {
                self.claim(domain, id, &challenge)?;
                self.event("bind", id, format!("{name} pending"))?;
            }
            (Name::Label(label), Proof::Pending(_)) => {
                let label = label.clone();
                return Err(WriteError::LabelNeedsNoProof { label }.into());
            }
        }
        Ok(self.version)
    }

    /// Makes a name route to a tenant, takes it from another owner, and ends every claim to it.
    fn route(&mut self, name: &Name, id: &TenantId) -> Done<()> {
        let version = self.next();
        match name {
            // The id of a tenant is bound for as long as the tenant exists.
            Name::Label(label) if label == id => {}
            Name::Label(label) => {
                let sql = "INSERT OR REPLACE INTO labels VALUES (?1, ?2, ?3)";
                self.run(sql, params![label.as_str(), id.as_str(), version])?;
            }
            Name::Domain(domain) => {
                self.run("DELETE FROM claims WHERE domain = ?1", [domain.as_str()])?;
                // A primary domain stays primary unless another tenant gets it.
                let sql = "INSERT INTO domains VALUES (?1, ?2, ?3, 0) ON CONFLICT (domain)
                    DO UPDATE SET tenant = ?2, version = ?3,
                    is_primary = is_primary AND tenant = ?2";
                self.run(sql, params![domain.as_str(), id.as_str(), version])?;
            }
        }
        Ok(())
    }

    /// Records a claim to a domain, and removes expired claims to any domain.
    fn claim(&mut self, domain: &Domain, id: &TenantId, challenge: &Challenge) -> Done<()> {
        // A claimed domain does not route, even if the tenant had it before.
        let name = Name::Domain(domain.clone());
        match self.owner(&name)? {
            Some(_) => self.release(&name)?,
            None => drop(self.next()),
        }
        let expired = expired_at(self.at_ms);
        self.run("DELETE FROM claims WHERE at_ms <= ?1", [expired])?;
        let sql = "INSERT OR REPLACE INTO claims VALUES (?1, ?2, ?3, ?4)";
        let (domain, challenge) = (domain.as_str(), challenge.as_str());
        self.run(sql, params![domain, id.as_str(), challenge, self.at_ms])?;
        Ok(())
    }

    /// Returns the challenge of a tenant's claim to a domain, if it has one.
    fn challenge_of(&self, domain: &Domain, id: &TenantId) -> Done<Option<Challenge>> {
        let sql = "SELECT challenge FROM claims WHERE domain = ?1 AND tenant = ?2 AND at_ms > ?3";
        let mut read = self.transaction.prepare_cached(sql)?;
        let values = params![domain.as_str(), id.as_str(), expired_at(self.at_ms)];
        let challenge = read.query_row(values, |row| row.get::<_, Box<str>>(0));
        Ok(challenge.optional()?.map(Challenge::from_stored))
    }

    pub(super) fn verify(&mut self, domain: &Domain, id: &TenantId, txt: &str) -> Done<Version> {
        self.get(id)?;
        let name = Name::Domain(domain.clone());
        match self.challenge_of(domain, id)? {
            Some(challenge) if challenge.is_met_by(txt) => {}
            Some(_) => return Err(not_proven(domain, id)),
            None if self.owner(&name)?.as_ref() == Some(id) => {}
            None => {
                let (domain, id) = (domain.clone(), id.clone());
                return Err(WriteError::NoClaim { domain, id }.into());
            }
        }
        self.route(&name, id)?;
        self.event("verify", id, domain.as_str())?;
        Ok(self.version)
    }

    pub(super) fn make_primary(&mut self, domain: &Domain, id: &TenantId) -> Done<Version> {
        self.get(id)?;
        let name = Name::Domain(domain.clone());
        if self.owner(&name)?.as_ref() != Some(id) {
            return Err(match self.challenge_of(domain, id)? {
                Some(_) => not_proven(domain, id),
                None => not_bound(&name, id),
            });
        }
        let version = self.next();
        let sql = "UPDATE domains SET is_primary = 0 WHERE tenant = ?1 AND is_primary = 1";
        self.run(sql, [id.as_str()])?;
        // The row gets the new version, so that each version has a row in the feed.
        let sql = "UPDATE domains SET is_primary = 1, version = ?2 WHERE domain = ?1";
        self.run(sql, params![domain.as_str(), version])?;
        self.event("primary", id, domain.as_str())?;
        Ok(self.version)
    }

    pub(super) fn rebind(&mut self, name: &Name, from: &TenantId, to: &TenantId) -> Done<Version> {
        self.get(to)?;
        self.refuse_own_id(name, from)?;
        if self.owner(name)?.as_ref() != Some(from) {
            return Err(not_bound(name, from));
        }
        self.route(name, to)?;
        self.event("rebind", to, format!("{name} from {from}"))?;
        Ok(self.version)
    }

    pub(super) fn unbind(&mut self, name: &Name, id: &TenantId) -> Done<Version> {
        self.refuse_own_id(name, id)?;
        if self.owner(name)?.as_ref() == Some(id) {
            self.release(name)?;
        } else {
            self.end_claim(name, id)?;
        }
        self.event("unbind", id, name.to_string())?;
        Ok(self.version)
    }

    /// Removes a tenant's claim to a domain.
    fn end_claim(&mut self, name: &Name, id: &TenantId) -> Done<()> {
        let Name::Domain(domain) = name else {
            return Err(not_bound(name, id));
        };
        if self.challenge_of(domain, id)?.is_none() {
            return Err(not_bound(name, id));
        }
        self.next();
        let sql = "DELETE FROM claims WHERE domain = ?1 AND tenant = ?2";
        self.run(sql, [domain.as_str(), id.as_str()])?;
        Ok(())
    }

    /// Refuses to unbind or rebind a tenant's own id.
    fn refuse_own_id(&self, name: &Name, id: &TenantId) -> Done<()> {
        self.get(id)?;
        match *name == Name::Label(id.clone()) {
            true => Err(WriteError::OwnId { id: id.clone() }.into()),
            false => Ok(()),
        }
    }

    /// Takes a name from its owner, and leaves a tombstone for the feed.
    pub(super) fn release(&mut self, name: &Name) -> Done<()> {
        let version = self.next();
        let (delete, is_domain, name) = match name {
            Name::Label(label) => ("DELETE FROM labels WHERE label = ?1", false, label.as_str()),
            Name::Domain(domain) => (
                "DELETE FROM domains WHERE domain = ?1",
                true,
                domain.as_str(),
            ),
        };
        self.run(delete, [name])?;
        let sql = "INSERT OR REPLACE INTO unbound VALUES (?1, ?2, ?3)";
        self.run(sql, params![is_domain, name, version])?;
        Ok(())
    }

    /// Returns the tenant to which a name routes.
    pub(super) fn owner(&self, name: &Name) -> Done<Option<TenantId>> {
        let (sql, name) = match name {
            Name::Label(label) => ("SELECT tenant FROM labels WHERE label = ?1", label.as_str()),
            Name::Domain(domain) => (
                "SELECT tenant FROM domains WHERE domain = ?1",
                domain.as_str(),
            ),
        };
        let mut read = self.transaction.prepare_cached(sql)?;
        let owner = read.query_row([name], |row| columns::parsed(row, 0));
        Ok(owner.optional()?)
    }
}

fn not_bound(name: &Name, id: &TenantId) -> Fault {
    let (name, id) = (name.clone(), id.clone());
    WriteError::NotBound { name, id }.into()
}

fn not_proven(domain: &Domain, id: &TenantId) -> Fault {
    let (domain, id) = (domain.clone(), id.clone());
    WriteError::NotProven { domain, id }.into()
}
