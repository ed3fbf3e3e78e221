//! Who owns a name: binding domains and labels to tenants.

use tenancy_core::{Domain, Name, Proof, Provisioner, TenantId};
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
    /// bound with [`Proof::Pending`] routes once it is [verified](Self::verify).
    ///
    /// # Errors
    /// When it is no name for a tenant, or another tenant's.
    pub fn bind(&self, name: &str, id: &TenantId, proof: Proof) -> Result<Name, Error> {
        let name = self.name(name)?;
        self.catalog().bind(&name, id, proof, self.actor())?;
        self.show_writes();
        Ok(name)
    }

    /// Makes a pending domain route, once `txt` is the value that its DNS holds.
    ///
    /// # Errors
    /// When it is not the value of the last attempt, or the domain is not bound.
    pub fn verify(&self, domain: &Domain, id: &TenantId, txt: &str) -> Result<(), Error> {
        self.catalog().verify(domain, id, txt, self.actor())?;
        self.show_writes();
        Ok(())
    }

    /// Makes a domain that routes the tenant's primary one: where links to it lead, by
    /// what the catalog says and never by a request's host.
    ///
    /// # Errors
    /// When the domain is not this tenant's, or waits to be proven.
    pub fn make_primary(&self, domain: &Domain, id: &TenantId) -> Result<(), Error> {
        self.catalog().make_primary(domain, id, self.actor())?;
        self.show_writes();
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
        self.show_writes();
        Ok(())
    }
}
