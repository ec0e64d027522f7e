//! Scales: where a value lies, and which values are written beside the axis.

use crate::statistics::{count, whole};

/// How a value becomes a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Equal steps are equally long.
    Linear,
    /// Equal factors are.
    Log,
    /// Parts of 1, each further nine is as long as the first: 0, 90, 99, 99.9 %.
    Nines,
}

/// A scale between two places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    kind: Kind,
    values: (f64, f64),
    places: (f64, f64),
}

impl Scale {
    /// From the first of `values` at the first of `places` to the second at the second.
    pub(super) fn new(kind: Kind, values: (f64, f64), places: (f64, f64)) -> Self {
        let (low, mut high) = values;
        if high <= low {
            high = if low > 0.0 { low * 1.1 } else { low + 1.0 };
        }
        Self {
            kind,
            values: (low, high),
            places,
        }
    }

    /// A linear scale from 0 to a round value above `most`.
    pub(super) fn to(most: f64, places: (f64, f64)) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(most, 4.0);
        Self::new(Kind::Linear, (0.0, (most / step).ceil() * step), places)
    }

    /// Where a value lies; those beyond the ends lie at the ends.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let (low, high, value) = (self.bent(low), self.bent(high), self.bent(value));
        let part = ((value - low) / (high - low)).clamp(0.0, 1.0);
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    fn bent(&self, value: f64) -> f64 {
        match self.kind {
            Kind::Linear => value,
            Kind::Log => value.max(1e-12).log10(),
            Kind::Nines => -(1.0 - value).max(1e-9).log10(),
        }
    }

    /// The values to write beside the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        match self.kind {
            Kind::Linear => {
                let step = step(high - low, 4.0);
                let first = (low / step).ceil() * step;
                let steps = whole((high - first) / step + 1e-6);
                (0..=steps)
                    .map(|index| first + count(index) * step)
                    .collect()
            }
            Kind::Log => {
                let decades = || {
                    let (from, to) = (low.log10().floor(), high.log10().ceil());
                    (0..=whole(to - from)).map(move |index| 10_f64.powf(from + count(index)))
                };
                let within = |value: &f64| *value >= low * 0.999 && *value <= high * 1.001;
                let few: &[f64] = if high / low > 30.0 {
                    &[1.0]
                } else {
                    &[1.0, 2.0, 5.0]
                };
                let all = decades().flat_map(|decade| few.iter().map(move |by| decade * by));
                all.filter(within).collect()
            }
            Kind::Nines => {
                let all = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
                all.into_iter()
                    .filter(|part| *part >= low && *part <= high)
                    .collect()
            }
        }
    }
}

/// A round step that divides `length` into about `parts`.
fn step(length: f64, parts: f64) -> f64 {
    let raw = (length / parts).max(1e-12);
    let power = 10_f64.powf(raw.log10().floor());
    let by = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|by| by * power >= raw * 0.999);
    by.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_in_order_and_within() {
        for kind in [Kind::Linear, Kind::Log, Kind::Nines] {
            let scale = Scale::new(kind, (0.1, 0.999), (10.0, 110.0));
            assert!((scale.at(0.1) - 10.0).abs() < 1e-9 && (scale.at(0.999) - 110.0).abs() < 1e-9);
            assert!(
                scale.at(0.2) < scale.at(0.3) && scale.at(-5.0) >= 10.0 && scale.at(9.0) <= 110.0
            );
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            Scale::to(37_000.0, (0.0, 1.0)).ticks(),
            [0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0]
        );
        let log = Scale::new(Kind::Log, (900.0, 2_000_000.0), (0.0, 1.0));
        let shown: Vec<String> = log
            .ticks()
            .iter()
            .map(|tick| format!("{tick:.0}"))
            .collect();
        assert_eq!(shown, ["1000", "10000", "100000", "1000000"]);
        assert_eq!(
            Scale::new(Kind::Nines, (0.0, 0.9999), (0.0, 1.0))
                .ticks()
                .len(),
            6
        );
    }

    #[test]
    fn nothing_to_show_is_no_division_by_zero() {
        let flat = Scale::new(Kind::Linear, (5.0, 5.0), (0.0, 100.0));
        assert!(flat.at(5.0).is_finite() && !flat.ticks().is_empty());
        assert!(Scale::to(0.0, (0.0, 1.0)).at(0.0).is_finite());
    }
}
