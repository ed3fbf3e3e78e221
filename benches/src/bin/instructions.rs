//! `instructions CONTENDER N`: answers the first N requests of the mix over 10,000 tenants.
//! `scripts/instructions` runs it under callgrind with two N; what both have in common cancels.

use std::env;
use std::hint::black_box;

use tenancy_benches::mix::{Mix, SEQUENCE, Spread, Text};
use tenancy_benches::rivals::{Bare, Contender, P1, P2, P4};
use tenancy_benches::world::World;

const USAGE: &str = "usage: instructions nothing|tenancy|bare|p1|p2|p4 N";
/// Where the limits hold.
const TENANTS: usize = 10_000;

fn main() -> Result<(), String> {
    let mut args = env::args().skip(1);
    let contender = args.next().ok_or(USAGE)?;
    let steps = args.next().and_then(|n| n.parse().ok()).ok_or(USAGE)?;
    let world = World::new(TENANTS);
    let text = Text::draw(&world, Spread::Zipf, SEQUENCE / 8);
    let mix = text.requests();
    let digest = match &*contender {
        "nothing" => mix.drive(&mut 0, steps, |request| u64::from(request.tenant)),
        "tenancy" => run(&mix, steps, &world.resolver()),
        "p1" => run(&mix, steps, &P1::new(&world)),
        "p2" => run(&mix, steps, &P2::new(&world)),
        "p4" => run(&mix, steps, &P4::new(&world)),
        "bare" => {
            let bare = Bare::new(&world);
            mix.drive(&mut 0, steps, |r| {
                bare.get(r.canonical).map_or(0, |t| t.version().0)
            })
        }
        _ => return Err(USAGE.to_owned()),
    };
    black_box(digest);
    Ok(())
}

fn run(mix: &Mix<'_>, steps: u64, contender: &impl Contender) -> u64 {
    mix.drive(&mut 0, steps, |request| contender.answer(request).digest())
}
