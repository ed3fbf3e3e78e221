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
// It borrows a closure of the adapter's, which need not be shared.
has_not!(RequestHead<'static, 'static>: Send);
has_not!(Observing: Clone);

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
    is_shared::<Resolver>();
    is_shared::<Resolver>();
    is_shared::<ResolverBuilder>();
    is_shared::<Classifier>();
    is_shared::<ClassifierBuilder>();
    is_shared::<Classified>();
    is_shared::<Resolved<'static>>();
    is_shared::<Resolution>();
    is_shared::<Explanation>();
    is_shared::<NormalPath<'static>>();
    is_shared::<Clock>();
    is_shared::<PublicSuffixes>();
    is_shared::<Challenge>();
    is_shared::<TenantBuilder>();
    is_shared::<NewTenant>();
    is_shared::<TenantChange>();
    is_shared::<Change>();
    is_shared::<Binding>();
    is_shared::<Actor>();
    is_shared::<Versioned<Option<Tenant>>>();
    is_shared::<std::sync::Arc<dyn Catalog>>();
    is_shared::<std::sync::Arc<dyn CatalogWriter>>();
    is_shared::<std::sync::Arc<dyn Observer>>();
    is_shared::<std::sync::Arc<dyn Provisioner>>();
};

const _: () = {
    survives_a_panic::<Tenant>();
    survives_a_panic::<TenantId>();
    survives_a_panic::<Domain>();
    survives_a_panic::<Classifier>();
    survives_a_panic::<Explanation>();
    survives_a_panic::<NormalPath<'static>>();
    is_plain::<Epoch>();
    is_plain::<Version>();
    is_plain::<TenantStatus>();
    is_plain::<TenantKey<'static>>();
    is_plain::<Method>();
    is_plain::<PathClass>();
    is_plain::<RouteMode>();
    is_plain::<Classified>();
    is_plain::<RuleKind>();
    is_shared::<Rule>();
    is_plain::<Reason>();
    is_plain::<Preset>();
};

const _: () = {
    is_an_error::<InvalidTenantId>();
    is_an_error::<InvalidTenantRef>();
    is_an_error::<InvalidDomain>();
    is_an_error::<OtherTenant>();
    is_an_error::<ResolveError>();
    is_an_error::<BadHost>();
    is_an_error::<HostProblem>();
    is_an_error::<BadPath>();
    is_an_error::<InvalidResolver>();
    is_an_error::<InvalidRule>();
    is_an_error::<UnknownPathClass>();
    is_an_error::<UnknownRouteMode>();
    is_an_error::<InvalidSuffixList>();
    is_an_error::<IsPublicSuffix>();
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
