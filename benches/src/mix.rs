//! The requests: what they are made of, and how one contender is driven over them.
//!
//! Hosts: one for each tenant (30 % custom domains, the rest under two bases), 5 % with upper case, 20 % with a port,
//! 2 % with a final dot. Paths: ten kinds, one of them an asset; 2 % long, 2 % percent-encoded.

use std::hint::black_box;

use tenancy_core::Method;

use crate::rng::Rng;
use crate::world::World;

/// How many requests a sequence has. It starts over after the last.
pub const SEQUENCE: usize = 1 << 20;

/// Which tenants are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// The first ten alone: everything stays in the nearest cache.
    Hot,
    /// The k-th most asked for is asked for 1/k as often as the first; who is
    /// k-th has nothing to do with where its record lies.
    Zipf,
    /// Each as often as any other.
    Uniform,
}

impl Spread {
    /// Every spread.
    pub const ALL: [Self; 3] = [Self::Hot, Self::Zipf, Self::Uniform];

    /// The word that stands in the id of a benchmark.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Zipf => "zipf",
            Self::Uniform => "uniform",
        }
    }
}

/// One request, as the contenders see it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'m> {
    /// The value of the Host line.
    pub host: &'m str,
    /// Path and query.
    pub target: &'m str,
    /// The host in canonical form: what [`Bare`](crate::rivals::Bare) is given for nothing.
    pub canonical: &'m str,
    /// The number of the tenant who is meant.
    pub tenant: u32,
    /// GET but for one kind of path.
    pub method: Method,
}

/// The text of a sequence of requests, in their order: reading one costs every contender
/// the same, and little.
#[derive(Debug)]
pub struct Text {
    raw: String,
    canonical: String,
    ends: Vec<Ends>,
}

/// Where a request's text ends; it begins where the one before ends.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    host: usize,
    target: usize,
    canonical: usize,
    tenant: u32,
}

impl Text {
    /// Draws `count` requests over this world, the same in every run.
    pub fn draw(world: &World, spread: Spread, count: usize) -> Self {
        let mut rng = Rng::new(0x7e4a_0002);
        let tenants = Tenants::new(world.len(), spread);
        let (mut raw, mut canonical) = (String::new(), String::new());
        let draw = |_| {
            let tenant = tenants.draw(&mut rng);
            push_host(&mut raw, world.host(tenant), &mut rng);
            let host = raw.len();
            push_target(&mut raw, &mut rng);
            canonical.push_str(world.host(tenant));
            Ends {
                host,
                target: raw.len(),
                canonical: canonical.len(),
                tenant: u32::try_from(tenant).expect("fewer than 2^32 tenants"),
            }
        };
        let ends = (0..count).map(draw).collect();
        Self {
            raw,
            canonical,
            ends,
        }
    }

    /// The requests.
    pub fn requests(&self) -> Mix<'_> {
        assert!(
            self.ends.len().is_power_of_two(),
            "a cursor wraps by masking"
        );
        let mut before = Ends::default();
        let request = |this: &Ends| {
            let target = &self.raw[this.host..this.target];
            let request = Request {
                host: &self.raw[before.target..this.host],
                target,
                canonical: &self.canonical[before.canonical..this.canonical],
                tenant: this.tenant,
                method: match target.starts_with("/webhooks") {
                    true => Method::Other,
                    false => Method::Get,
                },
            };
            before = *this;
            request
        };
        Mix(self.ends.iter().map(request).collect())
    }
}

/// A sequence of requests that starts over after the last.
#[derive(Debug)]
pub struct Mix<'t>(Vec<Request<'t>>);

impl<'t> Mix<'t> {
    /// All requests, once.
    pub fn requests(&self) -> &[Request<'t>] {
        &self.0
    }

    /// Answers `steps` requests from `cursor` on and moves it. Which request is next
    /// depends on the answer before, as far as the processor can know: so the time of
    /// one answer is measured, not how many fit side by side.
    #[inline]
    pub fn drive(
        &self,
        cursor: &mut usize,
        steps: u64,
        mut answer: impl FnMut(&Request<'t>) -> u64,
    ) -> u64 {
        let nothing = black_box(0usize);
        let last = self.0.len() - 1;
        let (mut digest, mut at) = (0u64, *cursor);
        for _ in 0..steps {
            let answer = answer(&self.0[at & last]);
            digest = digest.wrapping_add(answer);
            at += 1 + (answer as usize & nothing);
        }
        *cursor = at & last;
        digest
    }
}

fn push_host(out: &mut String, canonical: &str, rng: &mut Rng) {
    let start = out.len();
    out.push_str(canonical);
    if rng.percent(5) {
        let until = match rng.percent(50) {
            true => out.len(),
            false => start + 1,
        };
        out[start..until].make_ascii_uppercase();
    }
    if rng.percent(2) {
        out.push('.');
    }
    if rng.percent(20) {
        out.push_str(rng.pick(&[":443", ":8080", ":8443"]));
    }
}

fn push_target(out: &mut String, rng: &mut Rng) {
    let number = rng.below(100_000);
    let kind = rng.below(10);
    let target = match rng.below(100) {
        0 | 1 => format!(
            "/files/shared/{}{number}.pdf?page=2",
            "quarter/report/".repeat(16)
        ),
        2 | 3 => format!("/products/caf%C3%A9%20cr%C3%A8me/{number}"),
        _ => match kind {
            0 => "/".to_owned(),
            1 => format!("/orders/{number}"),
            2 => format!("/api/v1/users/{number}?expand=roles"),
            3 => format!("/assets/app-{number:05x}.css"),
            4 => "/login".to_owned(),
            5 => "/account/settings/profile".to_owned(),
            6 => format!("/blog/2026/05/what-is-new-{number}"),
            7 => format!("/search?q=blue+shoes&page={number}"),
            8 => "/webhooks/payments".to_owned(),
            _ => format!("/api/v2/internal/reports/{number}/lines"),
        },
    };
    out.push_str(&target);
}

/// Draws tenants by a [`Spread`].
struct Tenants {
    count: usize,
    /// For Zipf: the sum of the weights up to each rank, and who has the rank.
    ranks: Vec<(f64, u32)>,
}

impl Tenants {
    fn new(count: usize, spread: Spread) -> Self {
        let (count, ranked) = match spread {
            Spread::Hot => (count.min(10), 0),
            Spread::Zipf => (count, count),
            Spread::Uniform => (count, 0),
        };
        let mut order: Vec<u32> = (0..ranked as u32).collect();
        Rng::new(0x7e4a_0003).shuffle(&mut order);
        let mut sum = 0.0;
        let ranks = order.into_iter().enumerate().map(|(rank, tenant)| {
            sum += 1.0 / (rank as f64 + 1.0);
            (sum, tenant)
        });
        Self {
            count,
            ranks: ranks.collect(),
        }
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        let Some((total, _)) = self.ranks.last() else {
            return rng.below(self.count);
        };
        let at = rng.unit() * total;
        let rank = self.ranks.partition_point(|(sum, _)| *sum <= at);
        self.ranks[rank.min(self.count - 1)].1 as usize
    }
}
