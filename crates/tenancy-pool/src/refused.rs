//! What a web adapter answers when there is no connection.

use std::error::Error;
use std::time::Duration;

use crate::error::CheckoutError;

impl<E: Error + 'static> CheckoutError<E> {
    /// Returns why, in a word that logs and counters go by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. }
            | Self::Prepare { .. }
            | Self::Rejected { .. }
            | Self::Backoff { .. } => "database_unavailable",
            Self::Timeout { .. } | Self::StepTimeout { .. } | Self::Overloaded { .. } => "busy",
            Self::WouldDeadlock { .. } => "would_deadlock",
            Self::ReadOnlyUnsupported { .. } | Self::Restrict { .. } => "no_read_only",
            Self::Closed { .. } => "closed",
            Self::Superseded { .. } => "superseded",
            Self::OtherTenant { .. } => "other_tenant",
            Self::NoTenant => "no_tenant_current",
            Self::NoTimer { .. } => "no_timer",
        }
    }

    /// Returns the HTTP status for it: 503 for what passes, 500 for a mistake of the program.
    pub fn status(&self) -> u16 {
        match self {
            Self::Connect { .. }
            | Self::Prepare { .. }
            | Self::Rejected { .. }
            | Self::Backoff { .. }
            | Self::Timeout { .. }
            | Self::StepTimeout { .. }
            | Self::Overloaded { .. }
            | Self::Closed { .. }
            | Self::Superseded { .. } => 503,
            Self::WouldDeadlock { .. }
            | Self::ReadOnlyUnsupported { .. }
            | Self::Restrict { .. }
            | Self::OtherTenant { .. }
            | Self::NoTimer { .. }
            | Self::NoTenant => 500,
        }
    }

    /// Returns when to try again (HTTP `Retry-After`): when a failed opening is tried again, in
    /// a second where connections are merely busy or the tenant was resolved too long ago.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Backoff { retry_in, .. } => Some(*retry_in),
            Self::Timeout { .. }
            | Self::StepTimeout { .. }
            | Self::Overloaded { .. }
            | Self::Superseded { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}
