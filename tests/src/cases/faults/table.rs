//! The table of docs/faults.md, written from the rows.

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use api::fault::Rule;

    use super::super::row::{PATHS, Row};
    use super::super::rows;

    const BEGIN: &str = "<!-- written by `BVECD_WRITE_TABLE=1 cargo test -p tests table` from tests/src/cases/faults -->\n";
    const END: &str = "<!-- end of what is written by a test -->\n";

    /// Every action there is, in the order of the guide.
    fn actions() -> Vec<String> {
        // The words name all of them when they meet one that they do not know.
        let text = Rule::parse("r", "nonsense").unwrap_err().to_string();
        let (_, list) = text.split_once("an action: ").unwrap();
        let names = list
            .split([',', ' '])
            .filter(|word| !word.is_empty() && *word != "or");
        names
            .map(|name| name.split('(').next().unwrap().to_owned())
            .collect()
    }

    fn action_of(row: &Row) -> String {
        let words = Rule::parse(row.name, row.rule).unwrap().to_string();
        words.split(['(', ' ']).next().unwrap().to_owned()
    }

    fn table() -> String {
        let mut text = String::from(
            "\n| row | rule | O_DIRECT client | through the page cache | medium afterwards |",
        );
        for path in PATHS {
            write!(text, " {path} |").unwrap();
        }
        text.push_str("\n|---|---|---|---|---|---|---|---|---|---|\n");
        let mut rows: Vec<_> = rows().collect();
        let order = actions();
        rows.sort_by_key(|row| order.iter().position(|name| *name == action_of(row)));
        for row in rows {
            let words = Rule::parse(row.name, row.rule).unwrap().to_string();
            let words = words.replace('|', "\\|");
            let cached = if row.cached.is_empty() {
                "–"
            } else {
                row.cached
            };
            write!(
                text,
                "| {} | `{words}` | {} | {cached} | {} |",
                row.name, row.direct, row.medium
            )
            .unwrap();
            for path in PATHS {
                write!(text, " {} |", row.on(path)).unwrap();
            }
            text.push('\n');
        }
        text.push('\n');
        text
    }

    /// What stands between the two marks of the guide, and what is around it.
    fn parts(guide: &str) -> [&str; 3] {
        let (before, rest) = guide
            .split_once(BEGIN)
            .expect("the guide has the first mark");
        let (between, after) = rest.split_once(END).expect("the guide has the second mark");
        [before, between, after]
    }

    /// After a change of the rows, write the new one: `BVECD_WRITE_TABLE=1 cargo test -p tests table`.
    #[test]
    fn the_table_in_the_guide_is_that_of_the_tests() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
        let guide = std::fs::read_to_string(&path).unwrap();
        let [before, between, after] = parts(&guide);
        let table = table();
        if std::env::var_os("BVECD_WRITE_TABLE").is_some() {
            std::fs::write(&path, [before, BEGIN, &table, END, after].concat()).unwrap();
            return;
        }
        assert!(
            between == table,
            "docs/faults.md is not what the rows of tests/src/cases/faults say; \
             BVECD_WRITE_TABLE=1 cargo test -p tests table writes it"
        );
    }

    #[test]
    fn every_action_has_a_row() {
        let with_rows: Vec<_> = rows().map(action_of).collect();
        let known = actions();
        assert!(known.len() >= 22, "{known:?}");
        for action in &known {
            assert!(with_rows.contains(action), "no row for {action}");
        }
        for action in &with_rows {
            assert!(known.contains(action), "{action} is no action");
        }
    }

    #[test]
    fn every_row_says_what_it_checks() {
        let mut names: Vec<_> = rows().map(|row| row.name).collect();
        for row in rows() {
            assert!(
                !row.direct.is_empty() && !row.medium.is_empty(),
                "{}",
                row.name
            );
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows().count(), "two rows have one name");
    }
}
