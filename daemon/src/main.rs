//! daemon

fn main() {}
