//! [`TenantId`], [`TenantRef`], [`Epoch`], [`TenantStatus`]: what is accepted, and
//! what is said of the rest.

use tenancy_core::{
    Attributes, Epoch, Tenant, TenantId, TenantRef, TenantStatus, TooManyAttributes, Version,
};

use crate::util::{Rng, env, shared_lines, shared_rows};

/// The rule in its own words: one to 63 of these characters, a hyphen only inside.
fn is_an_id(text: &str) -> bool {
    let allowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
    let mut length = 0;
    for character in text.chars() {
        length += 1;
        if !allowed.contains(character) {
            return false;
        }
    }
    (1..=63).contains(&length) && !text.starts_with('-') && !text.ends_with('-')
}

/// One property, for every source of names.
#[track_caller]
fn check(text: &str) -> bool {
    let parsed = text.parse::<TenantId>();
    assert_eq!(parsed.is_ok(), is_an_id(text), "{text:?}: {parsed:?}");
    match parsed {
        Ok(id) => {
            assert_eq!(id.to_string(), text);
            assert_eq!(id.as_str(), text);
            assert_eq!(text.parse::<TenantId>(), Ok(id), "{text:?}");
            true
        }
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains('\n') && error.len() < 1_000, "{error}");
            false
        }
    }
}

#[test]
fn an_id_is_accepted_exactly_when_the_rule_says_so() {
    for file in [
        "tenant_names_invalid_linux.txt",
        "tenant_names_invalid_microsoft.txt",
        "tenant_names_reserved_usernames.txt",
        "path_traversal_fuzzdb.txt",
        "path_real_dirs_raft_quarter.txt",
        "path_real_files_raft_quarter.txt",
        "domains_disposable_quarter.txt",
    ] {
        let Some(lines) = shared_lines(&format!("corpora/{file}")) else {
            continue;
        };
        let accepted = lines.iter().filter(|line| check(line)).count();
        let refused = lines.len() - accepted;
        println!(
            "{file}: {} rows, {accepted} accepted, {refused} refused",
            lines.len()
        );
    }
}

#[test]
fn naughty_strings_are_ids_exactly_when_the_rule_says_so() {
    let Some(rows) = shared_rows("corpora/tenant_names_blns.jsonl") else {
        return;
    };
    let accepted = rows.iter().filter(|row| check(row["s"].as_str().unwrap()));
    println!(
        "tenant_names_blns.jsonl: {} rows, {} accepted",
        rows.len(),
        accepted.count()
    );
}

#[test]
fn no_two_ids_fold_together() {
    let Some(rows) = shared_rows("corpora/unicode_collision_pairs_half.jsonl") else {
        return;
    };
    for row in &rows {
        let accepted = ["a", "b"].map(|side| {
            let text = row[side].as_str().unwrap();
            // Alone and inside a name.
            let around = format!("x{text}x");
            assert!(!check(&around) || is_an_id(text), "{around:?}");
            check(text)
        });
        assert_ne!(accepted, [true, true], "{row}");
    }
    println!(
        "unicode_collision_pairs_half.jsonl: {} rows, no pair",
        rows.len()
    );
}

#[test]
fn random_texts_are_ids_exactly_when_the_rule_says_so() {
    let seed = env("TENANCY_SEED", 1);
    let mut rng = Rng::new(seed);
    println!("seed {seed}");
    let odd = [
        'A', 'Z', '_', '.', '/', '@', ' ', '\0', '`', '{', ':', 'é', 'ſ', 'ｋ', '\u{7f}',
    ];
    let plain: Vec<char> = ('a'..='z').chain('0'..='9').collect();
    let mut accepted = 0;
    for _ in 0..20_000 {
        let length = *rng.pick(&[0, 1, 2, 3, 5, 8, 30, 62, 63, 64, 65]);
        let mut text = String::new();
        for _ in 0..length {
            text.push(match rng.below(400) {
                0 => *rng.pick(&odd),
                1..40 => '-',
                _ => *rng.pick(&plain),
            });
        }
        accepted += usize::from(check(&text));
    }
    assert!((5_000..19_000).contains(&accepted), "{accepted} accepted");
}

