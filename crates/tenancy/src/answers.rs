//! The answers of an embedder's catalog and driver, which are checked.

use std::vec;

use tenancy_core::{Tenant, TenantId};

use crate::error::{Error, Miscounted};

/// Answers in the order of the questions, one for each question.
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

/// Refuses a tenant other than the one that the method was asked about.
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
