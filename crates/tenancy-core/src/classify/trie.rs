//! A trie of path segments in one open-addressed table.

use std::collections::BTreeMap;

use super::Classified;
use crate::path::word;

/// Finds the longest prefix of whole segments. The cost depends on the path alone:
/// the edges of all nodes lie in one table, found by parent and segment.
#[derive(Debug, Clone)]
pub(super) struct Trie {
    /// The heads of the edges, in a place of their own because a search for what is
    /// not there looks at nothing else; 0 where no edge is. Invariant: a power of
    /// two, at least three quarters of it empty, so that probing ends soon.
    heads: Box<[u64]>,
    /// At the same places.
    edges: Box<[Edge]>,
    /// Leaves as many bits of a hash as number the places.
    shift: u32,
    /// The segments of more than 16 bytes, one after the other.
    long: Box<[u8]>,
    /// The answer for a path without a rule.
    root: Classified,
}

/// So many first bytes of a segment are its head.
const HEAD: usize = 8;

/// The way from a node to the one below it. Nodes are numbers; the root is 0.
#[derive(Debug, Clone, Copy)]
struct Edge {
    /// The segment's last eight bytes, if it has so many.
    last: u64,
    parent: u32,
    /// The node below, 0 when no edge starts there.
    node: u32,
    /// Where the segment starts in `long`, if it has more than 16 bytes.
    long: u32,
    /// The length of the segment; a path has at most 8,192 bytes.
    len: u16,
    /// Of the longest rule that ends here or above.
    answer: Classified,
}

impl Trie {
    /// Of valid prefixes, each once and in order, so that a prefix comes before
    /// those that continue it.
    pub fn new<'a>(
        mut root: Classified,
        rules: impl Iterator<Item = (&'a str, Classified)>,
    ) -> Self {
        let mut edges: Vec<(&str, Edge)> = Vec::new();
        let mut known = BTreeMap::new();
        for (prefix, answer) in rules {
            if prefix == "/" {
                root = answer;
                continue;
            }
            let (mut node, mut above, mut last) = (0, root, 0);
            for segment in prefix[1..].split('/') {
                last = *known.entry((node, segment)).or_insert_with(|| {
                    edges.push((segment, Edge::new(node, segment, above)));
                    edges.len() - 1
                });
                (node, above) = (last + 1, edges[last].1.answer);
            }
            edges[last].1.answer = answer;
        }
        for at in 0..edges.len() {
            let parent = edges[at].1.parent;
            if parent != 0 {
                edges[parent as usize - 1].1.node = parent;
            }
        }
        let mut trie = Self::empty(root, edges.len());
        for (segment, edge) in edges {
            trie.insert(segment.as_bytes(), edge);
        }
        trie
    }

    /// With room for so many edges.
    fn empty(root: Classified, edges: usize) -> Self {
        let places = (4 * edges).next_power_of_two().max(2);
        let no_edge = Edge::new(0, "", root);
        Self {
            heads: vec![0; places].into(),
            edges: vec![no_edge; places].into(),
            shift: u64::BITS - places.ilog2(),
            long: Box::default(),
            root,
        }
    }

    fn insert(&mut self, segment: &[u8], mut edge: Edge) {
        if segment.len() > 2 * HEAD {
            edge.long = number(self.long.len());
            self.long = [&*self.long, segment].concat().into();
        }
        let head = head(segment);
        let mask = self.heads.len() - 1;
        let mut at = self.home(edge.parent, head);
        while self.heads[at & mask] != 0 {
            at += 1;
        }
        self.heads[at & mask] = head;
        self.edges[at & mask] = edge;
    }

    /// The answer of the longest prefix of `path`, a normal path.
    #[inline]
    pub fn longest(&self, path: &[u8]) -> Classified {
        let rest = path.get(1..).unwrap_or_default();
        match self.find(0, rest) {
            None => self.root,
            Some(edge) if edge.node == 0 => edge.answer,
            Some(edge) => self.longest_below(edge, rest),
        }
    }

    /// [`longest`](Self::longest) where `rest` starts with the segment of `edge`.
    #[inline(never)]
    fn longest_below<'t>(&'t self, mut edge: &'t Edge, mut rest: &[u8]) -> Classified {
        while edge.node != 0 {
            rest = rest.get(usize::from(edge.len) + 1..).unwrap_or_default();
            match self.find(edge.node, rest) {
                Some(below) => edge = below,
                None => break,
            }
        }
        edge.answer
    }

    /// The edge of the first segment of `rest`.
    #[inline]
    fn find(&self, parent: u32, rest: &[u8]) -> Option<&Edge> {
        let head = head(rest);
        let mask = self.heads.len() - 1;
        let mut at = self.home(parent, head);
        loop {
            let found = self.heads[at & mask];
            if found == 0 {
                return None;
            }
            if found == head {
                let edge = &self.edges[at & mask];
                if edge.parent == parent && self.tail_fits(edge, rest) {
                    return Some(edge);
                }
            }
            at += 1;
        }
    }

    /// With equal heads: is all of the segment equal?
    #[inline]
    fn tail_fits(&self, edge: &Edge, rest: &[u8]) -> bool {
        let len = usize::from(edge.len);
        if len < HEAD {
            return true; // a head with zeros in it is the whole segment
        }
        let (Some(segment), None | Some(b'/')) = (rest.get(..len), rest.get(len)) else {
            return false;
        };
        let last = segment.last_chunk();
        last.is_some_and(|last| u64::from_le_bytes(*last) == edge.last)
            && (len <= 2 * HEAD || self.is_long(edge, segment))
    }

    #[inline(never)]
    fn is_long(&self, edge: &Edge, segment: &[u8]) -> bool {
        let start = edge.long as usize;
        self.long[start..start + segment.len()] == *segment
    }

    /// Where probing starts.
    #[inline]
    fn home(&self, parent: u32, head: u64) -> usize {
        // 2^64 divided by the golden ratio. The highest bits of the product depend on
        // all bits of the head.
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = (head ^ u64::from(parent) << 32).wrapping_mul(MIX);
        (mixed >> self.shift) as usize
    }
}

impl Edge {
    fn new(parent: usize, segment: &str, answer: Classified) -> Self {
        let bytes = segment.as_bytes();
        Self {
            last: bytes
                .last_chunk()
                .map_or(0, |last| u64::from_le_bytes(*last)),
            parent: number(parent),
            node: 0,
            long: 0,
            len: u16::try_from(bytes.len()).expect("a path has at most 8,192 bytes"),
            answer,
        }
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("there are fewer than 4 GiB of rules")
}

/// The first bytes of the segment at the front of `rest`: at most eight, the first
/// lowest, filled up with zeros. 0 if there is no segment, as no byte of a path is 0.
#[inline]
fn head(rest: &[u8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; HEAD]);
    let first = match rest.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => word(rest),
    };
    // The classic test for a zero byte, of which the lowest mark is always right; a
    // path is ASCII, so that no byte has its high bit set.
    let marks = (first ^ (ONES * b'/' as u64)).wrapping_sub(ONES) & (ONES << 7);
    let slash = marks & marks.wrapping_neg();
    // Everything below the slash; everything, if there is none.
    first & (slash >> 7).wrapping_sub(1)
}
