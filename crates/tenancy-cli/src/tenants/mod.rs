//! The commands about one tenant. This file has `tenancy list` and `tenancy show`.

pub mod access;
pub mod create;
pub mod domains;
pub mod removal;
pub mod sql;

use std::collections::BTreeMap;

use serde::Serialize;
use tenancy::catalog::{CatalogWriter, Maintenance, Name, WriteError};
use tenancy::{Tenant, TenantId, TenantStatus};

use crate::args::{Global, List, One};
use crate::failure::Failure;
use crate::output::Output;
use crate::project::{self, Project};

/// The number of rows read from the catalog at once.
const PAGE: usize = 1000;

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    status: &'static str,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    attributes: BTreeMap<String, String>,
}

impl From<&Tenant> for Row {
    fn from(tenant: &Tenant) -> Self {
        let mut attributes: BTreeMap<_, _> = tenant
            .attributes()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            id: tenant.id().to_string(),
            status: tenant.status().as_str(),
            epoch: tenant.epoch().get(),
            name: attributes.remove("name"),
            attributes,
        }
    }
}

/// A row of `tenancy list`.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    row: Row,
    maintenance: bool,
}

impl From<&Tenant> for Listed {
    fn from(tenant: &Tenant) -> Self {
        Self {
            row: tenant.into(),
            maintenance: tenant.maintenance().is_some(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    row: Row,
    domains: Vec<String>,
    /// The primary domain, which is used in links to the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary: Option<String>,
    labels: Vec<String>,
    /// The claimed domains, which do not route until they are verified.
    pending: Vec<String>,
    maintenance: MaintenanceColumn,
}

/// The maintenance of a tenant, or `false`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum MaintenanceColumn {
    Up(bool),
    Down(Down),
}

/// The maintenance of a tenant. The secret is never shown, only whether it is set.
#[derive(Debug, Serialize)]
struct Down {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    secret: &'static str,
}

impl From<&Maintenance> for Down {
    fn from(down: &Maintenance) -> Self {
        Self {
            retry_after_s: down.retry_after.map(|after| after.as_secs()),
            message: down.message.as_deref().map(str::to_owned),
            secret: match down.secret {
                Some(_) => "set",
                None => "none",
            },
        }
    }
}

impl Whole {
    fn read(project: &Project, tenant: &Tenant) -> Result<Self, Failure> {
        let mut whole = Self {
            row: tenant.into(),
            domains: Vec::new(),
            primary: None,
            labels: Vec::new(),
            pending: Vec::new(),
            maintenance: match tenant.maintenance() {
                None => MaintenanceColumn::Up(false),
                Some(down) => MaintenanceColumn::Down(down.into()),
            },
        };
        for binding in project
            .catalog()
            .names(tenant.id())
            .map_err(tenancy::Error::from)?
        {
            let name = binding.name.to_string();
            if binding.primary {
                whole.primary = Some(name.clone());
            }
            match binding.name {
                _ if binding.pending.is_some() => whole.pending.push(name),
                Name::Domain(_) => whole.domains.push(name),
                Name::Label(_) => whole.labels.push(name),
            }
        }
        Ok(whole)
    }
}

pub fn list(args: &List, global: &Global, out: Output) -> Result<(), Failure> {
    let status: Option<TenantStatus> = match &args.status {
        Some(word) => Some(word.parse().map_err(tenancy::Error::from)?),
        None => None,
    };
    let after = args.after.as_deref().map(id).transpose()?;
    let project = project::open(&project::config(global)?)?;
    let rows = pages(project.catalog(), after)
        .filter(|tenant| match (tenant, status) {
            (Ok(tenant), Some(status)) => tenant.status() == status,
            _ => true,
        })
        .take(args.limit.unwrap_or(usize::MAX))
        .map(|tenant| tenant.map(|tenant| Listed::from(&tenant)));
    out.rows(&["id", "status", "maintenance", "epoch", "name"], rows)
}

/// Returns an iterator over the tenants after this one, which reads them page by page.
fn pages(
    catalog: &dyn CatalogWriter,
    mut after: Option<TenantId>,
) -> impl Iterator<Item = Result<Tenant, Failure>> {
    let mut page = Vec::new().into_iter();
    std::iter::from_fn(move || {
        if page.as_slice().is_empty() {
            match catalog.page(after.as_ref(), PAGE) {
                Ok(tenants) => page = tenants.into_iter(),
                Err(error) => return Some(Err(tenancy::Error::from(error).into())),
            }
        }
        let tenant = page.next()?;
        after = Some(tenant.id().clone());
        Some(Ok(tenant))
    })
}

pub fn show(args: &One, global: &Global, out: Output) -> Result<(), Failure> {
    let id = id(&args.id)?;
    let project = project::open(&project::config(global)?)?;
    let tenant = project.tenant(&id)?;
    out.record(&Whole::read(&project, &tenant)?)
}

fn id(text: &str) -> Result<TenantId, Failure> {
    Ok(text.parse().map_err(tenancy::Error::from)?)
}

/// Adds the owner of a taken name to an error. The errors of the library do not name the owner, as
/// they may be shown to another tenant.
fn with_owner(project: &Project, error: tenancy::Error) -> Failure {
    let tenancy::Error::Write(WriteError::NameTaken { name }) = &error else {
        return error.into();
    };
    let owner = project.catalog().lookup(name.as_key());
    let Some(owner) = owner.ok().and_then(|found| found.value) else {
        return error.into();
    };
    let way_out = match *name == Name::Label(owner.id().clone()) {
        true => "it is the id of that tenant, so choose another name",
        false => "unbind it from that tenant first",
    };
    Failure::refused(format!(
        "{name} belongs to tenant {}; {way_out}",
        owner.id()
    ))
}
