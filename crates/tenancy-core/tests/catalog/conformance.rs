//! The owners of names, as every catalog has to answer: cases for any that can be written.

use std::error::Error;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tenancy_core::{
    Actor, CLAIM_TTL, CatalogWriter, Challenge, Change, Domain, Name, NewTenant, Proof, TenantId,
    Version, WriteError,
};

/// A catalog that is empty, and its time.
pub trait Subject: Sync {
    fn catalog(&self) -> &dyn CatalogWriter;
    /// Makes every claim older.
    fn pass(&self, time: Duration);
}

type Case = fn(&dyn Subject);

/// One fact each.
pub const CASES: [(&str, Case); 9] = [
    ("claims stand beside each other", claims_side_by_side),
    ("a trusted binding ends every claim", trusted_ends_claims),
    ("a claim expires", claims_expire),
    ("a new attempt has a time of its own", attempts_are_timed),
    ("a domain that is claimed anew does not route", claimed_anew),
    ("a claim ends with its tenant", removed_claimant),
    ("a name moves in one write", moves),
    ("no error names another tenant", errors_name_no_other_tenant),
    ("of two proofs at once one wins", proofs_at_once),
];

fn by() -> Actor {
    Actor::new("conformance")
}

fn id(text: &str) -> TenantId {
    text.parse().unwrap()
}

fn shop() -> Domain {
    "shop.test".parse().unwrap()
}

fn name() -> Name {
    Name::Domain(shop())
}

fn label() -> Name {
    Name::Label(id("shop"))
}

fn token(text: &str) -> Challenge {
    Challenge::from_stored(format!("tenancy-verify={text}"))
}

type Wrote = Result<Version, WriteError>;

/// Short words for what the cases do.
impl dyn Subject + '_ {
    fn add(&self, text: &str) -> TenantId {
        let new = NewTenant::new(id(text));
        self.catalog().insert(new, &by()).unwrap().id().clone()
    }

    fn claim(&self, id: &TenantId, text: &str) -> Wrote {
        let proof = Proof::Pending(token(text));
        self.catalog().bind(&name(), id, proof, &by())
    }

    fn prove(&self, id: &TenantId, text: &str) -> Wrote {
        let txt = token(text);
        self.catalog().verify(&shop(), id, txt.as_str(), &by())
    }

    fn bind(&self, name: &Name, id: &TenantId) -> Wrote {
        self.catalog().bind(name, id, Proof::Trusted, &by())
    }

    fn owner(&self, name: &Name) -> Option<TenantId> {
        let found = self.catalog().lookup(name.as_key()).unwrap().value;
        found.map(|tenant| tenant.id().clone())
    }

    /// The challenges of a tenant's claims.
    fn pending(&self, id: &TenantId) -> Vec<Challenge> {
        let names = self.catalog().names(id).unwrap();
        names.into_iter().filter_map(|b| b.pending).collect()
    }
}

macro_rules! refused {
    ($result:expr, $variant:ident) => {
        let result = $result;
        assert!(
            matches!(result, Err(WriteError::$variant { .. })),
            "{result:?}"
        );
    };
}

fn claims_side_by_side(subject: &dyn Subject) {
    let [acme, beta] = ["acme", "beta"].map(|id| subject.add(id));
    subject.claim(&acme, "acme's").unwrap();
    subject.claim(&beta, "beta's").unwrap();
    assert_eq!(subject.pending(&acme), [token("acme's")]);
    assert_eq!(subject.pending(&beta), [token("beta's")]);
    // Each has to show its own.
    refused!(subject.prove(&acme, "beta's"), NotProven);
    refused!(subject.prove(&beta, "acme's"), NotProven);
    assert_eq!(subject.owner(&name()), None);
    subject.prove(&beta, "beta's").unwrap();
    assert_eq!(subject.owner(&name()), Some(beta.clone()));
    // The first proof ends the other claim, and there can be no new one.
    assert_eq!(subject.pending(&acme), []);
    refused!(subject.prove(&acme, "acme's"), NoClaim);
    refused!(subject.claim(&acme, "again"), NameTaken);
    refused!(subject.bind(&name(), &acme), NameTaken);
    // Once more is no harm, and needs no proof.
    subject.prove(&beta, "anything").unwrap();
    subject.catalog().unbind(&name(), &beta, &by()).unwrap();
    refused!(subject.prove(&acme, "acme's"), NoClaim);
    subject.claim(&acme, "again").unwrap();
    subject.prove(&acme, "again").unwrap();
    assert_eq!(subject.owner(&name()), Some(acme));
}

