//! The domains and labels of tenants.

use tenancy_core::{Change, Domain, Name, Proof, Provisioner, TenantId};
use tenancy_pool::Driver;

use crate::{Error, Tenancy};

impl<D: Driver + Provisioner> Tenancy<D> {
    /// Parses a host name into the name that [`bind`](Self::bind) would bind: a label if the host
    /// is one label under a base domain or fits a template, else a domain.
    ///
    /// # Errors
    /// Returns an error if the text is not a domain, or if it is a central domain, a reserved label,
    /// or in the [public suffix list](crate::TenancyBuilder::public_suffixes).
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

    /// Binds a further name to a tenant; [`name`](Self::name) describes the names. With
    /// [`Proof::Trusted`], requests for the name are routed to the tenant. A domain bound with
    /// [`Proof::Pending`] is a claim: requests for it are not routed until it is
    /// [verified](Self::verify), and other tenants may claim it, too.
    ///
    /// # Errors
    /// Returns the errors of [`name`](Self::name), and an error if the name is bound to another
    /// tenant, or if the tenant does not exist.
    pub fn bind(&self, name: &str, id: &TenantId, proof: Proof) -> Result<Name, Error> {
        let name = self.name(name)?;
        let routes = proof == Proof::Trusted;
        self.catalog().bind(&name, id, proof, self.actor())?;
        self.show_name(&name, routes.then_some(id));
        Ok(name)
    }

    /// Verifies a tenant's claim of a domain, so that requests for the domain are routed to the
    /// tenant. `txt` is the value of the domain's TXT record, which the caller has read from the
    /// DNS. Claims of other tenants to the domain are removed.
    ///
    /// # Errors
    /// Returns an error if `txt` is not the value that the tenant's latest claim requires, or if the
    /// tenant has no claim to the domain. A claim expires after
    /// [`CLAIM_TTL`](crate::catalog::CLAIM_TTL).
    pub fn verify(&self, domain: &Domain, id: &TenantId, txt: &str) -> Result<(), Error> {
        self.catalog().verify(domain, id, txt, self.actor())?;
        self.show_name(&Name::Domain(domain.clone()), Some(id));
        Ok(())
    }

    /// Makes a domain the tenant's primary domain: the one that the application uses in links to
    /// the tenant, whatever the host of the request.
    ///
    /// # Errors
    /// Returns an error if the domain is not bound to this tenant, or is not verified.
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
    /// Returns an error if the name is not bound to this tenant, or if it is the tenant's id.
    pub fn unbind(&self, name: &Name, id: &TenantId) -> Result<(), Error> {
        self.catalog().unbind(name, id, self.actor())?;
        self.show_name(name, None);
        Ok(())
    }

    /// Moves a name from the tenant `from` to the tenant `to` in one write, so that a request is
    /// always routed to one of the two. No proof of ownership is required.
    ///
    /// # Errors
    /// Returns an error if the name is not bound to `from` or not verified, if it is the id of
    /// `from`, or if the tenant `to` does not exist.
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
