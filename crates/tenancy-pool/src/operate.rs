//! What the operator of a program asks of its pools: who holds what, warm ahead, shut down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tenancy_core::{Event, Tenant};

use crate::driver::{Driver, DriverError};
use crate::error::{CheckoutError, CloseAllError};
use crate::holders::{Activity, Holders};
use crate::label::Label;
use crate::mailbox::Mailbox;
use crate::open::Haste;
use crate::pools::TenantPools;
use crate::sched::Stamp;
use crate::sync::Moment;

impl<D: Driver> TenantPools<D> {
    /// Lists the connections that are out, being opened or being closed, longest first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tenancy_pool::{Driver, TenantPools};
    /// # fn leaks<D: Driver>(pools: &TenantPools<D>) {
    /// let minute = Duration::from_secs(60);
    /// for leak in pools.holders().iter().take_while(|holder| holder.age > minute) {
    ///     eprintln!("{leak}"); // "acme at src/report.rs:12 for 73s"
    /// }
    /// # }
    /// ```
    pub fn holders(&self) -> Holders {
        self.0.holders(self.0.decide(|sched| sched.all_held()))
    }

    /// Opens connections of a tenant ahead of its first requests, until `count` of them,
    /// or as many as it may have, are idle or would be; returns how many it found or opened.
    /// They are checked out together and given back, so this waits and evicts as so many
    /// check-outs would.
    ///
    /// ```
    /// # use tenancy_pool::{CheckoutError, Driver, DriverError, TenantPools};
    /// # fn start<D: Driver>(pools: &TenantPools<D>, tenants: &[tenancy_core::Tenant])
    /// # -> Result<(), CheckoutError<DriverError<D>>> {
    /// for tenant in tenants {
    ///     pools.warm(tenant, 2)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`checkout`](Self::checkout); what was opened until then stays.
    #[track_caller]
    pub fn warm(&self, tenant: &Tenant, count: u32) -> Result<u32, CheckoutError<DriverError<D>>> {
        let (label, timeout) = (Label::here(), self.0.timing.checkout_timeout);
        let most = count.min(self.0.max_of(tenant));
        let mut out = Vec::new();
        for _ in 0..most {
            match self.obtain(tenant, None, timeout, label) {
                Ok(checkout) => out.push(checkout),
                // All that it may have are here, or in this thread's other hands.
                Err(CheckoutError::WouldDeadlock { .. }) if !out.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(out.len() as u32)
    }

    /// Closes all tenants to check-outs, for good, and waits until no connection is left:
    /// for the end of a program. Those that wait are refused, idle connections are closed,
    /// those out when they come back. Then it does what [evictions left](Driver::evict) while
    /// there is time. [`reopen`](Self::reopen) opens nothing again.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tenancy_pool::{Driver, TenantPools};
    /// # fn end<D: Driver>(pools: &TenantPools<D>) {
    /// if let Err(left) = pools.close_all(Duration::from_secs(10)) {
    ///     eprintln!("{left}"); // names the lines that still hold connections
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// When something is still open at the end of the time-out, or is held by this very
    /// thread. Everything stays closed to check-outs.
    pub fn close_all(&self, timeout: Duration) -> Result<(), CloseAllError> {
        let began = Moment::now();
        let deadline = began.after(timeout);
        let closer = Arc::new(Mailbox::new());
        let now = self.0.now();
        for rubbish in self.0.decide(|sched| sched.close_all(now)) {
            self.discard(rubbish, Haste::Thorough);
        }
        let mut late = false;
        loop {
            let (aside, left) = self.0.decide(|sched| {
                let aside = sched.all_aside();
                let drained = sched.all_drained(&closer);
                (aside, (!drained).then(|| sched.all_held()))
            });
            if !aside.is_empty() {
                self.close_each(aside);
                continue;
            }
            let Some(held) = left else {
                break;
            };
            if late || self.0.are_mine(&held) {
                self.0.decide(|sched| sched.stop_closing_all(&closer));
                return Err(CloseAllError {
                    waited: began.elapsed(),
                    holders: self.0.holders(held),
                });
            }
            late = closer.wait_until(deadline).is_none();
        }
        self.0.upkeep(|| began.is_older_than(timeout));
        Ok(())
    }

    /// Tells observers of the connections that have become too long out since they were last
    /// told.
    pub(crate) fn tell_of_leaks(&self, now: Stamp) {
        let before = std::mem::replace(&mut *self.0.leaks_told.lock(), now);
        let leak_after = self.0.timing.leak_after;
        if !self.0.observers.is_observed() || leak_after == Duration::MAX {
            return;
        }
        let held = self.0.decide(|sched| sched.all_held());
        for holder in self.0.holders_at(held, now).iter() {
            let told = holder.age.saturating_sub(now.since(before)) >= leak_after;
            if holder.activity == Activity::CheckedOut && holder.age >= leak_after && !told {
                self.0.observers.emit(&Event::HeldLong {
                    tenant: &holder.tenant,
                    holder: &holder.label.to_string(),
                    held: holder.age,
                });
            }
        }
    }

    /// A check-out got its connection, or none in time.
    pub(crate) fn count_wait(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.0.waited.fetch_add(nanos, Ordering::Relaxed);
    }
}
