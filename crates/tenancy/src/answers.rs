//! Answers of an embedder's catalog and driver, which are not trusted.

use std::vec;

use tenancy_core::{Tenant, TenantId};

use crate::Error;

/// A method of an embedder's catalog or driver gave another number of answers than it was
/// asked for, so that none can be told to belong to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{method}` was asked about {asked} tenants and gave {given} answers; correct it, then create them again, which completes what was begun"
)]
pub struct Miscounted {
    /// The method.
    pub method: &'static str,
    /// The number of tenants that it was asked about.
    pub asked: usize,
    /// The number of answers.
    pub given: usize,
}

/// Answers in the order of the questions, one for each.
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

/// Refuses a tenant that is not the one that was asked for.
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
