//! `writes [TENANTS [WRITES]]`: adds so many tenants to an index that holds TENANTS already (1,000,000 and 700,000
//! unless said), one sync each, so that every table in it grows at some time; then suspends and resumes one of them as
//! often. Prints the median and the worst, in nanoseconds of processor time, and what reading that clock takes.

use std::env;
use std::time::Duration;

use tenancy_benches::writes::{Written, thread_cpu};

fn main() -> Result<(), String> {
    let args = env::args().skip(1).map(|arg| arg.parse::<usize>());
    let args: Vec<usize> = args.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let tenants = args.first().copied().unwrap_or(1_000_000);
    let writes = args.get(1).copied().unwrap_or(700_000).max(1);
    let mut index = Written::new(tenants);
    let adds = Times::of(writes, || index.add());
    let suspends = Times::of(writes, || index.suspend());
    let removals = Times::of(writes, || index.remove());
    let clock = Times::of(writes, || {
        let start = thread_cpu();
        thread_cpu() - start
    });
    println!(
        "{{\"tenants\":{tenants},\"writes\":{writes},\"add\":{adds},\"suspend\":{suspends},\
         \"remove\":{removals},\"clock\":{clock}}}"
    );
    Ok(())
}

/// How long each of many took, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn of(count: usize, mut once: impl FnMut() -> Duration) -> Self {
        let mut times: Vec<_> = (0..count).map(|_| once()).collect();
        times.sort();
        Self(times)
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |part: usize| self.0[(self.0.len() - 1) * part / 1000].as_nanos();
        let (median, most, worst) = (at(500), at(999), at(1000));
        write!(
            f,
            "{{\"median_ns\":{median},\"p99.9_ns\":{most},\"worst_ns\":{worst}}}"
        )
    }
}
