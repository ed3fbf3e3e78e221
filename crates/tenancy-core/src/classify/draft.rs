//! [`Draft`]: the edges of a trie, before they have their places.

use std::collections::BTreeMap;

use super::edge::{Edge, number};
use super::words::Classified;

/// A trie under construction. Rules are added in the order of their prefixes: a prefix is added
/// before longer prefixes that begin with it.
pub(super) struct Draft<'a> {
    pub root: Classified,
    /// The edges with their segments. The number of the node below an edge is the index of the edge
    /// plus 1.
    pub edges: Vec<(&'a str, Edge)>,
    /// The index of an edge, by the node above it and its segment.
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

    /// Adds a rule for a valid prefix.
    pub fn add(&mut self, prefix: &'a str, answer: Classified) {
        if prefix == "/" {
            self.root = answer;
            return;
        }
        // A rule that changes no answer would only add edges to walk.
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

    /// Returns the answer for a path by the rules that were added so far.
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
