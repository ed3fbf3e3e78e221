//! A trie of path segments in one open-addressed table.

use std::collections::BTreeMap;

use super::Classified;

/// Finds the longest prefix of whole segments. The cost depends on the path alone:
/// every edge of every node lies in one table, found by parent and segment.
#[derive(Debug, Clone)]
pub(super) struct Trie {
    /// Invariant: a power of two, at least half of it empty, so that probing ends.
    slots: Box<[Edge]>,
    /// The tails of segments of more than [`HEAD`] bytes, one behind the other.
    tails: Box<[u8]>,
    /// The answer for a path without a rule.
    root: Classified,
}

/// So many first bytes of a segment stand in its edge.
const HEAD: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Edge {
    /// The segment's first bytes, the first lowest; 0 in an empty slot, as no
    /// segment is empty and no byte of a path is 0.
    head: u64,
    parent: u32,
    node: u32,
    /// Where the rest of the segment stands in `tails`.
    tail: (u32, u32),
    /// The rule that ends here, if one does.
    answer: Option<Classified>,
    /// Nothing is below.
    leaf: bool,
}

impl Trie {
    /// Of valid prefixes, each once.
    pub fn new<'a>(root: Classified, rules: impl Iterator<Item = (&'a str, Classified)>) -> Self {
        let mut root = root;
        let mut edges: Vec<Edge> = Vec::new();
        let mut tails = Vec::new();
        let mut known = BTreeMap::new();
        for (prefix, answer) in rules {
            let mut parent = 0;
            let mut last = None;
            for segment in prefix.split('/').filter(|segment| !segment.is_empty()) {
                let at = *known.entry((parent, segment)).or_insert_with(|| {
                    edges.push(Edge::new(parent, edges.len() + 1, segment, &mut tails));
                    edges.len() - 1
                });
                if let Some(above) = last {
                    let above: &mut Edge = &mut edges[above];
                    above.leaf = false;
                }
                parent = edges[at].node;
                last = Some(at);
            }
            match last {
                Some(at) => edges[at].answer = Some(answer),
                None => root = answer,
            }
        }
        let mut trie = Self {
            slots: vec![Edge::EMPTY; (2 * edges.len()).next_power_of_two().max(2)].into(),
            tails: tails.into(),
            root,
        };
        for edge in edges {
            trie.insert(edge);
        }
        trie
    }

    fn insert(&mut self, edge: Edge) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(edge.parent, edge.head);
        while self.slots[at].head != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = edge;
    }

    /// The answer of the longest prefix of `path`, a normal path.
    #[inline]
    pub fn longest(&self, path: &[u8]) -> Classified {
        let mut best = self.root;
        let mut parent = 0;
        let mut rest = &path[1..];
        while !rest.is_empty() {
            let (head, len) = first_segment(rest);
            let Some(edge) = self.find(parent, head, &rest[..len]) else {
                break;
            };
            best = edge.answer.unwrap_or(best);
            if edge.leaf {
                break;
            }
            parent = edge.node;
            rest = rest.get(len + 1..).unwrap_or_default();
        }
        best
    }

    #[inline]
    fn find(&self, parent: u32, head: u64, segment: &[u8]) -> Option<&Edge> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(parent, head);
        loop {
            let edge = &self.slots[at & mask];
            if edge.head == head && edge.parent == parent && self.tail_is(edge, segment) {
                return Some(edge);
            }
            if edge.head == 0 {
                return None;
            }
            at += 1;
        }
    }

    #[inline]
    fn tail_is(&self, edge: &Edge, segment: &[u8]) -> bool {
        let (start, end) = (edge.tail.0 as usize, edge.tail.1 as usize);
        segment.len() < HEAD || self.tails[start..end] == segment[HEAD..]
    }

    /// Where probing starts.
    #[inline]
    fn home(&self, parent: u32, head: u64) -> usize {
        // Odd, with its bits well mixed: 2^64 divided by the golden ratio.
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = (head ^ u64::from(parent).wrapping_mul(MIX).rotate_left(32)).wrapping_mul(MIX);
        (mixed >> 32) as usize & (self.slots.len() - 1)
    }
}

impl Edge {
    const EMPTY: Self = Self {
        head: 0,
        parent: 0,
        node: 0,
        tail: (0, 0),
        answer: None,
        leaf: true,
    };

    fn new(parent: u32, node: usize, segment: &str, tails: &mut Vec<u8>) -> Self {
        let bytes = segment.as_bytes();
        let offset = |at: usize| u32::try_from(at).expect("fewer than 4 GiB of rules");
        let start = offset(tails.len());
        tails.extend(bytes.iter().skip(HEAD));
        Self {
            head: first_segment(bytes).0,
            parent,
            node: offset(node),
            tail: (start, offset(tails.len())),
            ..Self::EMPTY
        }
    }
}

/// The head of the segment at the front of `rest`, and the length of all of it.
#[inline]
fn first_segment(rest: &[u8]) -> (u64, usize) {
    let word = match rest.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => short(rest),
    };
    match slash(word) {
        Some(len) => (word & ((1 << (8 * len)) - 1), len),
        None => (
            word,
            rest.len().min(HEAD) + rest.get(HEAD..).map_or(0, until_slash),
        ),
    }
}

/// How many bytes stand before the first `/` or the end.
fn until_slash(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk() {
        if let Some(len) = slash(u64::from_le_bytes(*chunk)) {
            return at + len;
        }
        at += HEAD;
    }
    let rest = &bytes[at..];
    at + slash(short(rest)).unwrap_or(rest.len())
}

/// Which byte of `word` is the first `/`, counted from the lowest.
#[inline]
fn slash(word: u64) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // The classic test for a zero byte; its lowest mark is always right.
    let zero = word ^ (ONES * b'/' as u64);
    let marks = zero.wrapping_sub(ONES) & !zero & (ONES << 7);
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

/// Fewer than eight bytes as a word, the first lowest, filled up with zeros.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let last = u64::from(u32::from_le_bytes(*last));
        return u64::from(u32::from_le_bytes(*first)) | last << (8 * (bytes.len() - 4));
    }
    match *bytes {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, ..] => u64::from(u32::from_le_bytes([a, b, c, 0])),
    }
}
