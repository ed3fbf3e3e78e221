//! `hostile [WORD]`: the cost of hostile statements on a checked-out connection with a deadline of
//! 50 ms: the time until it ended, the peak of the process's memory, and how it ended. Each
//! statement runs in a process of its own, which is killed after 20 s or at 3 GiB; rows that end in
//! "bound" have `max_memory` at 256 MiB. Only the rows whose name contains WORD; all of them by
//! default.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use r2d2::ManageConnection;
use rusqlite::Connection;
use tenancy_core::{Provisioner, Tenant};
use tenancy_pool::Driver;
use tenancy_sqlite::SqliteStorage;

const DEADLINE: Duration = Duration::from_millis(50);
const MOST_TIME: Duration = Duration::from_secs(20);
const MOST_KIB: u64 = 3 << 20;

/// A name, statements that prepare it without a deadline, and the statement.
type Row = (&'static str, String, String);

fn long(bytes: usize, of: &str) -> String {
    format!("printf('%.*c', {bytes}, '{of}')")
}

fn doubling(levels: usize) -> String {
    let next = |n| format!("c{n} AS (SELECT a.x FROM c{0} a, c{0} b)", n - 1);
    let levels: Vec<_> = (1..=levels).map(next).collect();
    format!(
        "WITH c0(x) AS (SELECT 1), {} SELECT count(*) FROM c{}",
        levels.join(", "),
        levels.len()
    )
}

fn unions(levels: usize) -> String {
    let next = |n| {
        format!(
            "c{n}(x) AS (SELECT x FROM c{0} UNION ALL SELECT x FROM c{0})",
            n - 1
        )
    };
    let levels: Vec<_> = (1..=levels).map(next).collect();
    format!(
        "WITH c0(x) AS (SELECT 1), {} SELECT count(*) FROM c{}",
        levels.join(", "),
        levels.len()
    )
}

fn views(count: usize) -> String {
    let next = |n| format!("CREATE VIEW v{n} AS SELECT x FROM v{};", n - 1);
    let views: String = (1..=count).map(next).collect();
    format!("CREATE VIEW v0 AS SELECT 1 AS x; {views}")
}

fn view_tree(count: usize) -> String {
    let next = |n| {
        format!(
            "CREATE VIEW v{n} AS SELECT x FROM v{0} UNION ALL SELECT x FROM v{0};",
            n - 1
        )
    };
    let views: String = (1..=count).map(next).collect();
    format!("CREATE VIEW v0 AS SELECT 1 AS x; {views}")
}

fn rows() -> Vec<Row> {
    const M: usize = 1 << 20;
    let none = String::new;
    let endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n";
    let repeat = |what: &str, times: usize| vec![what; times].join(", ");
    let array = format!(
        "CREATE TABLE j AS SELECT '[' || replace({}, 'a', '1,') || '1]' AS x",
        long(7 * M, "a")
    );
    let texts = "CREATE VIRTUAL TABLE f USING fts5(t); INSERT INTO f VALUES (replace(printf('%.*c', 1000000, 'x'), 'x', 'a b '))";
    let old = texts.replace("fts5(t)", "fts4(t)");
    let words = vec!["a"; 60].join(" OR ");
    vec![
        (
            "endless recursion",
            none(),
            format!("{endless}) SELECT count(*) FROM n"),
        ),
        (
            "instr 15 MB in 1 MB",
            none(),
            format!(
                "SELECT instr({}, {} || 'b')",
                long(15 * M, "a"),
                long(M, "a")
            ),
        ),
        (
            "replace 15 MB of 1 MB",
            none(),
            format!(
                "SELECT length(replace({}, {} || 'b', 'c'))",
                long(15 * M, "a"),
                long(M, "a")
            ),
        ),
        (
            "trim 15 MB of 1 MB",
            none(),
            format!(
                "SELECT length(trim({}, {} || 'a'))",
                long(15 * M, "a"),
                long(M, "b")
            ),
        ),
        (
            "ltrim 15 MB of 1 MB",
            none(),
            format!(
                "SELECT length(ltrim({}, {} || 'a'))",
                long(15 * M, "a"),
                long(M, "b")
            ),
        ),
        (
            "json_patch",
            format!(
                "CREATE TABLE j AS {endless} LIMIT 60000) SELECT json_group_object(i, i) AS x FROM n"
            ),
            "SELECT length(json_patch(x, x)) FROM j".into(),
        ),
        (
            "json_remove, 90 paths of 14 MB",
            array.clone(),
            format!(
                "SELECT length(json_remove(x, {})) FROM j",
                repeat("'$[0]'", 90)
            ),
        ),
        (
            "json_remove, 900 paths of 14 MB",
            array.clone(),
            format!(
                "SELECT length(json_remove(x, {})) FROM j",
                repeat("'$[0]'", 900)
            ),
        ),
        (
            "json_set, 500 paths of 14 MB",
            array.clone(),
            format!(
                "SELECT length(json_set(x, {})) FROM j",
                repeat("'$[0]', 2", 250)
            ),
        ),
        (
            "4,000 calls without a jump",
            none(),
            format!(
                "SELECT {} FROM (SELECT zeroblob(8000000) AS x)",
                repeat(&vec!["length(hex(x))"; 40].join(" + "), 100)
            ),
        ),
        (
            "fts5 highlight",
            texts.into(),
            "SELECT length(highlight(f, 0, '<b>', '</b>')) FROM f WHERE f MATCH 'a'".into(),
        ),
        (
            "fts5 snippet",
            texts.into(),
            "SELECT length(snippet(f, 0, '<b>', '</b>', '', 64)) FROM f WHERE f MATCH 'a OR b'"
                .into(),
        ),
        (
            "fts5 bm25, 60 phrases",
            texts.into(),
            format!("SELECT bm25(f) FROM f WHERE f MATCH '{words}'"),
        ),
        (
            "fts5 rank, 60 phrases",
            texts.into(),
            format!("SELECT rank FROM f WHERE f MATCH '{words}' ORDER BY rank"),
        ),
        (
            "fts4 snippet",
            old.clone(),
            "SELECT length(snippet(f)) FROM f WHERE f MATCH 'a OR b'".into(),
        ),
        (
            "fts4 offsets",
            old.clone(),
            "SELECT length(offsets(f)) FROM f WHERE f MATCH 'a OR b'".into(),
        ),
        (
            "fts4 matchinfo",
            old,
            format!("SELECT length(matchinfo(f, 'pcnalx')) FROM f WHERE f MATCH '{words}'"),
        ),
        (
            "randomblob in 100 columns",
            none(),
            format!("SELECT {}", repeat("randomblob(16000000)", 100)),
        ),
        (
            "randomblob in 190 columns",
            none(),
            format!("SELECT {}", repeat("randomblob(16000000)", 190)),
        ),
        (
            "randomblob in 190 columns, bound",
            none(),
            format!("SELECT {}", repeat("randomblob(16000000)", 190)),
        ),
        (
            "randomblob in 1,900 columns",
            none(),
            format!("SELECT {}", repeat("randomblob(16000000)", 1_900)),
        ),
        (
            "group_concat of hex",
            none(),
            format!(
                "{endless} LIMIT 100) SELECT length(group_concat(hex(randomblob(8000000)))) FROM n"
            ),
        ),
        (
            "sort of long values",
            none(),
            format!(
                "{endless} LIMIT 400) SELECT length(x) FROM (SELECT randomblob(15000000) AS x FROM n) ORDER BY x"
            ),
        ),
        ("400 nested views", views(400), "SELECT * FROM v400".into()),
        (
            "views of two views each, 16",
            view_tree(16),
            "SELECT count(*) FROM v16".into(),
        ),
        (
            "views of two views each, 20",
            view_tree(20),
            "SELECT count(*) FROM v20".into(),
        ),
        (
            "views of two views each, 20, bound",
            view_tree(20),
            "SELECT count(*) FROM v20".into(),
        ),
        ("joined CTEs, 14 levels", none(), doubling(14)),
        ("joined CTEs, 20 levels", none(), doubling(20)),
        ("union CTEs, 14 levels", none(), unions(14)),
        ("union CTEs, 20 levels", none(), unions(20)),
        ("union CTEs, 24 levels", none(), unions(24)),
        ("union CTEs, 24 levels, bound", none(), unions(24)),
        (
            "LIKE of 15 MB",
            none(),
            format!(
                "SELECT {} LIKE replace({}, 'x', '%a') || 'b'",
                long(15 * M, "a"),
                long(490, "x")
            ),
        ),
        (
            "GLOB of 15 MB",
            none(),
            format!(
                "SELECT {} GLOB replace({}, 'x', '*a') || 'b'",
                long(15 * M, "a"),
                long(490, "x")
            ),
        ),
        (
            "LIKE of 15 MB, a pattern of 1,000 bytes",
            none(),
            format!(
                "SELECT {} LIKE '%' || {} || 'b'",
                long(15 * M, "a"),
                long(998, "a")
            ),
        ),
        (
            "LIKE of 15 MB, a pattern of 256 bytes",
            none(),
            format!(
                "SELECT {} LIKE '%' || {} || 'b'",
                long(15 * M, "a"),
                long(254, "a")
            ),
        ),
        (
            "printf of 2 GB",
            none(),
            "SELECT length(printf('%.*c', 2000000000, 'x'))".into(),
        ),
        (
            "a join of 64 tables",
            "CREATE TABLE t (x)".into(),
            format!("SELECT count(*) FROM {}", repeat("t", 64)),
        ),
        (
            "a value list of 20,000 rows",
            none(),
            format!("SELECT count(*) FROM (VALUES {})", repeat("(1)", 20_000)),
        ),
        (
            "IN with 100,000 values",
            none(),
            format!("SELECT 1 IN ({})", repeat("1", 100_000)),
        ),
        (
            "json_each of 15 MB",
            none(),
            format!(
                "SELECT count(*) FROM json_each('[' || replace({}, 'a', '1,') || '1]')",
                long(7 * M, "a")
            ),
        ),
        (
            "quote, hex and unhex nested",
            none(),
            format!("SELECT length(quote(unhex(hex({}))))", long(7 * M, "a")),
        ),
        (
            "rtree of many rows",
            "CREATE VIRTUAL TABLE r USING rtree(id, a, b)".into(),
            format!("INSERT INTO r SELECT i, i, i + 1 FROM ({endless}) SELECT i FROM n)"),
        ),
        (
            "integrity_check of 60 MB",
            format!(
                "CREATE TABLE t (x); CREATE INDEX i ON t (x); INSERT INTO t {endless} LIMIT 60) SELECT randomblob(1000000) FROM n"
            ),
            "PRAGMA integrity_check".into(),
        ),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [one, name, root, locator] = &args[..]
        && one == "one"
    {
        return measure(name, Path::new(root), locator);
    }
    let word = args.first().map_or("", String::as_str);
    println!("| statement | time | peak memory | end |\n|---|---|---|---|");
    for (name, ..) in rows().iter().filter(|row| row.0.contains(word)) {
        let root = tempfile::tempdir()?;
        let driver = SqliteStorage::builder(root.path()).create_driver()?;
        let place = driver.place(&"acme".parse()?)?;
        driver.provision(&tenant(&place.locator)?)?;
        let child = Command::new(std::env::current_exe()?)
            .args(["one", name])
            .arg(root.path())
            .arg(&*place.locator)
            .stdout(Stdio::piped())
            .spawn()?;
        println!("| {name} | {} |", watch(child)?);
    }
    Ok(())
}

fn tenant(locator: &str) -> Result<Tenant, Box<dyn Error>> {
    let place = tenancy_core::Placement::new("sqlite", locator);
    Ok(Tenant::builder("acme".parse()?).placement(place).build()?)
}

/// The child's own words, or what was seen of it until it was killed.
fn watch(mut child: Child) -> Result<String, Box<dyn Error>> {
    let (began, mut peak) = (Instant::now(), 0);
    while child.try_wait()?.is_none() {
        peak = kib("VmRSS", child.id()).max(peak);
        if began.elapsed() > MOST_TIME || peak > MOST_KIB {
            child.kill()?;
            let took = began.elapsed().as_secs_f64();
            child.wait()?;
            return Ok(format!("> {took:.1} s | > {} MiB | killed", peak >> 10));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn measure(name: &str, root: &Path, locator: &str) -> Result<(), Box<dyn Error>> {
    let rows = rows();
    let row = rows.iter().find(|row| row.0 == name);
    let (_, prepare, sql) = row.ok_or("no such statement")?;
    let mut storage = SqliteStorage::builder(root);
    if name.ends_with(", bound") {
        storage = storage.max_memory(256 << 20);
    }
    let driver = storage.open_driver()?;
    let connection = driver.manager(&tenant(locator)?).connect()?;
    connection.execute_batch(prepare)?;
    let deadline = connection.deadline(DEADLINE)?;
    let began = Instant::now();
    let ended = run(&connection, sql);
    let took = began.elapsed();
    drop(deadline);
    let end = match ended {
        Ok(()) => "done".to_owned(),
        Err(error) => {
            let text: String = error.to_string().chars().take(60).collect();
            text.replace('\n', " ")
        }
    };
    let peak = kib("VmHWM", std::process::id()) >> 10;
    println!("{:.3} s | {peak} MiB | {end}", took.as_secs_f64());
    Ok(())
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn kib(what: &str, process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
