//! Finds the kernel that a SPEC means: in the cache, at the distribution's mirror, or in a file.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::cached::{CachedKernel, cached_kernels, fetch};
use crate::distribution::{Candidate, Distribution, host_kernel};
use crate::error::{At, Error};
use crate::image;
use crate::progress::Progress;
use crate::spec::{Spec, prefix_fits};

/// A kernel that can be booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// What `uname -r` says, as far as the image tells.
    pub release: String,
    /// The image as shipped (bzImage).
    pub image: PathBuf,
    /// The directory with the modules (`.../lib/modules/RELEASE`), if there is one.
    pub modules: Option<PathBuf>,
    /// Where it comes from, for people.
    pub origin: String,
    /// Whether its modules carry signatures that can be insisted upon.
    pub signed_modules: bool,
    /// Where what is derived from it is kept.
    pub(crate) derived: PathBuf,
}

impl Kernel {
    /// Finds the kernel, fetching it if need be.
    ///
    /// A version prefix takes a cached kernel before it asks the network. `newest` and `suite:`
    /// look into an index that is at most a day old, and fall back on the cache with a warning.
    ///
    /// # Errors
    /// [`Error::NoKernel`] with a list of what there is, or whatever fetching met.
    pub fn find(
        spec: &Spec,
        modules: Option<&Path>,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Self, Error> {
        if modules.is_some() && !matches!(spec, Spec::Image(_)) {
            return Err(Error::Option {
                option: "--modules".into(),
                reason: "it goes with a path to a kernel image, as in `--kernel ./bzImage`".into(),
            });
        }
        match spec {
            Spec::Image(path) => Self::from_file(path, modules, cache, "a file"),
            Spec::Host => Self::of_host(spec, cache),
            _ => {
                let _lock = cache.lock(progress)?;
                Self::of_distribution(spec, cache, progress)
            }
        }
    }

    fn of_host(spec: &Spec, cache: &Cache) -> Result<Self, Error> {
        let (image, modules) = host_kernel().map_err(|reason| Error::NoKernel {
            spec: spec.to_string(),
            reason,
        })?;
        Self::from_file(&image, Some(&modules), cache, "the host")
    }

    fn from_file(
        path: &Path,
        modules: Option<&Path>,
        cache: &Cache,
        origin: &str,
    ) -> Result<Self, Error> {
        let image = path.canonicalize().at("find the kernel image", path)?;
        let meta = image.metadata().at("read", &image)?;
        let mut hasher = DefaultHasher::new();
        (&image, meta.len(), meta.modified().ok()).hash(&mut hasher);
        let modules = match modules {
            Some(dir) if !dir.join("kernel").is_dir() => {
                return Err(Error::contents(
                    dir,
                    "a module directory has a folder `kernel` in it, as /lib/modules/RELEASE has",
                ));
            }
            other => other.map(Path::to_owned),
        };
        Ok(Self {
            release: image::release_of(&image)?,
            image,
            modules,
            origin: origin.to_owned(),
            signed_modules: false,
            derived: cache
                .path("images")
                .join(format!("{:016x}", hasher.finish())),
        })
    }

    fn of_distribution(spec: &Spec, cache: &Cache, progress: &Progress) -> Result<Self, Error> {
        let cached = cached_kernels(cache);
        if let Spec::Version(prefix) = spec
            && let Some(kernel) = cached
                .iter()
                .find(|k| prefix_fits(prefix, &k.version, &k.release))
        {
            return Ok(kernel.open(cache));
        }
        let distribution = Distribution::of_host();
        let found = match &distribution {
            Distribution::Other { reason } if *spec == Spec::Newest => {
                return Self::of_host(spec, cache).map_err(|error| match error {
                    Error::NoKernel { spec, reason: host } => Error::NoKernel {
                        spec,
                        reason: format!("{reason}, and {host}"),
                    },
                    other => other,
                });
            }
            Distribution::Other { reason } => Err(Error::NoKernel {
                spec: spec.to_string(),
                reason: format!(
                    "{reason}; name an image with `--kernel PATH --modules DIR`, or use `host`"
                ),
            }),
            _ => choose(spec, &distribution, cache, progress),
        };
        let candidate = match found {
            Ok(candidate) => candidate,
            Err(error) => {
                let fits = |kernel: &&CachedKernel| match spec {
                    Spec::Newest => true,
                    Spec::Suite(suite) => kernel.suite == *suite,
                    _ => false,
                };
                let Some(kernel) = cached.iter().find(fits) else {
                    return Err(error);
                };
                progress.warn(format!(
                    "using the cached {}: failed to {error}",
                    kernel.release
                ));
                return Ok(kernel.open(cache));
            }
        };
        let wanted = |kernel: &&CachedKernel| kernel.release == candidate.release;
        if let Some(kernel) = cached.iter().find(wanted) {
            return Ok(kernel.open(cache));
        }
        progress.say(format!(
            "fetching kernel {} from {}",
            candidate.release, candidate.suite
        ));
        Ok(fetch(&candidate, &distribution, cache)?.open(cache))
    }
}

/// The kernels that the distribution offers, newest first within each suite, with the error of each
/// suite that could not be asked.
#[must_use]
pub fn available_kernels(
    cache: &Cache,
    progress: &Progress,
) -> Vec<(String, Result<Vec<Candidate>, Error>)> {
    let distribution = Distribution::of_host();
    distribution
        .suites()
        .into_iter()
        .map(|suite| {
            let found = cache
                .lock(progress)
                .and_then(|_lock| distribution.candidates(cache, &suite, progress));
            (suite, found)
        })
        .collect()
}

/// Finds the newest kernel that fits the SPEC.
fn choose(
    spec: &Spec,
    distribution: &Distribution,
    cache: &Cache,
    progress: &Progress,
) -> Result<Candidate, Error> {
    let suites = match spec {
        Spec::Suite(suite) => vec![suite.clone()],
        Spec::Newest => distribution.suites().into_iter().take(1).collect(),
        _ => distribution.suites(),
    };
    let mut seen = Vec::new();
    let mut last_error = None;
    for suite in suites {
        let candidates = match distribution.candidates(cache, &suite, progress) {
            Ok(candidates) => candidates,
            Err(error) => {
                seen.push(format!("{suite}: cannot be asked"));
                last_error = Some(error);
                continue;
            }
        };
        let fits = |kernel: &&Candidate| match spec {
            Spec::Version(prefix) => prefix_fits(prefix, &kernel.version, &kernel.release),
            _ => true,
        };
        if let Some(kernel) = candidates
            .iter()
            .filter(|k| k.missing.is_empty())
            .find(fits)
        {
            return Ok(kernel.clone());
        }
        seen.push(describe(&suite, &candidates));
    }
    let reason = match last_error {
        Some(error) => format!("failed to {error}\n  {}", seen.join("\n  ")),
        None => format!("none of these fits:\n  {}", seen.join("\n  ")),
    };
    Err(Error::NoKernel {
        spec: spec.to_string(),
        reason,
    })
}

/// One line for a suite: its kernels, those that cannot be fetched any more only counted.
fn describe(suite: &str, candidates: &[Candidate]) -> String {
    let (whole, broken): (Vec<_>, Vec<_>) = candidates
        .iter()
        .partition(|kernel| kernel.missing.is_empty());
    let mut words: Vec<_> = whole.iter().map(|kernel| kernel.release.clone()).collect();
    if words.is_empty() {
        words.push("no kernel".into());
    }
    if !broken.is_empty() {
        words.push(format!(
            "and {} whose modules are no longer in the index",
            broken.len()
        ));
    }
    format!("{suite}: {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::write_whole;
    use crate::version::Version;

    fn cached(release: &str, version: &str) -> CachedKernel {
        CachedKernel {
            release: release.into(),
            version: Version::new(version),
            suite: "s".into(),
        }
    }

    #[test]
    fn a_cached_kernel_is_found_without_a_network() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        for kernel in [
            cached("6.12.9-x", "6.12.9-1"),
            cached("6.12.10-x", "6.12.10-1"),
        ] {
            let json = serde_json::to_vec(&kernel).unwrap();
            write_whole(&kernel.dir(&cache).join("kernel.json"), &json).unwrap();
        }
        let spec = Spec::Version("6.12".into());
        let kernel = Kernel::find(&spec, None, &cache, &Progress::new(true)).unwrap();
        assert_eq!(kernel.release, "6.12.10-x");
    }

    #[test]
    fn a_suite_is_described_in_one_line() {
        let kernel = |release: &str, missing: &[&str]| Candidate {
            release: release.into(),
            version: Version::new(release),
            suite: "s".into(),
            packages: Vec::new(),
            missing: missing.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(describe("s", &[]), "s: no kernel");
        let line = describe(
            "s",
            &[kernel("7.3", &[]), kernel("7.1", &["linux-modules-7.1"])],
        );
        assert_eq!(
            line,
            "s: 7.3, and 1 whose modules are no longer in the index"
        );
    }

    #[test]
    fn a_module_directory_goes_with_an_image() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let error = Kernel::find(
            &Spec::Newest,
            Some(dir.path()),
            &cache,
            &Progress::new(true),
        )
        .unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
