//! [`Label`]: what a check-out is known by while it is out.

use std::fmt;
use std::panic::Location;

/// What a check-out is known by in errors that say who holds the connections: the
/// line that asked for it, unless [`Checkout::label`](crate::Checkout::label) gave
/// it a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Label {
    /// The line that asked for it.
    At(&'static Location<'static>),
    /// A name it was given.
    Named(&'static str),
}

impl Label {
    /// Who has a connection while it rests, and had it last until it is used again.
    pub(crate) const REST: Self = Self::Named("the pools, which let it rest");

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
