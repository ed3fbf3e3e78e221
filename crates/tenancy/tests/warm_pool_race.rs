//! Two releases fill one warm pool, take from it and end tenants, and are killed wherever they
//! are; meanwhile a third process validates, mends and recovers. Then the same with a
//! clock that jumps. Nobody's file may be lost, crossed or put away.
//!
//! `TENANCY_SEED` repeats a run's choices, `TENANCY_RACE_MS` says how long each part takes.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenancy::catalog::{Actor, WriteError};
use tenancy::event::Event;
use tenancy::sqlite::{
    Behind, Depth, Migration, Migrations, RebuildError, Repair, SqliteDriver, SqliteFleet,
    ValidateOptions,
};
use tenancy::{Error, Tenancy, Tenant, TenantStatus, Upkeep};

use crate::kills::{from_env, quick_dir};
use crate::util::{Rng, at, id, rules};

const ROLE: &str = "TENANCY_WARM_POOL_RACE";
const WARM_POOL: usize = 4;
/// How long the end of a tenant waits for the mender, who has its file for a moment.
const PATIENCE: Duration = Duration::from_secs(10);

fn open(root: &Path, release: usize) -> (Tenancy<SqliteDriver>, SqliteFleet) {
    let marks = Migration::new("marks", "CREATE TABLE marks (mark TEXT PRIMARY KEY) STRICT");
    let more = Migration::new("more", "ALTER TABLE marks ADD COLUMN more INTEGER");
    let migrations = Migrations::new([marks, more].into_iter().take(release));
    let storage = at(root)
        .migrations(migrations.expect("scripts"))
        .behind(Behind::Migrate)
        .warm_pool(WARM_POOL)
        .open()
        .expect("a root");
    let fleet = storage.fleet();
    let tenancy = Tenancy::builder(storage)
        .resolver(rules)
        .upkeep(Upkeep::Manual)
        .observer(Arc::new(|event: &Event<'_>| {
            if let Event::WarmPoolFailed { error } = event {
                println!("WARM_POOL {error:?}");
            }
        }))
        .build();
    (tenancy.expect("a tenancy"), fleet)
}

fn marks(tenancy: &Tenancy<SqliteDriver>, tenant: &Tenant) -> Vec<String> {
    let connection = tenancy.checkout(tenant);
    let connection = connection.unwrap_or_else(|e| panic!("{tenant:?}: {e:?}"));
    let mut read = connection.prepare("SELECT mark FROM marks").expect("SQL");
    let rows = read.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("marks")
}

#[test]
fn plays_its_role() {
    if let Ok(role) = std::env::var(ROLE) {
        let words: Vec<&str> = role.split('\n').collect();
        let [root, release, seed] = words[..] else {
            panic!("root, release, seed")
        };
        let number = |text: &str| text.parse().expect("a number");
        live(Path::new(root), number(release) as usize, number(seed));
    }
}

/// The child: signs up and ends tenants until it is killed.
fn live(root: &Path, release: usize, seed: u64) {
    let (tenancy, _) = open(root, release);
    let mut rng = Rng(seed);
    let mut own: Vec<String> = Vec::new();
    for n in 0_u64.. {
        match rng.below(6) {
            0 => tenancy.maintain(),
            1 if !own.is_empty() => {
                let at = rng.below(own.len() as u64);
                end(&tenancy, &own.swap_remove(at as usize));
            }
            _ => {
                let name = format!("r{release}-{seed:x}-{n}");
                let tenant = tenancy.create(id(&name)).expect("a tenant");
                if rng.below(4) > 0 {
                    let connection = tenancy.checkout(&tenant).expect("a connection");
                    let sql = "INSERT INTO marks (mark) VALUES (?1)";
                    connection.execute(sql, [&name]).expect("a mark");
                    println!("MARKED {name}");
                }
                own.push(name);
            }
        }
    }
}

