//! The kernels that the host's distribution offers, and how to get one.
//!
//! On Debian the suites in [`DEBIAN_SUITES`] are asked, all from the mirror that the host's own
//! sources name and verified with Debian's archive key ring. On Ubuntu the host's own sources are
//! asked for their generic kernels; this has not been tried on a real Ubuntu.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apt::{Package, PackageRoot};
use crate::cache::Cache;
use crate::error::Error;
use crate::progress::Progress;
use crate::sources;
use crate::tool;
use crate::version::Version;

/// The suites of Debian that have kernels with ublk, in the order in which a version is looked up:
/// the first has many versions and the smallest index.
pub const DEBIAN_SUITES: [&str; 6] = [
    "trixie-backports",
    "trixie",
    "bookworm-backports",
    "forky",
    "sid",
    "experimental",
];

/// The name of the one "suite" that stands for the host's own sources on Ubuntu.
const HOST_SUITE: &str = "host";

const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// What `uname -r` will say.
    pub release: String,
    /// The package version.
    pub version: Version,
    /// The suite that has it.
    pub suite: String,
    /// The packages it consists of.
    pub packages: Vec<String>,
    /// Packages it needs that the index lists no more; then it cannot be fetched.
    pub missing: Vec<String>,
}

/// The distribution that the host runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// Debian, with its mirror's addresses, its key ring and the code name of its release.
    Debian {
        mirror: Vec<String>,
        keyring: String,
        release: String,
    },
    /// Ubuntu: the host's sources as they are.
    Ubuntu,
    /// Something else: only the host's kernel or a named image can be used.
    Other { reason: String },
}

impl Distribution {
    /// Looks at os-release(5) and the package sources of the host.
    pub(crate) fn of_host() -> Self {
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let field = |key: &str| {
            os.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map_or("", |value| value.trim_matches('"'))
        };
        if ["apt-get", "apt-cache", "dpkg-deb"]
            .iter()
            .any(|program| tool::find(program).is_none())
        {
            return Self::Other {
                reason: "this host has no apt".into(),
            };
        }
        let ids: Vec<&str> = field("ID")
            .split_whitespace()
            .chain(field("ID_LIKE").split_whitespace())
            .collect();
        if ids.contains(&"ubuntu") {
            return Self::Ubuntu;
        }
        if !ids.contains(&"debian") {
            return Self::Other {
                reason: "this host is neither Debian nor Ubuntu".into(),
            };
        }
        let sources = sources::read(Path::new("/etc/apt"));
        let release = field("VERSION_CODENAME");
        match sources::main_mirror(&sources, release) {
            Some(mirror) => Self::Debian {
                mirror: mirror.uris.clone(),
                keyring: mirror
                    .signed_by
                    .clone()
                    .unwrap_or_else(|| DEBIAN_KEYRING.into()),
                release: release.to_owned(),
            },
            None => Self::Other {
                reason: "the sources under /etc/apt name no Debian mirror".into(),
            },
        }
    }

    /// The suites to look in, in order.
    pub(crate) fn suites(&self) -> Vec<String> {
        match self {
            Self::Debian { .. } => DEBIAN_SUITES.map(str::to_owned).to_vec(),
            Self::Ubuntu => vec![HOST_SUITE.to_owned()],
            Self::Other { .. } => Vec::new(),
        }
    }

