//! Whatever does not fit is found by its word, and mended where that deletes nothing.

mod plants;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tenancy_core::{
    Actor, CatalogWriter, MemoryCatalog, Name, NewTenant, Proof, Provisioner, Resolver, Rule,
    SchemaTarget, Tenant, TenantChange, TenantStatus,
};
use tenancy_fleet::Progress;
use tenancy_sqlite::{
    Check, Depth, Fixed, Migration, Migrations, Repair, SqliteDriver, SqliteFleet, ValidateOptions,
    Validation,
};

use crate::util::{at, files_below, make_dir, notes, quick_dir};
use plants::{PLANTS, orphan, wal_of};

const NOW: Duration = Duration::ZERO;

struct World {
    fleet: SqliteFleet,
    by: Actor,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = quick_dir();
        let world = Self {
            fleet: fleet(dir.path(), notes()),
            by: Actor::new("test"),
            dir,
        };
        // Somebody who must never be touched.
        world.made("bystander");
        world
    }

    fn made(&self, id: &str) -> Tenant {
        let mut new = NewTenant::new(id.parse().unwrap());
        new.status = TenantStatus::Provisioning;
        new.placement = self.driver().place(&new.id).unwrap();
        let tenant = self.fleet.catalog().insert(new, &self.by).unwrap();
        self.driver().provision(&tenant).unwrap();
        let tenant = self.set(&tenant, TenantStatus::Active);
        let connection = self.connect(&tenant);
        connection
            .execute("INSERT INTO notes (text) VALUES (?1)", [id])
            .unwrap();
        tenant
    }

    fn driver(&self) -> &SqliteDriver {
        self.fleet.driver()
    }

    fn connect(&self, tenant: &Tenant) -> tenancy_sqlite::SqliteConnection {
        let manager = tenancy_pool::Driver::manager(self.driver(), tenant);
        r2d2::ManageConnection::connect(&manager).unwrap()
    }

    /// A directory for tenants' files, made if it is missing.
    fn dir(&self, name: &str) -> PathBuf {
        let dir = self.driver().root().join("tenants").join(name);
        make_dir(&dir);
        dir
    }

    fn path(&self, tenant: &Tenant) -> PathBuf {
        let locator = &*tenant.placement().locator;
        let mut path = self.driver().root().join("tenants");
        path.push(&locator[..2]);
        path.push(format!("{locator}.{}.db", tenant.epoch()));
        path
    }

    fn set(&self, tenant: &Tenant, status: TenantStatus) -> Tenant {
        let change = TenantChange::status(status);
        let catalog = self.fleet.catalog();
        catalog
            .update(tenant.id(), tenant.version(), change, &self.by)
            .unwrap()
    }

    fn forget(&self, tenant: &Tenant) {
        let catalog = self.fleet.catalog();
        catalog
            .remove(tenant.id(), tenant.version(), &self.by)
            .unwrap();
    }

    fn sql(&self, tenant: &Tenant, sql: &str) {
        let connection = rusqlite::Connection::open(self.path(tenant)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn validate(&self, depth: Depth) -> Validation {
        let options = ValidateOptions::new().depth(depth);
        self.fleet.validate(&options, |_| {}).unwrap()
    }

    fn trash(&self) -> PathBuf {
        self.driver().root().join("trash")
    }
}

fn fleet(root: &Path, migrations: Migrations) -> SqliteFleet {
    at(root).migrations(migrations).open().unwrap().fleet()
}

fn codes(validation: &Validation) -> Vec<&'static str> {
    validation.findings.iter().map(|f| f.code()).collect()
}

fn word(fixed: &Fixed) -> &'static str {
    match fixed.result.as_ref().expect("it is mended") {
        Repair::Quarantined(to) => {
            assert!(to.exists(), "{}", to.display());
            "quarantined"
        }
        Repair::Retired => "retired",
        Repair::Revived => "revived",
        _ => "nothing",
    }
}

/// Makes what is no file in the place of a tenant's; a directory is moved to `outside`.
fn replace(path: &Path, by: &str, outside: &Path) {
    match path.is_dir() {
        true => fs::rename(path, outside).unwrap(),
        false => drop(fs::remove_file(path)),
    }
    match by {
        "link" => std::os::unix::fs::symlink(outside, path).unwrap(),
        "fifo" => {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        }
        "directory" => make_dir(path),
        _ => fs::write(path, "").unwrap(),
    }
}

