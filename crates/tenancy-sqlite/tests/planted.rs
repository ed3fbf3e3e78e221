//! What SQL of a tenant can put in the way of the library's own tables, and that the tenant's life
//! goes on with it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use r2d2::ManageConnection;
use tenancy_core::{Event, Provisioner, SchemaTarget, Tenant, observe};
use tenancy_fleet::RollbackTo;
use tenancy_pool::Driver;
use tenancy_sqlite::{
    Check, DenyRule, Depth, Migration, Migrations, Problem, Seeds, SqliteConnection,
    ValidateOptions,
};

use crate::fleet::{Bed, options};
use crate::harden::run;
use crate::util::{at, notes};

/// What becomes of a tenant's statements.
#[derive(PartialEq)]
enum Fate {
    /// They refer to no table of the library, or by name only: nothing is said.
    Harmless,
    /// The connection is closed, and `validate` says this of the file.
    Named(&'static str),
    /// The last one is refused.
    Refused,
}
use Fate::{Harmless, Named, Refused};

const STAMP: &str = "table \"x\" refers to _tenancy_stamp";
const MIGRATIONS: &str = "table \"x\" refers to _tenancy_migrations";

/// Every kind of object that can mention a table of the library.
const PLANTS: &[(&str, Fate)] = &[
    // As it was found: no key is `open`, so each write of the stamp was an error.
    (
        "CREATE TABLE x (a REFERENCES _tenancy_stamp (open))",
        Named(STAMP),
    ),
    (
        "CREATE TABLE x (a REFERENCES _tenancy_stamp (one) ON UPDATE CASCADE ON DELETE CASCADE)",
        Named(STAMP),
    ),
    (
        "CREATE TABLE x (a, b, FOREIGN KEY (a, b) REFERENCES \"_TENANCY_Stamp\" (tenant, epoch) DEFERRABLE INITIALLY DEFERRED)",
        Named("table \"x\" refers to _TENANCY_Stamp"),
    ),
    (
        "CREATE TABLE x (a); ALTER TABLE x ADD COLUMN b REFERENCES [_tenancy_stamp]",
        Named(STAMP),
    ),
    (
        "CREATE TABLE x (a REFERENCES _tenancy_migrations)",
        Named(MIGRATIONS),
    ),
    (
        "CREATE TABLE x (a REFERENCES _tenancy_migrations (name) DEFERRABLE INITIALLY DEFERRED)",
        Named(MIGRATIONS),
    ),
    (
        "CREATE TABLE x (a REFERENCES `_tenancy_seeds` (name))",
        Named("table \"x\" refers to _tenancy_seeds"),
    ),
    (
        "CREATE TABLE x (a REFERENCES _tenancy_nothing)",
        Named("table \"x\" refers to _tenancy_nothing"),
    ),
    (
        "CREATE TABLE x (a REFERENCES _tenancy_users (email))",
        Named("table \"x\" refers to _tenancy_users"),
    ),
    (
        "CREATE TABLE p (a UNIQUE); CREATE TABLE x (a REFERENCES p (a)); ALTER TABLE p RENAME TO _tenancy_p",
        Named("table \"_tenancy_p\" bears a name of the library's"),
    ),
    (
        "CREATE TABLE q (name, sha256, applied_at); ALTER TABLE q RENAME TO _tenancy_seeds",
        Named("table \"_tenancy_seeds\" bears a name of the library's"),
    ),
    (
        "CREATE TABLE q (id INTEGER PRIMARY KEY); ALTER TABLE q RENAME TO _tenancy_users",
        Named("table \"_tenancy_users\" bears a name of the library's"),
    ),
    // Its shadow tables are renamed with it.
    (
        "CREATE VIRTUAL TABLE f USING fts5(a); ALTER TABLE f RENAME TO _tenancy",
        Named("table \"_tenancy_data\" bears a name of the library's"),
    ),
    (
        "CREATE TABLE x (a REFERENCES _tenancy_users (id))",
        Harmless,
    ),
    ("CREATE TABLE x (a REFERENCES _tenancy_users)", Harmless),
    ("CREATE VIEW v AS SELECT * FROM _tenancy_stamp", Harmless),
    (
        "CREATE VIEW v AS WITH _tenancy_stamp AS (SELECT 1 AS open) SELECT open FROM _tenancy_stamp",
        Harmless,
    ),
    (
        "CREATE TRIGGER t AFTER INSERT ON c BEGIN UPDATE _tenancy_stamp SET open = 0; END",
        Harmless,
    ),
    (
        "CREATE TRIGGER t BEFORE INSERT ON c WHEN (SELECT open FROM _tenancy_stamp) BEGIN SELECT 1; END",
        Harmless,
    ),
    (
        "CREATE VIRTUAL TABLE f USING fts5(tenant, content = '_tenancy_stamp', content_rowid = 'one')",
        Harmless,
    ),
    (
        "CREATE VIRTUAL TABLE f USING fts4(content=\"_tenancy_stamp\", tenant)",
        Harmless,
    ),
    (
        "CREATE TABLE s (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO sqlite_sequence VALUES ('_tenancy_stamp', 9e18)",
        Harmless,
    ),
    (
        "ANALYZE; INSERT INTO sqlite_stat1 VALUES ('_tenancy_stamp', NULL, 'x'), ('_tenancy_migrations', 'x', '9 9 9 9')",
        Harmless,
    ),
    (
        "ANALYZE; INSERT INTO sqlite_stat4 VALUES ('_tenancy_migrations', 'x', '1', '2', '3', x'ff00')",
        Harmless,
    ),
    (
        "ANALYZE _tenancy_stamp; REINDEX _tenancy_migrations",
        Harmless,
    ),
    (
        "CREATE TABLE x (a AS ('_tenancy_stamp'), b DEFAULT '_tenancy_stamp' CHECK (b <> '_tenancy_stamp'))",
        Harmless,
    ),
    (
        "CREATE INDEX i ON notes (text) WHERE text <> '_tenancy_stamp'",
        Harmless,
    ),
    // Over the pragmas' functions, which our own statements must not ask.
    (
        "CREATE TABLE pragma_page_count (page_count); CREATE TABLE pragma_page_size (page_size); \
      CREATE TABLE pragma_foreign_key_list (a); CREATE TABLE pragma_foreign_key_check (a); CREATE TABLE sqlite_ (a)",
        Refused,
    ),
    (
        "CREATE TABLE pragma_page_count (page_count); CREATE TABLE pragma_page_size (page_size)",
        Harmless,
    ),
    (
        "CREATE TABLE pragma_foreign_key_list (a); CREATE TABLE pragma_foreign_key_check (a)",
        Harmless,
    ),
    (
        "CREATE TABLE pragma_foreign_key_list (a); CREATE TABLE x (a REFERENCES _tenancy_stamp)",
        Named(STAMP),
    ),
    ("SELECT * FROM _tenancy_stamp", Refused),
    ("SELECT name FROM _tenancy_migrations", Refused),
    (
        "CREATE VIEW v AS SELECT * FROM main._tenancy_stamp; SELECT * FROM v",
        Refused,
    ),
    ("CREATE TABLE x AS SELECT * FROM _tenancy_stamp", Refused),
    (
        "CREATE VIRTUAL TABLE f USING fts5(tenant, content = '_tenancy_stamp', content_rowid = 'one'); INSERT INTO f (f) VALUES ('rebuild')",
        Refused,
    ),
    (
        "UPDATE notes SET text = (SELECT tenant FROM _tenancy_stamp)",
        Refused,
    ),
    ("CREATE INDEX _tenancy_seeds ON notes (text)", Refused),
    ("CREATE VIRTUAL TABLE _tenancy USING fts5(a)", Refused),
    ("CREATE VIRTUAL TABLE _tenancy USING fts4(a)", Refused),
    (
        "CREATE VIRTUAL TABLE _tenancy USING rtree(id, a, b)",
        Refused,
    ),
    (
        "CREATE TRIGGER _tenancy_t AFTER INSERT ON notes BEGIN SELECT 1; END",
        Refused,
    ),
];

/// The steps of [`notes`], one that checks all foreign keys, and one without a down script.
fn steps() -> Migrations {
    let later = [
        Migration::new("c", "CREATE TABLE c (a REFERENCES notes (id))")
            .down("DROP TABLE c")
            .without_foreign_keys(),
        Migration::new(
            "d",
            "CREATE TABLE d (a); INSERT INTO notes (text) VALUES ('d')",
        ),
    ];
    Migrations::new(notes().iter().cloned().chain(later)).unwrap()
}

fn three() -> Migrations {
    Migrations::new(steps().iter().take(3).cloned()).unwrap()
}

/// Runs statements one by one; the last error.
fn plant(connection: &SqliteConnection, sql: &str) -> rusqlite::Result<()> {
    // No text of a trigger is among those that are cut.
    let parts = match sql.contains("TRIGGER") {
        true => vec![sql],
        false => sql.split("; ").collect(),
    };
    parts.into_iter().try_for_each(|sql| run(connection, sql))
}

#[test]
fn a_tenant_stays_manageable_whatever_its_sql_planted() {
    for (sql, fate) in PLANTS {
        let bed = Bed::with(1, three());
        let acme = bed.tenant("t00");
        let manager = bed.root.driver.manager(&acme);
        let mut connection = manager.connect().unwrap();
        let done = plant(&connection, sql);
        let broken = manager.has_broken(&mut connection);
        drop(connection);
        assert_eq!(done.is_err(), *fate == Refused, "{sql}: {done:?}");
        assert_eq!(broken, matches!(fate, Named(_)), "{sql}");

        let fleet = bed.fleet(three());
        let validation = fleet
            .validate(&ValidateOptions::new().depth(Depth::Stamps), |_| {})
            .unwrap();
        let named = validation
            .findings
            .iter()
            .find_map(|finding| match &finding.problem {
                Problem::Planted { what } => Some(what.to_string()),
                _ => None,
            });
        match fate {
            Named(what) => assert_eq!(named.as_deref(), Some(*what), "{sql}"),
            _ => assert_eq!(named, None, "{sql}"),
        }
        live(&bed, acme, sql);
    }
}

/// Everything that an operator does with a tenant.
fn live(bed: &Bed, acme: Tenant, sql: &str) {
    let seeds = Seeds::new([("s", "INSERT INTO notes (text) VALUES ('seed')")]).unwrap();
    let builder = at(bed.root.dir.path()).migrations(steps());
    let driver = builder.seeds(seeds).open_driver().unwrap();
    let ok = |what: &str, done: Result<String, String>| {
        done.unwrap_or_else(|error| panic!("{sql}: {what}: {error}"));
    };
    fn told<T: std::fmt::Debug, E: std::error::Error>(
        done: Result<T, E>,
    ) -> Result<String, String> {
        let cause = |e: &E| e.source().map(|c| format!("{c}: {:?}", c.source()));
        done.map(|done| format!("{done:?}"))
            .map_err(|error| format!("{error}: {:?}", cause(&error)))
    }
    ok(
        "down",
        told(driver.migrate(&acme, SchemaTarget::Version(1))),
    );
    // Keeps a copy before the last step.
    ok("up", told(bed.fleet(steps()).migrate(&options(), |_| {})));
    let seeded = driver.seed(&acme);
    let taken = sql.contains("RENAME TO _tenancy_seeds");
    assert_eq!(seeded.is_err(), taken, "{sql}: {seeded:?}");
    let report = bed
        .fleet(steps())
        .rollback(RollbackTo::Steps(1), &options().restore_snapshots(), |_| {})
        .unwrap();
    assert!(
        report.failed.is_empty() && report.done.len() == 1,
        "{sql}: {report:?}"
    );
    assert!(report.done[0].restored, "{sql}: {report:?}");
    let acme = bed.tenant(acme.id().as_str());
    ok(
        "up again",
        told(driver.migrate(&acme, SchemaTarget::Latest)),
    );
    ok("check", told(driver.check(&acme, Check::Full)));
    ok("vacuum", told(driver.vacuum(&acme)));
    ok("checkpoint", told(driver.checkpoint(&acme)));
    ok("retire", told(driver.retire(&acme, Duration::ZERO)));
    ok("revive", told(driver.revive(&acme)));
    ok("open", told(driver.manager(&acme).connect()));
    ok("retire again", told(driver.retire(&acme, Duration::ZERO)));
    ok("destroy", told(driver.destroy(&acme)));
    assert!(!driver.exists(&acme).unwrap(), "{sql}");
}

/// A statement that is kept prepared makes a table in a later check-out without being seen again.
#[test]
fn a_prepared_statement_is_not_kept_to_plant_later() {
    let bed = Bed::with(1, three());
    let manager = bed.root.driver.manager(&bed.tenant("t00"));
    let mut connection = manager.connect().unwrap();
    let sql = "CREATE TABLE x (a REFERENCES _tenancy_stamp)";
    drop(connection.prepare_cached(sql).unwrap());
    assert!(!manager.has_broken(&mut connection));
    connection
        .prepare_cached(sql)
        .unwrap()
        .raw_execute()
        .unwrap();
    assert!(manager.has_broken(&mut connection));
}

#[test]
fn observers_are_notified_of_a_reference() {
    let bed = Bed::with(1, three());
    let acme = bed.tenant("t00");
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let _observing = observe(Arc::new(move |event: &Event<'_>| {
        if let Event::SchemaRefused { tenant, what } = event {
            sink.lock()
                .push((tenant.to_ref().to_string(), what.to_string()));
        }
    }));
    let manager = bed.root.driver.manager(&acme);
    let mut connection = manager.connect().unwrap();
    // Its own name, as other tests of this process are told of, too.
    run(
        &connection,
        "CREATE TABLE told (a REFERENCES _tenancy_stamp)",
    )
    .unwrap();
    assert!(manager.has_broken(&mut connection));
    let expected = (
        "t00@1".to_owned(),
        "table \"told\" refers to _tenancy_stamp".to_owned(),
    );
    assert!(told.lock().contains(&expected), "{:?}", told.lock());
}

