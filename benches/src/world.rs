//! The tenants that the benchmarks run over, and the catalog that holds them.

use std::sync::Arc;

use tenancy_core::{
    Actor, Catalog, CatalogWriter, Domain, MemoryCatalog, Name, Placement, Proof, Resolver,
    ResolverBuilder, Rule, Tenant,
};

use crate::rng::Rng;
use crate::rules;

/// The base domains under which a tenant's label is a host.
pub const BASES: [&str; 2] = ["app.example", "sites.example.net"];
/// The application's own hosts.
pub const CENTRAL: [&str; 2] = ["app.example", "www.example.net"];

const WORDS: [&str; 32] = [
    "acme", "alpine", "amber", "atlas", "bluebird", "bridge", "cedar", "cobalt", "delta", "ember",
    "falcon", "garden", "harbor", "indigo", "jade", "kite", "lumen", "maple", "nova", "oak",
    "orbit", "pine", "quartz", "river", "sable", "tidal", "umber", "vista", "willow", "yonder",
    "zen", "zephyr",
];
const SUFFIXES: [&str; 8] = [
    "com", "org", "net", "de", "co.uk", "shop", "com.br", "example",
];

/// What one tenant is called. A tenant with a domain is always reached by it, the
/// others under one of the [`BASES`].
#[derive(Debug, Clone)]
struct Named {
    host: Box<str>,
    custom: bool,
}

/// A number of tenants, the same ones in every run: 30 % have a custom domain.
#[derive(Debug)]
pub struct World {
    catalog: Arc<MemoryCatalog>,
    tenants: Vec<Tenant>,
    named: Vec<Named>,
}

impl World {
    /// Makes `count` tenants, all of them active, and their catalog.
    pub fn new(count: usize) -> Self {
        let catalog = Arc::new(MemoryCatalog::new());
        let mut rng = Rng::new(0x7e4a_0001);
        let by = Actor::new("benches");
        let (mut tenants, mut named) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for number in 0..count {
            let label = label(&mut rng, number);
            // Exactly three of each ten, so that ten tenants have the mix too.
            let custom = matches!(number % 10, 0 | 3 | 6);
            let host = match custom {
                true => domain(&mut rng, number),
                false => format!("{label}.{}", BASES[number % 2]),
            };
            let id = label.parse().expect("words and digits are an id");
            let tenant = Tenant::builder(id)
                .placement(Placement::new("sqlite", format!("{:016x}", rng.bits())))
                .attribute("plan", rng.pick(&["free", "pro", "team"]))
                .build()
                .expect("one attribute is within the bounds");
            tenants.push(catalog.put(&tenant).expect("no id comes twice"));
            if custom {
                let name = Name::Domain(Domain::new(&host).expect("words and a suffix"));
                let bound = catalog.bind(&name, tenant.id(), Proof::Trusted, &by);
                bound.expect("no domain comes twice");
            }
            let host = host.into();
            named.push(Named { host, custom });
        }
        Self {
            catalog,
            tenants,
            named,
        }
    }

    /// How many tenants there are.
    pub fn len(&self) -> usize {
        self.tenants.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// How many names a full index holds: every id, and the domains.
    pub fn names(&self) -> usize {
        self.len() + self.named.iter().filter(|n| n.custom).count()
    }

    /// The tenant of this number.
    pub fn tenant(&self, number: usize) -> &Tenant {
        &self.tenants[number]
    }

    /// All tenants.
    pub fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// The one host, in canonical form, by which requests reach this tenant.
    pub fn host(&self, number: usize) -> &str {
        &self.named[number].host
    }

    /// Its custom domain, if it has one.
    pub fn domain(&self, number: usize) -> Option<&str> {
        let named = &self.named[number];
        named.custom.then_some(&*named.host)
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<MemoryCatalog> {
        &self.catalog
    }

    /// A resolver over all of them, everything read: status, modes, freshness, two
    /// bases and fifty rules, as an application would have it.
    pub fn resolver(&self) -> Resolver {
        self.resolver_over(self.catalog.clone())
    }

    /// The same over another catalog of the same tenants.
    pub fn resolver_over(&self, catalog: impl Catalog) -> Resolver {
        self.resolver_with(catalog, |builder| builder)
    }

    /// The same with more said to its builder.
    pub fn resolver_with(
        &self,
        catalog: impl Catalog,
        say: impl FnOnce(ResolverBuilder) -> ResolverBuilder,
    ) -> Resolver {
        let mut builder = Resolver::builder(catalog)
            .rule(Rule::domain())
            .classifier(rules::classifier());
        for base in BASES {
            builder = builder.rule(Rule::subdomain_of(base));
        }
        for host in CENTRAL {
            builder = builder.central_domain(host);
        }
        let resolver = say(builder)
            .build()
            .expect("the configuration has no contradiction");
        resolver.sync().expect("a catalog in memory can be asked");
        resolver
    }
}

/// A label of 5 to 24 bytes that no other number has.
fn label(rng: &mut Rng, number: usize) -> String {
    let number = base36(number);
    match rng.below(3) {
        0 => format!("{}{number}", rng.pick(&WORDS)),
        1 => format!("{}-{number}", rng.pick(&WORDS)),
        _ => format!("{}-{}-{number}", rng.pick(&WORDS), rng.pick(&WORDS)),
    }
}

/// A domain that no other number has; one in a hundred is long.
fn domain(rng: &mut Rng, number: usize) -> String {
    let number = base36(number);
    let suffix = rng.pick(&SUFFIXES);
    let word = rng.pick(&WORDS);
    match rng.below(100) {
        0 => format!("members-and-visitors.{word}-of-the-{word}-{number}.{suffix}"),
        1..30 => format!("shop.{word}{number}.{suffix}"),
        30..60 => format!("www.{word}-{number}.{suffix}"),
        _ => format!("{word}{number}.{suffix}"),
    }
}

fn base36(mut number: usize) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]);
        number /= 36;
        if number == 0 {
            return digits.iter().rev().map(|b| char::from(*b)).collect();
        }
    }
}
