//! [`Reserved`]: the labels that never name a tenant.

use std::collections::HashSet;

use crate::id::TenantId;

#[derive(Debug, Default)]
pub(super) struct Reserved(HashSet<Box<str>>);

impl Reserved {
    pub(super) fn new(labels: impl IntoIterator<Item = TenantId>) -> Self {
        let labels = labels.into_iter().map(|label| label.as_str().into());
        Self(labels.collect())
    }

    /// Returns whether this label, in any case, is reserved.
    pub(super) fn contains(&self, label: &[u8]) -> bool {
        let mut lower = [0; TenantId::MAX_LEN];
        let Some(lower) = lower.get_mut(..label.len()) else {
            return false; // longer than any label
        };
        lower.copy_from_slice(label);
        lower.make_ascii_lowercase();
        std::str::from_utf8(lower).is_ok_and(|label| self.0.contains(label))
    }
}
