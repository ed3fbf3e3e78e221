//! The class of a path by 10, 50 and 200 rules: the classifier, and what else people take for it, on the same paths.

use std::cell::Cell;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tenancy_benches::paths::{self, Classifies, Linear, Paths, Patterns, Routes};
use tenancy_benches::size;
use tenancy_core::NormalPath;

/// Few enough to stay in the second cache: it is not the paths that are measured.
const PATHS: usize = 4096;

fn classify(c: &mut Criterion) {
    let text = Paths::draw(size(PATHS, 256));
    let normal = text.normal();
    for count in [10, 50, 200] {
        let rules = paths::list(count);
        let ours = paths::classifier(&rules);
        let mut group = c.benchmark_group(format!("classify/{count}-rules"));
        let mut bench = |name, contender: &dyn Fn(&NormalPath<'_>) -> u64| {
            for path in &normal {
                assert_eq!(
                    contender(path),
                    ours.class(path) as u64,
                    "{name} differs on {path}"
                );
            }
            let at = Cell::new(0);
            group.bench_function(name, |b| {
                // Which path is next depends on the answer before, as far as the processor can know.
                let nothing = black_box(0u64);
                b.iter(|| {
                    let class = contender(&normal[at.get()]);
                    at.set((at.get() + 1 + (class & nothing) as usize) % normal.len());
                    class
                });
            });
        };
        bench("tenancy", &|path| ours.class(path) as u64);
        let rival = Routes::new(&rules);
        bench("matchit", &|path| rival.class(path) as u64);
        let rival = Patterns::new(&rules);
        bench("regexset", &|path| rival.class(path) as u64);
        let rival = Linear::new(&rules);
        bench("linear", &|path| rival.class(path) as u64);
    }
}

criterion_group!(benches, classify);
criterion_main!(benches);
