//! What the unit tests of several files share: rules of every shape.

mod actions;
mod selectors;
mod triggers;

use proptest::prelude::*;

use crate::Rule;

/// Any well-formed rule, whether or not it makes sense on a device.
pub(crate) fn any_rule() -> impl Strategy<Value = Rule> {
    (
        "[a-z][a-z0-9._-]{0,9}",
        selectors::any_selector(),
        triggers::any_trigger(),
        actions::any_action(),
        triggers::any_options(),
    )
        .prop_map(|(name, selector, trigger, action, options)| Rule {
            name,
            selector,
            trigger,
            action,
            options,
        })
}
