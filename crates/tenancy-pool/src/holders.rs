//! [`Holders`]: the connections that somebody waits for, and where they are.

use std::fmt;
use std::time::Duration;

use tenancy_core::TenantId;

use crate::label::Label;

/// A connection that cannot be checked out at the moment, and the call that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Whose connection.
    pub tenant: TenantId,
    /// The name of the check-out.
    pub label: Label,
    /// What is being done with it.
    pub activity: Activity,
    /// How long that has lasted, to a few milliseconds.
    pub age: Duration,
}

/// What is being done with a connection that cannot be checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// It is checked out.
    CheckedOut,
    /// It is being opened, or will be as soon as another tenant's is closed.
    Opening,
    /// It is being closed.
    Closing,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tenant, label, age) = (&self.tenant, self.label, self.age);
        match self.activity {
            Activity::CheckedOut => write!(f, "{tenant} at {label} for {age:?}"),
            Activity::Opening => write!(f, "{tenant} at {label}, being opened for {age:?}"),
            Activity::Closing => write!(f, "{tenant}, being closed for {age:?}"),
        }
    }
}

/// The connections that somebody waits for, longest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders(pub(crate) Vec<Holder>);

impl Holders {
    /// So many are named in a text; the others are counted.
    const NAMED: usize = 4;

    /// All of them, longest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Holder> {
        self.0.iter()
    }
}

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => return f.write_str("nothing is out by now"),
            1 => f.write_str("1 is out (")?,
            many => write!(f, "{many} are out (")?,
        }
        for (at, holder) in self.0.iter().take(Self::NAMED).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{holder}")?;
        }
        match self.0.len().saturating_sub(Self::NAMED) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}
