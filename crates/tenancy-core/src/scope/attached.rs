//! [`Attached`]: a value that is polled and dropped in a scope.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::scope::stack::{self, Key, Keys};
use crate::tenant::Tenant;

pin_project_lite::pin_project! {
    /// A future, a stream or a body that is attached to a tenant, or detached from all tenants.
    /// Made by [`Tenant::attach`] and [`detached`].
    ///
    /// Its tenant is current during every poll and while the value is dropped, on any thread, and
    /// nowhere in between.
    ///
    /// ```
    /// use tenancy_core::Tenant;
    /// let acme = Tenant::builder("acme".parse()?).build()?;
    /// let task = acme.attach(async { Tenant::current() });
    /// assert_eq!(Tenant::current(), None);
    /// assert_eq!(smol::block_on(task), Some(acme));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// **Scopes over an `.await`.** A [`Scope`](crate::Scope) that is entered inside
    /// and still open when a poll ends is taken off the thread with it, and comes back
    /// at the next poll, in the same order:
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// # let beta = Tenant::builder("beta".parse()?).build()?;
    /// # #[allow(clippy::await_holding_invalid_type)]
    /// let future = acme.attach(async move {
    ///     let _scope = beta.switch();
    ///     smol::future::yield_now().await;
    ///     assert_eq!(Tenant::current(), Some(beta));
    /// });
    /// smol::block_on(future);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A scope that is dropped elsewhere between two polls is gone at the next one, and a scope
    /// that outlives the value ends with it. A value that is polled on another thread than
    /// before gets no scope back: only scopes that were leaked, or kept in a thread-local, can
    /// have stayed on the thread before. Branches of one attached future (`join!`,
    /// `select!`) share its scopes; attach each branch to keep them apart.
    ///
    /// While another tenant is current, a poll counts as a [switch](Tenant::switch), and
    /// observers are notified.
    #[doc(alias = "instrument")]
    #[doc(alias = "task_local")]
    #[must_use = "futures do nothing unless polled"]
    pub struct Attached<T> {
        // Fields are dropped in this order, so the value is dropped inside its scope.
        home: Home,
        #[pin]
        value: T,
        end: End,
    }
}

impl<T> Attached<T> {
    pub(super) fn new(tenant: Option<Tenant>, value: T) -> Self {
        let key = stack::new_key();
        let home = Home {
            key,
            tenant,
            parked: None,
        };
        Self {
            home,
            value,
            end: End(key),
        }
    }

    /// Calls `f` with the value in its scope, for a body or a stream, which are not polled as a
    /// future is.
    ///
    /// ```
    /// # use std::pin::pin;
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// let mut chunks = pin!(acme.attach(["one", "two"].into_iter()));
    /// let next = chunks.as_mut().poll_with(|mut chunks| (chunks.next(), Tenant::current()));
    /// assert_eq!(next, (Some("one"), Some(acme)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_with<R>(self: Pin<&mut Self>, f: impl FnOnce(Pin<&mut T>) -> R) -> R {
        let this = self.project();
        this.home.open();
        let _open = Open(this.home);
        f(this.value)
    }

    /// Returns the value, without making its tenant current.
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// Returns the tenant of the value, or `None` if it is [detached].
    pub fn tenant(&self) -> Option<&Tenant> {
        self.home.tenant.as_ref()
    }
}

impl<T> std::fmt::Debug for Attached<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached")
            .field("tenant", &self.home.tenant)
            .finish_non_exhaustive()
    }
}

impl<F: Future> Future for Attached<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.poll_with(|future| future.poll(cx))
    }
}

/// Detaches a future, or any other value that is polled, from the tenant that is current at a
/// poll: inside no tenant is current, until the future enters one.
///
/// A web adapter wraps every request in this or in [`Tenant::attach`]: then a scope that
/// a handler keeps over an `.await` stays in its request.
///
/// ```
/// # use tenancy_core::{Tenant, scope};
/// # let acme = Tenant::builder("acme".parse()?).build()?;
/// # let beta = Tenant::builder("beta".parse()?).build()?;
/// let central = scope::detached(async move {
///     assert_eq!(Tenant::current(), None);
///     beta.run(|| Tenant::current())
/// });
/// let inside = acme.attach(async { (central.await, Tenant::current()) });
/// let (beta, acme) = smol::block_on(inside);
/// assert_eq!(beta?.unwrap().id().as_str(), "beta");
/// assert_eq!(acme.unwrap().id().as_str(), "acme");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn detached<T>(value: T) -> Attached<T> {
    Attached::new(None, value)
}

/// The tenant of a value, and the scopes that it has parked. Dropping it opens the scope that the
/// value is dropped in, which [`End`] closes.
struct Home {
    key: Key,
    tenant: Option<Tenant>,
    parked: Option<Keys>,
}

impl Home {
    fn open(&mut self) {
        stack::notify(stack::cross(
            self.key,
            self.tenant.as_ref(),
            self.parked.take(),
        ));
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.open();
    }
}

/// A poll of the value. It parks the scopes that are open at its end, also when that is a panic.
struct Open<'a>(&'a mut Home);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.parked = stack::park(self.0.key);
    }
}

/// The end of the scope of a value that was dropped, and of the scopes that it left open.
struct End(Key);

impl Drop for End {
    fn drop(&mut self) {
        stack::end(self.0);
    }
}
