//! [`BadPath`]: a path that is refused.

/// The longest path, in bytes, before it is normalised.
pub(super) const MAX_LEN: usize = 8192;

/// Why a path is refused. A byte's place is counted from 0, from the leading slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPath {
    /// It is empty or starts with something else, as in `http://host/` or `*`.
    #[error("path has no leading slash; send the target as /path?query")]
    NoLeadingSlash,
    /// It has more than [`NormalPath::MAX_LEN`](super::NormalPath::MAX_LEN) bytes.
    #[error("path has {len} bytes, {max} is the most; shorten it, or move data into the query or the body", max = MAX_LEN)]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// A byte that no path has: a control, a space, not ASCII, `#` or `\`.
    #[error(
        "path has byte 0x{byte:02X} at {at}, which no path has; percent-encode what belongs to a name, and separate segments by /"
    )]
    Byte {
        /// The byte.
        byte: u8,
        /// Where it stands.
        at: usize,
    },
    /// A `%` without two hex digits behind it.
    #[error("path has a % without two hex digits at byte {at}; write a percent sign as %25")]
    Percent {
        /// Where the `%` stands.
        at: usize,
    },
    /// An encoded `/`, `\` or control, which some servers decode before they split.
    #[error(
        "path has an encoded 0x{byte:02X} at byte {at}; leave encoded slashes, backslashes and controls out of paths"
    )]
    Encoded {
        /// The byte that it stands for.
        byte: u8,
        /// Where its `%` stands.
        at: usize,
    },
    /// An encoded byte that is never part of UTF-8. Some servers read `%C0%AF` as a slash.
    #[error(
        "path has an encoded 0x{byte:02X} at byte {at}, which UTF-8 never has; encode names as UTF-8"
    )]
    NotUtf8 {
        /// The byte that it stands for.
        byte: u8,
        /// Where its `%` stands.
        at: usize,
    },
    /// A segment `.` or `..`, in whatever spelling, parameters behind `;` left aside.
    #[error("path has a dot segment at byte {at}; resolve it before sending")]
    DotSegment {
        /// Where the segment starts.
        at: usize,
    },
    /// A segment that starts with a `;`: empty for a server that drops parameters.
    #[error("path has nothing before the ; at byte {at}; give the segment a name")]
    EmptySegment {
        /// Where the segment starts.
        at: usize,
    },
}
