//! The checks of the fuzz targets on inputs from proptest, near what each parser accepts.

use proptest::prelude::*;

/// Mostly well-formed text with any bytes between.
fn near(well_formed: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let good = proptest::string::string_regex(well_formed).expect("a regex of this file");
    let byte = prop_oneof![
        Just(b'.'),
        Just(b'/'),
        Just(b'%'),
        Just(b'-'),
        Just(b';'),
        any::<u8>()
    ];
    (
        good,
        prop::collection::vec((any::<prop::sample::Index>(), byte), 0..3),
    )
        .prop_map(|(text, odd)| {
            let mut bytes = text.into_bytes();
            for (at, byte) in odd {
                bytes.insert(at.index(bytes.len() + 1), byte);
            }
            bytes
        })
}

proptest! {
    #[test]
    fn ids_and_references_are_read_as_they_are_written(data in near("[a-z0-9-]{0,66}(@[0-9]{1,22})?")) {
        tenancy_fuzz::tenant_id::check(&data);
    }
}
