//! A fuzzer for the stable toolchain: it knows nothing of coverage and mutates the committed
//! seeds for some seconds. `cargo fuzz` digs deeper; this one runs wherever the tests do.

use std::env;
use std::panic::catch_unwind;
use std::time::{Duration, Instant, SystemTime};

/// Bytes that mean something to one of the parsers.
const TELLING: &[u8] = b"./%;:?#@-_\\[]aA0fF \0\x7f\xff";

/// Mutates `seeds` and checks what comes out until `time` is over. How many inputs that
/// were, or the first that failed.
pub fn run(seeds: &[Vec<u8>], check: fn(&[u8]), time: Duration) -> Result<u64, Vec<u8>> {
    let seed = seed();
    println!("seed {seed}; TENANCY_SEED={seed} draws the same inputs again");
    let mut rng = Rng(seed);
    let (start, mut inputs) = (Instant::now(), 0);
    while start.elapsed() < time {
        for _ in 0..1000 {
            let mut input = seeds[rng.below(seeds.len())].clone();
            for _ in 0..=rng.below(4) {
                mutate(&mut input, &seeds[rng.below(seeds.len())], &mut rng);
            }
            catch_unwind(|| check(&input)).map_err(|_| input)?;
            inputs += 1;
        }
    }
    Ok(inputs)
}

fn seed() -> u64 {
    let given = env::var("TENANCY_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(1, |time| time.subsec_nanos().into())
    })
}

fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.below(input.len() + 1);
    let end = (at + rng.below(8)).min(input.len());
    match rng.below(6) {
        0 => input.insert(at, TELLING[rng.below(TELLING.len())]),
        1 => input.insert(at, rng.bits() as u8),
        2 => drop(input.drain(at..end)),
        3 => input.extend_from_within(at..end),
        4 => {
            let from = rng.below(other.len() + 1);
            let middle = other[from..].iter().copied().take(rng.below(16));
            drop(input.splice(at..end, middle));
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.bits()) * bound as u128;
        (wide >> 64) as usize
    }
}
