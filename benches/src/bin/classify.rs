//! `classify CONTENDER RULES N`: classifies N paths by so many rules. `scripts/classify` runs it under callgrind
//! with two N; what both have in common cancels.

use std::env;
use std::hint::black_box;

use tenancy_benches::paths::{self, Classifies, Linear, Paths, Patterns, Routes};

const USAGE: &str = "usage: classify nothing|tenancy|matchit|regexset|linear RULES N";
const PATHS: usize = 4096;

fn main() -> Result<(), String> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [contender, rules, steps] = &args[..] else {
        return Err(USAGE.to_owned());
    };
    let number = |text: &str| text.parse::<usize>().map_err(|e| format!("{text}: {e}"));
    let (rules, steps) = (paths::list(number(rules)?), number(steps)?);
    let text = Paths::draw(PATHS);
    let run = |contender: &dyn Classifies| {
        let normal = text.normal();
        for at in 0..steps {
            black_box(contender.class(&normal[at % PATHS]));
        }
    };
    match contender.as_str() {
        "nothing" => run(&Nothing),
        "tenancy" => run(&paths::classifier(&rules)),
        "matchit" => run(&Routes::new(&rules)),
        "regexset" => run(&Patterns::new(&rules)),
        "linear" => run(&Linear::new(&rules)),
        _ => return Err(USAGE.to_owned()),
    }
    Ok(())
}

/// What the loop costs.
struct Nothing;

impl Classifies for Nothing {
    fn class(&self, path: &tenancy_core::NormalPath<'_>) -> tenancy_core::PathClass {
        black_box(path);
        tenancy_core::PathClass::Page
    }
}