    fn pattern(&self) -> &'static str {
        match self {
            Self::Debian { .. } => "^linux-(image|base|binary|modules)-[0-9].*-cloud-amd64$",
            _ => "^linux-(image|modules|modules-extra)-[0-9].*-generic$",
        }
    }

    /// The suite with newer programs for the release that the host runs.
    pub(crate) fn backports(&self) -> Option<String> {
        match self {
            Self::Debian { release, .. } if !release.is_empty() => {
                Some(format!("{release}-backports"))
            }
            _ => None,
        }
    }

    fn package_root(&self, cache: &Cache, suite: &str) -> Result<PackageRoot, Error> {
        let dir = cache.path("suites").join(suite);
        let list = match self {
            Self::Debian {
                mirror, keyring, ..
            } => debian_sources(mirror, keyring, suite),
            Self::Ubuntu => ubuntu_sources(&sources::read(Path::new("/etc/apt"))),
            Self::Other { .. } => String::new(),
        };
        PackageRoot::prepare(dir, &list)
    }

    /// The index of one suite.
    ///
    /// It is fetched if there is none or it is older than a day. If that fails and there is an older
    /// one, that is used, and the user told.
    pub(crate) fn index(
        &self,
        cache: &Cache,
        suite: &str,
        progress: &Progress,
    ) -> Result<PackageRoot, Error> {
        let root = self.package_root(cache, suite)?;
        if !root.is_fresh() {
            progress.say(format!("fetching the package index of {suite}"));
            match root.update() {
                Ok(()) => {}
                Err(error) if root.has_index() => {
                    progress.warn(format!("using the old index of {suite}: failed to {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(root)
    }

    /// The kernels of one suite, newest first.
    pub(crate) fn candidates(
        &self,
        cache: &Cache,
        suite: &str,
        progress: &Progress,
    ) -> Result<Vec<Candidate>, Error> {
        let root = self.index(cache, suite, progress)?;
        Ok(candidates_of(&root.search(self.pattern())?, suite))
    }

    /// Downloads and unpacks a kernel's packages below `dir`.
    pub(crate) fn fetch(
        &self,
        cache: &Cache,
        candidate: &Candidate,
        dir: &Path,
    ) -> Result<(), Error> {
        let root = self.package_root(cache, &candidate.suite)?;
        root.fetch(&candidate.packages, dir)
    }
}

fn debian_sources(mirror: &[String], keyring: &str, suite: &str) -> String {
    // The Release files of suites in motion may have outlived their date on a mirror that was
    // frozen; their signatures are checked all the same.
    let moving = ["forky", "sid", "experimental", "testing", "unstable"].contains(&suite);
    let validity = if moving { " check-valid-until=no" } else { "" };
    let line = |uri: &String| format!("deb [signed-by={keyring}{validity}] {uri} {suite} main\n");
    mirror.iter().map(line).collect()
}

fn ubuntu_sources(sources: &[sources::Source]) -> String {
    let mut lines = String::new();
    for source in sources
        .iter()
        .filter(|source| source.uris.iter().any(|u| u.contains("ubuntu")))
    {
        let key = source
            .signed_by
            .clone()
            .unwrap_or_else(|| "/usr/share/keyrings/ubuntu-archive-keyring.gpg".into());
        for (uri, suite) in source
            .uris
            .iter()
            .flat_map(|uri| source.suites.iter().map(move |s| (uri, s)))
        {
            lines.push_str(&format!("deb [signed-by={key}] {uri} {suite} main\n"));
        }
    }
    lines
}

/// Joins the packages of an index into kernels, newest first.
fn candidates_of(packages: &[Package], suite: &str) -> Vec<Candidate> {
    let by_name: BTreeMap<&str, &Package> = packages
        .iter()
        .map(|package| (package.name.as_str(), package))
        .collect();
    let mut candidates: Vec<_> = packages
        .iter()
        .filter_map(|package| Some((package, package.name.strip_prefix("linux-image-")?)))
        .map(|(package, release)| {
            let (packages, missing) = parts(package, release, &by_name);
            Candidate {
                release: release.to_owned(),
                version: Version::new(&package.version),
                suite: suite.to_owned(),
                packages,
                missing,
            }
        })
        .collect();
    candidates.sort_by(|a, b| b.version.cmp(&a.version));
    candidates
}

/// The packages of one kernel: what its image depends on under the same release, and what the
/// index lacks of it.
fn parts(
    image: &Package,
    release: &str,
    by_name: &BTreeMap<&str, &Package>,
) -> (Vec<String>, Vec<String>) {
    let mut found = vec![image.name.clone()];
    let mut missing = Vec::new();
    let mut next = 0;
    // Ubuntu's images do not depend on the package that has the rarer modules.
    let extra = format!("linux-modules-extra-{release}");
    if by_name.contains_key(extra.as_str()) {
        found.push(extra);
    }
    while let Some(package) = found.get(next).and_then(|name| by_name.get(name.as_str())) {
        next += 1;
        for name in package
            .depends
            .iter()
            .filter(|name| name.ends_with(&format!("-{release}")))
        {
            let known = by_name.contains_key(name.as_str());
            // linux-base-RELEASE only has the change log and scripts for installation.
            if !known && name.starts_with("linux-base-") {
                continue;
            }
            let list = if known { &mut found } else { &mut missing };
            if !list.contains(name) {
                list.push(name.clone());
            }
        }
    }
    (found, missing)
}

/// The kernel image and module directory of the running host.
pub(crate) fn host_kernel() -> Result<(PathBuf, PathBuf), String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(|error| format!("/proc/sys/kernel/osrelease cannot be read: {error}"))?;
    let modules = Path::new("/lib/modules").join(release.trim());
    let image = [
        Path::new("/boot").join(format!("vmlinuz-{}", release.trim())),
        modules.join("vmlinuz"),
    ]
    .into_iter()
    .find(|path| path.is_file());
    match image {
        Some(image) if fs::File::open(&image).is_ok() => Ok((image, modules)),
        Some(image) => Err(format!("{} cannot be read by this user", image.display())),
        None => Err(format!(
            "the host runs {}, and has its image neither in /boot nor in {}",
            release.trim(),
            modules.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, depends: &[&str]) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            depends: depends.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn kernels_are_joined_and_sorted() {
        let found = candidates_of(
            &[
                package(
                    "linux-image-6.18.5-x",
                    "6.18.5-1",
                    &["kmod", "linux-base-6.18.5-x"],
                ),
                package("linux-image-7.3.4-x", "7.3.4-1", &["linux-binary-7.3.4-x"]),
                package("linux-binary-7.3.4-x", "7.3.4-1", &["linux-base-7.3.4-x"]),
                package("linux-base-7.3.4-x", "7.3.4-1", &[]),
                package("linux-image-7.0.1-x", "7.0.1-1", &["linux-modules-7.0.1-x"]),
            ],
            "s",
        );
        let releases: Vec<_> = found.iter().map(|kernel| kernel.release.as_str()).collect();
        assert_eq!(releases, ["7.3.4-x", "7.0.1-x", "6.18.5-x"]);
        assert_eq!(
            found[0].packages,
            [
                "linux-image-7.3.4-x",
                "linux-binary-7.3.4-x",
                "linux-base-7.3.4-x"
            ]
        );
        assert_eq!(found[1].missing, ["linux-modules-7.0.1-x"]);
        assert!(found[2].missing.is_empty());
    }

    #[test]
    fn ubuntu_kernels_take_their_extra_modules() {
        let found = candidates_of(
            &[
                package(
                    "linux-image-6.8.0-1-generic",
                    "6.8.0-1.1",
                    &["linux-modules-6.8.0-1-generic"],
                ),
                package("linux-modules-6.8.0-1-generic", "6.8.0-1.1", &[]),
                package("linux-modules-extra-6.8.0-1-generic", "6.8.0-1.1", &[]),
            ],
            "host",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].packages.len(), 3);
    }

    #[test]
    fn newer_programs_are_in_the_backports_of_the_hosts_own_release() {
        let debian = |release: &str| Distribution::Debian {
            mirror: Vec::new(),
            keyring: String::new(),
            release: release.into(),
        };
        let suite = debian("bookworm").backports();
        assert_eq!(suite.as_deref(), Some("bookworm-backports"));
        assert_eq!(debian("").backports(), None);
        assert_eq!(Distribution::Ubuntu.backports(), None);
    }

    #[test]
    fn only_suites_in_motion_may_be_out_of_date() {
        let mirror = ["http://mirror.example/debian".to_owned()];
        let stable = debian_sources(&mirror, "/k.gpg", "trixie-backports");
        assert_eq!(
            stable,
            "deb [signed-by=/k.gpg] http://mirror.example/debian trixie-backports main\n"
        );
        assert!(debian_sources(&mirror, "/k.gpg", "sid").contains("check-valid-until=no"));
    }
}
