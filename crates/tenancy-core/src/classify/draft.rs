//! [`Draft`]: the edges of a trie, before they have their places.

use std::collections::BTreeMap;

use super::edge::{Edge, number};
use super::words::Classified;

/// A trie under construction. It takes the rules in order, so that a prefix comes before the
/// prefixes that continue it.
pub(super) struct Draft<'a> {
    pub root: Classified,
    /// The edges with their segments. The node below an edge is its place here, from 1.
    pub edges: Vec<(&'a str, Edge)>,
    /// The place of an edge by the node above it and its segment.
    places: BTreeMap<(usize, &'a str), usize>,
}

impl<'a> Draft<'a> {
    pub fn new(root: Classified) -> Self {
        Self {
            root,
            edges: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Adds one rule of a valid prefix.
    pub fn add(&mut self, prefix: &'a str, answer: Classified) {
        if prefix == "/" {
            self.root = answer;
            return;
        }
        // A rule without effect would only make paths longer to walk.
        if self.answer(prefix) == answer {
            return;
        }
        let mut node = 0;
        let mut above = self.root;
        for segment in prefix[1..].split('/') {
            let edge = self.edge(node, segment, above);
            (node, above) = (edge + 1, self.edges[edge].1.answer);
        }
        self.edges[node - 1].1.answer = answer;
    }

    /// Returns the answer to a path by the rules so far.
    fn answer(&self, path: &str) -> Classified {
        let (mut node, mut answer) = (0, self.root);
        for segment in path[1..].split('/') {
            let Some(at) = self.places.get(&(node, segment)) else {
                break;
            };
            (node, answer) = (at + 1, self.edges[*at].1.answer);
        }
        answer
    }

    /// Returns the edge of this segment below a node, and makes it if there is none.
    fn edge(&mut self, node: usize, segment: &'a str, above: Classified) -> usize {
        let next = self.edges.len();
        let at = *self.places.entry((node, segment)).or_insert(next);
        if at == next {
            self.edges.push((segment, Edge::new(node, segment, above)));
            if let Some(parent) = node.checked_sub(1) {
                self.edges[parent].1.node = number(node);
            }
        }
        at
    }
}