#[test]
fn migrations_and_seeds_that_refer_to_the_librarys_tables_are_refused() {
    for sql in [
        "CREATE TABLE x (a REFERENCES _tenancy_stamp (one))",
        "CREATE TABLE x (a REFERENCES _tenancy_users (email))",
        "CREATE TABLE x (a); ALTER TABLE x RENAME TO _tenancy_x",
    ] {
        let bed = Bed::with(1, three());
        let acme = bed.tenant("t00");
        let wrong = three()
            .iter()
            .cloned()
            .chain([Migration::new("wrong", sql)])
            .collect::<Vec<_>>();
        let builder = at(bed.root.dir.path());
        let driver = builder
            .migrations(Migrations::new(wrong).unwrap())
            .open_driver()
            .unwrap();
        let error = driver.migrate(&acme, SchemaTarget::Latest).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            cause.starts_with("migration 4 wrong: table"),
            "{sql}: {cause}"
        );
        assert_eq!(bed.version(&acme), 3, "{sql}");
        let builder = at(bed.root.dir.path()).migrations(three());
        let seeds = Seeds::new([("s", sql)]).unwrap();
        let error = builder
            .seeds(seeds)
            .open_driver()
            .unwrap()
            .seed(&acme)
            .unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("seed s: table"), "{sql}: {cause}");
        let objects = "SELECT count(*) FROM sqlite_schema WHERE name = 'x'";
        let objects: i64 = bed
            .raw(&acme)
            .query_row(objects, [], |row| row.get(0))
            .unwrap();
        assert_eq!(objects, 0, "{sql}");
    }
    // Users may be referred to.
    let right = Migration::new("right", "CREATE TABLE x (a REFERENCES _tenancy_users (id))");
    let right: Vec<_> = three().iter().cloned().chain([right]).collect();
    let bed = Bed::with(1, Migrations::new(right).unwrap());
    let connection = bed
        .root
        .driver
        .manager(&bed.tenant("t00"))
        .connect()
        .unwrap();
    let refused = run(&connection, "SELECT name FROM _tenancy_migrations");
    assert!(refused.is_err());
    assert_eq!(connection.refusal().unwrap().rule, DenyRule::Reserved);
}