#[test]
fn a_malformed_id_is_refused_with_the_wrong_byte() {
    let long = "a".repeat(64);
    let endless = "é".repeat(2_000);
    for (text, want) in [
        ("", r#"tenant id "" is empty; use lowercase letters, digits and inner hyphens"#.into()),
        (
            "Acme",
            r#"tenant id "Acme" has 'A' at byte 0; use lowercase letters, digits and inner hyphens"#
                .to_owned(),
        ),
        (
            "acme_corp",
            r#"tenant id "acme_corp" has '_' at byte 4; use lowercase letters, digits and inner hyphens"#.into(),
        ),
        (
            "bücher",
            r#"tenant id "bücher" has 'ü' at byte 1; use lowercase letters, digits and inner hyphens"#.into(),
        ),
        (
            "a\nb\0",
            r#"tenant id "a\nb\0" has '\n' at byte 1; use lowercase letters, digits and inner hyphens"#.into(),
        ),
        (
            "-acme",
            r#"tenant id "-acme" starts with a hyphen; use lowercase letters, digits and inner hyphens"#.into(),
        ),
        (
            "acme-",
            r#"tenant id "acme-" ends with a hyphen; use lowercase letters, digits and inner hyphens"#.into(),
        ),
        (
            &long,
            format!(
                r#"tenant id "{long}" has 64 bytes, 63 is the most; use lowercase letters, digits and inner hyphens"#
            ),
        ),
        (
            &endless,
            format!(
                r#"tenant id "{}…" has 'é' at byte 0; use lowercase letters, digits and inner hyphens"#,
                "é".repeat(80)
            ),
        ),
    ] {
        let error = text.parse::<TenantId>().unwrap_err();
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_reference_has_one_spelling() {
    for text in ["acme@1", "a@3", "a-b@18446744073709551615", "7@10"] {
        let parsed: TenantRef = text.parse().unwrap();
        assert_eq!(parsed.to_string(), text);
    }
    let no_epoch =
        |text: &str| format!("tenant reference {text:?} has no epoch; write it as acme@1");
    for text in [
        "",
        "acme",
        "acme@",
        "acme@0",
        "acme@01",
        "acme@+1",
        "acme@-1",
        "acme@ 1",
        "acme@1 ",
        "acme@1@2",
        "acme@18446744073709551616",
        "acme@1.0",
        "acme@0x1",
        "acme@٣",
    ] {
        let error = text.parse::<TenantRef>().unwrap_err();
        assert_eq!(error.to_string(), no_epoch(text));
    }
    for text in ["@1", "Acme@1", "a c@1"] {
        let id = text.split('@').next().unwrap();
        let error = text.parse::<TenantRef>().unwrap_err();
        assert_eq!(
            error.to_string(),
            id.parse::<TenantId>().unwrap_err().to_string()
        );
    }
}

#[test]
fn a_reference_survives_its_text_form() {
    let seed = env("TENANCY_SEED", 1);
    let mut rng = Rng::new(seed);
    println!("seed {seed}");
    for _ in 0..1_000 {
        let id: TenantId = format!("t-{}", rng.below(1_000)).parse().unwrap();
        let epoch = Epoch::new((rng.next() >> rng.below(64)).max(1)).unwrap();
        let reference = TenantRef { id, epoch };
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
}

#[test]
fn an_epoch_starts_at_one_and_never_goes_back() {
    assert_eq!(Epoch::new(0), None);
    assert_eq!(Epoch::FIRST.get(), 1);
    assert_eq!(Epoch::FIRST.next().to_string(), "2");
    let last = Epoch::new(u64::MAX).unwrap();
    assert_eq!(last.next(), last);
    assert!(Version::ZERO < Version(1));
    assert_eq!(Version(7).to_string(), "7");
}

#[test]
fn a_status_is_its_word_and_nothing_else() {
    let words = ["provisioning", "active", "suspended", "retiring"];
    assert_eq!(TenantStatus::ALL.map(TenantStatus::as_str), words);
    for status in TenantStatus::ALL {
        assert_eq!(status.to_string().parse(), Ok(status));
    }
    for text in ["", "Active", "active ", "deleted", "maintenance"] {
        let error = text.parse::<TenantStatus>().unwrap_err();
        let want = format!(
            "status {text:?} is not known; use provisioning, active, suspended or retiring"
        );
        assert_eq!(error.to_string(), want);
    }
}

fn with_attributes(count: usize, name: usize, value: usize) -> Result<Tenant, TooManyAttributes> {
    let mut builder = Tenant::builder("acme".parse().unwrap());
    for i in 0..count {
        builder = builder.attribute(format!("{i:0name$}"), "v".repeat(value));
    }
    builder.build()
}

#[test]
fn attributes_keep_to_their_bounds() {
    assert_eq!((Attributes::MAX_COUNT, Attributes::MAX_BYTES), (64, 4096));
    assert!(with_attributes(64, 4, 60).is_ok());
    assert!(with_attributes(1, 1, 4095).is_ok());
    for (count, name, value, want) in [
        (
            65,
            2,
            0,
            "tenant acme has 65 attributes of 130 bytes; keep to 64 of 4096 bytes in all",
        ),
        (
            1,
            1,
            4096,
            "tenant acme has 1 attributes of 4097 bytes; keep to 64 of 4096 bytes in all",
        ),
        (
            64,
            4,
            61,
            "tenant acme has 64 attributes of 4160 bytes; keep to 64 of 4096 bytes in all",
        ),
    ] {
        let error = with_attributes(count, name, value).unwrap_err();
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn handles_are_equal_when_id_and_epoch_are() {
    use std::hash::{BuildHasher, RandomState};
    let acme = Tenant::builder("acme".parse().unwrap()).build().unwrap();
    let other = |b: tenancy_core::TenantBuilder| b.build().unwrap();
    let suspended = other(
        acme.to_builder()
            .status(TenantStatus::Suspended)
            .attribute("a", "b"),
    );
    let reborn = other(acme.to_builder().epoch(Epoch::FIRST.next()));
    let beta = other(Tenant::builder("beta".parse().unwrap()));
    assert_eq!(acme, suspended);
    let hasher = RandomState::new();
    assert_eq!(hasher.hash_one(&acme), hasher.hash_one(&suspended));
    assert_ne!(acme, reborn);
    assert_ne!(acme, beta);
    assert_eq!(reborn.to_ref().to_string(), "acme@2");
    assert_eq!(reborn.scoped_key("cart:7"), "acme@2:cart:7");
    assert_eq!(format!("{suspended:?}"), "Tenant(acme@1 suspended)");
    let down = other(suspended.to_builder().maintenance(Some(Default::default())));
    assert_eq!(
        format!("{down:?}"),
        "Tenant(acme@1 suspended, in maintenance)"
    );
}

#[test]
fn a_secret_stays_out_of_debug_output() {
    let mut down = tenancy_core::Maintenance::default();
    let secret = tenancy_core::Secret::new("let me in");
    let shown = format!("{:?}", secret.hash());
    down.secret = Some(secret);
    let debug = format!("{down:?}");
    assert!(
        !debug.contains("let me in") && !debug.contains(&shown),
        "{debug}"
    );
    for (word, admitted) in [
        ("let me in", true),
        ("let me i", false),
        ("let me in ", false),
        ("", false),
    ] {
        assert_eq!(down.admits(word.as_bytes()), admitted, "{word:?}");
    }
    down.secret = Some(tenancy_core::Secret::new(""));
    assert!(!down.admits(b""));
    // A hash is no word: a reader of the catalog is not admitted with it.
    let secret = tenancy_core::Secret::new("let me in");
    down.secret = Some(secret.clone());
    assert!(!down.admits(secret.hash()));
}
