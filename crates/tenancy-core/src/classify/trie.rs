//! A trie of path segments in one open-addressed table.

use super::Classified;
use super::draft::Draft;
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
pub(super) struct Edge {
    /// The segment's last eight bytes, if it has so many.
    last: u64,
    pub parent: u32,
    /// The node below, 0 when no edge starts there.
    pub node: u32,
    /// Where the segment starts in `long`, if it has more than 16 bytes.
    long: u32,
    /// The length of the segment; a path has at most 8,192 bytes.
    len: u16,
    /// Of the longest rule that ends here or above.
    pub answer: Classified,
}

impl Trie {
    /// Of valid prefixes, each once and in order, so that a prefix comes before
    /// those that continue it.
    pub fn new<'a>(root: Classified, rules: impl Iterator<Item = (&'a str, Classified)>) -> Self {
        let mut draft = Draft::new(root);
        rules.for_each(|(prefix, answer)| draft.add(prefix, answer));
        let mut trie = Self::empty(draft.root, draft.edges.len());
        for (segment, edge) in draft.edges {
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
        let head = head(segment, segment);
        let mask = self.heads.len() - 1;
        let mut at = self.home(edge.parent, head);
        while self.heads[at & mask] != 0 {
            at += 1;
        }
        self.heads[at & mask] = head;
        self.edges[at & mask] = edge;
    }

    /// The answer of the longest prefix of `path`, a normal path.
    #[inline(always)]
    pub fn longest(&self, path: &[u8]) -> Classified {
        let (mut answer, mut node) = (&self.root, 0);
        let Some((_, mut rest)) = path.split_first() else {
            return *answer;
        };
        while let Some(edge) = self.find(node, head(path, rest), rest) {
            answer = &edge.answer;
            node = edge.node;
            match rest.get(usize::from(edge.len) + 1..) {
                Some(below) if node != 0 => rest = below,
                _ => break,
            }
        }
        *answer
    }

    /// The edge of the first segment of `rest`, which has this head.
    #[inline(always)]
    fn find(&self, parent: u32, head: u64, rest: &[u8]) -> Option<&Edge> {
        let mask = self.heads.len() - 1;
        let mut at = self.home(parent, head);
        loop {
            let found = self.heads[at & mask];
            if found == 0 {
                return None;
            }
            if found == head {
                let edge = &self.edges[at & mask];
                if edge.parent == parent && edge.ends(rest) && self.is_long(edge, rest) {
                    return Some(edge);
                }
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
        // 2^64 divided by the golden ratio. The highest bits of the product depend on
        // all bits of the head.
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = (head ^ u64::from(parent) << 32).wrapping_mul(MIX);
        (mixed >> self.shift) as usize
    }
}

impl Edge {
    pub fn new(parent: usize, segment: &str, answer: Classified) -> Self {
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

    /// With an equal head: does the segment at the front of `rest` end as this one?
    #[inline(always)]
    fn ends(&self, rest: &[u8]) -> bool {
        let len = usize::from(self.len);
        if len < HEAD {
            return true; // a head with zeros in it is the whole segment
        }
        let (Some(segment), None | Some(b'/')) = (rest.get(..len), rest.get(len)) else {
            return false;
        };
        let last = segment.last_chunk();
        last.is_some_and(|last| u64::from_le_bytes(*last) == self.last)
    }
}

pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).expect("there are fewer than 4 GiB of rules")
}

/// The first bytes of the segment at the front of `rest`, the end of `path`: at most
/// eight, the first lowest, filled up with zeros. 0 if there is no segment, as no byte
/// of a path is 0.
#[inline(always)]
fn head(path: &[u8], rest: &[u8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; HEAD]);
    let first = match (rest.first_chunk(), path.last_chunk()) {
        (Some(chunk), _) => u64::from_le_bytes(*chunk),
        (None, Some(last)) => u64::from_le_bytes(*last) >> (8 * (7 - rest.len())) >> 8,
        (None, None) => word(rest),
    };
    // The classic test for a zero byte, of which the lowest mark is always right; a
    // path is ASCII, so that no byte has its high bit set.
    let marks = (first ^ (ONES * b'/' as u64)).wrapping_sub(ONES) & (ONES << 7);
    let slash = marks & marks.wrapping_neg();
    // Everything below the slash; everything, if there is none.
    first & (slash >> 7).wrapping_sub(1)
}
