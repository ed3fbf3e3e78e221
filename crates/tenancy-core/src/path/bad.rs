//! [`BadPath`]: the error for a refused path.

/// The bound on the bytes of a path, before it is normalised.
pub(super) const MAX_LEN: usize = 8192;

/// The error for a refused path. The place of a byte is counted from the leading slash, which is
/// at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPath {
    /// The path is empty, or starts with another byte, as in `http://host/` or `*`.
    #[error("path has no leading slash; send the target as /path?query")]
    NoLeadingSlash,
    /// The path has more than [`NormalPath::MAX_LEN`](super::NormalPath::MAX_LEN) bytes.
    #[error("path has {len} bytes, {max} is the most; shorten it, or move data into the query or the body", max = MAX_LEN)]
    TooLong {
        /// The length of the path in bytes.
        len: usize,
    },
    /// The path has a byte that no path may have: a control character, a space, a `#`, a `\`, or a
    /// byte outside ASCII.
    #[error(
        "path has byte 0x{byte:02X} at {at}, which no path has; percent-encode what belongs to a name, and separate segments by /"
    )]
    Byte {
        /// The byte that was found.
        byte: u8,
        /// The place of the byte.
        at: usize,
    },
    /// A `%` is not followed by two hex digits.
    #[error("path has a % without two hex digits at byte {at}; write a percent sign as %25")]
    Percent {
        /// The place of the `%`.
        at: usize,
    },
    /// The path has an encoded `/`, `\` or control character. Some servers decode it before they
    /// split the path into segments.
    #[error(
        "path has an encoded 0x{byte:02X} at byte {at}; leave encoded slashes, backslashes and controls out of paths"
    )]
    Encoded {
        /// The byte that is encoded.
        byte: u8,
        /// The place of its `%`.
        at: usize,
    },
    /// The path has an encoded byte that is never part of UTF-8. Some servers read `%C0%AF` as a
    /// slash.
    #[error(
        "path has an encoded 0x{byte:02X} at byte {at}, which UTF-8 never has; encode names as UTF-8"
    )]
    NotUtf8 {
        /// The byte that is encoded.
        byte: u8,
        /// The place of its `%`.
        at: usize,
    },
    /// A segment is `.` or `..`, encoded or not. Parameters, which begin with `;`, are ignored.
    #[error("path has a dot segment at byte {at}; resolve it before sending")]
    DotSegment {
        /// The place where the segment starts.
        at: usize,
    },
    /// A segment starts with a `;`. A server that drops parameters would read it as an empty
    /// segment.
    #[error("path has nothing before the ; at byte {at}; give the segment a name")]
    EmptySegment {
        /// The place where the segment starts.
        at: usize,
    },
}
