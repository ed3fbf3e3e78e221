//! [`Scope`]: the context guard, during whose life a tenant is current.
//!
//! Decisions and their reasons: `docs/design/scope.md`.

mod attached;
mod stack;

use std::marker::PhantomData;

use crate::tenant::Tenant;

pub use attached::{Attached, detached};
use stack::Key;

/// The context guard: a tenant is current on this thread until the guard is dropped.
///
/// ```
/// use tenancy_core::Tenant;
/// let acme = Tenant::builder("acme".parse()?).build()?;
/// let beta = Tenant::builder("beta".parse()?).build()?;
/// let scope = acme.enter()?;
/// assert_eq!(Tenant::current(), Some(acme));
/// assert!(beta.enter().is_err(), "acme is current");
/// drop(scope);
/// assert_eq!(Tenant::current(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// **In async code use [`Tenant::attach`] or [`Tenant::run`] instead.** A scope belongs to
/// its thread, not to its task. If a future that is not [attached](Attached) holds a scope over an
/// `.await`, the tenant is also current for every other task that the thread polls meanwhile, and
/// those tasks cannot notice it. In an attached future, the scope is [parked](Attached) between
/// polls. Clippy finds scopes over an `.await` with these lines in `clippy.toml`:
///
/// ```toml
/// await-holding-invalid-types = [
///     { path = "tenancy_core::Scope", reason = "use `Tenant::attach` or `Tenant::run` in async code" },
/// ]
/// ```
///
/// When the guard is dropped, the tenant that was current before is restored, also on panic. If
/// guards are dropped out of order, the current tenant is that of the guard that was entered last,
/// among those that are still alive.
///
/// A scope stays on its thread. A thread or a task that is spawned inside does not inherit the
/// tenant. Code that would move a `Scope` to another thread does not compile. Nor does a task of a
/// multi-threaded runtime that holds a `Scope` over an `.await`:
///
/// ```compile_fail,E0277
/// # use tenancy_core::Tenant;
/// # let acme = Tenant::builder("acme".parse()?).build()?;
/// let scope = acme.enter()?;
/// std::thread::spawn(move || drop(scope)).join().ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The tenant itself can move to another thread, and be entered there:
///
/// ```
/// # use tenancy_core::Tenant;
/// # let acme = Tenant::builder("acme".parse()?).build()?;
/// let scope = acme.clone();
/// std::thread::spawn(move || drop(scope)).join().ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The tenant of a scope that is leaked with `std::mem::forget` stays current until the end of the
/// [`Tenant::run`], [`Tenant::switch_to`], [`Tenant::outside`] or attached value around it.
/// Without any of these around it, the tenant stays current until the thread ends.
#[doc(alias = "context")]
#[doc(alias = "guard")]
#[must_use = "the tenant is current only until the scope is dropped"]
#[derive(Debug)]
pub struct Scope {
    key: Key,
    /// A raw pointer, which is not `Send`, so that the scope is not `Send` either.
    thread: PhantomData<*const ()>,
}

impl Scope {
    fn new(key: Key) -> Self {
        Self {
            key,
            thread: PhantomData,
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        stack::remove(self.key);
    }
}

/// An entry that ends together with all entries above it.
struct Restore(Key);

impl Drop for Restore {
    fn drop(&mut self) {
        stack::end(self.0);
    }
}

/// Makes this tenant, or none, current for a call.
fn within<R>(tenant: Option<&Tenant>, f: impl FnOnce() -> R) -> R {
    let key = stack::new_key();
    let crossing = stack::cross(key, tenant, None);
    let _restore = Restore(key);
    stack::notify(crossing);
    f()
}

impl Tenant {
    /// Makes this tenant current until the scope is dropped. A tenant that is already current can
    /// be entered again.
    ///
    /// **Do not hold the scope over an `.await`:** on a single-threaded executor the tenant would
    /// also be current for other tasks; see [`Scope`]. Use [`attach`](Self::attach) for the whole
    /// future, or [`run`](Self::run) between two awaits:
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// # async fn read() {}
    /// # async fn write() {}
    /// let request = acme.attach(async {
    ///     read().await;
    ///     write().await; // still acme
    ///     Tenant::current()
    /// });
    /// assert_eq!(smol::block_on(request), Some(acme.clone()));
    /// assert_eq!(acme.run(|| Tenant::current())?, Some(acme));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// In code without awaits:
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// let scope = acme.enter()?;
    /// assert_eq!(Tenant::current(), Some(acme));
    /// drop(scope);
    /// assert_eq!(Tenant::current(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error while another tenant is current, or another incarnation of this
    /// one.
    pub fn enter(&self) -> Result<Scope, OtherTenant> {
        let key = stack::new_key();
        match stack::enter(key, self) {
            Ok(()) => Ok(Scope::new(key)),
            Err(current) => Err(self.refused(current)),
        }
    }

