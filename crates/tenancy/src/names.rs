//! Who owns a name: binding domains and labels to tenants.

use tenancy_core::{Change, Domain, Name, Proof, Provisioner, TenantId};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// The name that a text registers: a label where it is one label under a base
    /// domain or fits a template, a domain otherwise.
    ///
    /// # Errors
    /// When it is no domain, a central one, a reserved label, or a public suffix by
    /// the [list](crate::TenancyBuilder::public_suffixes).
    pub fn name(&self, text: &str) -> Result<Name, Error> {
        let domain: Domain = text.parse()?;
        if self.resolver().is_central(&domain) {
            return Err(Error::Central { domain });
        }
        let name = self.resolver().name_for(&domain);
        match &name {
            Name::Label(label) => self.refuse_reserved(label)?,
            Name::Domain(domain) => self.refuse_suffix(domain)?,
        }
        Ok(name)
    }

    pub(crate) fn refuse_reserved(&self, label: &TenantId) -> Result<(), Error> {
        match self.resolver().is_reserved(label) {
            true => Err(Error::Reserved {
                label: label.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Binds a further name to a tenant; see [`name`](Self::name). A domain that is
    /// bound with [`Proof::Pending`] is claimed, and routes once it is
    /// [verified](Self::verify). Other tenants may claim it meanwhile.
    ///
    /// # Errors
    /// When it is no name for a tenant, or routes to another tenant.
    pub fn bind(&self, name: &str, id: &TenantId, proof: Proof) -> Result<Name, Error> {
        let name = self.name(name)?;
        let routes = proof == Proof::Trusted;
        self.catalog().bind(&name, id, proof, self.actor())?;
        self.show_name(&name, routes.then_some(id));
        Ok(name)
    }

    /// Makes a claimed domain route, once `txt` is the value that its DNS holds. Other
    /// tenants' claims of it end.
    ///
    /// # Errors
    /// When it is not the value of the last attempt, or the tenant has no claim of the
    /// domain: it may have expired ([`CLAIM_TTL`](crate::CLAIM_TTL)).
    pub fn verify(&self, domain: &Domain, id: &TenantId, txt: &str) -> Result<(), Error> {
        self.catalog().verify(domain, id, txt, self.actor())?;
        self.show_name(&Name::Domain(domain.clone()), Some(id));
        Ok(())
    }

    /// Makes a domain that routes the tenant's primary one: where links to it lead, by
    /// what the catalog says and never by a request's host.
    ///
    /// # Errors
    /// When the domain is not this tenant's, or waits to be proven.
    pub fn make_primary(&self, domain: &Domain, id: &TenantId) -> Result<(), Error> {
        self.catalog().make_primary(domain, id, self.actor())?;
        self.show_name(&Name::Domain(domain.clone()), Some(id));
        Ok(())
    }

    /// The tenant's primary domain, if it has one.
    ///
    /// # Errors
    /// When the catalog cannot be asked.
    pub fn primary(&self, id: &TenantId) -> Result<Option<Domain>, Error> {
        let mut names = self.catalog().names(id)?.into_iter();
        let primary = names.find(|binding| binding.primary);
        Ok(primary.and_then(|binding| match binding.name {
            Name::Domain(domain) => Some(domain),
            Name::Label(_) => None,
        }))
    }

    /// Takes a name away from its tenant.
    ///
    /// # Errors
    /// When it is not this tenant's, or its own id.
    pub fn unbind(&self, name: &Name, id: &TenantId) -> Result<(), Error> {
        self.catalog().unbind(name, id, self.actor())?;
        self.show_name(name, None);
        Ok(())
    }

    /// Moves a name that routes from one tenant to another, in one write: requests find
    /// one or the other, and never nobody. A proof is not asked for; the operator vouches.
    ///
    /// # Errors
    /// When the name does not route to `from`, or is its own id, or there is no tenant `to`.
    pub fn rebind(&self, name: &Name, from: &TenantId, to: &TenantId) -> Result<(), Error> {
        self.catalog().rebind(name, from, to, self.actor())?;
        self.show_name(name, Some(to));
        Ok(())
    }

    fn show_name(&self, name: &Name, owner: Option<&TenantId>) {
        let name = name.clone();
        self.show_writes([match owner.cloned() {
            Some(id) => Change::Moved { name, id },
            None => Change::Unbound { name },
        }]);
    }
}
