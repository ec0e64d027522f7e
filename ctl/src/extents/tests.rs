use super::*;

fn raw(logical: u64, physical: u64, length: u64, flags: u32) -> FileExtent {
    FileExtent {
        logical,
        physical,
        length,
        flags,
        ..FileExtent::default()
    }
}

fn layout(raws: &[FileExtent], part: &str, partition_start: u64) -> Layout {
    let part = match part {
        "" => Part::default(),
        text => text.parse().unwrap(),
    };
    Layout {
        path: "/mnt/wal".into(),
        device: 0,
        partition: None,
        extents: raws
            .iter()
            .filter_map(|raw| Extent::of(raw, part, partition_start))
            .collect(),
    }
}

#[test]
fn neighbours_become_one_range_in_the_order_of_the_device() {
    let raws = [
        raw(0, 1 << 20, 8192, 0),
        raw(8192, 4096, 4096, 0),
        raw(12_288, (1 << 20) + 8192, 4096, 0),
    ];
    let ranges = layout(&raws, "", 2048).ranges().unwrap().to_string();
    assert_eq!(ranges, "2056+8|4096+24");
}

#[test]
fn a_part_of_a_file_is_its_sectors_and_no_others() {
    let raws = [raw(0, 65_536, 65_536, 0), raw(65_536, 0, 4096, 1)];
    for (part, sectors) in [
        ("0+1", "128"),
        ("4K+4K", "136+8"),
        ("4097+511", "136"),
        ("4097+512", "136+2"),
        ("60K+8K", "0+8|248+8"),
    ] {
        let ranges = layout(&raws, part, 0).ranges().unwrap();
        assert_eq!(ranges.to_string(), sectors, "{part}");
    }
    let beyond = layout(&raws, "1M+4K", 0).ranges().unwrap_err();
    assert!(beyond.to_string().contains("a hole"), "{beyond}");
}

#[test]
fn data_without_sectors_is_refused_and_said_why() {
    for (flags, why) in [
        (0x200 | 0x100, "inside the inode"),
        (0x4 | 0x2, "sync it first"),
        (0x8, "compressed"),
    ] {
        let error = layout(&[raw(0, 1000, 512, flags)], "", 0)
            .ranges()
            .unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn what_is_special_is_told() {
    let raws = [
        raw(0, 4096, 4096, UNWRITTEN),
        raw(4096, 8192, 4096, UNWRITTEN | SHARED),
        raw(8192, 0, 4096, 0x4),
    ];
    let layout = layout(&raws, "", 0);
    assert_eq!(layout.ranges().unwrap().to_string(), "8+16");
    let notes = layout.notes();
    assert!(notes[0].starts_with("2 extents are allocated"), "{notes:?}");
    assert!(notes[1].starts_with("1 extent is shared"), "{notes:?}");
    assert!(
        notes[2].starts_with("1 extent is not included"),
        "{notes:?}"
    );
    assert_eq!(layout.extents[1].words(), ["unwritten", "shared"]);
}

#[test]
fn parts_are_read_and_bad_ones_located() {
    assert_eq!(
        "1M+4K".parse(),
        Ok(Part {
            start: 1 << 20,
            length: 4096
        })
    );
    for (text, must_say) in [
        ("4096", "START+LENGTH"),
        ("x+1", "column 1: found `x`"),
        ("0+", "after `+`: column 1: found nothing"),
        ("0+0", "at least one byte"),
    ] {
        let error = text.parse::<Part>().unwrap_err();
        assert!(error.contains(must_say), "{text}: {error}");
    }
}

#[test]
fn files_of_this_machine_are_refused_with_the_reason() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Layout::of(file.path(), Part::default(), true).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("expected") && text.contains("/dev/ublkbN"),
        "{text}"
    );
    let error = Layout::of(Path::new("/none/such"), Part::default(), true).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    let error = Layout::of(Path::new("/dev/null"), Part::default(), true).unwrap_err();
    assert!(error.to_string().contains("no file"), "{error}");
}
