//! Files, programs and modules into the guest, and files out of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::guest::Guest;

#[test]
fn files_and_directories_come_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("tree/deep")).unwrap();
    fs::write(dir.path().join("tree/deep/file"), "deep").unwrap();
    fs::write(dir.path().join("plain"), "plain").unwrap();
    // An absolute path stays what it is, here below the host's /tmp; a relative one is in /root.
    let absolute = dir.path().join("plain");
    let absolute = absolute.to_str().unwrap();
    let options = [
        "--copy-in",
        "tree",
        "--copy-in",
        absolute,
        "--copy-in",
        "plain:/opt/other",
    ];
    let script = format!("cat tree/deep/file {absolute} /opt/other");
    let guest = Guest::new(&options, &["sh", "-c", &script]);
    let ended = guest.current_dir(dir.path()).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out, "deepplainplain");
}

#[test]
fn files_come_out_even_when_the_command_fails() {
    let dir = tempfile::tempdir().unwrap();
    let options = ["--copy-out", "result:out", "--copy-out", "/tmp/one"];
    let script = "mkdir -p result/deep; echo 1 >result/deep/file; chmod 750 result/deep/file; \
                  ln -s deep/file result/link; echo 2 >/tmp/one; exit 3";
    let guest = Guest::new(&options, &["sh", "-c", script]);
    let ended = guest.current_dir(dir.path()).run();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let out = dir.path().join("out/result");
    assert_eq!(fs::read_to_string(out.join("link")).unwrap(), "1\n");
    let mode = out
        .join("deep/file")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o750);
    assert_eq!(fs::read_to_string(dir.path().join("one")).unwrap(), "2\n");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ended = Guest::new(&["--copy-in", "/no/such/file"], &["true"]).run();
    assert_eq!(ended.code, Some(125), "{ended:?}");
    assert!(ended.err.contains("/no/such/file"), "{ended:?}");
    let ended = Guest::new(&["--copy-out", "/no/such/file"], &["true"]).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("/no/such/file"), "{ended:?}");
}

/// What is packed under the host's /tmp is seen there.
#[test]
fn a_program_of_a_temporary_directory_runs() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let program = dir.path().join("ours");
    fs::copy("/bin/echo", &program).unwrap();
    let path = program.to_str().unwrap();
    let script = format!("ours by name; {path} by path");
    let ended = Guest::new(&["--program", path], &["sh", "-c", &script]).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out, "by name\nby path\n");
}

#[test]
fn modules_come_with_what_they_need() {
    // The order matters: ext4 needs jbd2 and mbcache where they are modules.
    let script = "ls /dev/nullb0 && grep -c ext4 /proc/filesystems";
    let options = ["--module", "null_blk", "--module", "ext4"];
    let ended = Guest::new(&options, &["sh", "-c", script]).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("/dev/nullb0\n"), "{ended:?}");
    let ended = Guest::new(&["--module", "no_such_module"], &["true"]).run();
    assert_eq!(ended.code, Some(125), "{ended:?}");
    assert!(ended.err.contains("no_such_module"), "{ended:?}");
}
