//! What a catalog does, in plain words: maps, a counter, and one line a rule.

use std::collections::BTreeMap;

use tenancy_core::{Change, Name, TenantStatus};

pub type Row = (u64, TenantStatus);

/// What a catalog holds, in plain words. Names are `label:x` and `domain:x`.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Model {
    pub version: u64,
    /// Epoch and status, and the version of the row.
    pub tenants: BTreeMap<String, (Row, u64)>,
    /// Owners of further names.
    pub names: BTreeMap<String, String>,
    /// By domain and tenant, the challenge and the last day.
    claims: BTreeMap<(String, String), (String, u64)>,
    pub day: u64,
    /// Tenant to domain; the domain is this tenant's and routes.
    primary: BTreeMap<String, String>,
    tombstones: BTreeMap<String, u64>,
}

/// `Ok` is the version after the write, `Err` the name of the refusal.
pub type Wrote = Result<u64, &'static str>;

impl Model {
    pub fn owner(&self, name: &str) -> Option<String> {
        let id = name.strip_prefix("label:").unwrap_or("");
        let own = self.tenants.contains_key(id).then(|| id.to_owned());
        own.or_else(|| self.names.get(name).cloned())
    }

    pub fn write(&mut self) -> Wrote {
        self.version += 1;
        Ok(self.version)
    }

    pub fn store(&mut self, id: &str, row: Row) -> Wrote {
        self.tenants.insert(id.to_owned(), (row, self.version + 1));
        self.write()
    }

