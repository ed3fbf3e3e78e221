//! A trie of path segments in one open-addressed table.

use super::draft::Draft;
use super::edge::{Edge, HEAD, head, number};
use super::words::{Classified, PathClass, RouteMode};

/// Finds the longest prefix of whole segments. The cost depends on the path alone:
/// the edges of all nodes lie in one table, found by parent and segment.
#[derive(Debug, Clone)]
pub(super) struct Trie {
    /// Open-addressed; where no edge is the head is 0 and the parent none. Invariant: a
    /// power of two, at least three quarters of it empty, so that probing ends soon.
    edges: Box<[Edge]>,
    /// Leaves as many bits of a hash as number the places.
    shift: u32,
    /// Multiplies heads into hashes.
    mix: u64,
    /// The segments of more than 16 bytes, one after the other.
    long: Box<[u8]>,
    /// The answer for a path without a rule.
    root: Classified,
}

/// So many multipliers are tried: with a good one nearly every edge is found at the
/// first place that is looked at.
const MIXES: u64 = 64;

impl Trie {
    /// Of valid prefixes, each once and in order, so that a prefix comes before
    /// those that continue it.
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

    /// The table by this multiplier, and how many steps its edges are from where
    /// probing for them starts.
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

    /// The answer of the longest prefix of `path`, a normal path.
    #[inline(always)]
    pub fn longest(&self, path: &[u8]) -> Classified {
        let Some((_, rest)) = path.split_first() else {
            return self.root;
        };
        // For most paths the first segment tells it.
        match self.find(0, head(path, rest), rest) {
            None => self.root,
            Some(edge) if edge.node == 0 => edge.answer,
            Some(edge) => self.below(edge, path, rest),
        }
    }

    /// The answer of the longest prefix of `path` that begins with this edge, which is
    /// at the front of `rest`.
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

    /// The edge of the first segment of `rest`, which has this head.
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

    /// With an equal head and end: is what stands between them equal?
    #[inline(always)]
    fn is_long(&self, edge: &Edge, rest: &[u8]) -> bool {
        let (start, len) = (edge.long as usize, usize::from(edge.len));
        len <= 2 * HEAD || self.long.get(start..start + len) == rest.get(..len)
    }

    /// Where probing starts.
    #[inline]
    fn home(&self, parent: u32, head: u64) -> usize {
        // The highest bits of the product depend on all bits of the head.
        let mixed = (head ^ u64::from(parent) << 32).wrapping_mul(self.mix);
        mixed.wrapping_shr(self.shift) as usize
    }
}
