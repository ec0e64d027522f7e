//! What lines must be to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Sample;
use super::line::{About, Line, Type};

/// The families so far. Only the last one may go on.
#[derive(Debug, Default)]
pub(super) struct Families {
    done: BTreeSet<String>,
    current: Option<Family>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Family {
    name: String,
    about: Vec<About>,
    samples: Vec<Sample>,
}

impl Families {
    pub(super) fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::About { family, what } => self.about(family, what),
            Line::Sample(sample) => self.sample(sample),
        }
    }

    fn about(&mut self, name: String, what: About) -> Result<(), String> {
        if self
            .current
            .as_ref()
            .is_none_or(|family| family.name != name)
        {
            self.close()?;
            if !self.done.insert(name.clone()) {
                return Err(format!("{name} is told of twice"));
            }
            self.current = Some(Family {
                name: name.clone(),
                about: Vec::new(),
                samples: Vec::new(),
            });
        }
        let Some(family) = &mut self.current else {
            return Ok(());
        };
        if !family.samples.is_empty() {
            return Err(format!("{name} is told of after its samples"));
        }
        let same = |known: &About| std::mem::discriminant(known) == std::mem::discriminant(&what);
        if family.about.iter().any(same) {
            return Err(format!("{name} has this twice"));
        }
        if let About::Unit(unit) = &what
            && !name.ends_with(&format!("_{unit}"))
        {
            return Err(format!("{name} does not end with its unit"));
        }
        family.about.push(what);
        Ok(())
    }

    fn sample(&mut self, sample: Sample) -> Result<(), String> {
        let family = self.current.as_mut().ok_or("no `# TYPE` before it")?;
        let suffix = sample.name.strip_prefix(&family.name);
        let fits = match (family.kind(), suffix) {
            (None, _) => return Err("no `# TYPE` of its family before it".to_owned()),
            (Some(Type::Counter), Some("_total")) | (Some(Type::Gauge), Some("")) => true,
            (Some(Type::Histogram), Some("_bucket" | "_count" | "_sum")) => true,
            _ => false,
        };
        if !fits {
            let base = sample.name.trim_end_matches("_total");
            if base == family.name {
                return Err("its name does not fit the type of its family".to_owned());
            }
            return Err(match self.done.contains(base) {
                true => "a sample of one family among those of an other family".to_owned(),
                false => "no `# TYPE` of its family before it".to_owned(),
            });
        }
        if family.kind() != Some(Type::Gauge) && sample.value < 0.0 {
            return Err("its value is below 0".to_owned());
        }
        let same = |it: &Sample| it.name == sample.name && it.labels == sample.labels;
        if family.samples.iter().any(same) {
            return Err("the same sample is there twice".to_owned());
        }
        family.samples.push(sample);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(family) = self.current.take() else {
            return Ok(());
        };
        if family.samples.is_empty() {
            return Err(format!(
                "{} has no samples before an other family begins",
                family.name
            ));
        }
        if family.kind() == Some(Type::Histogram) {
            family.check_histograms()?;
        }
        self.samples.extend(family.samples);
        Ok(())
    }

    /// All samples.
    pub(super) fn finish(mut self) -> Result<Vec<Sample>, String> {
        self.close()?;
        Ok(self.samples)
    }
}

/// The parts of one histogram.
#[derive(Debug, Default)]
struct Parts {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
}

impl Family {
    fn kind(&self) -> Option<Type> {
        self.about.iter().find_map(|about| match about {
            About::Type(kind) => Some(*kind),
            _ => None,
        })
    }

    fn check_histograms(&self) -> Result<(), String> {
        let mut all: BTreeMap<BTreeMap<String, String>, Parts> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let end = labels.remove("le");
            let parts = all.entry(labels).or_default();
            match (sample.name.strip_prefix(&self.name), end) {
                (Some("_bucket"), Some(end)) => {
                    let end = match end.as_str() {
                        "+Inf" => f64::INFINITY,
                        number => number
                            .parse()
                            .map_err(|_| format!("le=\"{number}\" is no number"))?,
                    };
                    parts.buckets.push((end, sample.value));
                }
                (Some("_count"), None) => parts.count = Some(sample.value),
                (Some("_sum"), None) => parts.sum = Some(sample.value),
                _ => return Err(format!("{}: le where it does not belong", sample.name)),
            }
        }
        for (labels, parts) in all {
            parts
                .check()
                .map_err(|error| format!("{} {labels:?}: {error}", self.name))?;
        }
        Ok(())
    }
}

impl Parts {
    fn check(&self) -> Result<(), String> {
        for pair in self.buckets.windows(2) {
            if pair[0].0 >= pair[1].0 {
                return Err("its buckets are not in order, or one is there twice".to_owned());
            }
            if pair[1].1 < pair[0].1 {
                return Err("a bucket has less than the one before".to_owned());
            }
        }
        let last = self.buckets.last().filter(|(end, _)| end.is_infinite());
        let all = last.ok_or("it has no bucket +Inf")?.1;
        if self.count.is_none_or(|count| (count - all).abs() > 0.0) {
            return Err("its count is not that of its bucket +Inf".to_owned());
        }
        self.sum
            .map(|_| ())
            .ok_or_else(|| "it has no _sum".to_owned())
    }
}
