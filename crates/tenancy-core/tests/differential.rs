//! Random requests to resolver and reference, side by side; whether that has the
//! power to see a mistake; and one case again.
//!
//! `TENANCY_CASES` is how many (100,000), `TENANCY_SEED` which; `TENANCY_CASE` runs
//! one case, as a failing run prints it.

use tenancy_core::RuleKind;

use crate::build::{self, Real};
use crate::case::{Case, Config, Request, TenantRow};
use crate::generate::{self, Corpora};
use crate::reference::{Answer, Mutant, Reference};
use crate::util::{Rng, env};

/// Building a resolver costs as much as a hundred requests.
const REQUESTS_A_WORLD: u64 = 100;

/// One configuration and catalog, and the resolver over it.
pub struct World {
    pub config: Config,
    pub tenants: Vec<TenantRow>,
    pub real: Real,
}

impl World {
    fn random(rng: &mut Rng, corpora: &Corpora) -> Self {
        let config = generate::config(rng, corpora);
        let tenants = generate::tenants(rng, corpora, &config);
        let real = build::resolver(&config, &tenants).unwrap_or_else(|error| {
            let case = Case {
                config: config.clone(),
                tenants: tenants.clone(),
                ..Case::default()
            };
            panic!("not built: {error}\n{}", case.to_json())
        });
        Self {
            config,
            tenants,
            real,
        }
    }

    pub fn reference(&self) -> Reference<'_> {
        Reference::new(&self.config, &self.tenants)
    }

    pub fn case(&self, request: &Request) -> Case {
        Case {
            config: self.config.clone(),
            tenants: self.tenants.clone(),
            request: request.clone(),
        }
    }
}

/// Every case of a run, until `each` says that it is enough.
pub fn run(cases: u64, mut each: impl FnMut(&World, &Request) -> bool) {
    let seed = env("TENANCY_SEED", 1);
    println!("seed {seed}, {cases} cases");
    let corpora = Corpora::load();
    for world in 0..cases.div_ceil(REQUESTS_A_WORLD) {
        let mut rng = Rng::new(seed ^ (world << 24));
        let world = World::random(&mut rng, &corpora);
        for _ in 0..REQUESTS_A_WORLD {
            let request = generate::request(&mut rng, &corpora, &world.config, &world.tenants);
            if !each(&world, &request) {
                return;
            }
        }
    }
}

#[test]
fn every_planted_mutant_is_detected() {
    let cases = env("TENANCY_CASES", 100_000);
    let mut alive = Mutant::ALL.to_vec();
    let mut seen = 0;
    run(cases, |world, request| {
        seen += 1;
        let fast = world.real.answer(request);
        if world.reference().answer(request) != fast {
            // Power is to see the mutant, not a mistake of our own.
            return true;
        }
        alive.retain(|mutant| {
            let planted = Reference {
                mutant: Some(*mutant),
                ..world.reference()
            };
            let told_apart = planted.answer(request) != fast;
            if told_apart {
                println!(
                    "{mutant:?} after {seen} cases: {}",
                    world.case(request).to_json()
                );
            }
            !told_apart
        });
        !alive.is_empty()
    });
    assert!(alive.is_empty(), "not detected in {seen} cases: {alive:?}");
}

#[test]
fn random_requests_find_tenants_by_every_rule() {
    let mut missing: Vec<_> = RuleKind::ALL.map(RuleKind::as_str).to_vec();
    run(env("TENANCY_CASES", 100_000), |world, request| {
        if let Answer::Tenant { rule, .. } = world.real.answer(request) {
            missing.retain(|word| *word != rule);
        }
        !missing.is_empty()
    });
    assert!(missing.is_empty(), "no tenant was found by {missing:?}");
}

#[test]
fn a_pasted_case_is_answered_alike() {
    let Ok(line) = std::env::var("TENANCY_CASE") else {
        return println!("left out: no TENANCY_CASE");
    };
    let case = Case::from_json(&serde_json::from_str(&line).unwrap());
    let slow = Reference::new(&case.config, &case.tenants).answer(&case.request);
    println!("reference: {slow:?}");
    let fast = build::resolver(&case.config, &case.tenants)
        .unwrap()
        .doors(&case.request);
    println!("resolver:  {fast:?}");
    assert_eq!((&slow, fast.check()), (&fast.resolved, Ok(())));
}
