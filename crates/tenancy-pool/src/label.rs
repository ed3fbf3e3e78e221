//! [`Label`]: the name of a check-out in errors and reports.

use std::fmt;
use std::panic::Location;

/// The name of a check-out in errors and in the list of [holders](crate::Holders).
///
/// By default it is the line of the call; [`Checkout::label`](crate::Checkout::label) sets a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Label {
    /// The line of the call.
    At(&'static Location<'static>),
    /// The name that [`Checkout::label`](crate::Checkout::label) has set.
    Named(&'static str),
}

impl Label {
    /// The label of a connection during its idle maintenance, and afterwards until it is used
    /// again.
    pub(crate) const IDLE_MAINTENANCE: Self = Self::Named("the pools, for idle maintenance");

    #[track_caller]
    pub(crate) fn here() -> Self {
        Self::At(Location::caller())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(line) => write!(f, "{}:{}", line.file(), line.line()),
            Self::Named(name) => f.write_str(name),
        }
    }
}
