//! What the engine decides: the public interface, rule by rule and property by property.

#[cfg(test)]
mod decisions {
    mod actions;
    mod addresses;
    mod order;
    mod profile;
    mod properties;
    mod support;
    mod times;
    mod turns;
}
