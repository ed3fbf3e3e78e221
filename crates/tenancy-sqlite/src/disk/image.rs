//! The bytes of a new file, with their checksum.

use std::io;
use std::io::Write;

/// The bytes of one tenant's new file.
pub(crate) struct Image<'t> {
    pub(crate) before: &'t [u8],
    pub(crate) stamp: Box<[u8]>,
    pub(crate) after: &'t [u8],
    pub(crate) sum: u64,
}

impl Image<'_> {
    pub(crate) fn write_to(&self, file: &mut impl Write) -> io::Result<()> {
        file.write_all(self.before)?;
        file.write_all(&self.stamp)?;
        file.write_all(self.after)
    }

    /// [`sum`] of all bytes.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }
}

/// What a sum is made of, the smallest page there is.
const BLOCK: usize = 512;

/// Tells a whole file from a torn one. It is against power cuts, not against people:
/// who can write here can write anything.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    sum_from(0, bytes)
}

/// The share of the blocks from this offset on; shares add up.
pub(crate) fn sum_from(offset: usize, bytes: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let block = |(n, block): (usize, &[u8])| {
        let words = block.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let start = (offset / BLOCK + n + 1) as u64;
        words.fold(mix(0, start), |hash, word| mix(hash.rotate_left(23), word))
    };
    let blocks = bytes.chunks(BLOCK).enumerate().map(block);
    blocks.fold(0, u64::wrapping_add)
}
