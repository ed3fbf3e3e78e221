//! Feature `serde`: names and words are serialized as they are displayed, epochs and versions as
//! numbers. A malformed name is refused with the error of its `FromStr`.

use std::borrow::Cow;

use ::serde::de::{Deserialize, Deserializer, Error};
use ::serde::ser::{Serialize, Serializer};

use crate::{
    Domain, Epoch, PathClass, Reason, RouteMode, RuleKind, TenantId, TenantRef, TenantStatus,
    Version,
};

macro_rules! write_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}

macro_rules! read_as_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

write_as_text!(
    TenantId,
    TenantRef,
    Domain,
    TenantStatus,
    PathClass,
    RouteMode,
    RuleKind,
    Reason
);
read_as_text!(
    TenantId,
    TenantRef,
    Domain,
    TenantStatus,
    PathClass,
    RouteMode
);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.get())
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(from)?;
        Self::new(number).ok_or_else(|| D::Error::custom("epoch 0 is none; they count from 1"))
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialized_values_are_read_back() {
        fn check<T>(value: T, json: &str)
        where
            T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
        {
            assert_eq!(serde_json::to_string(&value).expect(json), json);
            assert_eq!(serde_json::from_str::<T>(json).expect(json), value);
        }
        let id: TenantId = "acme".parse().expect("an id");
        check(id.clone(), "\"acme\"");
        check(
            TenantRef {
                id,
                epoch: Epoch::FIRST,
            },
            "\"acme@1\"",
        );
        check(
            "shop.test".parse::<Domain>().expect("a domain"),
            "\"shop.test\"",
        );
        check(TenantStatus::Suspended, "\"suspended\"");
        check(PathClass::Auth, "\"auth\"");
        check(RouteMode::Universal, "\"universal\"");
        check(Epoch::FIRST, "1");
        check(Version(7), "7");
    }

    #[test]
    fn a_malformed_name_is_refused_with_the_error_of_its_parser() {
        let error = serde_json::from_str::<TenantId>("\"Acme\"").expect_err("upper case");
        assert!(
            error
                .to_string()
                .starts_with("tenant id \"Acme\" has 'A' at byte 0"),
            "{error}"
        );
        assert!(serde_json::from_str::<Epoch>("0").is_err());
    }
}
