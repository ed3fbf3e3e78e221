//! What can be wrong: planted by hand, each with its word and what a fix makes of it.

use super::*;

pub type Plant = fn(&World) -> Option<Tenant>;

/// (what is planted, the depth at which it is seen, its word, what a fix makes of it)
pub const PLANTS: [(Plant, Depth, &str, &str); 31] = [
    (|_| None, Depth::Full, "", ""),
    (missing, Depth::Names, "missing", ""),
    (in_trash, Depth::Names, "in_trash", "revived"),
    (half_retired, Depth::Names, "half_retired", "retired"),
    (half_revived, Depth::Names, "half_retired", "retired"),
    (gone, Depth::Names, "gone", ""),
    (superseded, Depth::Names, "superseded", "retired"),
    (ahead_of_its_row, Depth::Names, "orphan", "quarantined"),
    (link, Depth::Names, "not_a_file", ""),
    (other_driver, Depth::Names, "placement", ""),
    (orphan, Depth::Names, "orphan", "quarantined"),
    (orphan_in_trash, Depth::Names, "orphan", "quarantined"),
    (copy, Depth::Stamps, "duplicate", "quarantined"),
    (sidecar, Depth::Names, "sidecar", "quarantined"),
    (stray, Depth::Names, "stray", "quarantined"),
    (stray_in_trash, Depth::Names, "stray", "quarantined"),
    (foreign, Depth::Stamps, "foreign", ""),
    (no_database, Depth::Stamps, "foreign", ""),
    (closed, Depth::Stamps, "closed", "revived"),
    (no_wal, Depth::Stamps, "no_wal", "revived"),
    (behind, Depth::Stamps, "behind", ""),
    (ahead, Depth::Stamps, "ahead", ""),
    (diverged, Depth::Stamps, "diverged", ""),
    (dropped_table, Depth::Quick, "drifted", ""),
    (added_column, Depth::Full, "drifted", ""),
    (added_table, Depth::Quick, "drifted", ""),
    (added_trigger, Depth::Quick, "drifted", ""),
    (analyzed, Depth::Quick, "", ""),
    (back_and_forth, Depth::Full, "", ""),
    (damaged, Depth::Quick, "damaged", ""),
    (damaged_stamp, Depth::Stamps, "damaged", ""),
];

fn changed(world: &World, sql: &str) -> Option<Tenant> {
    let acme = world.made("acme");
    world.sql(&acme, sql);
    Some(acme)
}

pub fn dropped_table(world: &World) -> Option<Tenant> {
    changed(world, "DROP TABLE notes")
}

pub fn added_column(world: &World) -> Option<Tenant> {
    changed(world, "ALTER TABLE notes ADD COLUMN secret TEXT")
}

pub fn added_table(world: &World) -> Option<Tenant> {
    changed(world, "CREATE TABLE mine (x)")
}

pub fn added_trigger(world: &World) -> Option<Tenant> {
    let sql = "CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END";
    changed(world, sql)
}

/// Statistics are SQLite's own, and no drift.
pub fn analyzed(world: &World) -> Option<Tenant> {
    changed(world, "ANALYZE");
    None
}

/// The text of a table that lost a column and got it again differs in white space alone.
pub fn back_and_forth(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    for version in [1, 2, 0, 2] {
        let target = SchemaTarget::Version(version);
        world.driver().migrate(&acme, target).unwrap();
    }
    None
}

/// As a retirement leaves it that was killed after it had left WAL mode.
pub fn no_wal(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    world.sql(&acme, "PRAGMA journal_mode = DELETE");
    Some(acme)
}

pub fn missing(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    fs::remove_file(world.path(&acme)).unwrap();
    Some(acme)
}

pub fn in_trash(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    world.driver().retire(&acme, NOW).unwrap();
    Some(acme)
}

pub fn half_retired(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    Some(world.set(&acme, TenantStatus::Retiring))
}

pub fn half_revived(world: &World) -> Option<Tenant> {
    let acme = half_retired(world).unwrap();
    world.driver().retire(&acme, NOW).unwrap();
    world.driver().revive(&acme).unwrap();
    Some(acme)
}

pub fn gone(world: &World) -> Option<Tenant> {
    let acme = half_retired(world).unwrap();
    world.driver().destroy(&acme).unwrap();
    Some(acme)
}

