//! The version of machine output.

/// The `schema` of every object in machine output. It grows when a key changes its meaning or goes away;
/// added keys do not change it.
pub const SCHEMA: u32 = 1;
