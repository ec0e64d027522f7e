//! The kernel's account of pinned pages.

/// Pages that are pinned (FOLL_PIN) and not yet unpinned: `nr_foll_pin_acquired` less
/// `nr_foll_pin_released` of `/proc/vmstat` (mm/gup.c), after the CPUs' own counts were added up.
pub(crate) fn outstanding_pins() -> i64 {
    std::fs::write("/proc/sys/vm/stat_refresh", "1").unwrap();
    let text = std::fs::read_to_string("/proc/vmstat").unwrap();
    let value = |name: &str| -> i64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("/proc/vmstat has no {name}"));
        line.trim().parse().unwrap()
    };
    value("nr_foll_pin_acquired") - value("nr_foll_pin_released")
}
