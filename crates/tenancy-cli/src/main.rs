//! tenancy command line
fn main() {}
