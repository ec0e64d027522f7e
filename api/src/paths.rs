//! Where things are on the daemon's socket.

/// The socket, unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/bvecd/bvecd.sock";

/// GET: [`crate::Features`].
pub const FEATURES: &str = "/v1/features";
/// GET: [`crate::DeviceList`]. POST a [`crate::DeviceConfig`]: [`crate::Device`].
pub const DEVICES: &str = "/v1/devices";
/// GET: [`crate::Device`]. DELETE: [`crate::DeviceDeleted`].
pub const DEVICE: &str = "/v1/devices/{id}";
/// POST a [`crate::StopRequest`]: [`crate::DeviceChanged`].
pub const STOP: &str = "/v1/devices/{id}/stop";
/// POST a [`crate::QuiesceRequest`]: [`crate::DeviceChanged`].
pub const QUIESCE: &str = "/v1/devices/{id}/quiesce";
/// POST: [`crate::DeviceChanged`].
pub const RESUME: &str = "/v1/devices/{id}/resume";
/// POST a [`crate::ResizeRequest`]: [`crate::DeviceChanged`].
pub const RESIZE: &str = "/v1/devices/{id}/resize";
/// POST: [`crate::DeviceChanged`], a device of a daemon that is gone.
pub const RECOVER: &str = "/v1/devices/{id}/recover";
/// POST: [`crate::Adopted`], every device of daemons that are gone.
pub const ADOPT: &str = "/v1/adopt";
/// POST: [`crate::Reaped`].
pub const REAP: &str = "/v1/reap";
/// POST a [`crate::QuiesceRequest`]: [`crate::HandedOver`], and the daemon ends.
pub const HAND_OVER: &str = "/v1/hand-over";
/// GET: [`crate::RuleList`]. POST a [`fault::Rule`], PUT a [`crate::RuleFile`], DELETE all:
/// [`crate::RulesChanged`]. Changes take [`crate::ChangeOptions`] in the query.
pub const RULES: &str = "/v1/devices/{id}/rules";
/// GET: [`crate::RuleStatus`]. PUT a [`fault::Rule`], DELETE: [`crate::RulesChanged`].
pub const RULE: &str = "/v1/devices/{id}/rules/{name}";
/// POST a [`crate::SwitchRequest`]: [`crate::RuleStatus`].
pub const SWITCH: &str = "/v1/devices/{id}/rules/{name}/switch";
/// POST a [`crate::ExplainRequest`]: [`crate::Explanation`].
pub const EXPLAIN: &str = "/v1/devices/{id}/explain";
/// GET: [`crate::Remembered`]. POST a [`crate::RememberRequest`]: the same.
pub const MEMORY: &str = "/v1/devices/{id}/memory";
/// GET: [`crate::HoldList`].
pub const HOLDS: &str = "/v1/devices/{id}/holds";
/// POST a [`crate::ReleaseRequest`]: [`crate::Released`].
pub const RELEASE: &str = "/v1/devices/{id}/holds/release";
/// GET with `offset_bytes=N` and `length_bytes=N`: [`crate::HoldData`]. POST a [`crate::PokeRequest`]:
/// [`crate::Poked`].
pub const HOLD_DATA: &str = "/v1/devices/{id}/holds/{hold_id}/data";
/// GET: [`crate::BufferList`]. POST a [`crate::BufferConfig`]: [`crate::Buffer`].
pub const BUFFERS: &str = "/v1/devices/{id}/buffers";
/// DELETE: [`crate::BufferRemoved`].
pub const BUFFER: &str = "/v1/devices/{id}/buffers/{buffer}";
/// GET: [`crate::DeviceStats`].
pub const STATS: &str = "/v1/devices/{id}/stats";
/// POST: [`crate::Healed`], one device.
pub const HEAL_DEVICE: &str = "/v1/devices/{id}/heal";
/// POST: [`crate::Healed`], all devices.
pub const HEAL: &str = "/v1/heal";
/// GET with `since=SEQ`, `follow=true|false` and `new=true|false`: [`crate::Event`]s, one line each.
pub const EVENTS: &str = "/v1/events";
/// GET: the OpenAPI document.
pub const OPENAPI: &str = "/v1/openapi.json";
/// GET: what every device and rule has done, for a scraper of OpenMetrics or Prometheus.
pub const METRICS: &str = "/metrics";

/// The media type of [`EVENTS`]: one JSON object a line.
pub const EVENTS_MEDIA_TYPE: &str = "application/x-ndjson";

/// A path of one device: its number put in for `{id}`.
#[must_use]
pub fn of_device(path: &str, id: u32) -> String {
    path.replace("{id}", &id.to_string())
}

/// The path of one buffer.
#[must_use]
pub fn of_buffer(id: u32, buffer: u16) -> String {
    of_device(BUFFER, id).replace("{buffer}", &buffer.to_string())
}

/// The path of the data of a held request.
#[must_use]
pub fn of_hold(id: u32, hold_id: u64) -> String {
    of_device(HOLD_DATA, id).replace("{hold_id}", &hold_id.to_string())
}

/// The path of one rule. The name is escaped, so that no name can lead elsewhere.
#[must_use]
pub fn of_rule(id: u32, name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        // The unreserved characters of RFC 3986, less the tilde.
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    of_device(RULE, id).replace("{name}", &escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_filled_in() {
        assert_eq!(of_device(STATS, 3), "/v1/devices/3/stats");
        assert_eq!(of_buffer(3, 1), "/v1/devices/3/buffers/1");
        assert_eq!(of_rule(0, "pg-heap.1"), "/v1/devices/0/rules/pg-heap.1");
        assert_eq!(of_rule(0, "../a é"), "/v1/devices/0/rules/..%2Fa%20%C3%A9");
    }
}
