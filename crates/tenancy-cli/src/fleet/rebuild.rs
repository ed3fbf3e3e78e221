//! `tenancy validate --rebuild`.

use serde::Serialize;
use tenancy::catalog::TenantRef;
use tenancy::sqlite::{RebuildError, Rebuilt, SqliteFleet};

use super::with_bar;
use crate::args::Global;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::Output;
use crate::project;

/// The report of a rebuild; the JSON document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    /// The tenants in use, which are in maintenance now.
    tenants: Vec<String>,
    /// The retired tenants, whose files are in the trash.
    retired: Vec<String>,
    /// The new paths of files whose tenant has another, better file.
    quarantined: Vec<String>,
    /// The files without a readable stamp.
    silent: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_catalog: Option<String>,
}

impl From<&Rebuilt> for Report {
    fn from(rebuilt: &Rebuilt) -> Self {
        let ids = |all: &[TenantRef]| all.iter().map(|tenant| tenant.id.to_string()).collect();
        let paths = |all: &[std::path::PathBuf]| {
            let paths = all.iter().map(|path| path.display().to_string());
            paths.collect()
        };
        Self {
            tenants: ids(&rebuilt.tenants),
            retired: ids(&rebuilt.retired),
            quarantined: paths(&rebuilt.quarantined),
            silent: paths(&rebuilt.silent),
            damaged_catalog: rebuilt
                .damaged_catalog
                .as_ref()
                .map(|path| path.display().to_string()),
        }
    }
}

pub fn run(global: &Global, out: Output) -> Result<(), Failure> {
    let config = project::config(global)?;
    interrupt::ends_with("stopped; run the command again to complete the rebuild".to_owned())?;
    let rebuilt = with_bar("rebuilding", out, |progress| {
        SqliteFleet::rebuild_catalog(&config.storage.root, &project::actor(), progress)
    });
    let rebuilt = rebuilt.map_err(|error| match error {
        RebuildError::Storage(error) => tenancy::Error::from(error).into(),
        error => Failure::Refused(error.into()),
    })?;
    let texts: [(&str, &[&str]); 4] = [
        ("tenants", &[]),
        ("retired", &[]),
        ("quarantined", &[]),
        ("silent", &[]),
    ];
    out.summary(&Report::from(&rebuilt), &texts)?;
    out.note(
        "domains, attributes and the audit trail are lost; every tenant is in maintenance: \
         check it, then run `tenancy up ID`",
    );
    Ok(())
}
