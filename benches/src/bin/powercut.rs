//! The two sides of `scripts/powercuts`: a load on a storage root that says what was acknowledged, and a check of
//! what a power cut left of it.
//!
//! `powercut load ROOT ACKS SEED` creates, fills, retires, revives and destroys tenants until it is killed; ACKS
//! gets a line when a call has returned, and one before a call whose outcome a cut may leave open.
//! `powercut check ROOT ACKS` opens the root and fails unless everything that was acknowledged is there.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tenancy::catalog::Actor;
use tenancy::sqlite::{Depth, ValidateOptions};
use tenancy::sqlite::{Migration, Migrations, SqliteDriver, SqliteStorage, SqliteStorageBuilder};
use tenancy::{Rule, Tenancy, TenantId, TenantStatus, Upkeep};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["load", root, acks, seed] => load(Path::new(root), Path::new(acks), seed.parse()?),
        ["check", root, acks] => check(Path::new(root), Path::new(acks)),
        _ => Err("powercut load ROOT ACKS SEED | powercut check ROOT ACKS".into()),
    }
}

fn storage(root: &Path) -> Outcome<SqliteStorageBuilder> {
    let notes = Migration::new(
        "notes",
        "CREATE TABLE notes (tenant TEXT, n INTEGER) STRICT",
    );
    Ok(SqliteStorage::builder(root).migrations(Migrations::new([notes])?))
}

fn tenancy(storage: SqliteStorage) -> Outcome<Tenancy<SqliteDriver>> {
    let builder = Tenancy::builder(storage).resolver(|rules| rules.rule(Rule::domain()));
    Ok(builder.upkeep(Upkeep::Manual).build()?)
}

/// The tenants that a thread of the load has, each with the number of its rows.
type Own = BTreeMap<TenantId, u64>;

const THREADS: u64 = 3;
const TENANTS_EACH: usize = 12;
const PATIENCE: Duration = Duration::from_secs(10);

fn load(root: &Path, acks: &Path, seed: u64) -> Outcome<()> {
    let tenancy = tenancy(storage(root)?.create()?)?;
    let acks = OpenOptions::new().append(true).create(true).open(acks)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (tenancy, acks) = (&tenancy, &acks);
                scope.spawn(move || work(tenancy, acks, thread, seed ^ thread))
            })
            .collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| "a thread of the load panicked")??;
        }
        Ok(())
    })
}

fn work(tenancy: &Tenancy<SqliteDriver>, acks: &File, thread: u64, seed: u64) -> Outcome<()> {
    let (mut own, mut next, mut random) = (Own::new(), 0, Random(seed | 1));
    // One write each: lines of several threads do not mix.
    let ack = |line: String| -> Outcome<()> {
        let mut acks = acks;
        Ok(acks.write_all(line.as_bytes())?)
    };
    loop {
        let roll = random.below(100);
        if own.is_empty() || roll < 10 && own.len() < TENANTS_EACH {
            let id: TenantId = format!("t{thread}-{next}").parse()?;
            next += 1;
            tenancy.create(id.clone())?;
            ack(format!("made {id}\n"))?;
            own.insert(id, 0);
            continue;
        }
        let at = random.below(own.len() as u64) as usize;
        let (id, rows) = own.iter_mut().nth(at).ok_or("an index out of bounds")?;
        match roll {
            90..95 => {
                ack(format!("away {id}\n"))?;
                tenancy.retire(id, PATIENCE)?;
                tenancy.revive(id)?;
                ack(format!("back {id}\n"))?;
            }
            95.. => {
                let id = id.clone();
                ack(format!("going {id}\n"))?;
                tenancy.destroy(&id, PATIENCE)?;
                ack(format!("gone {id}\n"))?;
                own.remove(&id);
            }
            _ => {
                let connection = tenancy.checkout(&tenancy.tenant(id)?)?;
                let sql = "INSERT INTO notes VALUES (?1, ?2)";
                connection.execute(sql, (id.as_str(), rows.cast_signed()))?;
                *rows += 1;
                ack(format!("row {id}\n"))?;
            }
        }
    }
}

/// What is known of a tenant from the acknowledgements.
#[derive(Debug, Default)]
struct Known {
    rows: u64,
    /// It was being retired and revived at the cut.
    is_away: bool,
}

fn check(root: &Path, acks: &Path) -> Outcome<()> {
    let mut known = BTreeMap::<String, Known>::new();
    let (mut going, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for line in fs::read_to_string(acks)?.lines() {
        let (what, id) = line.split_once(' ').ok_or("a line without a tenant")?;
        match what {
            "going" => {
                known.remove(id);
                going.insert(id.to_owned());
            }
            "gone" => drop(gone.insert(id.to_owned())),
            _ => {
                let known = known.entry(id.to_owned()).or_default();
                known.rows += u64::from(what == "row");
                known.is_away = what == "away";
            }
        }
    }
    let storage = storage(root)?.open()?;
    let fleet = storage.fleet();
    let by = Actor::new("power cut");
    fleet.recover(&by)?;
    let options = ValidateOptions::new().depth(Depth::Full);
    let validation = fleet.validate(&options, |_| {})?;
    let tenancy = tenancy(storage)?;
    let mut faults = Vec::new();
    for finding in &validation.findings {
        match &finding.tenant {
            // Its file was removed before the cut, its row was not: a second call ends it.
            Some(tenant) if finding.code() == "gone" && going.contains(tenant.id.as_str()) => {
                tenancy.destroy(&tenant.id, PATIENCE)?;
            }
            _ => faults.push(finding.to_string()),
        }
    }
    for (id, known) in &known {
        if let Err(fault) = check_tenant(&tenancy, id, known) {
            faults.push(format!("{id}: {fault}"));
        }
    }
    for id in &gone {
        if tenancy.tenant(&id.parse()?).is_ok() {
            faults.push(format!(
                "{id}: its destruction was acknowledged, and it is there"
            ));
        }
    }
    // And it goes on: a new tenant, and a write.
    let id: TenantId = "after".parse()?;
    let after = tenancy.create(id)?;
    tenancy
        .checkout(&after)?
        .execute("INSERT INTO notes VALUES ('after', 0)", [])?;
    println!(
        "{} tenants with {} rows, {} destroyed or about to be, {} faults",
        known.len(),
        known.values().map(|known| known.rows).sum::<u64>(),
        going.len(),
        faults.len()
    );
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n").into()),
    }
}

fn check_tenant(tenancy: &Tenancy<SqliteDriver>, id: &str, known: &Known) -> Outcome<()> {
    let id: TenantId = id.parse()?;
    let tenant = match tenancy.tenant(&id)? {
        away if known.is_away && away.status() == TenantStatus::Retiring => tenancy.revive(&id)?,
        tenant => tenant,
    };
    let connection = tenancy.checkout(&tenant)?;
    let sql = "SELECT count(*), count(*) FILTER (WHERE tenant <> ?1), count(DISTINCT n) FROM notes";
    let (rows, foreign, distinct): (i64, i64, i64) =
        connection.query_row(sql, [id.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    // One more may have been committed and not yet said.
    let said = known.rows.cast_signed();
    let fits = (said..=said + 1).contains(&rows) && distinct == rows && foreign == 0;
    match fits {
        true => Ok(()),
        false => Err(format!(
            "{rows} rows, {foreign} of another tenant; {} were acknowledged",
            known.rows
        )
        .into()),
    }
}

/// xorshift64*, of which the upper bits are used.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
