//! [`Holders`]: the connections in use, and the calls that use them.

use std::fmt;
use std::time::Duration;

use tenancy_core::TenantId;

use crate::label::Label;

/// A connection that is checked out, being opened or being closed, and the call that uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The tenant of the connection.
    pub tenant: TenantId,
    /// The label of the check-out.
    pub label: Label,
    /// The state of the connection.
    pub activity: Activity,
    /// The time for which it has been in this state, accurate to a few milliseconds.
    pub age: Duration,
}

/// The state of a connection in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// The connection is checked out.
    CheckedOut,
    /// The connection is being opened, or will be opened once an evicted one is closed.
    Opening,
    /// The connection is being closed.
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

/// The list of the connections in use, those in their state for longest first.
///
/// Its text names the first four connections and counts the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders(pub(crate) Vec<Holder>);

impl Holders {
    /// The number of holders that the text of a list names.
    const NAMED: usize = 4;

    /// Returns an iterator over the holders, longest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Holder> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Holders {
    type Item = &'a Holder;
    type IntoIter = std::slice::Iter<'a, Holder>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            0 => return f.write_str("no connection is in use by now"),
            1 => f.write_str("1 connection in use (")?,
            many => write!(f, "{many} connections in use (")?,
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
