//! Every option of a driver, seen from outside: left alone, set, and out of bounds.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use rusqlite::functions::FunctionFlags;
use tenancy_core::{Provisioner, Tenant, TenantChange, TenantStatus};
use tenancy_fleet::{FleetError, RollbackTo};
use tenancy_sqlite::{
    Behind, Durability, Hardening, Migrations, OpenError, RepairError, Seeds, SqliteConnection,
    SqliteStorage, SqliteStorageBuilder, ValidateOptions,
};

use crate::fleet::{Bed, by, first_step, options};
use crate::util::{Root, at, catalog, notes, quick_dir};

/// What somebody sees who looks at a tenant that was made with these options.
type See = fn(&Root, &Tenant) -> String;
type Set = fn(SqliteStorageBuilder) -> SqliteStorageBuilder;

struct Row {
    option: &'static str,
    see: See,
    unless_said: &'static str,
    set: Set,
    then: &'static str,
}

fn ask(root: &Root, tenant: &Tenant, sql: &str) -> String {
    let connection = root.connect(tenant).unwrap();
    told(&connection, sql)
}

/// The first value of the first row, or the error's code.
fn told(connection: &SqliteConnection, sql: &str) -> String {
    let row = connection.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0));
    match row {
        Ok(rusqlite::types::Value::Integer(n)) => n.to_string(),
        Ok(rusqlite::types::Value::Text(text)) => text,
        Ok(value) => format!("{value:?}"),
        Err(error) => match error.sqlite_error_code() {
            Some(code) => format!("{code:?}"),
            None => error.to_string(),
        },
    }
}

/// The page size in the header of a file that nobody has open.
fn page_size_of(path: &Path) -> u32 {
    let bytes = std::fs::read(path).unwrap();
    match u16::from_be_bytes([bytes[16], bytes[17]]) {
        1 => 65536,
        size => size.into(),
    }
}

const ROWS: &[Row] = &[
    Row {
        option: "migrations",
        see: |root, acme| ask(root, acme, "PRAGMA user_version"),
        unless_said: "0",
        set: |b| b.migrations(notes()),
        then: "2",
    },
    Row {
        option: "seeds",
        see: |root, acme| {
            root.driver.seed(acme).unwrap();
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name IN ('_tenancy_seeds', 'said')";
            ask(root, acme, sql)
        },
        unless_said: "0",
        set: |b| b.seeds(Seeds::new([("said", "CREATE TABLE said (x)")]).unwrap()),
        then: "2",
    },
    Row {
        option: "durability",
        see: |root, acme| ask(root, acme, "PRAGMA synchronous"),
        unless_said: "2",
        set: |b| b.durability(Durability::Normal),
        then: "1",
    },
    Row {
        option: "busy_timeout",
        see: |root, acme| ask(root, acme, "PRAGMA busy_timeout"),
        unless_said: "5000",
        set: |b| b.busy_timeout(Duration::from_micros(1_999_001)),
        then: "2000",
    },
    Row {
        option: "busy_timeout, the longest",
        see: |root, acme| ask(root, acme, "PRAGMA busy_timeout"),
        unless_said: "5000",
        set: |b| b.busy_timeout(SqliteStorageBuilder::MAX_BUSY_TIMEOUT),
        then: "2147483647",
    },
    Row {
        option: "hardening, a pragma",
        see: |root, acme| ask(root, acme, "PRAGMA wal_autocheckpoint = 500"),
        unless_said: "AuthorizationForStatementDenied",
        set: |b| b.hardening(Hardening::Trusted),
        then: "500",
    },
    Row {
        option: "hardening, another file",
        see: |root, acme| ask(root, acme, "ATTACH ':memory:' AS m"),
        unless_said: "AuthorizationForStatementDenied",
        set: |b| b.hardening(Hardening::Trusted),
        then: "AuthorizationForStatementDenied",
    },
    Row {
        option: "page_size",
        see: |root, acme| page_size_of(&root.path(acme)).to_string(),
        unless_said: "4096",
        set: |b| b.page_size(512),
        then: "512",
    },
    Row {
        option: "page_size, the largest",
        see: |root, acme| page_size_of(&root.path(acme)).to_string(),
        unless_said: "4096",
        set: |b| b.page_size(65536),
        then: "65536",
    },
    Row {
        option: "max_bytes",
        see: |root, acme| ask(root, acme, "PRAGMA max_page_count"),
        unless_said: "4294967294",
        set: |b| b.max_bytes(1_000_000),
        then: "244",
    },
    Row {
        option: "max_bytes, more than SQLite can",
        see: |root, acme| ask(root, acme, "PRAGMA max_page_count"),
        unless_said: "4294967294",
        set: |b| b.max_bytes(u64::MAX),
        then: "4294967294",
    },
    Row {
        option: "max_bytes_by",
        see: |root, acme| ask(root, acme, "PRAGMA max_page_count"),
        unless_said: "4294967294",
        set: |b| {
            b.max_bytes(1_000_000)
                .max_bytes_by(|t| (t.id().as_str() == "acme").then_some(409_600))
        },
        then: "100",
    },
    Row {
        option: "on_connect",
        see: |root, acme| ask(root, acme, "SELECT shout('a')"),
        unless_said: "no such function: shout in SELECT shout('a') at offset 7",
        set: |b| b.on_connect(shout),
        then: "A!",
    },
];

