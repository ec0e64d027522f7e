//! The init of a guest. It is packed into every initramfs as `/init`.

fn main() {
    // Coming back from init kills the guest's kernel, which the host reports as what it is.
    let _ = vm::guest::init();
}
