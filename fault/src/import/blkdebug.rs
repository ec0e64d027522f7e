//! Configurations of QEMU's blkdebug (block/blkdebug.c): events and states inside an image format's driver.
//! What happens at the device can be said here, what happens inside the format cannot.

use std::collections::BTreeMap;

use super::{Import, c_number};
use crate::Status;
use crate::device::START;

/// One rule of a configuration, with the line it begins in.
struct Section<'t> {
    line: usize,
    kind: &'t str,
    values: BTreeMap<&'t str, (usize, &'t str)>,
}

pub(super) fn import(text: &str, into: &mut Import<'_>) {
    for (number, section) in sections(text, into).iter().enumerate() {
        let name = format!("{}", number + 1);
        let made = match section.kind {
            "inject-error" => inject(section),
            "set-state" => set_state(section),
            kind => Err((section.line, format!("blkdebug has no rule `{kind}`"))),
        };
        match made {
            Ok(words) => into.add(section.line, &name, &words),
            Err((line, reason)) => into.refuse(line, section.kind, reason),
        }
    }
    if !into.done.rules.is_empty() {
        into.note(
            "blkdebug fails requests of the host's image file, here those of the device fail; of its states the \
             first, 1, is `start` here, and N is `sN`",
        );
    }
}

/// Cuts the text into its rules; what is no rule is refused.
fn sections<'t>(text: &'t str, into: &mut Import<'_>) -> Vec<Section<'t>> {
    let mut sections: Vec<Section<'t>> = Vec::new();
    for (at, whole) in text.lines().enumerate() {
        let (number, line) = (at + 1, whole.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            // A group may have a name of its own after it, in quotes.
            let kind = header.split_whitespace().next().unwrap_or_default();
            let values = BTreeMap::new();
            sections.push(Section {
                line: number,
                kind,
                values,
            });
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            into.refuse(
                number,
                line,
                "expected [inject-error], [set-state] or KEY = \"VALUE\"",
            );
            continue;
        };
        let value = value.trim().trim_matches('"');
        match sections.last_mut() {
            Some(section) => {
                section.values.insert(key.trim(), (number, value));
            }
            None => into.refuse(number, line, "it stands before the first rule"),
        }
    }
    sections
}

type Reason = (usize, String);

impl Section<'_> {
    fn get(&self, key: &str) -> Option<(usize, &str)> {
        self.values.get(key).copied()
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Reason> {
        let Some((line, value)) = self.get(key) else {
            return Ok(None);
        };
        let number = c_number(value).ok_or((line, format!("`{value}` is no whole number")));
        number.map(Some)
    }

    fn is_on(&self, key: &str) -> Result<bool, Reason> {
        match self.get(key) {
            None | Some((_, "off" | "no" | "false")) => Ok(false),
            Some((_, "on" | "yes" | "true")) => Ok(true),
            Some((line, other)) => Err((line, format!("`{other}` is neither on nor off"))),
        }
    }

    fn knows_only(&self, keys: &[&str]) -> Result<(), Reason> {
        let unknown = self.values.iter().find(|(key, _)| !keys.contains(*key));
        match unknown {
            None => Ok(()),
            Some((key, (line, _))) => Err((*line, format!("a `{}` has no `{key}`", self.kind))),
        }
    }

    /// The operations that the event stands for at the device.
    fn ops(&self) -> Result<&'static str, Reason> {
        let Some((line, event)) = self.get("event") else {
            return Err((self.line, "it has no event".to_owned()));
        };
        match event {
            "none" => Ok("any"),
            "read_aio" | "pwritev_rmw_head" | "pwritev_rmw_tail" => Ok("read"),
            "write_aio" | "pwritev" => Ok("write"),
            "pwritev_zero" => Ok("write_zeroes"),
            "flush_to_os" | "flush_to_disk" => Ok("flush"),
            other => Err((
                line,
                format!(
                    "`{other}` happens inside the image format, which the device does not see; select the \
                     sectors by lba= or --file"
                ),
            )),
        }
    }

    fn state(&self, key: &str) -> Result<Option<String>, Reason> {
        Ok(self
            .number(key)?
            .filter(|state| *state != 0)
            .map(state_name))
    }
}

/// blkdebug begins in state 1.
fn state_name(state: u64) -> String {
    match state {
        1 => START.to_owned(),
        state => format!("s{state}"),
    }
}

fn inject(section: &Section<'_>) -> Result<String, Reason> {
    section.knows_only(&[
        "event",
        "state",
        "iotype",
        "errno",
        "sector",
        "once",
        "immediately",
    ])?;
    let from_event = section.ops()?;
    let ops = match section.get("iotype") {
        None => from_event,
        Some((_, "read")) => "read",
        Some((_, "write")) => "write",
        Some((_, "write-zeroes")) => "write_zeroes",
        Some((_, "discard")) => "discard",
        Some((_, "flush")) => "flush",
        Some((line, other)) => {
            let reason = format!("the device gets no `{other}`");
            return Err((line, reason));
        }
    };
    let errno = section.number("errno")?.unwrap_or(5);
    let line = section.get("errno").map_or(section.line, |(line, _)| line);
    let status = Status::all().find(|status| u64::try_from(status.errno()) == Ok(errno));
    let status = status.ok_or((
        line,
        format!("the kernel turns errno {errno} into EIO, so say 5"),
    ))?;
    // Both values are fine: a failing request fails before the medium here.
    section.is_on("immediately")?;
    let mut words = format!("fail(status={status}) where op={ops}");
    if let Some(sector) = section.number("sector")? {
        words.push_str(&format!(",lba={sector}"));
    }
    let mut when = Vec::new();
    if let Some(state) = section.state("state")? {
        when.push(format!("state={state}"));
    }
    if section.is_on("once")? {
        when.push("count=1".to_owned());
    }
    if !when.is_empty() {
        words.push_str(&format!(" when {}", when.join(",")));
    }
    Ok(words)
}

fn set_state(section: &Section<'_>) -> Result<String, Reason> {
    section.knows_only(&["event", "state", "new_state"])?;
    let ops = section.ops()?;
    let Some(new) = section.state("new_state")? else {
        return Err((section.line, "it has no new_state".to_owned()));
    };
    let mut words = format!("set_state(state={new}) where op={ops}");
    if let Some(state) = section.state("state")? {
        words.push_str(&format!(" when state={state}"));
    }
    Ok(words)
}
