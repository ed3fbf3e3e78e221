//! The names of tenants: binding domains and labels.

use tenancy_core::{Change, Domain, Name, Proof, Provisioner, TenantId};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Returns the name that a text registers: a label if it is one label under a base domain or
    /// fits a template, else a domain.
    ///
    /// # Errors
    /// Returns an error if the text is no domain, or is a central domain, a reserved label, or in
    /// the [public suffix list](crate::TenancyBuilder::public_suffixes).
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

    /// Binds a further name to a tenant; see [`name`](Self::name). A domain bound with
    /// [`Proof::Pending`] is a claim, and routes once it is [verified](Self::verify). Other
    /// tenants may claim it meanwhile.
    ///
    /// # Errors
    /// Returns an error if no tenant may have the name, or if it routes to another tenant.
    pub fn bind(&self, name: &str, id: &TenantId, proof: Proof) -> Result<Name, Error> {
        let name = self.name(name)?;
        let routes = proof == Proof::Trusted;
        self.catalog().bind(&name, id, proof, self.actor())?;
        self.show_name(&name, routes.then_some(id));
        Ok(name)
    }

    /// Makes a claimed domain route. `txt` is the value of its TXT record, as the caller read it
    /// from the DNS. Claims of other tenants for the domain end.
    ///
    /// # Errors
    /// Returns an error if the value is not that of the last attempt, or if the tenant has no
    /// claim of the domain: a claim expires after [`CLAIM_TTL`](crate::catalog::CLAIM_TTL).
    pub fn verify(&self, domain: &Domain, id: &TenantId, txt: &str) -> Result<(), Error> {
        self.catalog().verify(domain, id, txt, self.actor())?;
        self.show_name(&Name::Domain(domain.clone()), Some(id));
        Ok(())
    }

    /// Makes a domain the tenant's primary one, which links to the tenant use: the catalog
    /// decides, never the host of a request.
    ///
    /// # Errors
    /// Returns an error if the domain is not this tenant's, or is not verified yet.
    pub fn make_primary(&self, domain: &Domain, id: &TenantId) -> Result<(), Error> {
        self.catalog().make_primary(domain, id, self.actor())?;
        self.show_name(&Name::Domain(domain.clone()), Some(id));
        Ok(())
    }

    /// Returns the tenant's primary domain, if it has one.
    ///
    /// # Errors
    /// Returns an error if the catalog cannot be read.
    pub fn primary(&self, id: &TenantId) -> Result<Option<Domain>, Error> {
        let mut names = self.catalog().names(id)?.into_iter();
        let primary = names.find(|binding| binding.primary);
        Ok(primary.and_then(|binding| match binding.name {
            Name::Domain(domain) => Some(domain),
            Name::Label(_) => None,
        }))
    }

    /// Unbinds a name from its tenant.
    ///
    /// # Errors
    /// Returns an error if the name is not this tenant's, or is the tenant's id.
    pub fn unbind(&self, name: &Name, id: &TenantId) -> Result<(), Error> {
        self.catalog().unbind(name, id, self.actor())?;
        self.show_name(name, None);
        Ok(())
    }

    /// Moves a name that routes from one tenant to another, in one write: a request finds one
    /// tenant or the other, never none. No proof is required; the operator vouches for the name.
    ///
    /// # Errors
    /// Returns an error if the name does not route to `from`, is the id of `from`, or if there
    /// is no tenant `to`.
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
