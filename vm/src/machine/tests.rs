//! The command line that comes of a machine.

use super::*;
use std::path::PathBuf;

fn arguments(machine: &Machine, accelerator: Accelerator, version: (u32, u32)) -> String {
    arguments_of(machine, accelerator, version, false)
}

fn arguments_of(
    machine: &Machine,
    accelerator: Accelerator,
    version: (u32, u32),
    talkative: bool,
) -> String {
    let qemu = Qemu {
        version,
        firmware: vec!["/new/firmware".into(), "/old/firmware".into()],
        ..Qemu::default()
    };
    let kernel = Kernel {
        release: "7.3.4-x".into(),
        image: "image".into(),
        modules: None,
        origin: "test".into(),
        signed_modules: true,
        derived: PathBuf::new(),
    };
    let boot = Boot {
        qemu: &qemu,
        accelerator,
        kernel: &kernel,
        image: Path::new("vmlinux"),
        initramfs: 9,
        memory_mib: 1024,
        console: 3,
        ports: vec![("control", 4)],
        talkative,
        terminal: None,
    };
    let words = machine.arguments(&boot);
    words
        .iter()
        .map(|word| word.to_str().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn old_emulators_get_one_thread() {
    let machine = Machine::default();
    let tcg = |version| arguments(&machine, Accelerator::Tcg, version);
    assert!(tcg((7, 2)).contains("tcg,thread=single"));
    assert!(tcg((10, 0)).contains("tcg,thread=multi"));
}

#[test]
fn parallel_cpus_spin_under_emulation_only() {
    let machine = Machine {
        parallel: true,
        ..Machine::default()
    };
    assert!(arguments(&machine, Accelerator::Tcg, (10, 0)).contains("idle=poll"));
    assert!(!arguments(&machine, Accelerator::Kvm, (10, 0)).contains("idle=poll"));
    assert!(!arguments(&Machine::default(), Accelerator::Tcg, (10, 0)).contains("idle=poll"));
}

#[test]
fn there_is_a_network_only_if_a_port_is_forwarded() {
    let machine = Machine {
        forward: Some(8080),
        ..Machine::default()
    };
    let text = arguments(&machine, Accelerator::Tcg, (10, 0));
    let way = "restrict=on,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:8080 ";
    assert!(text.contains(way), "{text}");
    let without = arguments(&Machine::default(), Accelerator::Tcg, (10, 0));
    assert!(!without.contains("-netdev"), "{without}");
}

#[test]
fn nodes_share_the_memory() {
    let machine = Machine {
        nodes: 2,
        cpus: 4,
        ..Machine::default()
    };
    let text = arguments(&machine, Accelerator::Tcg, (10, 0));
    let first = "-object memory-backend-ram,id=node0,size=512M \
                 -numa node,nodeid=0,memdev=node0,cpus=0-3 ";
    let second = "-object memory-backend-ram,id=node1,size=512M -numa node,nodeid=1,memdev=node1 ";
    assert!(text.contains(&format!("{first}{second}")), "{text}");
    let plain = arguments(&Machine::default(), Accelerator::Tcg, (10, 0));
    assert!(
        plain.contains("-m 1024 ") && !plain.contains("numa"),
        "{plain}"
    );
}

#[test]
fn firmware_is_looked_for_in_order() {
    let text = arguments(&Machine::default(), Accelerator::Tcg, (10, 0));
    assert!(
        text.starts_with("-L /new/firmware -L /old/firmware "),
        "{text}"
    );
}

#[test]
fn counting_has_its_own_clock_and_one_thread() {
    let machine = Machine {
        cpus: 1,
        count_instructions: true,
        ..Machine::default()
    };
    let text = arguments(&machine, Accelerator::Tcg, (10, 0));
    assert!(text.contains("-icount shift=0,sleep=off"), "{text}");
    assert!(
        text.contains("clock=vm") && text.contains("thread=single"),
        "{text}"
    );
}

#[test]
fn a_talkative_boot_keeps_nothing_back() {
    let text = arguments_of(&Machine::default(), Accelerator::Tcg, (7, 2), true);
    assert!(
        text.contains("loglevel=8") && text.contains("earlyprintk="),
        "{text}"
    );
    assert!(!text.contains("loglevel=4"), "{text}");
}

#[test]
fn a_stock_command_line_keeps_the_defaults() {
    let machine = Machine {
        stock_command_line: true,
        ..Machine::default()
    };
    let text = arguments(&machine, Accelerator::Tcg, (7, 2));
    assert!(
        !text.contains("mitigations") && !text.contains("tsc="),
        "{text}"
    );
    assert!(text.contains("module.sig_enforce=1"), "{text}");
}

#[test]
fn bad_combinations_are_refused() {
    let bad = [
        Machine {
            cpus: 0,
            ..Machine::default()
        },
        Machine {
            count_instructions: true,
            ..Machine::default()
        },
        Machine {
            memory_mib: Some(64),
            ..Machine::default()
        },
        Machine {
            nodes: 0,
            ..Machine::default()
        },
        Machine {
            cpus: 1,
            parallel: true,
            ..Machine::default()
        },
    ];
    for machine in bad {
        assert_eq!(machine.check().unwrap_err().exit_code(), 2, "{machine:?}");
    }
    assert!(Machine::default().check().is_ok());
}
