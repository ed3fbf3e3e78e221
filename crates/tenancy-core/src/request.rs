//! [`RequestHead`]: the input of the resolver.

use std::fmt;
use std::net::IpAddr;

use crate::classify::Method;
use crate::path::Target;

/// A function of an adapter that reads headers. It gets the name of a header in lower case, and a
/// callback that it calls with each value of that header.
pub type Headers<'h> = dyn Fn(&str, &mut dyn FnMut(&[u8])) + 'h;

/// The head of a request. It borrows the bytes that arrived from the web framework, neither trimmed
/// nor decoded.
///
/// The target lives for `'p`, and all other parts for `'h`. An answer may borrow its path from the
/// target, but nothing from the other parts.
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
pub struct RequestHead<'p, 'h> {
    pub(crate) method: Method,
    pub(crate) target: Target<'p>,
    pub(crate) hosts: Hosts<'h>,
    pub(crate) authority: Option<&'h [u8]>,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) headers: Option<&'h Headers<'h>>,
}

/// The values of the Host header.
#[derive(Clone, Copy)]
pub(crate) enum Hosts<'h> {
    None,
    One(&'h [u8]),
    Several,
}

impl<'p, 'h> RequestHead<'p, 'h> {
    /// Makes a head from a method and a target, which is a path with its query. A target of text is
    /// faster than one of bytes.
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

    /// Sets the value of the one Host header.
    pub fn host(mut self, host: &'h (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.hosts = Hosts::One(host.as_ref());
        self
    }

    /// Sets the values of all Host headers. A request with more than one is refused.
    ///
    /// ```
    /// # use tenancy_core::{Method, RequestHead};
    /// # let headers = [("host", "acme.app.test"), ("accept", "*/*")];
    /// let hosts = headers.iter().filter(|(name, _)| *name == "host");
    /// let head = RequestHead::new(Method::Get, "/").hosts(hosts.map(|(_, value)| value));
    /// # let _ = head;
    /// ```
    pub fn hosts<H: AsRef<[u8]> + ?Sized + 'h>(
        mut self,
        hosts: impl IntoIterator<Item = &'h H>,
    ) -> Self {
        let mut hosts = hosts.into_iter();
        self.hosts = match (hosts.next(), hosts.next()) {
            (None, _) => Hosts::None,
            (Some(host), None) => Hosts::One(host.as_ref()),
            (Some(_), Some(_)) => Hosts::Several,
        };
        self
    }

    /// Sets the authority: the `:authority` of HTTP/2, or the authority of a target in absolute
    /// form. The part behind such an authority is the target of the head: `GET http://h?x=1` has
    /// the authority `h` and the target `?x=1`, which means `/?x=1`.
    pub fn authority(mut self, authority: &'h (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.authority = Some(authority.as_ref());
        self
    }

    /// Sets the address that the request came from. Without an address, the request does not count
    /// as one from a trusted proxy.
    pub fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Sets the function that reads headers. It is called only for a header that a rule needs, or
    /// in which a trusted proxy forwards the host.
    pub fn headers(mut self, headers: &'h Headers<'h>) -> Self {
        self.headers = Some(headers);
        self
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the target as it arrived: a path with its query.
    pub fn target(&self) -> &'p [u8] {
        self.target.as_bytes()
    }

    /// Returns the address that the request came from, if the adapter set it.
    pub fn peer_address(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Calls `each` with every value of a header. `name` is in lower case.
    pub fn each_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(headers) = self.headers {
            headers(name, each);
        }
    }

    /// Returns the target. If the request has an authority and an empty path, the path is `/`
    /// (RFC 9110 §4.2.3).
    pub(crate) fn rooted_target(&self) -> Target<'p> {
        match self.target.as_bytes().first() {
            None | Some(b'?') if self.authority.is_some() => Target::from("/"),
            _ => self.target,
        }
    }

    /// Returns the part after the first `?`.
    pub(crate) fn query(&self) -> Option<&'p [u8]> {
        let target = self.target.as_bytes();
        let at = target.iter().position(|b| *b == b'?')?;
        Some(&target[at + 1..])
    }
}

impl fmt::Debug for RequestHead<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = String::from_utf8_lossy(self.target.as_bytes());
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &target)
            .finish_non_exhaustive()
    }
}
