//! What a user of `bvecctl vm run` and `bvecctl lab matrix` sees of the guests that it boots: ends, files, interruptions.
//!
//! `cargo xtask test` builds bvecctl and runs these tests; `BVECD_TEST_KERNEL` names the kernel.

#[cfg(test)]
mod boots {
    mod counts;
    mod ends;
    mod files;
    mod guest;
    mod interrupts;
    mod lockdown;
    mod matrix;
}