    /// Makes this tenant current until the scope is dropped, even if another tenant is current.
    /// Observers are notified if it crosses from one tenant to another. Only this method,
    /// [`switch_to`](Self::switch_to) and [attached](Self::attach) values cross.
    ///
    /// **Do not hold the scope over an `.await`:** on a single-threaded executor the tenant would
    /// also be current for other tasks; see [`Scope`]. Attach the future that runs for the other
    /// tenant, or use `switch_to` between two awaits:
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// # let beta = Tenant::builder("beta".parse()?).build()?;
    /// let request = acme.attach(async move {
    ///     let theirs = beta.attach(async { Tenant::current() }).await;
    ///     assert_eq!(theirs.as_ref(), Some(&beta));
    ///     assert_eq!(beta.switch_to(Tenant::current), Some(beta));
    ///     Tenant::current()
    /// });
    /// assert_eq!(smol::block_on(request), Some(acme));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn switch(&self) -> Scope {
        let key = stack::new_key();
        let crossing = stack::cross(key, Some(self), None);
        let scope = Scope::new(key);
        stack::notify(crossing);
        scope
    }

    /// Calls `f` while this tenant is current. Afterwards the tenant that was current before is
    /// restored, also after a panic or a leaked [`Scope`].
    ///
    /// # Errors
    /// Returns an error, and does not call `f`, while another tenant is current, or another
    /// incarnation of this one.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, OtherTenant> {
        let key = stack::new_key();
        if let Err(current) = stack::enter(key, self) {
            return Err(self.refused(current));
        }
        let _restore = Restore(key);
        Ok(f())
    }

    /// Calls `f` while this tenant is current, even if another tenant was current before. Observers
    /// are notified as by [`switch`](Self::switch). Afterwards the tenant that was current before
    /// is restored as by [`run`](Self::run).
    pub fn switch_to<R>(&self, f: impl FnOnce() -> R) -> R {
        within(Some(self), f)
    }

    /// Calls `f` while no tenant is current, for central work inside the scope of a tenant. `f` can
    /// enter any tenant. Afterwards the tenant that was current before is restored, also after a
    /// panic or a leaked [`Scope`]. [`detached`] does the same for a future.
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// # let beta = Tenant::builder("beta".parse()?).build()?;
    /// let scope = acme.enter()?;
    /// Tenant::outside(|| {
    ///     assert_eq!(Tenant::current(), None);
    ///     beta.run(|| ())
    /// })?;
    /// assert_eq!(Tenant::current(), Some(acme));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn outside<R>(f: impl FnOnce() -> R) -> R {
        within(None, f)
    }

    /// Makes this tenant current during every poll of a future, and while the future is dropped, on
    /// any executor and thread; see [`Attached`]. Other values that are polled, such as a stream or
    /// the body of a response, can be attached as well.
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// let answer = acme.attach(async { Tenant::current() });
    /// assert_eq!(smol::block_on(answer), Some(acme));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach<T>(&self, value: T) -> Attached<T> {
        Attached::new(Some(self.clone()), value)
    }

    /// Returns the tenant that is current on this thread, or `None`.
    pub fn current() -> Option<Self> {
        stack::with_current(|current| current.cloned()).flatten()
    }

    #[cold]
    fn refused(&self, current: Self) -> OtherTenant {
        OtherTenant {
            wanted: self.clone(),
            current,
        }
    }
}

/// The error of entering a tenant while another one, or another incarnation of it, is current.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", refusal(wanted, current))]
pub struct OtherTenant {
    /// The tenant that was to be entered.
    pub wanted: Tenant,
    /// The tenant that is current.
    pub current: Tenant,
}

fn refusal(wanted: &Tenant, current: &Tenant) -> String {
    // Two incarnations of one tenant differ in their epochs.
    let name = |tenant: &Tenant| match wanted.id() == current.id() {
        true => tenant.to_ref().to_string(),
        false => tenant.id().to_string(),
    };
    let (wanted, current) = (name(wanted), name(current));
    format!(
        "tenant {wanted} cannot be entered while {current} is current; \
         drop that scope, or call `Tenant::switch` to cross on purpose"
    )
}
