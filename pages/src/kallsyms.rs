//! `/proc/kallsyms`: the address of a kernel symbol.
//!
//! A line is `ADDRESS TYPE NAME [MODULE]`. All addresses read as 0 for those who may not know them
//! (`kallsyms_show_value` in `kernel/ksyms_common.c`).

use std::fs::File;
use std::io::{BufRead, BufReader};

use crate::need::{self, Needs};
use crate::{PagesError, Result, Roots};

const NEEDS: Needs = Needs {
    config: "CONFIG_KALLSYMS",
    right: "CAP_SYSLOG",
    capability: Some(need::SYSLOG),
    confidential: false,
};

/// The address of the symbol `name`, which must not be a module's.
///
/// # Errors
/// [`PagesError::NoSymbol`], [`PagesError::SymbolHidden`], [`PagesError::Absent`] without
/// `CONFIG_KALLSYMS`.
pub fn address_of(roots: &Roots, name: &'static str) -> Result<u64> {
    let path = roots.proc.join("kallsyms");
    let error = |source| NEEDS.error(roots, &path, source);
    // The kernel formats the file while it is read, so reading stops at the symbol.
    let mut lines = BufReader::new(File::open(&path).map_err(error)?);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).map_err(error)? == 0 {
            return Err(PagesError::NoSymbol { name, path });
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(address), Some(_), Some(symbol), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        if symbol != name {
            continue;
        }
        return match u64::from_str_radix(address, 16) {
            Ok(0) => Err(PagesError::SymbolHidden { name, path }),
            Ok(address) => Ok(address),
            Err(_) => Err(PagesError::Malformed {
                path,
                detail: format!("the address of {name} is \"{address}\", should be hexadecimal"),
            }),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Machine;
    use std::fs;

    fn lookup(text: &str) -> Result<u64> {
        let machine = Machine::empty();
        fs::write(machine.roots().proc.join("kallsyms"), text).unwrap();
        address_of(machine.roots(), "vmemmap_base")
    }

    #[test]
    fn the_kernels_own_symbol_is_found() {
        let text = "ffffffff81000000 T vmemmap_base_not\n\
                    ffffffffc0000000 d vmemmap_base\t[module]\n\
                    ffffffff829e5a90 R vmemmap_base\n";
        assert_eq!(lookup(text).unwrap(), 0xffff_ffff_829e_5a90);
    }

    #[test]
    fn a_hidden_and_an_absent_symbol_are_told_apart() {
        assert!(matches!(
            lookup("0000000000000000 R vmemmap_base\n"),
            Err(PagesError::SymbolHidden { .. })
        ));
        assert!(matches!(
            lookup("ffffffff81000000 T _text\n"),
            Err(PagesError::NoSymbol { .. })
        ));
        assert!(matches!(
            lookup("what R vmemmap_base\n"),
            Err(PagesError::Malformed { .. })
        ));
    }
}
