//! [`RequestHead`]: the input of the resolver.

use std::fmt;
use std::net::IpAddr;

use crate::classify::Method;
use crate::path::Target;

/// A function that calls its argument with every value of the header of a lower-case name.
pub type Headers<'h> = dyn Fn(&str, &mut dyn FnMut(&[u8])) + 'h;

/// The head of a request, borrowed from the web framework in the bytes that arrived, neither
/// trimmed nor decoded.
///
/// The answer borrows its path from the target, which lives for `'p`. It borrows nothing of the
/// rest, which lives for `'h`.
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
    /// Makes the head of a request with this method and target, a path with its query. Text is
    /// faster than bytes.
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

    /// Sets all values of Host headers. A request with several is refused.
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

    /// Sets HTTP/2's `:authority`, or the authority of an absolute-form target, of which the rest
    /// is the target: `GET http://h?x=1` has the authority `h` and the target `?x=1`, which
    /// stands for `/?x=1`.
    pub fn authority(mut self, authority: &'h (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.authority = Some(authority.as_ref());
        self
    }

    /// Sets the address that the request came from, for trusted proxies.
    pub fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Sets the other headers. The function is called only if a rule needs a header.
    pub fn headers(mut self, headers: &'h Headers<'h>) -> Self {
        self.headers = Some(headers);
        self
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the path with its query, as it arrived.
    pub fn target(&self) -> &'p [u8] {
        self.target.as_bytes()
    }

    /// Returns the address that the request came from, if the adapter set it.
    pub fn peer_address(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Calls `each` with every value of the header of this lower-case name.
    pub fn each_header(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(headers) = self.headers {
            headers(name, each);
        }
    }

    /// Returns the target, with the path `/` if a request with an authority has an empty one
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
