//! [`Engine`]: the parts of a resolver that handle a request.

use super::caller::Caller;
use super::explain::describe_path;
use super::hosts::Hosts;
use super::memory::Memory;
use super::proxies::{Forwarded, Proxies};
use super::rule::Source;
use crate::classify::{Classified, Classifier};
use crate::path::NormalPath;
use crate::request::RequestHead;

/// The configuration and the memory of a resolver.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) classifier: Classifier,
    pub(super) hosts: Hosts,
    pub(super) proxies: Proxies,
    /// The sources of names on central hosts, in the order of the rules.
    pub(super) sources: Vec<Source>,
    pub(super) memory: Memory,
}

impl Engine {
    /// Returns whether the request comes from a trusted proxy.
    #[inline(always)]
    pub(super) fn is_forwarded(&self, head: &RequestHead<'_, '_>) -> bool {
        head.peer.is_some_and(|peer| self.proxies.trusts(peer))
    }

    /// Returns the hosts that a trusted proxy forwards. A request from another peer has none.
    pub(super) fn forwarded(&self, head: &RequestHead<'_, '_>) -> Forwarded {
        match self.is_forwarded(head) {
            true => self.proxies.forwarded(head),
            false => Forwarded::default(),
        }
    }

    /// Classifies the path, and records the class as a step.
    #[inline(always)]
    pub(super) fn classify<C: Caller>(
        &self,
        head: &RequestHead<'_, '_>,
        path: &NormalPath<'_>,
        caller: &mut C,
    ) -> Classified {
        let classified = self.classifier.classify(head.method, path);
        caller.step("path", || describe_path(path, classified));
        classified
    }
}
