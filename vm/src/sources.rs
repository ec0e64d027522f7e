//! The host's own package sources: where its mirror is and which keys vouch for it.

use std::fs;
use std::path::{Path, PathBuf};

/// One entry of the host's sources: `deb` packages of some suites at some addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Source {
    /// The mirror's addresses.
    pub(crate) uris: Vec<String>,
    /// The suites it is used for.
    pub(crate) suites: Vec<String>,
    /// The key ring that the entry names.
    pub(crate) signed_by: Option<String>,
}

/// Reads every source under `etc_apt`, in the order that apt reads them (sources.list(5)).
pub(crate) fn read(etc_apt: &Path) -> Vec<Source> {
    let mut sources = fs::read_to_string(etc_apt.join("sources.list"))
        .map(|text| parse_list(&text))
        .unwrap_or_default();
    let mut parts: Vec<PathBuf> = fs::read_dir(etc_apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    parts.sort();
    for path in parts {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        match path.extension().and_then(|ext| ext.to_str()) {
            Some("list") => sources.extend(parse_list(&text)),
            Some("sources") => sources.extend(parse_deb822(&text)),
            _ => {}
        }
    }
    sources
}

/// Reads the one-line form: `deb [options] uri suite components...`.
pub(crate) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|word| {
        word.strip_prefix("signed-by=")
            .or(word.strip_prefix("Signed-By="))
    });
    let mut words = rest.split_whitespace();
    Some(Source {
        uris: vec![words.next()?.to_owned()],
        suites: vec![words.next()?.to_owned()],
        signed_by: signed_by.map(str::to_owned),
    })
}

/// Reads the deb822 form: stanzas of `Key: value`, continued on lines that begin with a space.
pub(crate) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .chain([""])
    {
        if line.trim().is_empty() {
            sources.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Option<Source> {
    let field = |key: &str| {
        fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    };
    let words = |key: &str| -> Vec<String> {
        field(key)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let enabled = !matches!(field("enabled"), Some("no" | "false" | "0"));
    if !enabled || !words("types").iter().any(|word| word == "deb") {
        return None;
    }
    let source = Source {
        uris: words("uris"),
        suites: words("suites"),
        // An inline key has several lines; only a path can be passed on.
        signed_by: field("signed-by")
            .filter(|key| key.starts_with('/'))
            .map(str::to_owned),
    };
    (!source.uris.is_empty() && !source.suites.is_empty()).then_some(source)
}

/// The main mirror: the first address that serves `codename` itself or its updates, security aside.
pub(crate) fn main_mirror<'a>(sources: &'a [Source], codename: &str) -> Option<&'a Source> {
    let is_security = |source: &Source| {
        source.uris.iter().any(|uri| uri.contains("security"))
            || source.suites.iter().all(|suite| suite.contains("security"))
    };
    let mirrors = || sources.iter().filter(|source| !is_security(source));
    let serves =
        |source: &Source, names: &[String]| source.suites.iter().any(|suite| names.contains(suite));
    // A third party's archive may call its only suite "stable", so the code name goes first.
    let exact = [codename.to_owned(), format!("{codename}-updates")];
    let alias = ["stable", "testing", "unstable", "sid"].map(str::to_owned);
    mirrors().find(|source| serves(source, &exact)).or_else(|| {
        mirrors()
            .filter(|source| source.uris.iter().any(|uri| uri.contains("debian")))
            .find(|source| serves(source, &alias))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_sources_are_read() {
        let sources = parse_list(
            "# comment\n\
             deb-src http://mirror.example/debian trixie main\n\
             deb [arch=amd64 signed-by=/keys/d.gpg] http://mirror.example/debian trixie main # x\n\
             deb http://mirror.example/security trixie-security main\n",
        );
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uris, ["http://mirror.example/debian"]);
        assert_eq!(sources[0].suites, ["trixie"]);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/keys/d.gpg"));
        assert_eq!(sources[1].signed_by, None);
    }

    #[test]
    fn deb822_sources_are_read() {
        let sources = parse_deb822(
            "Types: deb deb-src\n# a comment inside\nURIs: http://mirror.example/debian\n\
             Suites: bookworm\n bookworm-updates\nComponents: main\nSigned-By: /keys/d.gpg\n\n\
             Types: deb\nEnabled: no\nURIs: http://off.example/\nSuites: bookworm\n\n\
             Types: deb-src\nURIs: http://src.example/\nSuites: bookworm\n\n\
             Types: deb\nURIs: http://inline.example/\nSuites: x\nSigned-By:\n -----BEGIN\n .\n",
        );
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(sources[0].signed_by.as_deref(), Some("/keys/d.gpg"));
        assert_eq!(sources[1].uris, ["http://inline.example/"]);
        assert_eq!(sources[1].signed_by, None);
    }

    #[test]
    fn the_main_mirror_is_not_security() {
        let sources = parse_list(
            "deb http://mirror.example/debian-security bookworm-security main\n\
             deb http://other.example/tool stable main\n\
             deb http://mirror.example/debian bookworm main\n",
        );
        assert_eq!(
            main_mirror(&sources[..1], "bookworm").map(|source| source.uris[0].as_str()),
            None
        );
        let found = main_mirror(&sources[2..], "bookworm").unwrap();
        assert_eq!(found.uris, ["http://mirror.example/debian"]);
    }

    #[test]
    fn a_third_party_source_does_not_come_first() {
        let sources = parse_list(
            "deb http://other.example/tool stable main\n\
             deb http://mirror.example/debian bookworm main\n",
        );
        let found = main_mirror(&sources, "bookworm").unwrap();
        assert_eq!(found.uris, ["http://mirror.example/debian"]);
    }
}
