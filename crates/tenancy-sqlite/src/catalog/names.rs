//! Who has which name: binding, proving, letting go.

use rusqlite::{OptionalExtension, params};
use tenancy_core::{Challenge, Domain, Name, Proof, TenantId, Version, WriteError};

use super::rows;
use super::write::{Done, Fault, Write};

impl Write<'_> {
    pub(super) fn bind(&mut self, name: &Name, id: &TenantId, proof: Proof) -> Done<Version> {
        self.get(id)?;
        if let Some(owner) = self.owner(name)?.filter(|owner| owner != id) {
            let name = name.clone();
            return Err(WriteError::NameTaken { name, owner }.into());
        }
        let pending = matches!(proof, Proof::Pending(_));
        if let (Name::Label(label), true) = (name, pending) {
            let label = label.clone();
            return Err(WriteError::LabelNeedsNoProof { label }.into());
        }
        if pending {
            // It does not route while it waits, also where it did before.
            self.let_go(name)?;
        }
        let version = self.next();
        match (name, proof) {
            // Its own id is bound as long as it exists.
            (Name::Label(label), _) if label == id => {}
            (Name::Label(label), _) => {
                let sql = "INSERT OR REPLACE INTO labels VALUES (?1, ?2, ?3)";
                self.run(sql, params![label.as_str(), id.as_str(), version])?;
            }
            (Name::Domain(domain), proof) => {
                let (challenge, version) = match &proof {
                    Proof::Pending(challenge) => (Some(challenge.as_str()), None),
                    Proof::Trusted => (None, Some(version)),
                };
                let sql = "INSERT INTO domains VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT (domain)
                    DO UPDATE SET challenge = excluded.challenge, version = excluded.version";
                let values = params![domain.as_str(), id.as_str(), challenge, version];
                self.run(sql, values)?;
            }
        }
        let state = if pending { "pending" } else { "trusted" };
        self.event("bind", id, format!("{name} {state}"))?;
        Ok(self.version)
    }

    pub(super) fn verify(&mut self, domain: &Domain, id: &TenantId, txt: &str) -> Done<Version> {
        self.get(id)?;
        let sql = "SELECT challenge FROM domains WHERE domain = ?1 AND tenant = ?2";
        let mut read = self.transaction.prepare_cached(sql)?;
        let challenge = read
            .query_row([domain.as_str(), id.as_str()], |row| row.get(0))
            .optional()?;
        drop(read);
        let Some(challenge): Option<Option<Box<str>>> = challenge else {
            return Err(not_bound(&Name::Domain(domain.clone()), id));
        };
        let challenge = challenge.map(Challenge::from_stored);
        if challenge.is_some_and(|c| !c.is_met_by(txt)) {
            let (domain, id) = (domain.clone(), id.clone());
            return Err(WriteError::NotProven { domain, id }.into());
        }
        let version = self.next();
        let sql = "UPDATE domains SET challenge = NULL, version = ?2 WHERE domain = ?1";
        self.run(sql, params![domain.as_str(), version])?;
        self.event("verify", id, domain.as_str())?;
        Ok(self.version)
    }

    pub(super) fn make_primary(&mut self, domain: &Domain, id: &TenantId) -> Done<Version> {
        self.get(id)?;
        let sql = "SELECT challenge IS NULL FROM domains WHERE domain = ?1 AND tenant = ?2";
        let mut read = self.transaction.prepare_cached(sql)?;
        let routes = read
            .query_row([domain.as_str(), id.as_str()], |row| row.get(0))
            .optional()?;
        drop(read);
        match routes {
            Some(true) => {}
            Some(false) => {
                let (domain, id) = (domain.clone(), id.clone());
                return Err(WriteError::NotProven { domain, id }.into());
            }
            None => return Err(not_bound(&Name::Domain(domain.clone()), id)),
        }
        let version = self.next();
        let sql = "UPDATE domains SET is_primary = 0 WHERE tenant = ?1 AND is_primary = 1";
        self.run(sql, [id.as_str()])?;
        // A version, so that the feed says this again rather than leave one out.
        let sql = "UPDATE domains SET is_primary = 1, version = ?2 WHERE domain = ?1";
        self.run(sql, params![domain.as_str(), version])?;
        self.event("primary", id, domain.as_str())?;
        Ok(self.version)
    }

    pub(super) fn unbind(&mut self, name: &Name, id: &TenantId) -> Done<Version> {
        self.get(id)?;
        if *name == Name::Label(id.clone()) {
            return Err(WriteError::OwnId { id: id.clone() }.into());
        }
        if self.owner(name)?.as_ref() != Some(id) {
            return Err(not_bound(name, id));
        }
        self.let_go(name)?;
        self.event("unbind", id, name.to_string())?;
        Ok(self.version)
    }

    /// Takes a name away from whoever has it, and says so in the feed.
    pub(super) fn let_go(&mut self, name: &Name) -> Done<()> {
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

    pub(super) fn owner(&self, name: &Name) -> Done<Option<TenantId>> {
        let (sql, name) = match name {
            Name::Label(label) => ("SELECT tenant FROM labels WHERE label = ?1", label.as_str()),
            Name::Domain(domain) => (
                "SELECT tenant FROM domains WHERE domain = ?1",
                domain.as_str(),
            ),
        };
        let mut read = self.transaction.prepare_cached(sql)?;
        let owner = read.query_row([name], |row| rows::parsed(row, 0));
        Ok(owner.optional()?)
    }
}

fn not_bound(name: &Name, id: &TenantId) -> Fault {
    let (name, id) = (name.clone(), id.clone());
    WriteError::NotBound { name, id }.into()
}
