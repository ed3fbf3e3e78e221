//! The checks of the fuzz targets on inputs from proptest, near what each parser accepts.

use proptest::prelude::*;
use tenancy_core::RuleKind;

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

#[test]
fn the_world_has_every_rule_but_a_function() {
    let mut kinds: Vec<_> = tenancy_fuzz::world::rules()
        .iter()
        .map(|rule| rule.kind())
        .collect();
    kinds.push(RuleKind::Custom);
    for kind in RuleKind::ALL {
        assert!(kinds.contains(&kind), "no rule {kind} in the world");
    }
}

proptest! {
    #[test]
    fn ids_and_references_are_read_as_they_are_written(data in near("[a-z0-9-]{0,66}(@[0-9]{1,22})?")) {
        tenancy_fuzz::tenant_id::check(&data);
    }

    #[test]
    fn paths_are_refused_or_normalised_as_the_rules_say(data in near("(/([a-zA-Z0-9._~!-]{0,6}|[.]{1,3}|(%[0-9a-fA-F]{2}){1,3})(;[a-z]{0,2})?){1,6}([?][a-z/.%]{0,5})?")) {
        tenancy_fuzz::path::check(&data);
    }

    #[test]
    fn hosts_name_who_the_rules_say(data in near("((acme|beta|closed|www|[a-z0-9-]{1,5})[.])?(app[.]test|localhost|[a-z]{1,3}-api[.]example[.]com|shop[.]example[.]org|10[.]0[.]0[.]1)[.]?(:[0-9]{0,6})?")) {
        tenancy_fuzz::host::check(&data);
    }

    #[test]
    fn requests_get_one_answer(data in near("[gho][pa]?\n((acme|x)[.])?app[.]test\n/(t/(acme|beta)/)?(assets/a[.]css|login|)([?]tenant=(acme|beta)?)?(\n(x-tenant|origin|cookie|x-forwarded-host): (tenant=)?(acme|beta)([.]app[.]test)?){0,2}")) {
        tenancy_fuzz::resolve::check(&data);
    }
}
