//! Threads that compete for connections, and the waits of each.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use r2d2::ManageConnection;
use tenancy_core::Tenant;
use tenancy_pool::Driver;

use crate::rng::Rng;
use crate::size;

/// The arguments of the command line.
pub struct Options {
    /// The requested scenarios; all if empty.
    pub only: Vec<String>,
    /// The duration of a run.
    pub run: Duration,
    /// The number of runs.
    pub runs: usize,
}

impl Options {
    /// Reads the command line.
    pub fn read() -> Self {
        let mut options = Self {
            only: Vec::new(),
            run: Duration::from_millis(size(2000, 50) as u64),
            runs: size(5, 1),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut number = || {
                let text = args.next().expect("a number follows");
                text.parse::<u64>().expect("it is a number")
            };
            match arg.as_str() {
                "--seconds" => options.run = Duration::from_secs(number()),
                "--runs" => options.runs = number() as usize,
                "--bench" | "--test" => {}
                _ => options.only.push(arg),
            }
        }
        options
    }
}

/// The time for which a connection is held.
#[derive(Clone, Copy)]
pub enum Hold {
    /// Microseconds asleep, as for a server that works.
    Sleep(u64),
    /// Microseconds busy.
    Spin(u64),
    /// The time of a point SELECT.
    Query,
}

impl Hold {
    fn time(self) {
        match self {
            Self::Sleep(us) => std::thread::sleep(Duration::from_micros(us)),
            Self::Spin(us) => {
                let (began, time) = (Instant::now(), Duration::from_micros(us));
                while began.elapsed() < time {
                    std::hint::spin_loop();
                }
            }
            Self::Query => {}
        }
    }
}

/// The number of open connections, and its highest value.
#[derive(Default)]
pub struct Gauge {
    live: AtomicU32,
    peak: AtomicU32,
}

/// A manager that counts the connections of another one.
#[derive(Clone)]
pub struct Counting<T> {
    inner: T,
    /// The counts of open connections.
    pub gauge: Arc<Gauge>,
}

/// A connection that is counted. Fields are dropped in order: it is counted until it is dropped.
pub struct Counted<C> {
    /// The connection itself.
    pub connection: C,
    _alive: Alive,
}

struct Alive(Arc<Gauge>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<M: ManageConnection> ManageConnection for Counting<M> {
    type Connection = Counted<M::Connection>;
    type Error = M::Error;

    fn connect(&self) -> Result<Self::Connection, M::Error> {
        let live = self.gauge.live.fetch_add(1, Ordering::Relaxed) + 1;
        let alive = Alive(self.gauge.clone());
        self.gauge.peak.fetch_max(live, Ordering::Relaxed);
        Ok(Counted {
            connection: self.inner.connect()?,
            _alive: alive,
        })
    }

    fn is_valid(&self, counted: &mut Self::Connection) -> Result<(), M::Error> {
        self.inner.is_valid(&mut counted.connection)
    }

    fn has_broken(&self, counted: &mut Self::Connection) -> bool {
        self.inner.has_broken(&mut counted.connection)
    }
}

impl<D: Driver> Driver for Counting<D> {
    type Manager = Counting<D::Manager>;

    fn manager(&self, tenant: &Tenant) -> Self::Manager {
        Counting {
            inner: self.inner.manager(tenant),
            gauge: self.gauge.clone(),
        }
    }

    fn descriptors(&self) -> u32 {
        self.inner.descriptors()
    }
}

/// A driver that counts its connections.
pub fn counting<D>(inner: D) -> Counting<D> {
    Counting {
        inner,
        gauge: Arc::default(),
    }
}

/// The repeated work of one thread.
pub struct Role {
    /// Draws the tenant of the next check-out.
    pub who: Box<dyn Fn(&mut Rng) -> usize + Send + Sync>,
    /// The time for which it holds the connection.
    pub hold: Hold,
    /// The pause between two check-outs.
    pub pause: Option<Duration>,
    /// Whether its waits are counted.
    pub counts: bool,
}

impl Role {
    /// Returns a role that always uses this tenant, without a pause.
    pub fn of(tenant: usize, hold: Hold) -> Self {
        Self {
            who: Box::new(move |_| tenant),
            hold,
            pause: None,
            counts: true,
        }
    }
}

/// The measurements of one run.
pub struct Measured {
    ops_per_s: f64,
    /// Median, 99 %, 99.9 % and longest, in microseconds.
    waits: [f64; 4],
    slowest_over_fastest: f64,
    peak: u32,
}

/// Runs every role on a thread for a while. `take` checks out a connection of a tenant and returns
/// its wait; the connection is given back when it is dropped.
pub fn race<G>(
    roles: &[Role],
    time: Duration,
    gauge: &Gauge,
    take: impl Fn(usize) -> G + Sync,
    query: impl Fn(&G, usize) + Sync,
) -> Measured {
    let (stop, start) = (AtomicBool::new(false), Barrier::new(roles.len() + 1));
    let open = gauge.live.load(Ordering::Relaxed);
    gauge.peak.store(open, Ordering::Relaxed);
    let work = |number: usize, role: &Role| {
        let mut rng = Rng::new(number as u64);
        let mut waits: Vec<u32> = Vec::with_capacity(1 << 16);
        start.wait();
        while !stop.load(Ordering::Relaxed) {
            let tenant = (role.who)(&mut rng);
            let asked = Instant::now();
            let taken = take(tenant);
            let waited = asked.elapsed().as_nanos();
            query(&taken, tenant);
            role.hold.time();
            drop(taken);
            waits.push(u32::try_from(waited).unwrap_or(u32::MAX));
            if let Some(pause) = role.pause {
                std::thread::sleep(pause);
            }
        }
        waits
    };
    let mut took = Duration::ZERO;
    let waits: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let (work, roles) = (&work, roles.iter().enumerate());
        let threads: Vec<_> = roles
            .map(|(number, role)| scope.spawn(move || work(number, role)))
            .collect();
        start.wait();
        let began = Instant::now();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        took = began.elapsed();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|waits| waits.expect("no panic")).collect()
    });
    let counted = waits.into_iter().zip(roles).filter(|(_, role)| role.counts);
    let waits: Vec<_> = counted.map(|(waits, _)| waits).collect();
    Measured::of(&waits, took, gauge.peak.load(Ordering::Relaxed))
}

