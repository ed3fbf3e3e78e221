//! One tenant added, suspended or removed where many are, as a sync after each write does it.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tenancy_core::{Change, Epoch, Resolver, Tenant, TenantStatus};

use crate::feed::Feed;
use crate::world::World;

/// A resolver with a full copy, and the feed that it follows.
pub struct Written {
    feed: Arc<Feed>,
    resolver: Resolver,
    number: u64,
    status: TenantStatus,
    /// Freeing a million names leaves the allocator work that the next writes would be charged for.
    _world: World,
}

impl Written {
    /// Over so many tenants.
    pub fn new(tenants: usize) -> Self {
        let world = World::new(tenants);
        let feed = Arc::new(Feed::new(world.catalog()));
        Self {
            resolver: world.resolver_over(feed.clone()),
            feed,
            number: 0,
            status: TenantStatus::Active,
            _world: world,
        }
    }

    /// Adds a tenant that no world has; how long that took.
    pub fn add(&mut self) -> Duration {
        self.number += 1;
        let newcomer = self.newcomer(self.number, TenantStatus::Active);
        self.apply(Change::Tenant(newcomer))
    }

    /// Takes the last one that is left of those away again.
    pub fn remove(&mut self) -> Duration {
        let newcomer = self.newcomer(self.number, TenantStatus::Active);
        self.number -= 1;
        let id = newcomer.id().clone();
        let epoch = Epoch::FIRST;
        self.apply(Change::Removed { id, epoch })
    }

    /// Suspends one tenant, or lets it in again.
    pub fn suspend(&mut self) -> Duration {
        self.status = match self.status {
            TenantStatus::Active => TenantStatus::Suspended,
            _ => TenantStatus::Active,
        };
        self.apply(Change::Tenant(self.newcomer(0, self.status)))
    }

    fn newcomer(&self, number: u64, status: TenantStatus) -> Tenant {
        let id = format!("newcomer-{number:x}");
        let tenant = Tenant::builder(id.parse().expect("letters and digits are an id"))
            .version(self.feed.next_version())
            .status(status);
        tenant.build().expect("no attributes")
    }

    /// How long the sync takes that applies one change, on the processor.
    fn apply(&self, change: Change) -> Duration {
        self.feed.push(change);
        let start = thread_cpu();
        let upto = self.resolver.sync().expect("the feed can be asked");
        let took = thread_cpu() - start;
        assert_eq!(
            upto.0 + 1,
            self.feed.next_version().0,
            "everything was applied"
        );
        took
    }
}

/// The processor time of this thread: what others do on the machine does not count.
pub fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("time does not go below zero")
}
