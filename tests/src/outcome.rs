//! What a test can come to, and what it may need.

/// How a test ended, if it did not panic.
pub(crate) enum Outcome {
    /// Everything it asserts holds.
    Passed,
    /// This kernel cannot have what it tests.
    NotApplicable(String),
    /// Something that can be had is missing here.
    Skipped(String),
}

/// One test.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Its name, `area::what_must_hold`.
    pub(crate) name: &'static str,
    /// How long it may take under emulation.
    pub(crate) limit_seconds: u64,
    /// The test.
    pub(crate) run: Run,
}

/// What a test does.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    Plain(fn() -> Outcome),
    /// One row or cell of a table.
    Made(&'static (dyn Fn() -> Outcome + Send + Sync)),
}

impl Run {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Plain(run) => run(),
            Self::Made(run) => run(),
        }
    }
}

impl Case {
    pub(crate) const fn new(name: &'static str, run: fn() -> Outcome) -> Self {
        Self {
            name,
            limit_seconds: 60,
            run: Run::Plain(run),
        }
    }

    /// A test that is made when the program starts, of a row of a table. It lives as long as the program.
    pub(crate) fn made(name: String, run: impl Fn() -> Outcome + Send + Sync + 'static) -> Self {
        Self {
            name: name.leak(),
            limit_seconds: 60,
            run: Run::Made(Box::leak(Box::new(run))),
        }
    }

    pub(crate) const fn within(self, limit_seconds: u64) -> Self {
        Self {
            limit_seconds,
            ..self
        }
    }
}

/// Ends the test as not applicable unless the kernel offers the data path.
macro_rules! need_data_path {
    ($daemon:expr, $path:expr) => {
        if let Some(why) = $daemon.lacks($path) {
            return crate::outcome::Outcome::NotApplicable(why);
        }
    };
}

/// Ends the test as not applicable unless the driver offers the flag.
macro_rules! need_flag {
    ($daemon:expr, $name:expr) => {
        if let Some(why) = $daemon.lacks_flag($name) {
            return crate::outcome::Outcome::NotApplicable(why);
        }
    };
}

/// Ends the test as not applicable unless the daemon offers the transport.
macro_rules! need_transport {
    ($daemon:expr, $transport:expr) => {
        if let Some(why) = $daemon.lacks_transport($transport) {
            return crate::outcome::Outcome::NotApplicable(why);
        }
    };
}

/// Ends the test as skipped unless the program is there.
macro_rules! need_program {
    ($name:expr) => {
        if crate::programs::find($name).is_none() {
            return crate::outcome::Outcome::Skipped(format!("the program `{}` is missing", $name));
        }
    };
}

pub(crate) use {need_data_path, need_flag, need_program, need_transport};