/// As a rollback leaves it that found the file in use.
pub fn superseded(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    let mut change = TenantChange::default();
    change.reincarnate = Some(acme.placement().clone());
    let catalog = world.fleet.catalog();
    let next = catalog
        .update(acme.id(), acme.version(), change, &world.by)
        .unwrap();
    world.driver().provision(&next).unwrap();
    Some(next)
}

/// As a rollback leaves it that was killed before its row turned.
pub fn ahead_of_its_row(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    let next = acme.to_builder().epoch(acme.epoch().next()).build();
    world.driver().provision(&next.unwrap()).unwrap();
    None
}

pub fn link(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    let outside = world.dir.path().join("outside.db");
    fs::rename(world.path(&acme), &outside).unwrap();
    std::os::unix::fs::symlink(outside, world.path(&acme)).unwrap();
    Some(acme)
}

pub fn other_driver(world: &World) -> Option<Tenant> {
    let mut new = NewTenant::new("acme".parse().unwrap());
    new.placement = tenancy_core::Placement::new("postgres", "db7");
    Some(world.fleet.catalog().insert(new, &world.by).unwrap())
}

/// With rows that only its log has.
pub fn orphan(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    let connection = world.connect(&acme);
    connection
        .execute("INSERT INTO notes (text) VALUES ('in the log')", [])
        .unwrap();
    world.forget(&acme);
    // As a killed process leaves it.
    let (main, wal) = (world.path(&acme), wal_of(&world.path(&acme)));
    let (kept, kept_wal) = (fs::read(&main).unwrap(), fs::read(&wal).unwrap());
    drop(connection);
    fs::write(main, kept).unwrap();
    fs::write(wal, kept_wal).unwrap();
    None
}

pub fn orphan_in_trash(world: &World) -> Option<Tenant> {
    let acme = in_trash(world).unwrap();
    world.forget(&acme);
    None
}

pub fn copy(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    let locator = "ab".repeat(16);
    let to = world.dir("ab");
    fs::copy(world.path(&acme), to.join(format!("{locator}.1.db"))).unwrap();
    Some(acme)
}

pub fn sidecar(world: &World) -> Option<Tenant> {
    let main = format!("{}.1.db-wal", "cd".repeat(16));
    fs::write(world.dir("cd").join(main), "x").unwrap();
    None
}

pub fn stray(world: &World) -> Option<Tenant> {
    fs::write(world.dir("cd").join("notes.txt"), "x").unwrap();
    None
}

pub fn stray_in_trash(world: &World) -> Option<Tenant> {
    fs::write(world.trash().join("acme.db"), "x").unwrap();
    None
}

pub fn foreign(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    world.sql(&acme, "UPDATE _tenancy_stamp SET tenant = 'beta'");
    Some(acme)
}

pub fn no_database(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    fs::write(
        world.path(&acme),
        "no database, and long enough to be one ".repeat(200),
    )
    .unwrap();
    Some(acme)
}

pub fn closed(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    world.sql(&acme, "UPDATE _tenancy_stamp SET open = 0");
    Some(acme)
}

pub fn behind(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    let target = SchemaTarget::Version(1);
    world.driver().migrate(&acme, target).unwrap();
    Some(acme)
}

pub fn ahead(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    world.sql(&acme, "PRAGMA user_version = 3");
    Some(acme)
}

pub fn diverged(world: &World) -> Option<Tenant> {
    let acme = world.made("acme");
    world.sql(
        &acme,
        "UPDATE _tenancy_migrations SET name = 'other' WHERE version = 2",
    );
    Some(acme)
}

pub fn damaged(world: &World) -> Option<Tenant> {
    damage(world, "notes")
}

pub fn damaged_stamp(world: &World) -> Option<Tenant> {
    damage(world, "_tenancy_stamp")
}

/// The first page of this table becomes nonsense.
pub fn damage(world: &World, table: &str) -> Option<Tenant> {
    let acme = world.made("acme");
    world.sql(&acme, "PRAGMA journal_mode = DELETE");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let connection = rusqlite::Connection::open(world.path(&acme)).unwrap();
    let page: u32 = connection
        .query_row(sql, [table], |row| row.get(0))
        .unwrap();
    drop(connection);
    let mut bytes = fs::read(world.path(&acme)).unwrap();
    let at = (page as usize - 1) * 4_096;
    bytes[at..at + 64].fill(0xff);
    fs::write(world.path(&acme), bytes).unwrap();
    Some(acme)
}

pub fn wal_of(path: &Path) -> PathBuf {
    format!("{}-wal", path.display()).into()
}
