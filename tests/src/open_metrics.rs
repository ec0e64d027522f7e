//! A strict reader of OpenMetrics 1.0 text: whatever the specification does not allow is an error with its line.

mod families;
mod line;

use std::collections::BTreeMap;

use families::Families;
use line::Line;

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |(key, value): &(&str, &str)| self.labels.get(*key).is_some_and(|it| it == value);
        self.name == name && labels.iter().all(has)
    }
}

/// Everything that a text says.
#[derive(Debug)]
pub(crate) struct Exposition {
    samples: Vec<Sample>,
}

impl Exposition {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong first, with its line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let body = text
            .strip_suffix("# EOF\n")
            .ok_or("the last line is not `# EOF` with a line feed")?;
        if !(body.is_empty() || body.ends_with('\n')) {
            return Err("the line before `# EOF` has no end".to_owned());
        }
        let mut families = Families::default();
        for (index, line) in body.lines().enumerate() {
            let at = |error: String| format!("line {}: {error}: {line}", index + 1);
            families.take(Line::parse(line).map_err(at)?).map_err(at)?;
        }
        Ok(Self {
            samples: families.finish()?,
        })
    }

    /// The value of the one sample with this name and at least these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut found = self.samples.iter().filter(|sample| sample.is(name, labels));
        let first = found.next();
        let first = first.unwrap_or_else(|| panic!("no {name} {labels:?} in {:#?}", self.samples));
        assert!(found.next().is_none(), "more than one {name} {labels:?}");
        first.value
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
# HELP a_seconds Time of \"it\"\\n and more.
# TYPE a_seconds histogram
# UNIT a_seconds seconds
a_seconds_bucket{x=\"1\",le=\"0.5\"} 1
a_seconds_bucket{x=\"1\",le=\"+Inf\"} 3
a_seconds_count{x=\"1\"} 3
a_seconds_sum{x=\"1\"} 1.25
# TYPE b counter
b_total{name=\"a\\\"b\\\\c\\nd\"} 7
# TYPE c gauge
c -1
# EOF
";

    #[test]
    fn a_right_text_is_read() {
        let read = Exposition::parse(GOOD).unwrap();
        assert_eq!(read.len(), 6);
        assert!((read.value("a_seconds_bucket", &[("le", "0.5")]) - 1.0).abs() < 1e-9);
        assert!((read.value("b_total", &[("name", "a\"b\\c\nd")]) - 7.0).abs() < 1e-9);
        assert_eq!(Exposition::parse("# EOF\n").unwrap().len(), 0);
    }

    #[test]
    fn whatever_is_wrong_is_found() {
        let put = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from}");
            GOOD.replacen(from, to, 1)
        };
        for (text, reason) in [
            (put("# EOF\n", ""), "# EOF"),
            (GOOD.to_owned() + "c 1\n", "# EOF"),
            (put("# TYPE c gauge", "\n# TYPE c gauge"), "empty"),
            (put("# TYPE c gauge\n", ""), "no `# TYPE`"),
            (put("b_total{", "b{"), "does not fit"),
            (put("# TYPE b counter", "# TYPE b kounter"), "no type"),
            (put("c -1", "c  -1"), "one space"),
            (put("c -1", "c NaN"), "not a number"),
            (put("c -1", "c x"), "not a number"),
            (put("c -1", "c -1 \n"), "ends"),
            (put("} 7", "} -7"), "below 0"),
            (put("# TYPE c gauge", "# comment"), "no `# TYPE`"),
            (put("\\nd\"", "\\td\""), "escape"),
            (
                put("{x=\"1\",le=\"0.5\"}", "{x=\"1\",x=\"1\",le=\"0.5\"}"),
                "twice",
            ),
            (
                put("{x=\"1\",le=\"0.5\"}", "{x=\"1\",le=\"0.5\",}"),
                "label",
            ),
            (
                put("{x=\"1\",le=\"0.5\"}", "{1x=\"1\",le=\"0.5\"}"),
                "label",
            ),
            (put("c -1\n", "c -1\nc -1\n"), "twice"),
            (put("c -1\n", "c -1\n# TYPE b counter\n"), "twice"),
            (put("c -1\n", "c -1\nb_total 9\n"), "other family"),
            (put("le=\"+Inf\"} 3", "le=\"+Inf\"} 0"), "less than"),
            (put("_count{x=\"1\"} 3", "_count{x=\"1\"} 4"), "+Inf"),
            (put("le=\"+Inf\"", "le=\"1\""), "+Inf"),
            (put("le=\"0.5\"", "le=\"half\""), "le"),
            (put("a_seconds_sum{x=\"1\"} 1.25\n", ""), "_sum"),
            (
                put("# UNIT a_seconds seconds", "# UNIT a_seconds bytes"),
                "unit",
            ),
            (put("# HELP a_seconds", "# HELP a_second"), "other family"),
            (
                put("# TYPE b counter\n", "").replace("c -1\n", "c -1\n# TYPE b counter\n"),
                "no `# TYPE`",
            ),
        ] {
            let error = Exposition::parse(&text).err();
            let error = error.unwrap_or_else(|| panic!("not found: {reason}\n{text}"));
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
}
