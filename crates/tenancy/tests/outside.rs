//! Names from outside: naughty strings, reserved names, traversals and pairs that fold
//! together, as ids, as values and as places. No file outside the root, and no two
//! tenants in one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tenancy::catalog::{Placement, WriteError};
use tenancy::sqlite::{Durability, Migration, Migrations, SqliteDriver, SqliteStorage};
use tenancy::{Error, Tenancy, TenantId, TenantSpec, Upkeep};

use crate::util::{mark, marks, rules};

/// Every string of the lists, or `None` where the lists are not at hand.
fn strings() -> Option<BTreeSet<String>> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let read = |file: &str| match fs::read_to_string(corpora.join(file)) {
        Ok(text) => Some(text),
        Err(error) if std::env::var("TENANCY_CORPORA").as_deref() == Ok("required") => {
            panic!("../shared/corpora/{file} is required and cannot be read: {error}")
        }
        Err(_) => {
            println!("left out: ../shared/corpora/{file} is not there");
            None
        }
    };
    let mut all = BTreeSet::new();
    for file in [
        "tenant_names_invalid_linux.txt",
        "tenant_names_invalid_microsoft.txt",
        "tenant_names_reserved_usernames.txt",
        "path_traversal_fuzzdb.txt",
    ] {
        all.extend(read(file)?.lines().map(str::to_owned));
    }
    for (file, keys) in [
        ("tenant_names_blns.jsonl", &["s"][..]),
        ("unicode_collision_pairs_half.jsonl", &["a", "b"]),
    ] {
        for line in read(file)?.lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let text = |key: &&str| row[key].as_str().expect("a string").to_owned();
            all.extend(keys.iter().map(text));
        }
    }
    assert!(all.len() > 5_000, "{}", all.len());
    Some(all)
}

struct World {
    tenancy: Tenancy<SqliteDriver>,
    /// The root is one of two directories in it; nothing may get into the other.
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.expect("a directory");
        fs::create_dir(dir.path().join("beside")).expect("a directory");
        let root = dir.path().join("root");
        let table = Migration::new("marks", "CREATE TABLE marks (mark TEXT NOT NULL) STRICT");
        let storage = SqliteStorage::builder(&root)
            .migrations(Migrations::new([table]).expect("migrations"))
            .durability(Durability::Normal)
            .create();
        let tenancy = Tenancy::builder(storage.expect("a root"))
            .resolver(rules)
            .upkeep(Upkeep::Manual)
            .build();
        Self {
            tenancy: tenancy.expect("a tenancy"),
            dir,
        }
    }

    /// Every file that is no tenant's database, and how many databases there are.
    #[track_caller]
    fn databases(&self) -> usize {
        let (databases, others): (Vec<_>, Vec<_>) = files(self.dir.path())
            .into_iter()
            .partition(|path| is_database(path));
        let known = [
            "root/catalog.db",
            "root/catalog.db-shm",
            "root/catalog.db-wal",
            "root/tenancy.lock",
            "root/tenancy.root",
        ];
        for other in others {
            assert!(known.iter().any(|k| Path::new(k) == other), "{other:?}");
        }
        let tenants: BTreeSet<_> = databases
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .map(|name| name.split_once('.').map_or(name, |(locator, _)| locator))
            .collect();
        tenants.len()
    }
}

/// `root/tenants/<2 hex>/<32 hex>.<epoch>.db`, or what SQLite has beside it.
fn is_database(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
    let ["root", "tenants", shard, name] = parts[..] else {
        return false;
    };
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
    let name = name.trim_end_matches("-wal").trim_end_matches("-shm");
    let name: Vec<_> = name.split('.').collect();
    matches!(name[..], [locator, "1", "db"] if hex(locator, 32) && hex(shard, 2) && locator.starts_with(shard))
}

/// Every file below a directory, by its path from there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.strip_prefix(dir).expect("below it").to_owned()),
            }
        }
    }
    found
}

#[test]
fn names_from_outside_reach_no_path_and_no_other_tenant() {
    let Some(strings) = strings() else { return };
    let world = World::new();
    let mut made = BTreeMap::new();
    let ids: Vec<TenantId> = strings
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    let specs: Vec<_> = ids.iter().cloned().map(TenantSpec::from).collect();
    let mut reserved = 0;
    for (id, created) in ids.iter().zip(world.tenancy.create_many(&specs)) {
        match created {
            Ok(tenant) => assert!(made.insert(id, tenant).is_none(), "{id}"),
            Err(Error::Reserved { .. }) => reserved += 1,
            Err(error) => panic!("{id}: {error}"),
        }
    }
    println!(
        "{} strings, {} ids, {reserved} reserved",
        strings.len(),
        ids.len()
    );
    assert!(made.len() > 400, "{}", made.len());
    for (id, tenant) in &made {
        mark(
            &world.tenancy.checkout(tenant).expect("a connection"),
            id.as_str(),
        );
    }
    for (id, tenant) in &made {
        let found = marks(&world.tenancy.checkout(tenant).expect("a connection"));
        assert_eq!(found, [id.as_str()]);
    }
    assert_eq!(world.databases(), made.len());
    // A name that differs by a case or a fold is nobody's.
    for text in &strings {
        let folded = text.to_lowercase();
        let taken = folded
            .parse::<TenantId>()
            .is_ok_and(|id| made.contains_key(&id));
        if taken && folded != *text {
            text.parse::<TenantId>().expect_err(text);
        }
    }
}

#[test]
fn values_and_places_from_outside_reach_no_path() {
    let Some(strings) = strings() else { return };
    let world = World::new();
    let mut placed = 0;
    for (n, text) in strings.iter().enumerate().step_by(strings.len() / 1_000) {
        let id: TenantId = format!("t{n}").parse().expect("an id");
        let mut spec = TenantSpec::from(id).attribute(&**text, &**text);
        spec.placement = Some(Placement::new("sqlite", text.clone()));
        match world.tenancy.create(spec) {
            // No place of this driver: the row may stay, and no file was made for it.
            Err(Error::Provision(_)) => placed += 1,
            // Too long for an attribute, or a place that another row names.
            Err(Error::Write(WriteError::Attributes(_) | WriteError::Unavailable(_))) => {}
            made => panic!("{text:?}: {:?}", made.map(drop)),
        }
    }
    println!("{placed} places refused");
    assert!(placed > 900, "{placed}");
    assert_eq!(world.databases(), 0);
}