#[test]
fn an_entry_that_is_not_a_file_is_named_once_and_listed_by_a_rebuild() {
    // In whose place: a tenant's file, one in the trash, a file that no row has, a directory.
    for place in ["file", "trash", "orphan", "shard"] {
        for by in ["link", "fifo", "directory"] {
            let case = format!("{by} as a {place}");
            let world = World::new();
            let acme = world.made("acme");
            let file = world.path(&acme);
            let path = match place {
                "file" => file,
                "shard" => file.parent().unwrap().to_owned(),
                "orphan" => file.with_file_name(
                    file.file_name()
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .replace(".1.", ".2."),
                ),
                _ => {
                    let acme = world.set(&acme, TenantStatus::Retiring);
                    world.driver().retire(&acme, NOW).unwrap();
                    let name = files_below(&world.trash()).remove(0);
                    world.trash().join(name)
                }
            };
            let by = if (place, by) == ("shard", "directory") {
                "file"
            } else {
                by
            };
            replace(&path, by, &world.dir.path().join("outside"));
            for depth in [Depth::Names, Depth::Stamps, Depth::Full] {
                let found = world.validate(depth);
                let named: Vec<_> = found.findings.iter().map(|f| f.path.clone()).collect();
                let of_path = named
                    .iter()
                    .filter(|named| named.as_deref() == Some(&*path));
                assert_eq!(of_path.count(), 1, "{case}: {:?}", found.findings);
                // A directory that is a file has lost what was in it.
                let lost = usize::from(by == "file" || (place, by) == ("shard", "fifo"));
                assert_eq!(named.len(), 1 + lost, "{case}: {:?}", found.findings);
            }
            let (dir, root) = (world.dir, path);
            drop(world.fleet);
            for suffix in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(dir.path().join(format!("catalog.db{suffix}")));
            }
            let rebuilt =
                SqliteFleet::rebuild_catalog(dir.path(), &Actor::new("test"), |_| {}).unwrap();
            assert!(rebuilt.silent.contains(&root), "{case}: {rebuilt:?}");
        }
    }
}

#[test]
fn a_directory_that_is_a_link_is_refused() {
    let world = World::new();
    let acme = world.made("acme");
    let shard = world.path(&acme).parent().unwrap().to_owned();
    let outside = world.dir.path().join("outside");
    replace(&shard, "link", &outside);
    let manager = tenancy_pool::Driver::manager(world.driver(), &acme);
    let opened = r2d2::ManageConnection::connect(&manager).unwrap_err();
    let retired = world.driver().retire(&acme, NOW).unwrap_err();
    let next = acme
        .to_builder()
        .epoch(acme.epoch().next())
        .build()
        .unwrap();
    let made = world.driver().provision(&next).unwrap_err();
    let said = opened.to_string();
    assert!(
        said.contains("tenants") && said.contains("is a symbolic link"),
        "{said}"
    );
    for error in [retired, made] {
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("opened as a directory"), "{cause}");
    }
    assert_eq!(files_below(&outside).len(), 1);
}

/// A tenant's database and the WAL beside it, which has a row that the database lacks.
fn with_wal(world: &World, tenant: &Tenant) -> (Vec<u8>, Vec<u8>) {
    let connection = world.connect(tenant);
    let sql = "INSERT INTO notes (text) VALUES ('in the log')";
    connection.execute(sql, []).unwrap();
    let path = world.path(tenant);
    (fs::read(&path).unwrap(), fs::read(wal_of(&path)).unwrap())
}