fn shout(connection: &mut rusqlite::Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    let shout = |c: &rusqlite::functions::Context<'_>| {
        Ok(format!("{}!", c.get::<String>(0)?.to_uppercase()))
    };
    connection.create_scalar_function("shout", 1, flags, shout)
}

fn keep(builder: SqliteStorageBuilder) -> SqliteStorageBuilder {
    builder
}

#[test]
fn each_option_has_its_default_and_its_effect() {
    for row in ROWS {
        for (set, expected) in [(keep as Set, row.unless_said), (row.set, row.then)] {
            let root = Root::with(set);
            let acme = root.made("acme");
            let seen = (row.see)(&root, &acme);
            assert_eq!(seen, expected, "{}", row.option);
        }
    }
}

/// The texts of refused options.
#[test]
fn options_out_of_bounds_are_errors_that_say_what_to_do() {
    let sizes = "use a power of two from 512 to 65536";
    let page = |n: u32| format!("page size {n} is invalid; {sizes}");
    let cases: [(Set, String); 8] = [
        (|b| b.page_size(0), page(0)),
        (|b| b.page_size(256), page(256)),
        (|b| b.page_size(5000), page(5000)),
        (|b| b.page_size(1 << 17), page(1 << 17)),
        (
            |b| b.busy_timeout(Duration::from_secs(2_147_484)),
            "a busy timeout of 2147484s is too long; use at most 24 days".into(),
        ),
        (
            |b| b.busy_timeout(Duration::MAX),
            format!("a busy timeout of {:?} is too long; use at most 24 days", Duration::MAX),
        ),
        (
            |b| b.max_bytes(100),
            "max_bytes 100 is less than one page of 4096 bytes; give the bytes that a tenant may have"
                .into(),
        ),
        (
            |b| b.page_size(8192).max_bytes(8191),
            "max_bytes 8191 is less than one page of 8192 bytes; give the bytes that a tenant may have"
                .into(),
        ),
    ];
    let dir = quick_dir();
    let never_made = dir.path().join("root");
    for (set, text) in cases {
        let error = set(SqliteStorage::builder(&never_made)).create();
        assert_eq!(error.unwrap_err().to_string(), text);
    }
    assert!(
        !never_made.exists(),
        "nothing is made before all is checked"
    );
}

#[test]
fn jobs_out_of_bounds_and_unknown_ids_stop_a_run_before_it_begins() {
    let bed = Bed::new(2);
    let fleet = bed.fleet(notes());
    for jobs in [0, 257, usize::MAX] {
        let text = format!("{jobs} jobs at a time are out of bounds; use 1 to 256");
        let wrong = options().jobs(jobs);
        let back = RollbackTo::Steps(1);
        let errors = [
            fleet.migrate(&wrong, |_| {}).map(drop).unwrap_err(),
            fleet.plan(&wrong).map(drop).unwrap_err(),
            fleet.rollback(back, &wrong, |_| {}).map(drop).unwrap_err(),
            fleet.seed(&wrong, |_| {}).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, FleetError::Jobs(_)), "{error:?}");
            assert_eq!(error.to_string(), text);
        }
        let wrong = ValidateOptions::new().jobs(jobs);
        let error = fleet.validate(&wrong, |_| {}).unwrap_err();
        assert!(matches!(error, RepairError::Jobs(_)), "{error:?}");
        assert_eq!(error.to_string(), text);
    }
    let typo = options().skip(["t000".parse().unwrap()]);
    for error in [
        fleet.migrate(&typo, |_| {}).map(drop).unwrap_err(),
        fleet.plan(&typo).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("t000"), "{error}");
    }
    assert!(fleet.runs(9).unwrap().is_empty());
    assert!(bed.tenants().iter().all(|t| bed.version(t) == 1));
    let most = options().jobs(256);
    assert_eq!(fleet.migrate(&most, |_| {}).unwrap().done.len(), 2);
}

