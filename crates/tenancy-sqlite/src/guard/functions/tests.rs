//! SQLite's own functions and ours, on the same arguments.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::guard::deadline::DeadlineClock;
use crate::guard::functions::register;

const LONGEST: usize = 1_000_000_000;

/// A value and whether it is cast to text: bytes that are no UTF-8 come no other way.
type Argument = (Value, bool);

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    // NUL, ASCII, continuation bytes, first bytes of two to four bytes, and what is none.
    let byte = prop::sample::select(vec![
        0, b'a', b'b', b'a', b' ', 0x80, 0x81, 0xc3, 0xe2, 0xf0, 0xff,
    ]);
    prop::collection::vec(byte, 0..14)
}

fn argument() -> impl Strategy<Value = Argument> {
    prop_oneof![
        8 => bytes().prop_map(|b| (Value::Blob(b), true)),
        3 => bytes().prop_map(|b| (Value::Blob(b), false)),
        1 => any::<i64>().prop_map(|n| (n.into(), false)),
        1 => (0_i64..30).prop_map(|n| (n.into(), false)),
        1 => any::<f64>().prop_map(|n| (n.into(), false)),
        1 => prop::sample::select(vec![0.1, 1.5, 1e300, -0.0, f64::INFINITY, 1.0 / 3.0])
            .prop_map(|n| (n.into(), false)),
        1 => Just((Value::Null, false)),
    ]
}

/// The type and the bytes of a call's result.
fn call(connection: &Connection, name: &str, arguments: &[Argument]) -> (String, Option<Vec<u8>>) {
    let one = |(n, (_, cast)): (usize, &Argument)| match cast {
        true => format!("CAST(?{} AS TEXT)", n + 1),
        false => format!("?{}", n + 1),
    };
    let list: Vec<_> = arguments.iter().enumerate().map(one).collect();
    let sql = format!(
        "SELECT typeof(x), CAST(x AS BLOB) FROM (SELECT {name}({}) AS x)",
        list.join(", ")
    );
    let mut statement = connection.prepare_cached(&sql).unwrap();
    let values = params_from_iter(arguments.iter().map(|(value, _)| value));
    let result = statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
    result.unwrap()
}

fn both() -> (Connection, Connection) {
    let [plain, ours] = [(), ()].map(|()| Connection::open_in_memory().unwrap());
    register(&ours, &DeadlineClock::default(), LONGEST).unwrap();
    (plain, ours)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn they_give_the_same_bytes(a in argument(), b in argument(), c in argument()) {
        let (plain, ours) = both();
        let two = [a.clone(), b.clone()];
        for name in ["instr", "trim", "ltrim", "rtrim"] {
            let (expected, found) = (call(&plain, name, &two), call(&ours, name, &two));
            prop_assert_eq!(expected, found, "{} of {:?}", name, &two);
        }
        let three = [a, b, c];
        let (expected, found) = (call(&plain, "replace", &three), call(&ours, "replace", &three));
        prop_assert_eq!(expected, found, "replace of {:?}", &three);
    }
}

/// Where a short character and the longer one that it begins both fit, the first of the set is
/// taken; random sets seldom have such.
#[test]
fn trim_takes_the_first_that_fits() {
    let (plain, ours) = both();
    let blob = |bytes: &[u8]| (Value::Blob(bytes.to_vec()), true);
    let parts: [&[u8]; 7] = [
        b"\xc3a",
        b"\xc3\x80",
        b"\xc3\x80\x80",
        b"\x80",
        b"\xe2",
        b"a",
        b"\xe2\x80\x81",
    ];
    let mut sets: Vec<Vec<u8>> = vec![Vec::new()];
    for _ in 0..3 {
        let longer = sets
            .iter()
            .flat_map(|set| parts.map(|part| [set, part].concat()));
        sets = sets.iter().cloned().chain(longer).collect();
        sets.sort();
        sets.dedup();
    }
    for set in &sets {
        for text in sets.iter().step_by(7) {
            for name in ["trim", "ltrim", "rtrim"] {
                let two = [blob(text), blob(set)];
                assert_eq!(
                    call(&plain, name, &two),
                    call(&ours, name, &two),
                    "{name} {two:?}"
                );
            }
        }
    }
}

/// Lengths at which SQLite's would take hours.
#[test]
fn long_arguments_take_linear_time() {
    let (_, ours) = both();
    let blob = |bytes: Vec<u8>| (Value::Blob(bytes), true);
    let many = |byte: u8, n: usize| vec![byte; n];
    let needle = [many(b'a', 500_000), many(b'b', 1)].concat();
    let (hay, needle) = (blob(many(b'a', 8_000_000)), blob(needle));
    let two = [hay.clone(), needle.clone()];
    assert_eq!(call(&ours, "instr", &two).1, Some(b"0".to_vec()));
    let three = [hay.clone(), needle, blob(many(b'c', 3))];
    assert_eq!(
        call(&ours, "replace", &three).1.map(|x| x.len()),
        Some(8_000_000)
    );
    // Every character of the set is looked at in vain, then each fits as the last one.
    let set: Vec<u8> = ('\u{100}'..'\u{ffff}').collect::<String>().into_bytes();
    let text = [set.clone(), many(b'a', 1), set.clone()].concat();
    for name in ["trim", "ltrim", "rtrim"] {
        let bytes = call(&ours, name, &[blob(text.clone()), blob(set.clone())])
            .1
            .unwrap();
        let left = if name == "trim" { 1 } else { 1 + set.len() };
        assert_eq!(bytes.len(), left, "{name}");
    }
    // One first byte and a million continuation bytes, taken one by one.
    let run = [many(0xc3, 1), many(0x80, 1_000_000)].concat();
    let set = [vec![0x80], vec![0xc3], run.clone()].concat();
    assert_eq!(
        call(&ours, "trim", &[blob(run), blob(set)]).1,
        Some(Vec::new())
    );
}