fn count(connection: &rusqlite::Connection) -> i64 {
    let sql = "SELECT count(*) FROM notes";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_wal_beside_a_file_of_another_tenant_is_not_moved_into_it() {
    let world = World::new();
    let (acme, beta) = (world.made("acme"), world.made("beta"));
    let (_, wal) = with_wal(&world, &acme);
    let (main, _) = with_wal(&world, &beta);
    let path = world.path(&acme);
    for depth in [None, Some(Depth::Stamps), Some(Depth::Full)] {
        fs::write(&path, &main).unwrap();
        fs::write(wal_of(&path), &wal).unwrap();
        fs::set_permissions(wal_of(&path), fs::Permissions::from_mode(0o600)).unwrap();
        match depth {
            None => {
                let manager = tenancy_pool::Driver::manager(world.driver(), &acme);
                let error = r2d2::ManageConnection::connect(&manager).unwrap_err();
                let foreign = matches!(error, tenancy_sqlite::OpenError::WrongDatabase { .. });
                assert!(foreign, "{error}");
            }
            Some(depth) => assert_eq!(codes(&world.validate(depth)), ["foreign"]),
        }
        assert!(fs::read(&path).unwrap() == main, "{depth:?}: the file");
        assert!(
            fs::read(wal_of(&path)).unwrap() == wal,
            "{depth:?}: the WAL"
        );
    }
    // The tenant's own comes back with its WAL.
    let gamma = world.made("gamma");
    let (main, wal) = with_wal(&world, &gamma);
    fs::write(world.path(&gamma), main).unwrap();
    fs::write(wal_of(&world.path(&gamma)), wal).unwrap();
    assert_eq!(count(&world.connect(&gamma)), 2);
    assert!(
        !wal_of(&world.path(&gamma)).exists(),
        "the last close moved it"
    );
}

#[test]
fn a_wal_beside_a_file_in_the_trash_is_not_moved_into_it() {
    let world = World::new();
    let acme = world.made("acme");
    let (_, wal) = with_wal(&world, &acme);
    let connection = world.connect(&acme);
    connection.execute("DELETE FROM notes", []).unwrap();
    drop(connection);
    world.driver().retire(&acme, NOW).unwrap();
    let trashed = world.trash().join(files_below(&world.trash()).remove(0));
    fs::write(wal_of(&trashed), &wal).unwrap();
    world.driver().revive(&acme).unwrap();
    assert_eq!(count(&world.connect(&acme)), 0);
    let kept = world.driver().root().join("quarantine");
    let files = files_below(&kept);
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(fs::read(kept.join(&files[0])).unwrap() == wal);
}

#[test]
fn what_does_not_fit_is_found_and_mended() {
    for (at, (plant, depth, code, mended)) in PLANTS.into_iter().enumerate() {
        let case = format!("{at} {code}");
        let world = World::new();
        let tenant = plant(&world);
        let files = files_below(world.driver().root());
        let found = world.validate(depth);
        let expected: &[&str] = if code.is_empty() { &[] } else { &[code] };
        assert_eq!(codes(&found), expected, "{case}: {:#?}", found.findings);
        assert_eq!(found.is_sound(), code.is_empty(), "{case}");
        let named = found.findings.first().and_then(|f| f.tenant.clone());
        assert_eq!(named, tenant.as_ref().map(Tenant::to_ref), "{case}");
        // Looking changes nothing.
        assert_eq!(files_below(world.driver().root()), files, "{case}");
        if depth > Depth::Names && code != "duplicate" {
            let shallow = world.validate(Depth::Names);
            assert!(shallow.is_sound(), "{case} is seen without opening a file");
        }
        let mut reached = Progress::default();
        let fixed = world.fleet.fix(&found, &world.by, |at| reached = at);
        let all = fixed.len() as u64;
        assert_eq!((reached.done, reached.total), (all, all), "{case}");
        let words: Vec<_> = fixed.iter().map(word).collect();
        let expected: &[&str] = if mended.is_empty() { &[] } else { &[mended] };
        assert_eq!(words, expected, "{case}");
        let left = world.validate(depth);
        assert_eq!(
            left.is_sound(),
            code.is_empty() || !mended.is_empty(),
            "{case}: {left:?}"
        );
        // The lock that a fix takes against runs is a file, too, from the first one on.
        let databases = |files: &[String]| files.iter().filter(|f| *f != "runs.lock").count();
        let now = databases(&files_below(world.driver().root()));
        assert_eq!(now, databases(&files), "{case}: files were lost or made");
        // Mending again does nothing.
        for fixed in world.fleet.fix(&found, &world.by, |_| {}) {
            let word = word(&fixed);
            let harmless = ["nothing", "revived", "retired"].contains(&word);
            assert!(harmless, "{case}: {word}");
        }
        let bystander = world.fleet.catalog().page(None, 9).unwrap();
        let bystander = bystander.iter().find(|t| t.id().as_str() == "bystander");
        let kept: String = world
            .connect(bystander.expect("it is there"))
            .query_row("SELECT text FROM notes", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, "bystander", "{case}");
        // Every text names its subject and ends without a full stop.
        for finding in &found.findings {
            let text = finding.to_string();
            let named = tenant
                .as_ref()
                .is_none_or(|t| text.contains(&t.to_ref().to_string()));
            assert!(
                named && !text.ends_with('.') && text.len() > 20,
                "{case}: {text}"
            );
        }
    }
}

#[test]
fn files_past_their_retention_are_a_warning_and_no_fault() {
    let dir = quick_dir();
    let storage = at(dir.path()).migrations(notes());
    let storage = storage.trash_retention(Duration::ZERO).open().unwrap();
    let world = World {
        fleet: storage.fleet(),
        by: Actor::new("test"),
        dir,
    };
    let acme = plants::half_retired(&world).unwrap();
    world.driver().retire(&acme, NOW).unwrap();
    let beta = world.made("beta");
    let mut change = TenantChange::default();
    change.reincarnate = Some(beta.placement().clone());
    let catalog = world.fleet.catalog();
    let next = catalog.update(beta.id(), beta.version(), change, &world.by);
    let next = next.unwrap();
    world.driver().provision(&next).unwrap();
    world.driver().retire(&beta, NOW).unwrap();

    let found = world.validate(Depth::Full);
    assert!(found.is_sound(), "{found:?}");
    let warned = |at: usize| (found.warnings[at].code(), found.warnings[at].tenant.clone());
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    assert_eq!(warned(0), ("expired", Some(acme.to_ref())));
    assert_eq!(warned(1), ("expired", Some(next.to_ref())));
    let files = files_below(world.driver().root());
    assert!(world.fleet.fix(&found, &world.by, |_| {}).is_empty());
    assert_eq!(files_below(world.driver().root()), files);
}

#[test]
fn an_orphan_keeps_the_rows_of_its_wal_in_quarantine() {
    for depth in [Depth::Names, Depth::Stamps] {
        let world = World::new();
        orphan(&world);
        let found = world.validate(depth);
        let fixed = world.fleet.fix(&found, &world.by, |_| {});
        let Ok(Repair::Quarantined(to)) = &fixed[0].result else {
            panic!("{fixed:?}")
        };
        assert!(wal_of(to).exists(), "a look leaves it where it is");
        let connection = rusqlite::Connection::open(to).unwrap();
        let sql = "SELECT text FROM notes ORDER BY id";
        let mut read = connection.prepare(sql).unwrap();
        let texts = read.query_map([], |row| row.get(0)).unwrap();
        let texts: Vec<String> = texts.collect::<Result<_, _>>().unwrap();
        assert_eq!(texts, ["acme", "in the log"]);
    }
}

#[test]
fn a_sidecar_that_a_crash_left_behind_follows_its_database() {
    let world = World::new();
    orphan(&world);
    let found = world.validate(Depth::Names);
    let main = found.findings[0].path.clone().unwrap();
    let wal = wal_of(&main);
    let kept = fs::read(&wal).unwrap();
    fs::remove_file(&wal).unwrap();
    world.fleet.fix(&found, &world.by, |_| {});
    fs::write(&wal, kept).unwrap();
    let found = world.validate(Depth::Names);
    assert_eq!(codes(&found), ["sidecar"]);
    let fixed = world.fleet.fix(&found, &world.by, |_| {});
    let Ok(Repair::Quarantined(to)) = &fixed[0].result else {
        panic!("{fixed:?}")
    };
    let main = to.with_file_name(main.file_name().unwrap());
    assert!(main.exists(), "{}", main.display());
}

#[test]
fn unfinished_creations_are_listed_and_are_not_findings() {
    let world = World::new();
    let mut ids = Vec::new();
    for made in [false, true] {
        let mut new = NewTenant::new(format!("made-{made}").parse().unwrap());
        new.status = TenantStatus::Provisioning;
        new.placement = world.driver().place(&new.id).unwrap();
        let row = world.fleet.catalog().insert(new, &world.by).unwrap();
        if made {
            world.driver().provision(&row).unwrap();
        }
        ids.push(row.to_ref());
    }
    let found = world.validate(Depth::Full);
    assert!(found.is_sound(), "{:?}", found.findings);
    assert_eq!(found.unfinished, ids);
    assert_eq!((found.tenants, found.files, found.opened), (3, 2, 2));
    assert!(found.events >= 3);
}

#[test]
fn names_that_route_to_no_tenant_or_to_another_are_found() {
    let world = World::new();
    let (acme, www) = (world.made("acme"), world.made("www"));
    let catalog = world.fleet.catalog();
    for (domain, tenant) in [
        ("shop.example", &acme),
        ("beta.app.test", &acme),
        ("app.test", &www),
    ] {
        let name = Name::Domain(domain.parse().unwrap());
        catalog
            .bind(&name, tenant.id(), Proof::Trusted, &world.by)
            .unwrap();
    }
    assert!(world.validate(Depth::Names).is_sound(), "nobody asked");
    let resolver = Resolver::builder(MemoryCatalog::new())
        .rule(Rule::domain())
        .rule(Rule::subdomain_of("app.test"))
        .central_domain("app.test")
        .reserved("www")
        .build()
        .unwrap();
    let options = ValidateOptions::new().resolver(&resolver);
    let found = world.fleet.validate(&options, |_| {}).unwrap();
    let texts: Vec<_> = found.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "tenant acme@1: domain beta.app.test is looked up as label beta; bind it as that, and unbind the domain",
            "tenant www@1: label www is reserved and routes to nobody; unbind it, or take it off the reserved ones",
            "tenant www@1: domain app.test is central and routes to nobody; unbind it",
        ]
    );
    assert!(world.fleet.fix(&found, &world.by, |_| {}).is_empty());
}

