//! Finding a request's tenant and class: the resolver, the bare lookup and what else people write, on the same requests.
//! `bare` reads the record where it lies; `bare-owned` takes a handle of it, as the resolver does.
//!
//! `cargo bench -p tenancy-benches --bench resolver -- resolve/1m-zipf` runs one group; nothing else is built then.

use std::cell::{LazyCell, RefCell};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tenancy_benches::mix::{Mix, Request, SEQUENCE, Spread, Text};
use tenancy_benches::rivals::{Answer, Bare, Contender, P1, P2, P4};
use tenancy_benches::size;
use tenancy_benches::world::World;
use tenancy_benches::writes::Written;
use tenancy_core::Resolver;

/// Times one contender. `cursor` outlives the samples, so that they walk the sequence on.
fn time(
    bencher: &mut Bencher<'_>,
    mix: &Mix<'_>,
    cursor: &mut usize,
    mut answer: impl FnMut(&Request<'_>) -> u64,
) {
    bencher.iter_custom(|steps| {
        let start = Instant::now();
        black_box(mix.drive(cursor, steps, &mut answer));
        start.elapsed()
    });
}

/// Panics unless a rival finds the same tenant as the resolver for every request, and the
/// same class wherever the path has no escapes, which rivals do not read.
fn agree(mix: &Mix<'_>, resolver: &Resolver, rival: &impl Contender, name: &str) {
    for request in mix.requests() {
        let (ours, theirs) = (resolver.answer(request), rival.answer(request));
        assert_eq!(ours.tenant, theirs.tenant, "{name} differs on {request:?}");
        assert_eq!(ours.class, theirs.class, "{name} differs on {request:?}");
    }
}

/// Panics unless the resolver finds who is meant, or skips an asset, and so does the map.
fn right(mix: &Mix<'_>, world: &World, resolver: &Resolver, bare: &Bare) {
    for request in mix.requests() {
        let meant = Some(world.tenant(request.tenant as usize));
        assert_eq!(bare.get(request.canonical), meant, "{request:?}");
        let Answer { tenant, .. } = resolver.answer(request);
        if !request.target.starts_with("/assets/") {
            assert_eq!(tenant.as_ref(), meant, "{request:?}");
        } else {
            assert_eq!(tenant, None, "{request:?}");
        }
    }
}

fn resolve(c: &mut Criterion) {
    for (name, count) in [
        ("10", 10),
        ("10k", size(10_000, 2_000)),
        ("1m", size(1_000_000, 20_000)),
    ] {
        let world = LazyCell::new(|| World::new(count));
        let resolver = LazyCell::new(|| world.resolver());
        let bare = LazyCell::new(|| Bare::new(&world));
        let p4 = LazyCell::new(|| P4::new(&world));
        for spread in Spread::ALL {
            let text = LazyCell::new(|| Text::draw(&world, spread, size(SEQUENCE, 4096)));
            let mix = LazyCell::new(|| {
                let mix = text.requests();
                right(&mix, &world, &resolver, &bare);
                mix
            });
            let mut group = c.benchmark_group(format!("resolve/{name}-{}", spread.as_str()));
            let mut cursor = 0;
            group.bench_function("tenancy", |b| {
                time(b, &mix, &mut cursor, |r| resolver.answer(r).digest());
            });
            let mut cursor = 0;
            group.bench_function("bare", |b| {
                time(b, &mix, &mut cursor, |r| {
                    bare.get(r.canonical).map_or(0, |t| t.version().0)
                });
            });
            let mut cursor = 0;
            group.bench_function("bare-owned", |b| {
                time(b, &mix, &mut cursor, |r| {
                    let tenant = bare.get(r.canonical).cloned();
                    tenant.map_or(0, |t| t.version().0)
                });
            });
            let agreed = LazyCell::new(|| agree(&mix, &resolver, &*p4, "p4"));
            let mut cursor = 0;
            group.bench_function("p4", |b| {
                LazyCell::force(&agreed);
                time(b, &mix, &mut cursor, |r| p4.answer(r).digest());
            });
            if name == "1m" && spread == Spread::Zipf {
                let rival = LazyCell::new(|| {
                    let rival = P1::new(&world);
                    agree(&mix, &resolver, &rival, "p1");
                    rival
                });
                let mut cursor = 0;
                group.bench_function("p1", |b| {
                    time(b, &mix, &mut cursor, |r| rival.answer(r).digest());
                });
                let rival = LazyCell::new(|| {
                    let rival = P2::new(&world);
                    agree(&mix, &resolver, &rival, "p2");
                    rival
                });
                let mut cursor = 0;
                group.bench_function("p2", |b| {
                    time(b, &mix, &mut cursor, |r| rival.answer(r).digest());
                });
            }
        }
    }
}

/// Adds and suspends one tenant where a million are, in processor time; the bin `writes` has the worst of them.
fn write(c: &mut Criterion) {
    let index = LazyCell::new(|| RefCell::new(Written::new(size(1_000_000, 20_000))));
    let mut group = c.benchmark_group("write");
    group.bench_function("add-at-1m", |b| {
        let mut index = index.borrow_mut();
        b.iter_custom(|steps| {
            let add = |_| {
                let took = index.add();
                index.remove();
                took
            };
            (0..steps).map(add).sum()
        });
    });
    group.bench_function("suspend-at-1m", |b| {
        let mut index = index.borrow_mut();
        b.iter_custom(|steps| (0..steps).map(|_| index.suspend()).sum());
    });
    group.finish();
}

/// One tenant that every thread asks for: they share one reference count.
fn threads(c: &mut Criterion) {
    let setup = LazyCell::new(|| {
        let world = World::new(size(10_000, 2_000));
        let resolver = world.resolver();
        (world, resolver)
    });
    let mut group = c.benchmark_group("threads/one-hot-tenant");
    for count in [1, 2] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            let (world, resolver) = &*setup;
            b.iter_custom(|steps| together(count, steps, world, resolver));
        });
    }
}

/// How long it takes until each of `count` threads has resolved `steps` times.
fn together(count: usize, steps: u64, world: &World, resolver: &Resolver) -> Duration {
    let start = Barrier::new(count);
    let one = |_| {
        let host = world.host(1);
        let request = Request {
            host,
            target: "/orders/9",
            method: tenancy_core::Method::Get,
            canonical: host,
            tenant: 1,
        };
        assert_eq!(
            resolver.answer(&request).tenant.as_ref(),
            Some(world.tenant(1))
        );
        start.wait();
        let began = Instant::now();
        for _ in 0..steps {
            black_box(resolver.answer(black_box(&request)));
        }
        began.elapsed()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || one(n))).collect();
        let times = threads
            .into_iter()
            .map(|t| t.join().expect("no thread panics"));
        times.max().unwrap_or_default()
    })
}

criterion_group!(benches, resolve, write, threads);
criterion_main!(benches);
