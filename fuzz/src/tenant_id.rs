//! Ids and references: what is accepted obeys the grammar, what obeys it is accepted, and both
//! are written as they were read.

use tenancy_core::{Epoch, TenantId, TenantRef};

use crate::grammar::is_label;

/// Any bytes; those that are no UTF-8 cannot reach a parser that takes `&str`.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    check_id(text);
    check_ref(text);
}

fn check_id(text: &str) {
    match TenantId::new(text) {
        Ok(id) => {
            assert!(is_label(text.as_bytes()), "{text:?} is accepted");
            assert_eq!(id.as_str(), text);
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse().as_ref(), Ok(&id));
            let there = TenantRef {
                id,
                epoch: Epoch::FIRST,
            };
            assert_eq!(there.to_string().parse().as_ref(), Ok(&there));
        }
        Err(error) => {
            assert!(!is_label(text.as_bytes()), "{text:?} is refused: {error}");
            // However long the input was, the message fits a log line.
            assert!(error.to_string().len() < 1200, "{error}");
        }
    }
}

fn check_ref(text: &str) {
    let expected = text.split_once('@').is_some_and(|(id, epoch)| {
        let digits = epoch.bytes().all(|b| b.is_ascii_digit()) && !epoch.starts_with('0');
        is_label(id.as_bytes()) && digits && epoch.parse::<u64>().is_ok()
    });
    match text.parse::<TenantRef>() {
        Ok(there) => {
            assert!(expected, "{text:?} is accepted as {there}");
            assert_eq!(there.to_string(), text);
        }
        Err(error) => assert!(!expected, "{text:?} is refused: {error}"),
    }
}
