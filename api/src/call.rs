//! What can be asked of the daemon, each with the type of its answer.

use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fault::{Rule, RuleFile};
use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::buffer::{Buffer, BufferConfig, BufferList, BufferRemoved};
use crate::change::ChangeOptions;
use crate::device::{Device, DeviceDeleted, DeviceList};
use crate::device_config::DeviceConfig;
use crate::explain::{ExplainRequest, Explanation, RememberRequest, Remembered, SwitchRequest};
use crate::features::Features;
use crate::hold::{HoldData, HoldList, PokeRequest, Poked, ReleaseRequest, Released};
use crate::lifecycle::{
    Adopted, DeviceChanged, HandedOver, QuiesceRequest, Reaped, ResizeRequest, StopRequest,
};
use crate::paths;
use crate::rule::{Healed, RuleList, RuleStatus, RulesChanged};
use crate::stats::DeviceStats;

/// One request to the daemon whose answer is a `T`. Both clients send it.
#[derive(Debug, Clone)]
pub struct Call<T> {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// A body that could not be written is reported when the call is sent.
    pub(crate) body: Option<Result<Vec<u8>, String>>,
    /// An open file that goes with the call.
    pub(crate) file: Option<Arc<OwnedFd>>,
    answer: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Call<T> {
    /// GET of any path.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, None)
    }

    /// POST to any path, with a body if the path takes one.
    #[must_use]
    pub fn post<B: Serialize>(path: impl Into<String>, body: Option<&B>) -> Self {
        let body = body.map(|body| serde_json::to_vec(body).map_err(|error| error.to_string()));
        Self::new(Method::POST, path, body)
    }

    /// PUT to any path.
    #[must_use]
    pub fn put<B: Serialize>(path: impl Into<String>, body: &B) -> Self {
        let body = serde_json::to_vec(body).map_err(|error| error.to_string());
        Self::new(Method::PUT, path, Some(body))
    }

    /// DELETE of any path.
    #[must_use]
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, None)
    }

    fn new(method: Method, path: impl Into<String>, body: Option<Result<Vec<u8>, String>>) -> Self {
        Self {
            method,
            path: path.into(),
            body,
            file: None,
            answer: PhantomData,
        }
    }

    /// The same call with an open file that is sent along (`SCM_RIGHTS`).
    #[must_use]
    pub fn with_file(mut self, file: impl Into<OwnedFd>) -> Self {
        self.file = Some(Arc::new(file.into()));
        self
    }
}

impl Call<RulesChanged> {
    /// The same change, made in this manner.
    #[must_use]
    pub fn under(mut self, options: &ChangeOptions) -> Self {
        self.path.push_str(&options.query());
        self
    }
}

/// What kernel and daemon can do.
#[must_use]
pub fn features() -> Call<Features> {
    Call::get(paths::FEATURES)
}

/// Every device.
#[must_use]
pub fn devices() -> Call<DeviceList> {
    Call::get(paths::DEVICES)
}

/// Makes a device.
#[must_use]
pub fn add_device(config: &DeviceConfig) -> Call<Device> {
    Call::post(paths::DEVICES, Some(config))
}

/// One device.
#[must_use]
pub fn device(id: u32) -> Call<Device> {
    Call::get(paths::of_device(paths::DEVICE, id))
}

/// Removes a device.
#[must_use]
pub fn delete_device(id: u32) -> Call<DeviceDeleted> {
    Call::delete(paths::of_device(paths::DEVICE, id))
}

/// Takes the block device away; the device stays.
#[must_use]
pub fn stop(id: u32, request: &StopRequest) -> Call<DeviceChanged> {
    Call::post(paths::of_device(paths::STOP, id), Some(request))
}

/// Ends the queues; the block device stays and its requests wait.
#[must_use]
pub fn quiesce(id: u32, request: &QuiesceRequest) -> Call<DeviceChanged> {
    Call::post(paths::of_device(paths::QUIESCE, id), Some(request))
}

/// Serves a quiesced or stopped device again.
#[must_use]
pub fn resume(id: u32) -> Call<DeviceChanged> {
    Call::post::<()>(paths::of_device(paths::RESUME, id), None)
}

/// Changes the size of a device.
#[must_use]
pub fn resize(id: u32, request: &ResizeRequest) -> Call<DeviceChanged> {
    Call::post(paths::of_device(paths::RESIZE, id), Some(request))
}

/// Takes over one device of a daemon that is gone.
#[must_use]
pub fn recover(id: u32) -> Call<DeviceChanged> {
    Call::post::<()>(paths::of_device(paths::RECOVER, id), None)
}

/// Takes over every device of daemons that are gone.
#[must_use]
pub fn adopt() -> Call<Adopted> {
    Call::post::<()>(paths::ADOPT, None)
}

