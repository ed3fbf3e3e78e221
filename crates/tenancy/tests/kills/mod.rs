//! A process that works on ten tenants is killed, again and again: at a named step of
//! the life of a file, or wherever it happens to be. The next one takes up what is there,
//! compares it with the journal of what was acknowledged, finishes what was begun, and
//! goes on. Nothing may be lost, crossed or wedged.
//!
//! `TENANCY_KILLS` says how many kills, 200 unless said; `TENANCY_SEED` repeats a run's
//! choices.

mod journal;
mod worker;

pub use worker::quick_dir;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::str::FromStr;
use std::time::Duration;

use crate::util::Rng;

/// How long one process may take before it counts as wedged.
const PATIENCE: Duration = Duration::from_secs(60);
/// A root is left for a new one after so many kills: the mixture stays varied.
const KILLS_A_ROOT: usize = 40;

/// Where a process is to die.
#[derive(Debug, Clone)]
enum Death {
    /// At the n-th time that it comes to this step.
    Step(String, u64),
    /// After so many microseconds.
    After(u64),
    /// Never: it looks whether everything is as it should be, and ends.
    Never,
}

#[derive(Default)]
struct Campaign {
    kills: usize,
    by_time: usize,
    /// Steps that were passed, and how often a process was killed there.
    steps: BTreeMap<String, usize>,
}

#[test]
fn nothing_is_lost_crossed_or_wedged_by_kills() {
    let kills = from_env("TENANCY_KILLS", 200_usize);
    let seed = from_env("TENANCY_SEED", u64::from(std::process::id()));
    println!("TENANCY_KILLS={kills} TENANCY_SEED={seed}");
    let mut rng = Rng(seed);
    let mut campaign = Campaign::default();
    while campaign.kills < kills {
        let root = worker::quick_dir();
        let wanted = KILLS_A_ROOT.min(kills - campaign.kills);
        campaign.torment(root.path(), wanted, &mut rng);
    }
    for (step, kills) in &campaign.steps {
        println!("{kills:4} at {step}");
    }
    println!("{:4} somewhere", campaign.by_time);
    let missed: Vec<_> = campaign.steps.iter().filter(|(_, n)| **n == 0).collect();
    // Below the number of steps there is no room for all of them.
    assert!(
        missed.is_empty() || kills < 200,
        "never killed at {missed:?}"
    );
}

impl Campaign {
    fn torment(&mut self, root: &Path, wanted: usize, rng: &mut Rng) {
        let mut left = wanted;
        while left > 0 {
            let death = self.choose(rng);
            let output = live(root, rng.next(), &death);
            let text = String::from_utf8_lossy(&output.stdout);
            let steps = text.lines().filter_map(|line| line.strip_prefix("step "));
            for step in steps {
                self.steps.entry(step.to_owned()).or_default();
            }
            match (output.status.signal(), &death) {
                (Some(9), Death::Step(step, _)) => {
                    *self.steps.entry(step.clone()).or_default() += 1
                }
                (Some(9), _) => self.by_time += 1,
                // It came to its end before it came to the step.
                (None, _) if output.status.success() => continue,
                _ => panic!("{death:?}: {}", told(&output)),
            }
            self.kills += 1;
            left -= 1;
        }
        let output = live(root, rng.next(), &Death::Never);
        assert!(output.status.success(), "at the end: {}", told(&output));
    }

    /// Every third process dies by the clock, the others where fewest died so far.
    fn choose(&self, rng: &mut Rng) -> Death {
        let rarest = self.steps.iter().min_by_key(|(_, kills)| **kills);
        match rarest {
            Some((step, _)) if rng.below(3) > 0 => Death::Step(step.clone(), 1 + rng.below(2)),
            _ => Death::After(500 + rng.below(60_000)),
        }
    }
}

/// One process, from its start to its end.
fn live(root: &Path, seed: u64, death: &Death) -> Output {
    let (at, count) = match death {
        Death::Step(step, count) => (step.as_str(), *count),
        Death::After(_) => ("after a while", 0),
        Death::Never => ("never", 0),
    };
    let this = std::env::current_exe().expect("this binary");
    let root = root.to_str().expect("a path in UTF-8");
    let mut child = Command::new(this)
        .args(["--exact", "kills::plays_its_role", "--nocapture"])
        .env(
            ROLE,
            [root, &seed.to_string(), at, &count.to_string()].join("\n"),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child process");
    if let Death::After(micros) = death {
        // From its first sign of life on.
        worker::wait_until_verified(Path::new(root), seed, &mut child);
        std::thread::sleep(Duration::from_micros(*micros));
        child.kill().expect("it is ours to kill");
    }
    end_of(child, seed)
}

fn end_of(child: Child, seed: u64) -> Output {
    let id = child.id();
    let (done, waits) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || done.send(child.wait_with_output()));
    let output = waits.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let id = i32::try_from(id)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a pid");
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        panic!("seed {seed}: a process is wedged")
    });
    let _ = waiter.join();
    output.expect("its output")
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

pub fn from_env<N: FromStr>(name: &str, default: N) -> N {
    std::env::var(name).ok().map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}"))
    })
}

const ROLE: &str = "TENANCY_KILLS_ROLE";

/// What a child process does; on its own it has no role and passes.
#[test]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let role: Vec<_> = role.lines().collect();
    let [root, seed, step, count] = role[..] else {
        panic!("root, seed, step, count")
    };
    let number = |text: &str| text.parse().expect("a number");
    worker::live(Path::new(root), number(seed), step, number(count));
}
