//! What is a good configuration, and where a bad one is pointed to.

use super::*;
use crate::body::read_body;

#[test]
fn a_target_is_enough() {
    let config: DeviceConfig = read_body(br#"{"target":{"ram":{"size_bytes":1048576}}}"#).unwrap();
    assert_eq!(
        config,
        DeviceConfig::new(TargetConfig::Ram {
            size_bytes: 1 << 20
        })
    );
    assert_eq!(config.validate(), Ok(()));
    let json = serde_json::to_vec(&config).unwrap();
    assert_eq!(read_body::<DeviceConfig>(&json), Ok(config));
}

#[test]
fn a_loop_is_read_with_its_rules() {
    let body = br#"{"id":3,"target":{"loop":{"file":"/x","direct":true}},"data_path":"user-copy",
        "rules":[{"name":"bad","where":{"lba":"1G+8"},"action":{"fail":{}}}]}"#;
    let config: DeviceConfig = read_body(body).unwrap();
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.rules.len(), 1);
}

/// What is put beside a good target, and where the problem points.
const BAD: [(&str, &str); 14] = [
    (r#""id":1048576"#, "/id"),
    (r#""id":-1"#, "/id"),
    (r#""queues":0"#, "/queues"),
    (r#""queues":4097"#, "/queues"),
    (r#""queues":70000"#, "/queues"),
    (r#""depth":0"#, "/depth"),
    (r#""depth":"128""#, "/depth"),
    (r#""data_path":"fast""#, "/data_path"),
    (r#""transport":"bulk""#, "/transport"),
    (r#""recovery":"requeue""#, "/recovery"),
    (
        r#""rules":[{"name":"a","action":{"fail":{"status":"EPERM"}}}]"#,
        "/rules/0/action/fail/status",
    ),
    (
        r#""rules":[{"name":"a","action":{"fail":{}},"where":{"lba":"2048"}}]"#,
        "/rules/0/where/lba",
    ),
    (
        r#""rules":[{"name":"a","action":{"fail":{}}},{"name":"a","action":{"fail":{}}}]"#,
        "/rules/1/name",
    ),
    (r#""que":1"#, "/que"),
];

#[test]
fn bad_fields_are_pointed_to() {
    for (field, pointer) in BAD {
        let body = format!(r#"{{"target":{{"ram":{{"size_bytes":1048576}}}},{field}}}"#);
        let problem = match read_body::<DeviceConfig>(body.as_bytes()) {
            Ok(config) => config.validate().unwrap_err(),
            Err(problem) => problem,
        };
        assert_eq!(
            problem.pointer.as_deref(),
            Some(pointer),
            "{field}: {problem}"
        );
    }
}

#[test]
fn bad_targets_are_pointed_to() {
    for (target, pointer) in [
        (r#"{"ram":{"size_bytes":0}}"#, "/target/ram/size_bytes"),
        (r#"{"null":{"size_bytes":1000}}"#, "/target/null/size_bytes"),
        (r#"{"loop":{"file":"disk.img"}}"#, "/target/loop/file"),
        (r#"{"loop":{"file":""}}"#, "/target/loop/file"),
        (r#"{"loop":{"file":"/x","sync":true}}"#, "/target/loop/sync"),
        (r#"{"tape":{}}"#, "/target"),
        (r#""ram""#, "/target/ram"),
    ] {
        let body = format!(r#"{{"target":{target}}}"#);
        let problem = match read_body::<DeviceConfig>(body.as_bytes()) {
            Ok(config) => config.validate().unwrap_err(),
            Err(problem) => problem,
        };
        assert_eq!(
            problem.pointer.as_deref(),
            Some(pointer),
            "{target}: {problem}"
        );
    }
}