fn end(tenancy: &Tenancy<SqliteDriver>, name: &str) {
    println!("ENDING {name}");
    let began = Instant::now();
    loop {
        match tenancy.destroy(&id(name), PATIENCE) {
            Ok(()) | Err(Error::Write(WriteError::Unknown { .. })) => return,
            // The mender was at it, too.
            Err(error) => assert!(began.elapsed() < PATIENCE, "{name}: {error:?}"),
        }
    }
}

/// A child with its log.
fn start(root: &Path, log: &Path, release: usize, seed: u64) -> Child {
    let log = OpenOptions::new().append(true).create(true).open(log);
    let log = || log.as_ref().expect("a log").try_clone().expect("it again");
    let root = root.to_str().expect("a path in UTF-8");
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "warm_pool_race::plays_its_role", "--nocapture"])
        .env(ROLE, format!("{root}\n{release}\n{seed}"))
        .stdin(Stdio::null())
        .stdout(log())
        .stderr::<File>(log())
        .spawn()
        .expect("a child process")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Clock {
    Steady,
    /// What was begun seems to be of long ago, or of the future.
    Jumps,
}

#[test]
fn no_tenant_is_lost_while_two_releases_and_a_repair_share_a_warm_pool() {
    let seed = from_env("TENANCY_SEED", u64::from(std::process::id()));
    let time = Duration::from_millis(from_env("TENANCY_RACE_MS", 2_500));
    println!("TENANCY_SEED={seed} TENANCY_RACE_MS={}", time.as_millis());
    for clock in [Clock::Steady, Clock::Jumps] {
        race(clock, time, &mut Rng(seed));
    }
}

fn race(clock: Clock, time: Duration, rng: &mut Rng) {
    let (dir, logs) = (quick_dir(), quick_dir());
    let (root, log) = (dir.path(), logs.path().join("log"));
    let (_tenancy, fleet) = open(root, 2);
    let until = Instant::now() + time;
    let mut kills = 0;
    let rounds = std::thread::scope(|scope| {
        let mender = scope.spawn(|| mend(&fleet, clock, until));
        let mut children = [1, 2].map(|release| start(root, &log, release, rng.next()));
        while Instant::now() < until && !mender.is_finished() {
            std::thread::sleep(Duration::from_millis(20 + rng.below(150)));
            if clock == Clock::Jumps {
                jump(&fleet, rng);
            }
            let release = 1 + rng.below(2) as usize;
            kill(&mut children[release - 1], &log);
            children[release - 1] = start(root, &log, release, rng.next());
            kills += 1;
        }
        for child in &mut children {
            kill(child, &log);
        }
        mender.join().expect("the mender finds no fault")
    });
    let said = std::fs::read_to_string(&log).expect("a log");
    drop((_tenancy, fleet));
    let checked = check(root, clock, &said);
    println!("{clock:?}: {kills} kills, {rounds} validations, {checked} tenants with a mark");
    assert!(checked > 0 && rounds > 0, "{said}");
    let failed: Vec<_> = said
        .lines()
        .filter(|l| l.starts_with("WARM_POOL "))
        .collect();
    assert!(clock == Clock::Jumps || failed.is_empty(), "{failed:?}");
}

fn kill(child: &mut Child, log: &Path) {
    child.kill().expect("it is ours to kill");
    let status = child.wait().expect("its end");
    let said = || std::fs::read_to_string(log).expect("a log");
    assert_eq!(status.signal(), Some(9), "{status}: {}", said());
}

fn jump(fleet: &SqliteFleet, rng: &mut Rng) {
    let raw = rusqlite::Connection::open(fleet.catalog().path()).expect("the catalog");
    raw.busy_timeout(PATIENCE).expect("a timeout");
    let hours = rng.below(5) as i64 - 2;
    let sql = "UPDATE stock SET at_ms = at_ms + ?1 * 3600000";
    raw.execute(sql, [hours]).expect("an update");
}

