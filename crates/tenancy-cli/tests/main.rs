//! The command line, driven as people and scripts drive it: through the binary.

mod cases;
mod demo;
mod life;
mod resolve;
mod usage;
mod util;