fn trusted_ends_claims(subject: &dyn Subject) {
    let [acme, beta] = ["acme", "beta"].map(|id| subject.add(id));
    for id in [&acme, &beta] {
        subject.claim(id, id.as_str()).unwrap();
    }
    subject.bind(&name(), &beta).unwrap();
    assert_eq!(subject.owner(&name()), Some(beta.clone()));
    for id in [&acme, &beta] {
        assert_eq!(subject.pending(id), []);
    }
    refused!(subject.prove(&acme, "acme"), NoClaim);
    subject.catalog().unbind(&name(), &beta, &by()).unwrap();
    subject.claim(&acme, "acme").unwrap();
    let mut new = NewTenant::new(id("new"));
    new.names.push(name());
    subject.catalog().insert(new, &by()).unwrap();
    assert_eq!(subject.owner(&name()), Some(id("new")));
    refused!(subject.prove(&acme, "acme"), NoClaim);
    assert_eq!(subject.pending(&acme), []);
}

fn claims_expire(subject: &dyn Subject) {
    let minute = Duration::from_secs(60);
    let acme = subject.add("acme");
    subject.claim(&acme, "1").unwrap();
    subject.pass(CLAIM_TTL - minute);
    assert_eq!(subject.pending(&acme), [token("1")]);
    refused!(subject.prove(&acme, "0"), NotProven);
    subject.pass(minute);
    assert_eq!(subject.pending(&acme), []);
    refused!(subject.prove(&acme, "1"), NoClaim);
    refused!(subject.catalog().unbind(&name(), &acme, &by()), NotBound);
    refused!(
        subject.catalog().make_primary(&shop(), &acme, &by()),
        NotBound
    );
    subject.claim(&acme, "2").unwrap();
    refused!(subject.prove(&acme, "1"), NotProven);
    subject.prove(&acme, "2").unwrap();
    // What is proven does not expire.
    subject.pass(CLAIM_TTL * 2);
    assert_eq!(subject.owner(&name()), Some(acme));
}

fn attempts_are_timed(subject: &dyn Subject) {
    let day = Duration::from_secs(24 * 60 * 60);
    let [acme, beta] = ["acme", "beta"].map(|id| subject.add(id));
    subject.claim(&acme, "1").unwrap();
    subject.claim(&beta, "1").unwrap();
    subject.pass(5 * day);
    subject.claim(&acme, "2").unwrap();
    subject.pass(5 * day);
    refused!(subject.prove(&beta, "1"), NoClaim);
    subject.prove(&acme, "2").unwrap();
}

fn claimed_anew(subject: &dyn Subject) {
    let [acme, beta] = ["acme", "beta"].map(|id| subject.add(id));
    subject.bind(&name(), &acme).unwrap();
    subject
        .catalog()
        .make_primary(&shop(), &acme, &by())
        .unwrap();
    subject.claim(&acme, "acme's").unwrap();
    assert_eq!(subject.owner(&name()), None);
    refused!(
        subject.catalog().make_primary(&shop(), &acme, &by()),
        NotProven
    );
    subject.claim(&beta, "beta's").unwrap();
    subject.prove(&acme, "acme's").unwrap();
    assert_eq!(subject.owner(&name()), Some(acme.clone()));
    let names = subject.catalog().names(&acme).unwrap();
    assert!(!names[0].primary, "{names:?}");
    refused!(subject.prove(&beta, "beta's"), NoClaim);
}

fn removed_claimant(subject: &dyn Subject) {
    let [acme, beta] = ["acme", "beta"].map(|id| subject.add(id));
    subject.claim(&acme, "1").unwrap();
    subject.claim(&beta, "2").unwrap();
    let row = subject.catalog().page(None, 1).unwrap().remove(0);
    subject
        .catalog()
        .remove(&acme, row.version(), &by())
        .unwrap();
    subject.add("acme");
    assert_eq!(subject.pending(&acme), []);
    refused!(subject.prove(&acme, "1"), NoClaim);
    subject.prove(&beta, "2").unwrap();
}

