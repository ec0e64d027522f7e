//! Documents: what is read, what comes back, and where each mistake is found.

#[cfg(test)]
mod documents {
    mod fuzz;
    mod good;
    mod wrong;
}