    pub fn seen(&self, id: &str, seen: u64) -> Result<Row, &'static str> {
        match self.tenants.get(id) {
            None => Err("Unknown"),
            Some((_, version)) if *version != seen => Err("Conflict"),
            Some((row, _)) => Ok(*row),
        }
    }

    pub fn insert(&mut self, id: &str, status: TenantStatus) -> Wrote {
        match self.owner(&format!("label:{id}")) {
            Some(owner) if owner == id => return Err("Exists"),
            Some(_) => return Err("NameTaken"),
            None => {}
        }
        let epoch = self.tombstones.get(id).map_or(1, |last| last + 1);
        self.store(id, (epoch, status))
    }

    pub fn update(&mut self, id: &str, seen: u64, status: TenantStatus, reborn: bool) -> Wrote {
        let (epoch, _) = self.seen(id, seen)?;
        self.store(id, (epoch + u64::from(reborn), status))
    }

    pub fn remove(&mut self, id: &str, seen: u64) -> Wrote {
        let (epoch, _) = self.seen(id, seen)?;
        self.tenants.remove(id);
        self.names.retain(|_, owner| owner != id);
        self.claims.retain(|(_, claimant), _| claimant != id);
        self.primary.remove(id);
        self.tombstones.insert(id.to_owned(), epoch);
        self.write()
    }

    pub fn bind(&mut self, name: &str, id: &str, challenge: Option<&str>) -> Wrote {
        if !self.tenants.contains_key(id) {
            return Err("Unknown");
        }
        if self.owner(name).is_some_and(|owner| owner != id) {
            return Err("NameTaken");
        }
        if name.starts_with("label:") && challenge.is_some() {
            return Err("LabelNeedsNoProof");
        }
        match challenge {
            None => self.route(name, id),
            Some(challenge) => {
                let claim = (challenge.to_owned(), self.day + 6);
                self.claims.insert((name.to_owned(), id.to_owned()), claim);
                self.let_go(name)
            }
        }
    }

    fn route(&mut self, name: &str, id: &str) -> Wrote {
        if name != format!("label:{id}") {
            self.names.insert(name.to_owned(), id.to_owned());
        }
        self.claims.retain(|(claimed, _), _| claimed != name);
        self.primary
            .retain(|owner, primary| primary != name || owner == id);
        self.write()
    }

    fn let_go(&mut self, name: &str) -> Wrote {
        self.names.remove(name);
        self.primary.retain(|_, primary| primary != name);
        self.write()
    }

    fn claimed(&self, name: &str, id: &str) -> Option<&str> {
        let claim = self.claims.get(&(name.to_owned(), id.to_owned()));
        let live = claim.filter(|(_, last)| self.day <= *last);
        live.map(|(challenge, _)| challenge.as_str())
    }

    /// Further names, and challenges of those that are only claimed.
    pub fn names_of(&self, id: &str) -> BTreeMap<String, Option<String>> {
        let bound = self.names.iter().filter(|(_, owner)| *owner == id);
        let bound = bound.map(|(name, _)| (name.clone(), None));
        let claims = self.claims.keys().filter(|(_, claimant)| claimant == id);
        let claims = claims.filter_map(|(name, _)| {
            let challenge = self.claimed(name, id)?.to_owned();
            Some((name.clone(), Some(challenge)))
        });
        bound.chain(claims).collect()
    }

    pub fn verify(&mut self, name: &str, id: &str, txt: &str) -> Wrote {
        if !self.tenants.contains_key(id) {
            return Err("Unknown");
        }
        match self.claimed(name, id) {
            Some(want) if want != txt => return Err("NotProven"),
            None if self.names.get(name).is_none_or(|owner| owner != id) => return Err("NoClaim"),
            _ => {}
        }
        self.route(name, id)
    }

    pub fn make_primary(&mut self, name: &str, id: &str) -> Wrote {
        match self.refuse_not_bound(name, id) {
            Err("NotBound") if self.claimed(name, id).is_some() => return Err("NotProven"),
            bound => bound?,
        }
        self.primary.insert(id.to_owned(), name.to_owned());
        self.write()
    }

    pub fn rebind(&mut self, name: &str, from: &str, to: &str) -> Wrote {
        if !self.tenants.contains_key(to) {
            return Err("Unknown");
        }
        self.refuse_not_bound(name, from)?;
        self.route(name, to)
    }

    fn refuse_not_bound(&self, name: &str, id: &str) -> Result<(), &'static str> {
        if !self.tenants.contains_key(id) {
            return Err("Unknown");
        }
        if name == format!("label:{id}") {
            return Err("OwnId");
        }
        match self.names.get(name) {
            Some(owner) if owner == id => Ok(()),
            _ => Err("NotBound"),
        }
    }

    pub fn primary(&self, id: &str) -> Option<&str> {
        self.primary.get(id).map(String::as_str)
    }

    pub fn unbind(&mut self, name: &str, id: &str) -> Wrote {
        match self.refuse_not_bound(name, id) {
            Err("NotBound") if self.claimed(name, id).is_some() => {}
            bound => bound?,
        }
        self.claims.remove(&(name.to_owned(), id.to_owned()));
        self.let_go(name)
    }

    /// Every name that routes, and to whom.
    pub fn routes(&self) -> BTreeMap<String, (String, Row)> {
        let own = self
            .tenants
            .keys()
            .map(|id| (format!("label:{id}"), id.clone()));
        let further = self.names.iter();
        own.chain(further.map(|(name, owner)| (name.clone(), owner.clone())))
            .map(|(name, id)| (name, (id.clone(), self.tenants[&id].0)))
            .collect()
    }

    /// The effect of a change of the feed on a replica.
    pub fn replay(&mut self, change: &Change) {
        match change {
            Change::Tenant(tenant) => {
                let row = (tenant.epoch().get(), tenant.status());
                let id = tenant.id().to_string();
                self.tenants.insert(id, (row, tenant.version().0));
            }
            Change::Removed { id, epoch } => {
                let removed = self.tenants.remove(id.as_str());
                assert_eq!(
                    removed.map(|((epoch, _), _)| epoch),
                    Some(epoch.get()),
                    "{id}"
                );
                self.names.retain(|_, owner| owner != id.as_str());
            }
            Change::Moved { name, id } if *name == Name::Label(id.clone()) => {}
            Change::Moved { name, id } => {
                self.names.insert(text(name), id.to_string());
            }
            Change::Unbound { name } => {
                self.names.remove(&text(name));
            }
            other => panic!("a change that the model does not know: {other:?}"),
        }
    }
}

pub fn text(name: &Name) -> String {
    match name {
        Name::Label(label) => format!("label:{label}"),
        Name::Domain(domain) => format!("domain:{domain}"),
    }
}

pub fn name(text: &str) -> Name {
    match text.split_once(':').unwrap() {
        ("label", label) => Name::Label(label.parse().unwrap()),
        (_, domain) => Name::Domain(domain.parse().unwrap()),
    }
}