/// Removes what daemons that are gone have left.
#[must_use]
pub fn reap() -> Call<Reaped> {
    Call::post::<()>(paths::REAP, None)
}

/// Quiesces every device and ends the daemon, for the next one to adopt them.
#[must_use]
pub fn hand_over(request: &QuiesceRequest) -> Call<HandedOver> {
    Call::post(paths::HAND_OVER, Some(request))
}

/// The rules of a device.
#[must_use]
pub fn rules(id: u32) -> Call<RuleList> {
    Call::get(paths::of_device(paths::RULES, id))
}

/// Adds a rule to a device.
#[must_use]
pub fn add_rule(id: u32, rule: &Rule) -> Call<RulesChanged> {
    Call::post(paths::of_device(paths::RULES, id), Some(rule))
}

/// Puts a set of rules in the place of what a device has.
#[must_use]
pub fn apply_rules(id: u32, file: &RuleFile) -> Call<RulesChanged> {
    Call::put(paths::of_device(paths::RULES, id), file)
}

/// One rule of a device.
#[must_use]
pub fn rule(id: u32, name: &str) -> Call<RuleStatus> {
    Call::get(paths::of_rule(id, name))
}

/// Puts a rule in the place of the one of the same name.
#[must_use]
pub fn replace_rule(id: u32, rule: &Rule) -> Call<RulesChanged> {
    Call::put(paths::of_rule(id, &rule.name), rule)
}

/// Arms, disarms, enables or disables a rule.
#[must_use]
pub fn switch_rule(id: u32, name: &str, request: &SwitchRequest) -> Call<RuleStatus> {
    let path = format!("{}/switch", paths::of_rule(id, name));
    Call::post(path, Some(request))
}

/// What the rules of a device would do to a request.
#[must_use]
pub fn explain(id: u32, request: &ExplainRequest) -> Call<Explanation> {
    Call::post(paths::of_device(paths::EXPLAIN, id), Some(request))
}

/// What a device remembers for its rules.
#[must_use]
pub fn memory(id: u32) -> Call<Remembered> {
    Call::get(paths::of_device(paths::MEMORY, id))
}

/// Sets a mark or a state of a device.
#[must_use]
pub fn remember(id: u32, request: &RememberRequest) -> Call<Remembered> {
    Call::post(paths::of_device(paths::MEMORY, id), Some(request))
}

/// Removes a rule from a device.
#[must_use]
pub fn remove_rule(id: u32, name: &str) -> Call<RulesChanged> {
    Call::delete(paths::of_rule(id, name))
}

/// Removes every rule from a device.
#[must_use]
pub fn clear_rules(id: u32) -> Call<RulesChanged> {
    Call::delete(paths::of_device(paths::RULES, id))
}

/// The requests held on a device.
#[must_use]
pub fn holds(id: u32) -> Call<HoldList> {
    Call::get(paths::of_device(paths::HOLDS, id))
}

/// Lets held requests of a device go.
#[must_use]
pub fn release(id: u32, request: &ReleaseRequest) -> Call<Released> {
    Call::post(paths::of_device(paths::RELEASE, id), Some(request))
}

/// The data of a held source request, `length_bytes` of it from `offset_bytes` on.
#[must_use]
pub fn peek(id: u32, hold_id: u64, offset_bytes: u32, length_bytes: u32) -> Call<HoldData> {
    let path = paths::of_hold(id, hold_id);
    Call::get(format!(
        "{path}?offset_bytes={offset_bytes}&length_bytes={length_bytes}"
    ))
}

/// Stores into the pages of a held destination request.
#[must_use]
pub fn poke(id: u32, hold_id: u64, request: &PokeRequest) -> Call<Poked> {
    Call::post(paths::of_hold(id, hold_id), Some(request))
}

/// The buffers of a device.
#[must_use]
pub fn buffers(id: u32) -> Call<BufferList> {
    Call::get(paths::of_device(paths::BUFFERS, id))
}

/// Registers memory with a device. The memory comes with [`Call::with_file`], unless the body names a file.
#[must_use]
pub fn add_buffer(id: u32, config: &BufferConfig) -> Call<Buffer> {
    Call::post(paths::of_device(paths::BUFFERS, id), Some(config))
}

/// Removes a buffer from a device.
#[must_use]
pub fn remove_buffer(id: u32, buffer: u16) -> Call<BufferRemoved> {
    Call::delete(paths::of_buffer(id, buffer))
}

/// What a device has done.
#[must_use]
pub fn stats(id: u32) -> Call<DeviceStats> {
    Call::get(paths::of_device(paths::STATS, id))
}

/// Removes every rule and lets everything go, on one device or on all.
#[must_use]
pub fn heal(id: Option<u32>) -> Call<Healed> {
    let path = match id {
        Some(id) => paths::of_device(paths::HEAL_DEVICE, id),
        None => paths::HEAL.to_owned(),
    };
    Call::post::<()>(path, None)
}
