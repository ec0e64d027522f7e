//! The words of an action.

use std::fmt;

use super::{Action, Corruption, DEFAULT_REORDER_NS, Heal, Then, Torn};
use crate::Status;
use crate::span::format_ns;

/// Writes parameters: an opening parenthesis before the first, commas between, a closing one at the end.
struct Parameters<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    any: bool,
}

impl Parameters<'_, '_> {
    fn put(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        let before = if self.any { ',' } else { '(' };
        self.any = true;
        write!(self.f, "{before}{key}={value}")
    }

    fn put_if(&mut self, wanted: bool, key: &str, value: impl fmt::Display) -> fmt::Result {
        match wanted {
            true => self.put(key, value),
            false => Ok(()),
        }
    }

    fn put_some(&mut self, key: &str, value: Option<impl fmt::Display>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.put(key, value))
    }

    fn end(self) -> fmt::Result {
        match self.any {
            true => self.f.write_str(")"),
            false => Ok(()),
        }
    }
}

/// The canonical words, which [`crate::words::parse`] reads back.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut to = Parameters { f, any: false };
        self.parameters(&mut to)?;
        to.end()
    }
}

impl Action {
    fn parameters(&self, to: &mut Parameters<'_, '_>) -> fmt::Result {
        match self {
            Self::Fail {
                status,
                effect,
                scope,
            } => {
                to.put("status", status)?;
                to.put_if(!effect.is_none(), "effect", effect)?;
                to.put_if(!scope.is_default(), "scope", scope)
            }
            Self::Short { sectors, frac } => {
                to.put_some("sectors", *sectors)?;
                to.put_some("frac", *frac)
            }
            Self::Delay { dist, at, lanes } => {
                to.put("dist", dist)?;
                to.put_if(!at.is_default(), "at", at)?;
                to.put_some("lanes", *lanes)
            }
            Self::Hold { max_ns, then } => {
                to.put("max", format_ns(*max_ns))?;
                to.put_if(*then != Then::Release, "then", then)
            }
            Self::Corrupt(corruption) => damage(corruption, to),
            Self::Torn(torn) => parts(torn, to),
            Self::Misdirect { to: place, lost } => {
                to.put("to", place)?;
                to.put_if(!lost, "lost", "no")
            }
            Self::Badmap {
                heal,
                wr_fail,
                status,
            } => {
                to.put_if(*heal != Heal::default(), "heal", heal)?;
                to.put_if(*wr_fail != 0, "wr_fail", wr_fail)?;
                to.put_if(*status != Status::Medium, "status", status)
            }
            Self::Reorder { window, hold_ns } => {
                to.put("window", window)?;
                to.put_if(*hold_ns != DEFAULT_REORDER_NS, "hold", format_ns(*hold_ns))
            }
            Self::Throttle {
                iops,
                bytes,
                burst,
                burst_bytes,
            } => {
                to.put_some("iops", *iops)?;
                to.put_some("bytes", *bytes)?;
                to.put_some("burst", *burst)?;
                to.put_some("burst_bytes", *burst_bytes)
            }
            Self::Remove { how, return_ns } => {
                to.put_if(!how.is_default(), "how", how)?;
                to.put_some("return", return_ns.map(format_ns))
            }
            Self::CrashServer { point } => to.put_if(!point.is_default(), "point", point),
            Self::Resize { size } => to.put("size", size),
            Self::Readonly { on } => to.put_if(!on, "on", "no"),
            Self::Pi { tag } => to.put_if(!tag.is_default(), "tag", tag),
            Self::SetState { state } => to.put("state", state),
            Self::Mark { label } => to.put("label", label),
            Self::Hang {}
            | Self::Drop {}
            | Self::IgnoreFlush {}
            | Self::IgnoreFua {}
            | Self::Notify {} => Ok(()),
        }
    }
}

fn damage(corruption: &Corruption, to: &mut Parameters<'_, '_>) -> fmt::Result {
    let Corruption {
        on,
        kind,
        places,
        ber,
        at,
        burst,
    } = corruption;
    to.put_if(!on.is_default(), "on", on)?;
    to.put_if(!kind.is_default(), "kind", kind)?;
    to.put_some("places", *places)?;
    to.put_some("ber", *ber)?;
    to.put_some("at", *at)?;
    to.put_some("burst", *burst)
}

fn parts(torn: &Torn, to: &mut Parameters<'_, '_>) -> fmt::Result {
    to.put_some("parts", torn.parts)?;
    if let Some(bytes) = &torn.bytes {
        let words: Vec<String> = bytes.iter().map(u32::to_string).collect();
        to.put("bytes", words.join("+"))?;
    }
    to.put("persist", torn.persist)?;
    to.put_if(!torn.unit.is_default(), "unit", torn.unit)?;
    to.put_some("status", torn.status)
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release => f.write_str("release"),
            Self::Fail(status) => write!(f, "fail:{status}"),
        }
    }
}
