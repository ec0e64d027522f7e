//! `bvecctl fault list`: the rules of a device, and whether they have fired.

use anyhow::Result;
use api::{RuleList, call};
use clap::Args;

use super::show::list_text;
use crate::context::Context;
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
With --require-fired the exit code is 3 unless every rule named has fired; without a name, every
rule there is. So a test notices that its fault never happened.

Examples:
  bvecctl fault list
  bvecctl fault list --dev 0 --json
  bvecctl fault list --require-fired
  bvecctl fault list --require-fired bad --require-fired slow";

/// Which rules.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// End with 3 unless the rule, or every one if none is named, has fired; may be repeated.
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    require_fired: Option<Vec<String>>,
    /// The N of /dev/ublkbN; may be left out if there is only one.
    #[arg(long, value_name = "N")]
    dev: Option<u32>,
}

/// Lists them.
///
/// # Errors
/// [`Failure::NotMet`]: a rule has not fired; the daemon cannot be reached or has no such device or rule.
pub(super) fn run(list: &List, context: &Context) -> Result<()> {
    let device = context.device(list.dev)?;
    let rules = context.ask("list the rules", call::rules(device))?;
    context.output.answer(&rules, list_text)?;
    match &list.require_fired {
        Some(names) => require(&rules, names).map_err(Into::into),
        None => Ok(()),
    }
}

/// Whether the rules named, or all, have fired.
pub(super) fn require(list: &RuleList, names: &[String]) -> Result<(), Failure> {
    let known = |name: &String| list.rules.iter().any(|status| status.rule.name == *name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let rules: Vec<&str> = list.rules.iter().map(|s| s.rule.name.as_str()).collect();
        return Err(Failure::Input(format!(
            "require that rule `{unknown}` has fired: device {} has no such rule, expected one of {}",
            list.device,
            rules.join(", ")
        )));
    }
    let asked = |name: &String| names.is_empty() || names.contains(name);
    let missing = list
        .rules
        .iter()
        .filter(|status| status.counters.fired == 0 && asked(&status.rule.name));
    let missing: Vec<String> = missing
        .map(|status| {
            format!(
                "`{}` (matched {})",
                status.rule.name, status.counters.matched
            )
        })
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Failure::NotMet(format!(
            "see every rule fire on device {}: {} never did",
            list.device,
            missing.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use api::SCHEMA;

    use super::super::show::tests::status;
    use super::*;

    #[test]
    fn a_rule_that_never_fired_is_named() {
        let mut silent = status("silent", "fail where op=write");
        silent.counters.fired = 0;
        let list = RuleList {
            schema: SCHEMA,
            device: 0,
            generation: 3,
            seed: 0,
            rules: vec![status("bad", "fail"), silent],
        };
        let ask = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            require(&list, &names)
        };
        assert!(ask(&["bad"]).is_ok());
        for (names, must_say) in [
            (&[][..], "`silent` (matched 120) never did"),
            (&["silent"], "`silent`"),
            (&["none"], "expected one of bad, silent"),
        ] {
            let error = ask(names).unwrap_err().to_string();
            assert!(error.contains(must_say), "{error}");
        }
    }
}
