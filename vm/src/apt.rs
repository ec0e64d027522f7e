//! A private package root: apt on other suites, with the host's configuration untouched.
//!
//! `APT_CONFIG` is read before anything else (apt.conf(5)) and moves every directory of apt below
//! the cache, so that neither rights nor the host's lists and hooks are involved. Signatures are
//! verified as always.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::cache::write_whole;
use crate::error::{At, Error};
use crate::tool;

/// For this long an index is used without asking the mirror again.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// Options that the host sets for its own network, and that a private root needs as well.
const NETWORK_OPTIONS: [&str; 4] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::ForceIPv",
    "Acquire::Retries",
];

/// A private package root with its own lists and nothing installed.
#[derive(Debug)]
pub(crate) struct PackageRoot {
    dir: PathBuf,
}

/// One package of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The names it depends on, without versions; of alternatives, each.
    pub(crate) depends: Vec<String>,
}

impl PackageRoot {
    /// Prepares the root at `dir` for the sources in `sources_list` (one-line form).
    pub(crate) fn prepare(dir: PathBuf, sources_list: &str) -> Result<Self, Error> {
        for below in [
            "lists/partial",
            "archives/partial",
            "etc/apt.conf.d",
            "etc/preferences.d",
        ] {
            let path = dir.join(below);
            fs::create_dir_all(&path).at("create", &path)?;
        }
        write_whole(&dir.join("status"), b"")?;
        write_whole(&dir.join("sources.list"), sources_list.as_bytes())?;
        let conf = configuration(&dir, &host_network_options());
        write_whole(&dir.join("apt.conf"), conf.as_bytes())?;
        Ok(Self { dir })
    }

    fn command(&self, program: &str) -> Result<Command, Error> {
        let mut command = Command::new(tool::require(program, "apt")?);
        command
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C.UTF-8");
        Ok(command)
    }

    /// Says whether the index was fetched less than a day ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.age().is_some_and(|age| age < FRESH)
    }

    /// Says whether there is an index at all.
    pub(crate) fn has_index(&self) -> bool {
        self.age().is_some()
    }

    fn age(&self) -> Option<Duration> {
        let modified = fs::metadata(self.dir.join("updated"))
            .ok()?
            .modified()
            .ok()?;
        Some(
            SystemTime::now()
                .duration_since(modified)
                .unwrap_or_default(),
        )
    }

    /// Fetches the index.
    pub(crate) fn update(&self) -> Result<(), Error> {
        // Without this option apt-get ends with 0 when a mirror cannot be reached.
        let mut command = self.command("apt-get")?;
        command.args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]);
        tool::output(&mut command)?;
        write_whole(&self.dir.join("updated"), b"")
    }

    /// The packages whose names fit the regular expression, newest version of each.
    pub(crate) fn search(&self, pattern: &str) -> Result<Vec<Package>, Error> {
        let mut command = self.command("apt-cache")?;
        let found = tool::output(command.args(["search", "--names-only", pattern]))?;
        let found = String::from_utf8_lossy(&found);
        let names: Vec<&str> = found
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = self.command("apt-cache")?;
        let shown = tool::output(command.args(["show", "--no-all-versions"]).args(names))?;
        Ok(parse_packages(&String::from_utf8_lossy(&shown)))
    }

    /// Downloads packages and unpacks them in `root` below `dir`.
    pub(crate) fn fetch(&self, names: &[String], dir: &Path) -> Result<(), Error> {
        let debs = dir.join("debs");
        fs::create_dir(&debs).at("create", &debs)?;
        for deb in self.download(names, &debs)? {
            unpack(&deb, &dir.join("root"))?;
        }
        fs::remove_dir_all(&debs).at("remove", &debs)
    }

    /// Downloads packages into `dir`; apt checks their hashes against the signed index.
    fn download(&self, names: &[String], dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut command = self.command("apt-get")?;
        tool::output(
            command
                .current_dir(dir)
                .args(["-q", "download"])
                .args(names),
        )?;
        let entries = fs::read_dir(dir).at("read", dir)?;
        let mut debs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        debs.retain(|path| path.extension().is_some_and(|ext| ext == "deb"));
        Ok(debs)
    }
}

/// Unpacks a package's files below `dir` without installing it.
fn unpack(deb: &Path, dir: &Path) -> Result<(), Error> {
    let dpkg = tool::require("dpkg-deb", "dpkg")?;
    tool::output(Command::new(dpkg).arg("--extract").arg(deb).arg(dir)).map(drop)
}

fn configuration(dir: &Path, network: &str) -> String {
    let dir = dir.display();
    format!(
        "Dir \"{dir}/\";\n\
         Dir::Etc \"{dir}/etc/\";\n\
         Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::trusted \"/dev/null\";\n\
         Dir::Etc::trustedparts \"/dev/null\";\n\
         Dir::Etc::netrc \"/etc/apt/auth.conf\";\n\
         Dir::Etc::netrcparts \"/etc/apt/auth.conf.d\";\n\
         Dir::State \"{dir}/\";\n\
         Dir::State::lists \"{dir}/lists/\";\n\
         Dir::State::status \"{dir}/status\";\n\
         Dir::Cache \"{dir}/\";\n\
         Dir::Cache::archives \"{dir}/archives/\";\n\
         Dir::Bin::methods \"/usr/lib/apt/methods/\";\n\
         // The sandbox user cannot write below a user's cache directory.\n\
         APT::Sandbox::User \"root\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         Acquire::Languages \"none\";\n\
         Acquire::http::Timeout \"20\";\n\
         Acquire::https::Timeout \"20\";\n\
         {network}"
    )
}

/// The host's proxies and the like. Without apt-config there is no apt either, which is reported
/// where it is needed.
fn host_network_options() -> String {
    let Some(program) = tool::find("apt-config") else {
        return String::new();
    };
    let dump = tool::output(Command::new(program).arg("dump")).unwrap_or_default();
    String::from_utf8_lossy(&dump)
        .lines()
        .filter(|line| {
            NETWORK_OPTIONS
                .iter()
                .any(|option| line.starts_with(option))
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

fn parse_packages(text: &str) -> Vec<Package> {
    text.split("\n\n").filter_map(parse_package).collect()
}

fn parse_package(stanza: &str) -> Option<Package> {
    let field = |key: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim))
    };
    let depends = ["Pre-Depends", "Depends"]
        .iter()
        .filter_map(|key| field(key))
        .flat_map(|list| list.split([',', '|']))
        .filter_map(|word| word.split_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect();
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        depends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_stanzas_are_read() {
        let packages = parse_packages(
            "Package: linux-image-7.3.4+deb13-cloud-amd64\nVersion: 7.3.4-1~bpo13+1\n\
             Pre-Depends: linux-base (>= 4.3~)\n\
             Depends: linux-binary-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1), a | b:any\n\n\
             Package: other\nVersion: 1\n\n",
        );
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].version, "7.3.4-1~bpo13+1");
        assert_eq!(
            packages[0].depends,
            [
                "linux-base",
                "linux-binary-7.3.4+deb13-cloud-amd64",
                "a",
                "b"
            ]
        );
        assert!(packages[1].depends.is_empty());
    }

    #[test]
    fn the_private_root_names_no_directory_of_the_host_for_writing() {
        let conf = configuration(Path::new("/cache/suites/sid"), "");
        for line in conf.lines().filter(|line| line.starts_with("Dir")) {
            let reads_only =
                line.contains("/dev/null") || line.contains("netrc") || line.contains("methods");
            assert!(
                reads_only || line.contains("\"/cache/suites/sid/"),
                "{line}"
            );
        }
    }
}