#[test]
fn a_chain_of_events_that_was_tampered_with_is_found() {
    let world = World::new();
    let connection = rusqlite::Connection::open(world.fleet.catalog().path()).unwrap();
    connection
        .execute_batch("DROP TRIGGER events_stay; UPDATE events SET actor = 'nobody'")
        .unwrap();
    assert_eq!(codes(&world.validate(Depth::Names)), ["broken_chain"]);
}

/// Whoever creates, retires and destroys meanwhile is no fault.
#[test]
fn a_validation_beside_others_work_finds_nothing() {
    let world = World::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    let worked = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut round = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                let acme = world.made(&format!("t{round}"));
                if round % 2 == 0 {
                    let acme = world.set(&acme, TenantStatus::Retiring);
                    // The validation has it open for a moment.
                    let soon = Duration::from_secs(20);
                    world.driver().retire(&acme, soon).unwrap();
                    world.driver().destroy(&acme).unwrap();
                    world.forget(&acme);
                }
            }
            round
        });
        let mut faults = Vec::new();
        for _ in 0..40 {
            faults.extend(world.validate(Depth::Stamps).findings);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        // A row that is seen in the middle of its end is what its status says.
        faults.retain(|f| !["half_retired", "gone"].contains(&f.code()));
        assert!(faults.is_empty(), "{faults:#?}");
        worker.join().unwrap()
    });
    assert!(worked > 5, "nothing happened meanwhile");
}

