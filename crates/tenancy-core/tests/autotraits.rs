//! What may cross threads and what must not, so that a change of a private field
//! cannot change it unseen. Holds when this compiles.

use std::future::Ready;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use tenancy_core::*;

const fn is_shared<T: Send + Sync + 'static>() {}
const fn survives_a_panic<T: UnwindSafe + RefUnwindSafe>() {}
const fn is_an_error<T: std::error::Error + Send + Sync + 'static>() {}
const fn is_plain<T: Copy + Eq + std::hash::Hash>() {}

/// Does not compile when the type has the trait: then two impls fit.
macro_rules! has_not {
    ($type:ty: $trait:path) => {
        const _: fn() = || {
            trait Ambiguous<A> {
                fn item() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            #[allow(dead_code)]
            struct Also;
            impl<T: ?Sized + $trait> Ambiguous<Also> for T {}
            let _ = <$type as Ambiguous<_>>::item;
        };
    };
}

has_not!(Scope: Send);
has_not!(Scope: Sync);
has_not!(Scope: Clone);
has_not!(Attached<Ready<Rc<()>>>: Send);
has_not!(Attached<Ready<()>>: Clone);

const _: () = {
    is_shared::<Tenant>();
    is_shared::<TenantId>();
    is_shared::<TenantRef>();
    is_shared::<Domain>();
    is_shared::<Attributes>();
    is_shared::<Placement>();
    is_shared::<Maintenance>();
    is_shared::<Attached<Ready<()>>>();
    is_shared::<Observers>();
    is_shared::<Observing>();
    is_shared::<MemoryCatalog>();
    is_shared::<Changes>();
    is_shared::<std::sync::Arc<dyn Catalog>>();
    is_shared::<std::sync::Arc<dyn CatalogWriter>>();
    is_shared::<std::sync::Arc<dyn Observer>>();
    is_shared::<std::sync::Arc<dyn Provisioner>>();
};

const _: () = {
    survives_a_panic::<Tenant>();
    survives_a_panic::<TenantId>();
    survives_a_panic::<Domain>();
    is_plain::<Epoch>();
    is_plain::<Version>();
    is_plain::<TenantStatus>();
    is_plain::<TenantKey<'static>>();
};

const _: () = {
    is_an_error::<InvalidTenantId>();
    is_an_error::<InvalidTenantRef>();
    is_an_error::<InvalidDomain>();
    is_an_error::<OtherTenant>();
    is_an_error::<TooManyAttributes>();
    is_an_error::<UnknownStatus>();
    is_an_error::<CatalogError>();
    is_an_error::<WriteError>();
    is_an_error::<ProvisionError>();
};

#[test]
fn a_handle_is_one_word() {
    let word = size_of::<usize>();
    assert_eq!(size_of::<Tenant>(), word);
    assert_eq!(size_of::<Option<Tenant>>(), word);
    assert!(size_of::<TenantId>() <= 2 * word);
    assert!(size_of::<Scope>() <= word);
}