/// Mends what it can until then, and is told of nothing but ends that are under way.
fn mend(fleet: &SqliteFleet, clock: Clock, until: Instant) -> usize {
    let by = Actor::new("mender");
    let mut rounds = 0;
    while Instant::now() < until {
        let depth = [Depth::Names, Depth::Stamps][rounds % 2];
        let validation = fleet.validate(&ValidateOptions::new().depth(depth), |_| {});
        let validation = validation.expect("the root can be read");
        let expected = |code| match code {
            "half_retired" | "gone" | "behind" => true,
            // Made by who slept while his place was struck off the list.
            "orphan" => clock == Clock::Jumps,
            _ => false,
        };
        let odd = |finding: &&tenancy::sqlite::Finding| !expected(finding.code());
        let odd: Vec<_> = validation.findings.iter().filter(odd).collect();
        assert!(odd.is_empty(), "{odd:?}");
        for fixed in fleet.fix(&validation, &by, |_| {}) {
            let away = matches!(fixed.result, Ok(Repair::Quarantined(_)));
            assert!(!away || clock == Clock::Jumps, "{fixed:?}");
        }
        fleet.recover(&by).expect("the catalog can be asked");
        let rebuilt = SqliteFleet::rebuild_catalog(fleet.driver().root(), &by, |_| {});
        assert!(matches!(rebuilt, Err(RebuildError::InUse { .. })));
        rounds += 1;
    }
    rounds
}

/// Everybody who was told of a tenant finds it, and nothing of another's; so does who
/// signs up now.
fn check(root: &Path, clock: Clock, said: &str) -> usize {
    let of = |word: &str| -> BTreeSet<&str> {
        let lines = said.lines();
        lines.filter_map(|line| line.strip_prefix(word)).collect()
    };
    let (marked, ending) = (of("MARKED "), of("ENDING "));
    let (tenancy, fleet) = open(root, 2);
    let by = Actor::new("check");
    fleet.recover(&by).expect("what was begun is taken up");
    for name in marked.difference(&ending) {
        let tenant = tenancy.tenant(&id(name)).expect("it was acknowledged");
        assert_eq!(marks(&tenancy, &tenant), [*name]);
    }
    let raw = rusqlite::Connection::open(fleet.catalog().path()).expect("the catalog");
    let sql = "UPDATE stock SET at_ms = 0";
    raw.execute(sql, []).expect("what was begun lapses");
    for _ in 0..3 {
        let filled = fleet.fill_warm_pool(WARM_POOL, &by);
        assert_eq!(filled.expect("a warm pool").ready, WARM_POOL);
        for n in 0..WARM_POOL {
            let name = format!("late-{n}");
            let tenant = tenancy.create(id(&name)).expect("a tenant");
            assert!(marks(&tenancy, &tenant).is_empty());
            tenancy.destroy(&id(&name), PATIENCE).expect("its end");
        }
    }
    let all = fleet
        .catalog()
        .page_of_status(TenantStatus::Active, None, usize::MAX >> 1);
    for tenant in all.expect("all tenants") {
        let name = tenant.id().as_str();
        assert!(marks(&tenancy, &tenant).iter().all(|mark| mark == name));
    }
    for status in [TenantStatus::Retiring, TenantStatus::Provisioning] {
        let rest = fleet
            .catalog()
            .page_of_status(status, None, usize::MAX >> 1);
        for tenant in rest.expect("the rest") {
            tenancy.destroy(tenant.id(), PATIENCE).expect("its end");
        }
    }
    let options = ValidateOptions::new().depth(Depth::Full);
    let validation = fleet.validate(&options, |_| {}).expect("a look");
    let odd =
        |finding: &&tenancy::sqlite::Finding| clock == Clock::Steady || finding.code() != "orphan";
    let odd: Vec<_> = validation.findings.iter().filter(odd).collect();
    assert!(odd.is_empty(), "{odd:?}");
    marked.difference(&ending).count()
}