#[test]
fn progress_goes_to_its_end() {
    let world = World::new();
    for n in 0..200 {
        let _ = world.made(&format!("t{n}"));
    }
    for (depth, total) in [(Depth::Names, 201), (Depth::Stamps, 402)] {
        let mut told = Vec::new();
        let options = ValidateOptions::new().depth(depth).jobs(3);
        let found = world
            .fleet
            .validate(&options, |at| told.push((at.done, at.total)));
        assert!(found.unwrap().is_sound());
        assert!(told.is_sorted() && told.len() > 100, "{told:?}");
        assert_eq!(told.last(), Some(&(total, total)));
    }
}

#[test]
fn a_file_is_checked_and_vacuumed_while_it_is_in_use() {
    let world = World::new();
    let acme = world.made("acme");
    let connection = world.connect(&acme);
    connection
        .execute_batch(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO notes (text) SELECT printf('%0500d', i) FROM n;
             DELETE FROM notes WHERE id > 10",
        )
        .unwrap();
    for check in [Check::Quick, Check::Full] {
        assert!(world.driver().check(&acme, check).unwrap().is_empty());
    }
    let vacuumed = world.driver().vacuum(&acme).unwrap();
    assert!(vacuumed.before > 1_000_000, "{vacuumed:?}");
    assert!(vacuumed.now < 100_000, "{vacuumed:?}");
    let bytes = fs::metadata(world.path(&acme)).unwrap().len();
    assert_eq!(bytes, vacuumed.now);
    let rows: i64 = connection
        .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 10);
    drop(connection);
}

#[test]
fn migrations_of_another_program_are_recognised() {
    let world = World::new();
    let _ = world.made("acme");
    let other = Migrations::new([
        Migration::new("notes", "CREATE TABLE notes (text TEXT) STRICT"),
        Migration::new("marks", "ALTER TABLE notes ADD COLUMN mark INTEGER"),
        Migration::new("more", "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT"),
    ]);
    let fleet = fleet(world.dir.path(), other.unwrap());
    let options = ValidateOptions::new().depth(Depth::Stamps);
    let found = fleet.validate(&options, |_| {}).unwrap();
    assert_eq!(codes(&found), ["diverged", "diverged"]);
}
