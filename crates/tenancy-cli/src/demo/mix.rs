//! The requests of a demo, a fixed sequence.

use std::fmt::Write;

/// A sequence of requests whose tenants have a Zipf distribution: a few tenants get most of the
/// requests.
#[derive(Debug)]
pub struct Mix {
    /// The cumulative shares of the tenants, by rank. The last one is 1.
    shares: Vec<f64>,
    log: Option<Log>,
}

/// One request, as an adapter would see it.
#[derive(Debug, PartialEq)]
pub struct Planned<'m> {
    /// The number of the tenant that the host names, from 0; `None` for another host.
    pub tenant: Option<u32>,
    pub method: &'m [u8],
    pub host: String,
    pub target: std::borrow::Cow<'m, [u8]>,
}

/// The percentages of requests for the central host and for unknown hosts.
const CENTRAL: u64 = 5;
const UNKNOWN: u64 = 1;

/// The methods and paths of the requests, all with the same probability.
const TARGETS: [(&[u8], &str); 16] = [
    (b"GET", "/"),
    (b"GET", "/orders"),
    (b"GET", "/orders?page={n}"),
    (b"GET", "/orders/{n}"),
    (b"POST", "/orders"),
    (b"GET", "/products/{n}?ref=mail"),
    (b"GET", "/products/{n}"),
    (b"GET", "/caf%C3%A9/men%75"),
    (b"GET", "/api/orders/{n}"),
    (b"PUT", "/api/orders/{n}"),
    (b"GET", "/login"),
    (b"POST", "/login"),
    (b"GET", "/assets/app.css"),
    (b"GET", "/images/{n}.png"),
    (b"HEAD", "/favicon.ico"),
    (b"GET", "/reports/../../etc/passwd"),
];

impl Mix {
    pub fn new(tenants: u32, log: Option<Log>) -> Self {
        let weights = (1..=tenants).map(|rank| 1.0 / f64::from(rank));
        let sums = weights.scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let mut shares: Vec<f64> = sums.collect();
        let all = shares.last().copied().unwrap_or(1.0);
        shares.iter_mut().for_each(|share| *share /= all);
        Self { shares, log }
    }

    /// Returns the request of this number.
    pub fn request(&self, number: u32) -> Planned<'_> {
        let mut dice = Dice(u64::from(number));
        let (tenant, mut host) = match dice.below(100) {
            at if at < CENTRAL => (None, "app.test".to_owned()),
            at if at < CENTRAL + UNKNOWN => (None, format!("nobody-{number}.example")),
            _ => {
                let share = dice.share();
                let rank = self.shares.partition_point(|upto| *upto <= share);
                let tenant = rank.min(self.shares.len() - 1) as u32;
                (Some(tenant), host(tenant, &mut dice))
            }
        };
        if dice.below(20) == 0 {
            host.make_ascii_uppercase();
        }
        if dice.below(5) == 0 {
            host.push_str(":8080");
        }
        let (method, target) = match &self.log {
            Some(log) => log.request(number),
            None => {
                let (method, target) = TARGETS[dice.below(TARGETS.len() as u64) as usize];
                let target = target.replace("{n}", &dice.below(500).to_string());
                (method, target.into_bytes().into())
            }
        };
        Planned {
            tenant,
            method,
            host,
            target,
        }
    }
}

/// Returns the id of a tenant by its number.
pub fn id(tenant: u32) -> String {
    format!("tenant-{:04}", tenant + 1)
}

/// Returns the custom domain of a tenant. Every third tenant has one.
pub fn domain(tenant: u32) -> Option<String> {
    tenant
        .is_multiple_of(3)
        .then(|| format!("shop-{:04}.example", tenant + 1))
}

fn host(tenant: u32, dice: &mut Dice) -> String {
    let own = domain(tenant).filter(|_| dice.below(2) == 0);
    own.unwrap_or_else(|| {
        let mut host = id(tenant);
        let base = if dice.below(4) == 0 {
            "localhost"
        } else {
            "app.test"
        };
        write!(host, ".{base}").expect("a string takes all that is written");
        host
    })
}

/// An access log with a line `METHOD TARGET` for each request. A malformed line is a request, too: the
/// resolver decides how to answer it.
#[derive(Debug)]
pub struct Log {
    text: Vec<u8>,
    /// The start and the end of each line.
    lines: Vec<(usize, usize)>,
}

impl Log {
    pub fn new(text: Vec<u8>) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let end = start + line.len();
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            lines.push((start, start + content.len()));
            start = end;
        }
        Self { text, lines }
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    fn request(&self, number: u32) -> (&[u8], std::borrow::Cow<'_, [u8]>) {
        let (start, end) = self.lines[number as usize];
        let line = &self.text[start..end];
        let space = line.iter().position(|byte| *byte == b' ');
        let (method, target) = line.split_at(space.unwrap_or(line.len()));
        (method, target.get(1..).unwrap_or_default().into())
    }
}

/// A SplitMix64 generator. It makes a request a function of its number alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Returns a number of at least 0 and less than 1.
    fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_always_gives_the_same_request() {
        let mix = Mix::new(100, None);
        assert_eq!(mix.request(7), Mix::new(100, None).request(7));
        assert_ne!(mix.request(7), mix.request(8));
    }

    #[test]
    fn few_tenants_get_most_requests_and_all_get_some() {
        let mix = Mix::new(100, None);
        let mut asked = [0u32; 100];
        for number in 0..20_000 {
            if let Some(tenant) = mix.request(number).tenant {
                asked[tenant as usize] += 1;
            }
        }
        assert!(asked[0] > 10 * asked[50], "{asked:?}");
        assert!(asked.iter().all(|count| *count > 0), "{asked:?}");
    }

    #[test]
    fn a_single_tenant_gets_all_requests() {
        let mix = Mix::new(1, None);
        assert!((0..1000).all(|number| mix.request(number).tenant.is_none_or(|t| t == 0)));
    }

    #[test]
    fn every_line_of_a_log_is_a_request() {
        let log = Log::new(b"GET /a b\r\nPOST /x\n\nGET\n\xff /\xfe".to_vec());
        let requests: Vec<_> = (0..log.len() as u32)
            .map(|number| log.request(number))
            .collect();
        let want: [(&[u8], &[u8]); 5] = [
            (b"GET", b"/a b"),
            (b"POST", b"/x"),
            (b"", b""),
            (b"GET", b""),
            (b"\xff", b"/\xfe"),
        ];
        let want: Vec<_> = want.into_iter().map(|(m, t)| (m, t.into())).collect();
        assert_eq!(requests, want);
        assert_eq!(Log::new(Vec::new()).len(), 0);
    }
}