/// With a real lock: none, a short one, and one that ends in time.
#[test]
fn a_statement_waits_for_a_lock_as_long_as_was_said_and_no_longer() {
    let write = "INSERT INTO notes (text) VALUES ('x')";
    for (timeout, least, most) in [(0, 0, 2_000), (150, 150, 5_000)] {
        let timeout = Duration::from_millis(timeout);
        let root = Root::with(|b| b.migrations(notes()).busy_timeout(timeout));
        let acme = root.made("acme");
        let (holder, waiter) = (root.connect(&acme).unwrap(), root.connect(&acme).unwrap());
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let began = Instant::now();
        let error = waiter.execute(write, []).unwrap_err();
        let took = began.elapsed().as_millis();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
        assert!((least..most).contains(&took), "{timeout:?}: {took} ms");
    }
    let root = Root::with(|b| b.migrations(notes()));
    let acme = root.made("acme");
    let (holder, waiter) = (root.connect(&acme).unwrap(), root.connect(&acme).unwrap());
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let waiter = waiter;
            waiter.execute(write, [])
        });
        std::thread::sleep(Duration::from_millis(50));
        holder.execute_batch("COMMIT").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn who_is_behind_is_refused_or_migrated_by_choice() {
    let dir = quick_dir();
    let driver = |migrations: Migrations| at(dir.path()).migrations(migrations);
    let acme = {
        let driver = driver(first_step()).open_driver().unwrap();
        let id = "acme".parse().unwrap();
        let place = driver.place(&id).unwrap();
        let acme = Tenant::builder(id).placement(place).build().unwrap();
        driver.provision(&acme).unwrap();
        acme
    };
    let connect = |builder: SqliteStorageBuilder| {
        let driver = builder.open_driver().unwrap();
        r2d2::ManageConnection::connect(&tenancy_pool::Driver::manager(&driver, &acme))
    };
    for refusing in [driver(notes()), driver(notes()).behind(Behind::Refuse)] {
        let refused = connect(refusing).unwrap_err();
        let behind = matches!(
            refused,
            OpenError::Behind {
                found: 1,
                newest: 2,
                ..
            }
        );
        assert!(behind, "{refused:?}");
    }
    let connection = connect(driver(notes()).behind(Behind::Migrate)).unwrap();
    assert_eq!(told(&connection, "PRAGMA user_version"), "2");
}

#[test]
fn a_retired_file_is_kept_for_its_retention() {
    for (retention, gone) in [
        (None, 0),
        (Some(Duration::from_secs(3_600)), 0),
        (Some(Duration::MAX), 0),
        (Some(Duration::ZERO), 1),
    ] {
        let root = Root::with(|b| match retention {
            Some(retention) => b.trash_retention(retention),
            None => b,
        });
        let catalog = catalog(root.dir.path()).unwrap();
        let bed = Bed { root, catalog };
        let acme = bed.create("acme");
        let retiring = bed.change(&acme, TenantChange::status(TenantStatus::Retiring));
        bed.root.driver.retire(&retiring, Duration::ZERO).unwrap();
        let fleet = bed.root.storage.fleet();
        let kept = fleet.trash().unwrap();
        assert_eq!(kept[0].until.is_none(), retention == Some(Duration::MAX));
        assert_eq!(kept[0].is_expired(), gone == 1, "{retention:?}");
        assert_eq!(
            fleet.empty_trash(&by()).unwrap().len(),
            gone,
            "{retention:?}"
        );
    }
}

/// Everywhere that SQL of the application runs, and on the check of an index that needs it.
#[test]
fn on_connect_registers_for_every_connection_and_its_error_fails_the_open() {
    let sql = "CREATE TABLE t (x TEXT); CREATE INDEX i ON t (shout(x)); INSERT INTO t VALUES ('a')";
    let step = tenancy_sqlite::Migration::new("t", sql);
    let seeds = Seeds::new([("s", "INSERT INTO t VALUES (shout('b'))")]).unwrap();
    let root = Root::with(|b| {
        let migrations = Migrations::new([step]).unwrap();
        b.migrations(migrations).seeds(seeds).on_connect(shout)
    });
    let acme = root.made("acme");
    root.driver.seed(&acme).unwrap();
    let sql = "SELECT group_concat(shout(x)) FROM t";
    assert_eq!(ask(&root, &acme, sql), "A!,B!!");
    let faults = root.driver.check(&acme, tenancy_sqlite::Check::Full);
    assert!(faults.unwrap().is_empty());
    root.driver.vacuum(&acme).unwrap();

    let dir = quick_dir();
    let fail = |_: &mut rusqlite::Connection| Err(rusqlite::Error::InvalidQuery);
    let driver = at(dir.path()).on_connect(fail).open_driver();
    let id = "acme".parse().unwrap();
    let place = driver.as_ref().unwrap().place(&id).unwrap();
    let acme = Tenant::builder(id).placement(place).build().unwrap();
    let error = driver.unwrap().provision(&acme).unwrap_err();
    assert!(error.to_string().contains("acme"), "{error}");
}

/// At most so many at a time, and as many as that.
#[test]
fn a_run_has_as_many_jobs_as_were_said() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    for jobs in [1, 3] {
        let bed = Bed::new(12);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (inside, seen) = (now.clone(), most.clone());
        let driver = at(bed.root.dir.path()).migrations(notes());
        let driver = driver.on_step(move |name| {
            if name == "migrate" {
                let at_once = inside.fetch_add(1, Ordering::SeqCst) + 1;
                seen.fetch_max(at_once, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                inside.fetch_sub(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let fleet = driver.open().unwrap().fleet();
        let report = fleet.migrate(&options().jobs(jobs), |_| {}).unwrap();
        assert_eq!(report.done.len(), 12);
        assert_eq!(most.load(Ordering::SeqCst), jobs);
    }
}
