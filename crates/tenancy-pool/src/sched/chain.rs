//! [`Chain`]: a queue of indices with removal from the middle.

/// The absence of an index.
pub(crate) const NONE: u32 = u32::MAX;
/// The link of an index that is not in the chain.
const OUT: u32 = u32::MAX - 1;

/// A doubly linked list of small indices, each at most once in it; every operation takes constant
/// time.
#[derive(Debug)]
pub(crate) struct Chain {
    links: Vec<(u32, u32)>,
    first: u32,
    last: u32,
}

impl Chain {
    pub(crate) const fn new() -> Self {
        Self {
            links: Vec::new(),
            first: NONE,
            last: NONE,
        }
    }

    /// Makes room for one more index.
    pub(crate) fn grow(&mut self) {
        self.links.push((OUT, OUT));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(crate) fn contains(&self, index: u32) -> bool {
        self.links[index as usize].0 != OUT
    }

    #[inline]
    pub(crate) fn push_back(&mut self, index: u32) {
        self.insert(index, NONE);
    }

    /// Inserts an index before another one, or at the end if that is [`NONE`].
    #[inline]
    pub(crate) fn insert(&mut self, index: u32, after: u32) {
        debug_assert!(!self.contains(index), "{index} is in the chain already");
        let before = match after {
            NONE => std::mem::replace(&mut self.last, index),
            after => std::mem::replace(&mut self.links[after as usize].0, index),
        };
        self.links[index as usize] = (before, after);
        match before {
            NONE => self.first = index,
            before => self.links[before as usize].1 = index,
        }
    }

    /// Removes an index; returns whether it was in the chain.
    #[inline]
    pub(crate) fn remove(&mut self, index: u32) -> bool {
        let (before, after) = std::mem::replace(&mut self.links[index as usize], (OUT, OUT));
        if before == OUT {
            return false;
        }
        match before {
            NONE => self.first = after,
            before => self.links[before as usize].1 = after,
        }
        match after {
            NONE => self.last = before,
            after => self.links[after as usize].0 = before,
        }
        true
    }

    /// Iterates from the first index to the last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.first(), |at| {
            let after = self.links[*at as usize].1;
            (after != NONE).then_some(after)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Chain;

    #[test]
    fn an_index_is_removed_from_the_front_the_middle_and_the_end() {
        for leaving in 0..3 {
            let mut chain = Chain::new();
            (0..3).for_each(|_| chain.grow());
            (0..3).for_each(|index| chain.push_back(index));
            assert!(chain.remove(leaving) && !chain.remove(leaving));
            let left: Vec<_> = (0..3).filter(|index| *index != leaving).collect();
            assert_eq!(
                chain.iter().collect::<Vec<_>>(),
                left,
                "{leaving} was removed"
            );
            chain.push_back(leaving);
            assert_eq!(chain.iter().last(), Some(leaving));
            chain.remove(leaving);
            for before in &left {
                chain.insert(leaving, *before);
                let behind = chain.iter().skip_while(|index| *index != leaving).nth(1);
                assert_eq!(behind, Some(*before), "{leaving} was inserted again");
                assert_eq!(chain.iter().count(), 3);
                chain.remove(leaving);
            }
        }
    }
}
