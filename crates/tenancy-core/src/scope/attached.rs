//! [`Attached`]: a value that is polled and dropped in a scope.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::scope::stack::{self, Key, Keys};
use crate::tenant::Tenant;

pin_project_lite::pin_project! {
    /// A future, a stream or a body that is attached to a tenant, or detached from all tenants.
    /// [`Tenant::attach`] and [`detached`] make it.
    ///
    /// Its tenant is current on the polling thread during every poll, and on the dropping thread
    /// while the value is dropped. Between polls it is current on no thread.
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
    /// **Scopes over an `.await`.** A [`Scope`](crate::Scope) may be entered during a poll and
    /// still be open when the poll ends. Then it is parked: it leaves the thread at the end of the
    /// poll, and is restored at the next poll. Several scopes are restored in the same order:
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
    /// A scope that is dropped between two polls is not restored. A scope that outlives the value
    /// ends when the value is dropped. Scopes are not restored if the next poll is on another
    /// thread. This affects only scopes that were leaked or stored in a thread-local, as a future
    /// that holds a scope cannot move to another thread. Branches of one attached future (`join!`,
    /// `select!`) share its scopes; attach each branch to keep their scopes apart.
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

    /// Calls `f` with the value, while the tenant of the value is current. An adapter implements
    /// the polling of a body or a stream with it.
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

/// Detaches a future, or another value that is polled, from all tenants. During a poll no tenant is
/// current, whichever was current before, until the future enters one.
///
/// A web adapter wraps every request either in this or in [`Tenant::attach`]. Then a scope that a
/// handler holds over an `.await` has no effect outside its request.
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

/// The tenant of a value, and the scopes that the value has parked. When it is dropped, it opens
/// the scope in which the value is dropped next. [`End`] closes that scope.
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

/// A poll of the value. At its end it parks the scopes that are still open, also after a panic.
struct Open<'a>(&'a mut Home);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.parked = stack::park(self.0.key);
    }
}

/// The guard that ends the scope in which the value was dropped, and the scopes that the value left
/// open.
struct End(Key);

impl Drop for End {
    fn drop(&mut self) {
        stack::end(self.0);
    }
}
