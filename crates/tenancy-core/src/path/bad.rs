//! [`BadPath`]: a path that is refused.

/// The longest path, in bytes, before it is normalised.
pub(super) const MAX_LEN: usize = 8192;

/// A path that is refused. Places of bytes count from 0 at the leading slash.
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
    /// A byte is a control, a space, not ASCII, `#` or `\`, which no path has.
    #[error(
        "path has byte 0x{byte:02X} at {at}, which no path has; percent-encode what belongs to a name, and separate segments by /"
    )]
    Byte {
        /// The byte that was found.
        byte: u8,
        /// The place of the byte.
        at: usize,
    },
    /// A `%` without two hex digits behind it.
    #[error("path has a % without two hex digits at byte {at}; write a percent sign as %25")]
    Percent {
        /// The place of the `%`.
        at: usize,
    },
    /// An encoded `/`, `\` or control, which some servers decode before they split.
    #[error(
        "path has an encoded 0x{byte:02X} at byte {at}; leave encoded slashes, backslashes and controls out of paths"
    )]
    Encoded {
        /// The byte that it encodes.
        byte: u8,
        /// The place of its `%`.
        at: usize,
    },
    /// An encoded byte that is never part of UTF-8. Some servers read `%C0%AF` as a slash.
    #[error(
        "path has an encoded 0x{byte:02X} at byte {at}, which UTF-8 never has; encode names as UTF-8"
    )]
    NotUtf8 {
        /// The byte that it encodes.
        byte: u8,
        /// The place of its `%`.
        at: usize,
    },
    /// A segment is `.` or `..` in any spelling, without its parameters behind `;`.
    #[error("path has a dot segment at byte {at}; resolve it before sending")]
    DotSegment {
        /// The place where the segment starts.
        at: usize,
    },
    /// A segment that starts with a `;`: empty for a server that drops parameters.
    #[error("path has nothing before the ; at byte {at}; give the segment a name")]
    EmptySegment {
        /// The place where the segment starts.
        at: usize,
    },
}
