//! Mistakes that others made, to be planted into the reference: a differential run
//! that cannot tell one of them from the real resolver has no power.

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    // 1. Host
    CaseSensitiveHost,
    FinalDotKept,
    PortUnbounded,
    UnderscoreAllowed,
    SeveralHostsAccepted,
    AuthorityWins,
    AnyoneForwards,
    ForwardedIgnored,
    MappedNetworksMatchNobody,
    // 2. Path
    DecodesTwice,
    DotBeforeSemicolon,
    SlashesKept,
    PathlessRefused,
    // 3. Kind of host
    SuffixNotAnchored,
    TwoLabelsResolve,
    ReservedResolves,
    CentralFallsThrough,
    // 4. Path prefix
    PrefixStrippedTwice,
    PrefixOnNamedHosts,
    // 5. Class and mode
    NoSegmentBoundary,
    FirstPrefixWins,
    ExtensionAlone,
    AnyExtension,
    ExtensionWithCase,
    AnyMethodSkips,
    SemicolonSkips,
    ParametersLeaveTheRule,
    AnyBytesSkip,
    BuiltInsStay,
    // 6. Other sources
    QueryUndecoded,
    UnknownOriginIsNobody,
    HeaderOnNamedHost,
    FirstSourceWins,
    MalformedIsNobody,
    // 7. Outcome
    UnknownIsCentral,
    SkipLooksUp,
    CentralModeServesTenants,
    // 8. Status
    StatusIgnored,
    MaintenanceIgnored,
    MaintenanceFirst,
}

impl Mutant {
    pub const ALL: [Self; 40] = [
        Self::CaseSensitiveHost,
        Self::FinalDotKept,
        Self::PortUnbounded,
        Self::UnderscoreAllowed,
        Self::SeveralHostsAccepted,
        Self::AuthorityWins,
        Self::AnyoneForwards,
        Self::ForwardedIgnored,
        Self::MappedNetworksMatchNobody,
        Self::DecodesTwice,
        Self::DotBeforeSemicolon,
        Self::SlashesKept,
        Self::PathlessRefused,
        Self::SuffixNotAnchored,
        Self::TwoLabelsResolve,
        Self::ReservedResolves,
        Self::CentralFallsThrough,
        Self::PrefixStrippedTwice,
        Self::PrefixOnNamedHosts,
        Self::NoSegmentBoundary,
        Self::FirstPrefixWins,
        Self::ExtensionAlone,
        Self::AnyExtension,
        Self::ExtensionWithCase,
        Self::AnyMethodSkips,
        Self::SemicolonSkips,
        Self::ParametersLeaveTheRule,
        Self::AnyBytesSkip,
        Self::BuiltInsStay,
        Self::QueryUndecoded,
        Self::UnknownOriginIsNobody,
        Self::HeaderOnNamedHost,
        Self::FirstSourceWins,
        Self::MalformedIsNobody,
        Self::UnknownIsCentral,
        Self::SkipLooksUp,
        Self::CentralModeServesTenants,
        Self::StatusIgnored,
        Self::MaintenanceIgnored,
        Self::MaintenanceFirst,
    ];
}
