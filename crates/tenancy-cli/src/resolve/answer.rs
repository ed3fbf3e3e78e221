//! The answer to a request: an object of `resolve --json` and `resolve --batch`.

use serde::Serialize;
use tenancy::resolve::ResolveError;
use tenancy::{Resolution, Resolved};

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Answer {
    Tenant {
        tenant: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<&'static str>,
        class: &'static str,
        mode: &'static str,
        path: String,
    },
    Central {
        class: &'static str,
        mode: &'static str,
        path: String,
    },
    Skip {
        class: &'static str,
        path: String,
    },
    Refused {
        reason: &'static str,
        status: u16,
        message: String,
    },
}

impl Answer {
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

impl From<Result<Resolved<'_>, ResolveError>> for Answer {
    fn from(result: Result<Resolved<'_>, ResolveError>) -> Self {
        let resolved = match result {
            Ok(resolved) => resolved,
            Err(error) => {
                return Self::Refused {
                    reason: error.reason().as_str(),
                    status: error.status(),
                    message: error.to_string(),
                };
            }
        };
        let class = resolved.class.as_str();
        let mode = resolved.mode.as_str();
        let path = resolved.path.into_owned();
        match resolved.resolution {
            Resolution::Tenant(tenant) => Self::Tenant {
                tenant: tenant.id().to_string(),
                rule: resolved.rule.map(|rule| rule.as_str()),
                class,
                mode,
                path,
            },
            Resolution::Skip(_) => Self::Skip { class, path },
            // `Resolution` is non-exhaustive.
            _ => Self::Central { class, mode, path },
        }
    }
}