fn moves(subject: &dyn Subject) {
    let catalog = subject.catalog();
    let [acme, beta] = ["acme", "beta"].map(|id| subject.add(id));
    let rebind =
        |name: &Name, from: &TenantId, to: &TenantId| catalog.rebind(name, from, to, &by());
    for name in [name(), label()] {
        refused!(rebind(&name, &acme, &beta), NotBound);
        subject.bind(&name, &acme).unwrap();
        refused!(rebind(&name, &beta, &acme), NotBound);
        refused!(rebind(&name, &acme, &id("nobody")), Unknown);
        refused!(rebind(&name, &id("nobody"), &acme), Unknown);
        let before = catalog.lookup(name.as_key()).unwrap().as_of;
        let moved = rebind(&name, &acme, &beta).unwrap();
        let found = catalog.lookup(name.as_key()).unwrap();
        assert!(found.as_of == moved && moved > before);
        assert_eq!(subject.owner(&name), Some(beta.clone()));
        // To itself it is a write like another.
        rebind(&name, &beta, &beta).unwrap();
        assert_eq!(subject.owner(&name), Some(beta.clone()));
        // A reader of the feed, in stretches of any size, always sees an owner.
        for max in 1..4 {
            feed_has_an_owner(subject, &name, before, max);
        }
        catalog.unbind(&name, &beta, &by()).unwrap();
    }
    refused!(rebind(&Name::Label(acme.clone()), &acme, &beta), OwnId);
    subject.claim(&acme, "1").unwrap();
    refused!(rebind(&name(), &acme, &beta), NotBound);
    subject.prove(&acme, "1").unwrap();
    catalog.make_primary(&shop(), &acme, &by()).unwrap();
    rebind(&name(), &acme, &acme).unwrap();
    assert!(catalog.names(&acme).unwrap()[0].primary);
    rebind(&name(), &acme, &beta).unwrap();
    assert_eq!(catalog.names(&acme).unwrap(), []);
    assert!(!catalog.names(&beta).unwrap()[0].primary);
}

#[track_caller]
fn feed_has_an_owner(subject: &dyn Subject, name: &Name, since: Version, max: usize) {
    let (mut upto, mut more, mut owner) = (since, true, Some(id("acme")));
    while more {
        let stretch = subject
            .catalog()
            .changes(upto, max)
            .unwrap()
            .expect("a feed");
        assert_eq!((stretch.since, stretch.reset), (upto, false));
        for change in stretch.items {
            match change {
                Change::Moved { name: moved, id } if moved == *name => owner = Some(id),
                Change::Unbound { name: gone } if gone == *name => owner = None,
                Change::Bound { name: bound, .. } => panic!("{bound} has two owners"),
                _ => {}
            }
        }
        (upto, more) = (stretch.upto, stretch.more);
        assert!(owner.is_some(), "nobody's at {upto}, by stretches of {max}");
    }
    assert_eq!(owner, Some(id("beta")));
}

/// Everything that a tenant can be refused because another is there.
fn errors_name_no_other_tenant(subject: &dyn Subject) {
    let catalog = subject.catalog();
    let other = subject.add("zzsecretzz");
    let beta = subject.add("beta");
    for name in [name(), label()] {
        subject.bind(&name, &other).unwrap();
    }
    catalog.make_primary(&shop(), &other, &by()).unwrap();
    let inserted = |new: NewTenant| catalog.insert(new, &by()).map(|tenant| tenant.version());
    let mut wants = NewTenant::new(id("gamma"));
    wants.names.push(name());
    let mut refusals = vec![
        subject.bind(&name(), &beta),
        subject.bind(&label(), &beta),
        subject.claim(&beta, "1"),
        subject.prove(&beta, "1"),
        inserted(NewTenant::new(id("shop"))),
        inserted(wants),
        catalog.make_primary(&shop(), &beta, &by()),
        catalog.unbind(&name(), &beta, &by()),
        catalog.rebind(&name(), &beta, &beta, &by()),
    ];
    catalog.unbind(&name(), &other, &by()).unwrap();
    subject.claim(&other, "1").unwrap();
    refusals.push(subject.prove(&beta, "1"));
    subject.claim(&beta, "2").unwrap();
    refusals.push(subject.prove(&beta, "1"));
    subject.prove(&other, "1").unwrap();
    refusals.push(subject.prove(&beta, "2"));
    for refused in refusals {
        let error = refused.unwrap_err();
        let mut told = format!("{error:?}");
        let mut next: Option<&dyn Error> = Some(&error);
        while let Some(error) = next {
            told += &error.to_string();
            next = error.source();
        }
        assert!(!told.contains("zzsecretzz"), "{told}");
    }
}

fn proofs_at_once(subject: &dyn Subject) {
    let tenants = ["acme", "beta", "gamma"].map(|id| subject.add(id));
    for round in 0..20 {
        for id in &tenants {
            subject.claim(id, id.as_str()).unwrap();
        }
        let (barrier, proven) = (Barrier::new(tenants.len()), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for id in &tenants {
                let (barrier, proven) = (&barrier, &proven);
                threads.spawn(move || {
                    barrier.wait();
                    match subject.prove(id, id.as_str()) {
                        Ok(_) => proven.fetch_add(1, Ordering::SeqCst),
                        Err(WriteError::NoClaim { .. }) => 0,
                        Err(error) => panic!("{error}"),
                    }
                });
            }
        });
        assert_eq!(proven.into_inner(), 1, "round {round}");
        let owner = subject.owner(&name()).expect("one of them");
        subject.catalog().unbind(&name(), &owner, &by()).unwrap();
    }
}
