//! `flood [HOSTS]`: so many distinct hosts that nobody has (10,000,000 unless said) are asked for by one thread while
//! another asks for known tenants; once with a full copy of the catalog and once with a bounded cache. Prints for each
//! how much memory that took, how often the catalog was asked, and how long a known tenant waited before and meanwhile.
//!
//! Panics when an answer is wrong or a known tenant was pushed out. `scripts/flood` holds the figures to their bounds.

use std::env;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use tenancy_benches::mix::{Request, Spread, Text};
use tenancy_benches::rivals::Contender;
use tenancy_benches::world::World;
use tenancy_core::{
    Catalog, CatalogError, Changes, MemoryCatalog, Method, Reason, RequestHead, Resolver, Tenant,
    TenantKey, Version, Versioned,
};

const TENANTS: usize = 10_000;
/// Requests for known tenants that are timed one by one, before.
const KNOWN: usize = 1 << 20;
/// At most so many times are kept: the last ones.
const KEPT: usize = 1 << 22;

fn main() -> Result<(), String> {
    let hosts = env::args().nth(1).map_or(Ok(10_000_000), |n| n.parse());
    let hosts = hosts.map_err(|e| format!("HOSTS: {e}"))?;
    let world = World::new(TENANTS);
    let text = Text::draw(&world, Spread::Zipf, KNOWN / 8);
    for (name, max_tenants) in [("copy", usize::MAX), ("cache", 0)] {
        let catalog = Arc::new(Counting::new(&world));
        let resolver = world.resolver_with(catalog.clone(), |r| r.max_tenants(max_tenants));
        println!("{}", flood(name, hosts, &world, &text, &catalog, &resolver));
    }
    Ok(())
}

fn flood(
    name: &str,
    hosts: u64,
    world: &World,
    text: &Text,
    catalog: &Counting,
    resolver: &Resolver,
) -> String {
    let known = text.requests();
    let known = known.requests();
    let ask = |request: &Request<'_>| {
        let began = Instant::now();
        let answer = black_box(resolver.answer(request));
        let took = began.elapsed().as_nanos() as u64;
        let right = answer
            .tenant
            .is_none_or(|t| t == *world.tenant(request.tenant as usize));
        assert!(right, "{request:?}");
        took
    };
    // Everything that is known is in memory, and every page that is timed has been touched.
    known.iter().for_each(|request| _ = ask(request));
    let mut before: Vec<u64> = known.iter().cycle().take(KNOWN).map(ask).collect();
    let mut during = vec![u64::MAX; KEPT];
    let asked_before = catalog.asked();
    let resident = resident_kib();
    let done = AtomicBool::new(false);
    let (mut asked, mut growth, mut seconds) = (0, 0, 0.0);
    thread::scope(|scope| {
        let (growth, seconds) = (&mut growth, &mut seconds);
        let done = &done;
        scope.spawn(move || {
            let began = Instant::now();
            for number in 0..hosts {
                stranger(number, resolver);
            }
            *seconds = began.elapsed().as_secs_f64();
            *growth = resident_kib().saturating_sub(resident);
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            for request in known.iter().cycle().skip(asked % known.len()).take(256) {
                during[asked % KEPT] = ask(request);
                asked += 1;
            }
        }
    });
    let asked_after = catalog.asked();
    let [strangers, pushed_out, polls] = [0, 1, 2].map(|i| asked_after[i] - asked_before[i]);
    assert_eq!(pushed_out, 0, "known tenants were asked for again");
    during.truncate(asked);
    let (before, during) = (p99(&mut before), p99(&mut during));
    format!(
        "{{\"memory\":\"{name}\",\"hosts\":{hosts},\"seconds\":{seconds:.1},\"resident_growth_mib\":{:.1},\
         \"catalog_calls\":{strangers},\"polls\":{polls},\"known\":{asked},\"known_p99_ns_before\":{before},\
         \"known_p99_ns_during\":{during},\"ratio\":{:.2}}}",
        growth as f64 / 1024.0,
        during as f64 / before as f64
    )
}

/// A host that nobody has and nobody asked for before: a domain, a label under a base, a long name.
fn stranger(number: u64, resolver: &Resolver) {
    let host = match number % 4 {
        0 | 1 => format!("shop{number:x}.flood.example"),
        2 => format!("flood-{number:x}.app.example"),
        _ => format!("a-name-that-is-too-long-for-a-key.shop{number:x}.flood.example"),
    };
    let head = RequestHead::new(Method::Get, "/").host(&host);
    let refused = resolver.resolve(&head).map_err(|refused| refused.reason());
    let want = match number % 4 {
        2 => Reason::UnknownTenant,
        _ => Reason::NoTenant,
    };
    assert_eq!(refused.err(), Some(want), "{host}");
}

fn p99(times: &mut [u64]) -> u64 {
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100]
}

/// What this process has in memory, by the kernel's count.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|n| n.parse().ok())
        .expect("VmRSS is a number of kB")
}

/// The catalog of a world, and how often it was asked.
struct Counting {
    catalog: Arc<MemoryCatalog>,
    /// For strangers, for everybody else, and for changes.
    asked: [AtomicU64; 3],
}

impl Counting {
    fn new(world: &World) -> Self {
        Self {
            catalog: world.catalog().clone(),
            asked: Default::default(),
        }
    }

    fn asked(&self) -> [u64; 3] {
        [0, 1, 2].map(|i: usize| self.asked[i].load(Ordering::Relaxed))
    }
}

impl Catalog for Counting {
    fn lookup(&self, key: TenantKey<'_>) -> Result<Versioned<Option<Tenant>>, CatalogError> {
        let answer = self.catalog.lookup(key)?;
        let whose = usize::from(answer.value.is_some());
        self.asked[whose].fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    fn changes(&self, since: Version, max: usize) -> Result<Option<Changes>, CatalogError> {
        self.asked[2].fetch_add(1, Ordering::Relaxed);
        self.catalog.changes(since, max)
    }
}
