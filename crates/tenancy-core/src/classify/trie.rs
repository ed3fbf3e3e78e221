//! A trie of path segments in one open-addressed table.

use super::draft::Draft;
use super::edge::{Edge, HEAD, head, number};
use super::words::{Classified, PathClass, RouteMode};

/// A trie of prefixes of whole segments. One table holds the edges of all nodes, by parent and
/// segment, so the cost of a look-up depends only on the path.
#[derive(Debug, Clone)]
pub(super) struct Trie {
    /// The open-addressed table. An empty place has head 0 and no parent. Invariant: the length is
    /// a power of two, and at least three quarters of the places are empty, so that probing ends
    /// soon.
    edges: Box<[Edge]>,
    /// The shift that reduces a hash to the number of a place.
    shift: u32,
    /// The multiplier that makes a hash of a head.
    mix: u64,
    /// The segments of more than 16 bytes, one after the other.
    long: Box<[u8]>,
    /// The answer for a path without a rule.
    root: Classified,
}

/// The number of multipliers that are tried. With the best of them nearly every edge is at the
/// place where its probing starts.
const MIXES: u64 = 64;

impl Trie {
    /// Makes a trie of valid prefixes. They are distinct and in order: a prefix is before longer
    /// prefixes that begin with it.
    pub fn new<'a>(root: Classified, rules: impl Iterator<Item = (&'a str, Classified)>) -> Self {
        let mut draft = Draft::new(root);
        rules.for_each(|(prefix, answer)| draft.add(prefix, answer));
        let mut long = Vec::new();
        for (segment, edge) in &mut draft.edges {
            if segment.len() > 2 * HEAD {
                edge.long = number(long.len());
                long.extend_from_slice(segment.as_bytes());
            }
        }
        // 2^64 divided by the golden ratio, and odd multiples of it.
        let mixes = (0..MIXES).map(|n| 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(2 * n + 1));
        let tables = mixes.map(|mix| Self::table(draft.edges.iter().map(|(_, edge)| *edge), mix));
        let (_, trie) = tables
            .min_by_key(|(steps, _)| *steps)
            .expect("some are tried");
        Self {
            long: long.into(),
            root: draft.root,
            ..trie
        }
    }

    /// Returns the table with this multiplier, and the number of probing steps that all its edges
    /// need together.
    fn table(edges: impl ExactSizeIterator<Item = Edge>, mix: u64) -> (usize, Self) {
        let places = (4 * edges.len()).next_power_of_two().max(2);
        let page = Classified {
            class: PathClass::Page,
            mode: RouteMode::Universal,
        };
        let no_edge = Edge {
            parent: u32::MAX,
            ..Edge::new(0, "", page)
        };
        let mut table = Self {
            edges: vec![no_edge; places].into(),
            shift: u64::BITS - places.ilog2(),
            mix,
            long: Box::default(),
            root: page,
        };
        let mut steps = 0;
        for edge in edges {
            let mut at = table.home(edge.parent, edge.head);
            while table.edges[at % places].head != 0 {
                at += 1;
                steps += 1;
            }
            table.edges[at % places] = edge;
        }
        (steps, table)
    }

    /// Returns the answer of the longest prefix of `path`, a normal path.
    #[inline(always)]
    pub fn longest(&self, path: &[u8]) -> Classified {
        let Some((_, rest)) = path.split_first() else {
            return self.root;
        };
        // Most paths are decided by their first segment.
        match self.find(0, head(path, rest), rest) {
            None => self.root,
            Some(edge) if edge.node == 0 => edge.answer,
            Some(edge) => self.below(edge, path, rest),
        }
    }

    /// Returns the answer of the longest prefix of `path` that goes through this edge. The segment
    /// of the edge is at the front of `rest`.
    #[inline(never)]
    fn below<'t>(&'t self, mut edge: &'t Edge, path: &[u8], mut rest: &[u8]) -> Classified {
        while let Some(next) = rest.get(usize::from(edge.len) + 1..) {
            rest = next;
            match self.find(edge.node, head(path, rest), rest) {
                Some(longer) if longer.node != 0 => edge = longer,
                Some(longest) => return longest.answer,
                None => break,
            }
        }
        edge.answer
    }

    /// Returns the edge of the first segment of `rest`, which has this head.
    #[inline(always)]
    fn find(&self, parent: u32, head: u64, rest: &[u8]) -> Option<&Edge> {
        let mut at = self.home(parent, head);
        loop {
            let edge = &self.edges[at & (self.edges.len() - 1)];
            if edge.head == head && edge.parent == parent {
                if edge.ends(rest) && self.is_long(edge, rest) {
                    return Some(edge);
                }
            } else if edge.head == 0 {
                return None;
            }
            at += 1;
        }
    }

    /// Returns whether the bytes between an equal head and an equal end are equal.
    #[inline(always)]
    fn is_long(&self, edge: &Edge, rest: &[u8]) -> bool {
        let (start, len) = (edge.long as usize, usize::from(edge.len));
        len <= 2 * HEAD || self.long.get(start..start + len) == rest.get(..len)
    }

    /// Returns the place where probing starts.
    #[inline]
    fn home(&self, parent: u32, head: u64) -> usize {
        // The highest bits of the product depend on all bits of the head.
        let mixed = (head ^ u64::from(parent) << 32).wrapping_mul(self.mix);
        mixed.wrapping_shr(self.shift) as usize
    }
}
