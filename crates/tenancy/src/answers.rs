//! Checks of the results that an embedder's catalog and driver return.

use std::vec;

use tenancy_core::{Tenant, TenantId};

use crate::error::{Error, Miscounted};

/// The results of a call for several tenants, one for each tenant and in the same order.
pub(crate) struct Answers<T> {
    left: vec::IntoIter<T>,
    count: Miscounted,
}

impl<T> Answers<T> {
    pub(crate) fn new(method: &'static str, asked: usize, answers: Vec<T>) -> Self {
        let given = answers.len();
        Self {
            left: answers.into_iter(),
            count: Miscounted {
                method,
                asked,
                given,
            },
        }
    }

    pub(crate) fn next(&mut self) -> Result<T, Miscounted> {
        let matched = self.count.asked == self.count.given;
        let next = self.left.next().filter(|_| matched);
        next.ok_or(self.count)
    }
}

/// Returns an error if the method returned another tenant than the requested one.
pub(crate) fn of_tenant(
    method: &'static str,
    id: &TenantId,
    tenant: Tenant,
) -> Result<Tenant, Error> {
    match tenant.id() == id {
        true => Ok(tenant),
        false => Err(Error::WrongTenant {
            method,
            id: id.clone(),
        }),
    }
}