impl Measured {
    fn of(threads: &[Vec<u32>], took: Duration, peak: u32) -> Self {
        let ops = threads.iter().map(Vec::len);
        let (slowest, fastest) = (ops.clone().min(), ops.max());
        let (slowest, fastest) = (slowest.unwrap_or(0), fastest.unwrap_or(0));
        let mut all: Vec<u32> = threads.iter().flatten().copied().collect();
        assert!(!all.is_empty(), "nobody got a connection");
        all.sort_unstable();
        let at = |part: f64| {
            let index = (all.len() as f64 * part) as usize;
            f64::from(all[index.min(all.len() - 1)]) / 1e3
        };
        Self {
            ops_per_s: all.len() as f64 / took.as_secs_f64(),
            waits: [at(0.5), at(0.99), at(0.999), at(1.0)],
            slowest_over_fastest: slowest as f64 / fastest as f64,
            peak,
        }
    }
}

/// A contender: its name, its bound if it has one, and a run.
pub struct Contender<'a> {
    /// The name of the contender.
    pub who: &'static str,
    /// The bound of its connections.
    pub bound: u32,
    /// Whether it has to keep that bound.
    pub is_strict: bool,
    /// The function that runs it once.
    pub run: Box<dyn Fn() -> Measured + 'a>,
}

/// Runs all contenders, and prints the medians of each as a JSON line.
pub fn report(scenario: &str, options: &Options, contenders: &[Contender<'_>]) {
    let mut measured: Vec<Vec<Measured>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.runs {
        for (contender, of) in contenders.iter().zip(&mut measured) {
            of.push((contender.run)());
        }
    }
    for (contender, of) in contenders.iter().zip(&measured) {
        let median = |figure: &dyn Fn(&Measured) -> f64| {
            let mut figures: Vec<_> = of.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let [p50, p99, p999, max] = [0, 1, 2, 3].map(|at| median(&|of| of.waits[at]));
        let peak = of.iter().map(|of| of.peak).max().expect("it ran");
        let (who, bound) = (contender.who, contender.bound);
        assert!(peak <= bound || !contender.is_strict, "{peak} were open");
        println!(
            "{{\"scenario\":\"{scenario}\",\"who\":\"{who}\",\"ops_per_s\":{:.0},\
             \"p50_us\":{p50:.2},\"p99_us\":{p99:.2},\"p999_us\":{p999:.2},\"max_us\":{max:.2},\
             \"slowest_over_fastest\":{:.3},\"peak_open\":{peak},\"bound\":{bound}}}",
            median(&|of| of.ops_per_s),
            median(&|of| of.slowest_over_fastest),
        );
    }
}
