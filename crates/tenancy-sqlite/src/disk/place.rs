//! [`Place`]: a checked placement of this driver.

use std::ffi::OsStr;

use tenancy_core::{Epoch, Placement, Tenant};

use crate::disk::hex::random_hex;
use crate::error::{IoError, OpenError};

/// The [`Placement::kind`] of this driver's files.
pub(crate) const KIND: &str = "sqlite";

/// The checked place of one incarnation of a tenant. Only hex digits of this form become part of a
/// path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) locator: Box<str>,
    pub(crate) epoch: Epoch,
}

impl Place {
    /// Draws a placement: 128 random bits, never the tenant's name.
    pub(crate) fn draw() -> Result<Placement, IoError> {
        Ok(Placement::new(KIND, random_hex::<16>()?))
    }

    /// Parses a locator. Returns `None` if it is not 32 digits of lower-case hex.
    pub(crate) fn parse(locator: &str, epoch: Epoch) -> Option<Self> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let ours = locator.len() == 32 && locator.bytes().all(hex);
        ours.then(|| Self {
            locator: locator.into(),
            epoch,
        })
    }

    /// Returns the place of a tenant, and refuses the placement of another driver.
    pub(crate) fn of(tenant: &Tenant) -> Result<Self, OpenError> {
        let placement = tenant.placement();
        let place = Self::parse(&placement.locator, tenant.epoch());
        let ours = &*placement.kind == KIND && placement.shard.is_empty();
        place.filter(|_| ours).ok_or_else(|| {
            let (kind, shard) = (&placement.kind, &placement.shard);
            let text = format!("{kind}:{shard}:{}", placement.locator);
            OpenError::Placement {
                tenant: tenant.to_ref(),
                found: text.escape_debug().take(120).collect::<String>().into(),
            }
        })
    }

    /// Returns the placeholder tenant in the stamp of a warm-pool file. Its id is derived from the
    /// locator alone.
    pub(crate) fn placeholder(&self) -> Tenant {
        let id = format!("stock-{}", self.locator).parse();
        let tenant = Tenant::builder(id.expect("hex digits make a label"))
            .placement(Placement::new(KIND, self.locator.clone()))
            .epoch(self.epoch)
            .build();
        tenant.expect("a tenant without attributes keeps their bounds")
    }

    /// Returns the name of the file, `<locator>.<epoch>.db`.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.{}.db", self.locator, self.epoch)
    }

    /// Returns the place as numbers, which are faster to compare.
    pub(crate) fn key(&self) -> PlaceKey {
        let locator = u128::from_str_radix(&self.locator, 16);
        PlaceKey {
            locator: locator.expect("32 digits in hex were checked"),
            epoch: self.epoch,
        }
    }

    /// Returns the place of a file by its name, or `None` for other names.
    pub(crate) fn key_of(name: &OsStr) -> Option<PlaceKey> {
        let name = name.to_str()?.strip_suffix(".db")?;
        let (locator, epoch) = name.split_once('.')?;
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let digits =
            |text: &str| !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        if locator.len() != 32 || !locator.bytes().all(hex) || !digits(epoch) {
            return None;
        }
        Some(PlaceKey {
            locator: u128::from_str_radix(locator, 16).ok()?,
            epoch: Epoch::new(epoch.parse().ok()?)?,
        })
    }
}

/// A [`Place`] as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PlaceKey {
    locator: u128,
    epoch: Epoch,
}

impl PlaceKey {
    pub(crate) fn locator(self) -> u128 {
        self.locator
    }

    pub(crate) fn epoch(self) -> Epoch {
        self.epoch
    }

    pub(crate) fn place(self) -> Place {
        Place {
            locator: format!("{:032x}", self.locator).into(),
            epoch: self.epoch,
        }
    }

    /// Returns the first two digits of the locator, which name its directory.
    pub(crate) fn shard(self) -> u8 {
        (self.locator >> 120) as u8
    }
}
