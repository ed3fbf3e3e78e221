//! [`RequestHead`]: what an adapter fills in.

use std::fmt;
use std::net::IpAddr;

use crate::classify::Method;
use crate::path::Target;

/// Tells every value of the header of this (lower-case) name, one call a value.
pub type Headers<'p> = dyn Fn(&str, &mut dyn FnMut(&[u8])) + 'p;

/// The head of a request, borrowed from the web framework as it arrived: bytes,
/// nothing trimmed or decoded.
///
/// ```
/// use tenancy_core::{Method, RequestHead};
/// let headers = |name: &str, each: &mut dyn FnMut(&[u8])| {
///     if name == "x-tenant" {
///         each(b"acme");
///     }
/// };
/// let head = RequestHead::new(Method::Get, "/orders?page=2")
///     .host("app.test:8080")
///     .headers(&headers);
/// # let _ = head;
/// ```
#[derive(Clone, Copy)]
pub struct RequestHead<'p> {
    pub(crate) method: Method,
    pub(crate) target: Target<'p>,
    pub(crate) hosts: Hosts<'p>,
    pub(crate) authority: Option<&'p [u8]>,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) headers: Option<&'p Headers<'p>>,
}

/// The values of the Host header.
#[derive(Clone, Copy)]
pub(crate) enum Hosts<'p> {
    None,
    One(&'p [u8]),
    Several,
}

impl<'p> RequestHead<'p> {
    /// A request of this method for this path with its query. Text is quicker than
    /// bytes: hand on what you have.
    pub fn new(method: Method, target: impl Into<Target<'p>>) -> Self {
        Self {
            method,
            target: target.into(),
            hosts: Hosts::None,
            authority: None,
            peer: None,
            headers: None,
        }
    }

    /// The value of the one Host header.
    pub fn host(mut self, host: &'p (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.hosts = Hosts::One(host.as_ref());
        self
    }

    /// All values of Host headers: an adapter that can see several passes them all.
    pub fn hosts(mut self, hosts: &'p [&'p [u8]]) -> Self {
        self.hosts = match hosts {
            [] => Hosts::None,
            [host] => Hosts::One(host),
            _ => Hosts::Several,
        };
        self
    }

    /// HTTP/2's `:authority`, or the authority of an absolute-form target.
    pub fn authority(mut self, authority: &'p (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.authority = Some(authority.as_ref());
        self
    }

    /// The address that the request came from, for trusted proxies.
    pub fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The other headers; asked only when a rule needs one.
    pub fn headers(mut self, headers: &'p Headers<'p>) -> Self {
        self.headers = Some(headers);
        self
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path with its query, as it arrived.
    pub fn target(&self) -> &'p [u8] {
        self.target.as_bytes()
    }

    /// The address that the request came from, if the adapter told it.
    pub fn peer_address(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Tells every value of the header of this (lower-case) name.
    pub fn each_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(headers) = self.headers {
            headers(name, each);
        }
    }

    /// What follows the first `?`.
    pub(crate) fn query(&self) -> Option<&'p [u8]> {
        let target = self.target.as_bytes();
        let at = target.iter().position(|b| *b == b'?')?;
        Some(&target[at + 1..])
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = String::from_utf8_lossy(self.target.as_bytes());
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &target)
            .finish_non_exhaustive()
    }
}
