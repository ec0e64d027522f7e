//! The commands, one noun a file. Each has its arguments and a `run` that does what they say.

pub(crate) mod bench;
pub(crate) mod buffer;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod events;
pub(crate) mod fault;
pub(crate) mod features;
pub(crate) mod heal;
pub(crate) mod hold;
pub(crate) mod lab;
pub(crate) mod memory;
pub(crate) mod pages;
pub(crate) mod scenario;
pub(crate) mod stats;
pub(crate) mod top;
pub(crate) mod vm;
