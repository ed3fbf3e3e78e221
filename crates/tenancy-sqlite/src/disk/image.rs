//! The bytes of a new file, with their checksum.

use std::io;
use std::io::Write;

/// The bytes of a tenant's new file.
pub(crate) struct Image<'t> {
    pub(crate) before: &'t [u8],
    pub(crate) stamp: Box<[u8]>,
    pub(crate) after: &'t [u8],
    pub(crate) sum: u64,
}

impl Image<'_> {
    /// Writes all bytes.
    pub(crate) fn write_to(&self, file: &mut impl Write) -> io::Result<()> {
        file.write_all(self.before)?;
        file.write_all(&self.stamp)?;
        file.write_all(self.after)
    }

    /// Returns the [`sum`] of all bytes.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }
}

/// The size of the blocks that are summed: SQLite's smallest page.
const BLOCK: usize = 512;

/// Returns a checksum that distinguishes a whole file from an incomplete one. It detects the
/// effects of power cuts, not manipulation: a process that can write here could also write the
/// checksum.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    sum_from(0, bytes)
}

/// Returns the checksum of blocks that begin at `offset`. The sums of all parts add up to the sum
/// of the whole.
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
