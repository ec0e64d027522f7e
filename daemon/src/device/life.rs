//! What is done to a device while it is there: serve, stop, quiesce, resume, delete. Each blocks until the
//! kernel has done it.

use std::time::Duration;

use api::{DeviceState, Driver, EventKind, Transport};
use ublk::{Features, control};

use super::nbd::Link;
use super::plan::Plan;
use super::threads::Threads;
use super::{Device, DeviceError};
use crate::mailbox::Command;
use crate::openers;

/// How long the kernel may take to do away with a server that has gone: it waits for requests that the
/// server's ring still has with a backing (`ublk_ch_release_work_fn`).
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long the driver looks for an idle tag in each queue. It holds the device's lock meanwhile, and its
/// answer changes nothing for us.
const QUIESCE_PATIENCE: Duration = Duration::from_millis(20);

/// What changes in a device's life.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) plan: Plan,
    /// None while nobody serves it.
    threads: Option<Threads>,
    /// The block device, where the NBD client makes it.
    pub(super) link: Link,
    removed: bool,
}

impl Life {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            threads: None,
            link: Link::default(),
            removed: false,
        }
    }

    /// Whether a queue ended although the device is to be served.
    pub(super) fn any_failed(&self) -> bool {
        self.threads.as_ref().is_some_and(Threads::any_failed)
    }

    pub(super) fn set_threads(&mut self, threads: Threads) {
        self.threads = Some(threads);
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed
    }

    /// Lets memory that outlives the daemon stay: its device is there.
    pub(super) fn keep_memory(&self) {
        if let Some(kept) = self.plan.source.kept() {
            kept.keep();
        }
    }
}

/// By which command requests begin to flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The block device appears.
    Start,
    /// It is there.
    Recover,
}

/// What came of a quiesce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiesced {
    /// Nobody serves the device any more. So many parked requests were let go.
    Done(u64),
    /// The time was over before the last request was answered; the queues end when it is, and the caller
    /// must see to [`Device::take_back`].
    TooLate,
}

impl Device {
    /// Starts the queues and lets requests flow.
    pub(super) fn serve(&self, life: &mut Life, how: How) -> Result<(), DeviceError> {
        for queue in &self.queues {
            queue.mailbox.reopen();
        }
        let failures = self.surroundings.failures.clone();
        let threads = Threads::spawn(&life.plan, self.info, &self.shared, &self.queues, failures)?;
        self.keep_writers_out();
        let flowing = match how {
            How::Start => {
                // The kernel's own probing must not meet the rules.
                self.pass(true);
                let before = self.arrived();
                let started = control::start(self.id());
                let started = started.and_then(|()| control::wait_for_node(&self.path()));
                match started {
                    Ok(()) => self.wait_for_scan(&life.plan, before),
                    // Best effort: it may not have started.
                    Err(_) => drop(control::stop(self.id())),
                }
                self.pass(false);
                started
            }
            How::Recover => control::end_recovery(self.id()),
        };
        if let Err(error) = flowing {
            threads.quit(&self.queues);
            return Err(error.into());
        }
        life.threads = Some(threads);
        self.set_state(DeviceState::Live);
        if how == How::Start {
            self.show_read_only();
        }
        Ok(())
    }

    /// Takes the block device away; the device stays. Lets go whatever is parked, and waits for every
    /// request. With `safe` refuses while a client has the block device open. Returns how many requests
    /// were let go.
    ///
    /// # Errors
    /// [`DeviceError::Conflict`] if it is open, naming by whom; the driver's. Then it is as it was.
    pub fn stop(&self, safe: bool) -> Result<u64, DeviceError> {
        let mut life = self.life();
        let before = self.settled(&life)?;
        if before == DeviceState::Stopped {
            return Ok(0);
        }
        if safe && self.config.driver == Driver::Nbd {
            return Err(DeviceError::Unsupported {
                field: "/safe",
                reason: "the kernel's NBD client cannot refuse to stop while it is open; stop it without --safe"
                    .into(),
            });
        }
        if safe {
            Features::probe()?.require(Features::SAFE_STOP_DEV)?;
        }
        self.set_state(DeviceState::Stopping);
        // A device that nobody has open has no request that could be parked.
        let released = if safe { 0 } else { self.pass(true) };
        let stopped = match (self.config.driver, safe) {
            (Driver::Nbd, _) => {
                life.link.end(true);
                Ok(())
            }
            (Driver::Ublk, true) => control::stop_if_closed(self.id()),
            (Driver::Ublk, false) => control::stop(self.id()),
        };
        if let Err(error) = gone_is_fine(stopped) {
            self.set_state(before);
            self.pass(false);
            return Err(match error.errno() {
                Some(libc::EBUSY) if safe => DeviceError::Conflict(format!(
                    "device {} is open{}; close it there, or stop it without --safe",
                    self.id(),
                    openers::told(&self.path())
                )),
                _ => error.into(),
            });
        }
        if let Some(threads) = life.threads.take() {
            threads.join();
        }
        self.set_state(DeviceState::Stopped);
        self.report(EventKind::DeviceStopped, None);
        Ok(released)
    }

    /// Takes the block device away without letting anything go on: the queues fail what they have. The device
    /// stays.
    ///
    /// # Errors
    /// The driver's.
    pub(super) fn vanish(&self) -> Result<(), DeviceError> {
        let mut life = self.life();
        if self.settled(&life)? == DeviceState::Stopped {
            return Ok(());
        }
        self.set_state(DeviceState::Stopping);
        match self.config.driver {
            Driver::Nbd => life.link.end(false),
            Driver::Ublk => gone_is_fine(control::stop(self.id()))?,
        }
        if let Some(threads) = life.threads.take() {
            threads.join();
        }
        self.set_state(DeviceState::Stopped);
        self.report(EventKind::DeviceStopped, None);
        Ok(())
    }

    /// Ends the queues; the block device stays, and its requests wait, or fail with `fail-io`. Parked
    /// requests go on first, and no rule parks another. Waits at most `limit` for those that are with the
    /// backing.
    ///
    /// # Errors
    /// [`DeviceError::Conflict`] if the device does not outlive its daemon or is stopped; the driver's. Then
    /// it is as it was.
    pub fn quiesce(&self, limit: Duration) -> Result<Quiesced, DeviceError> {
        let mut life = self.life();
        match self.settled(&life)? {
            DeviceState::Quiesced => return Ok(Quiesced::Done(0)),
            DeviceState::Live => {}
            _ => return Err(self.conflict("is stopped; `bvecctl dev resume` starts it again")),
        }
        self.must_outlive_daemon()?;
        // The answer does not matter: in either case nothing more is dispatched, and the queues end.
        control::quiesce(self.id(), QUIESCE_PATIENCE)?;
        self.set_state(DeviceState::Quiescing);
        let released = self.pass(true);
        for queue in &self.queues {
            queue.mailbox.send(Command::Leave);
        }
        if let Some(threads) = life.threads.take()
            && let Err(threads) = threads.join_within(limit)
        {
            life.threads = Some(threads);
            return Ok(Quiesced::TooLate);
        }
        self.closed()?;
        Ok(Quiesced::Done(released))
    }

    /// Whether it can be quiesced at all.
    ///
    /// # Errors
    /// It goes with its daemon, or the kernel cannot do it.
    pub fn must_outlive_daemon(&self) -> Result<(), DeviceError> {
        if !self.config.recovery.outlives_daemon() {
            let text = "goes with its daemon (recovery `fail`); add it with --recovery queue, reissue or fail-io";
            return Err(self.conflict(text));
        }
        if self.config.transport == Transport::Batch {
            // QUIESCE_DEV sets `force_abort` on such queues (`ublk_batch_cancel_queue`), by which new requests
            // fail at once instead of waiting (`ublk_prep_req`, Linux 7.3; seen on a device).
            return Err(DeviceError::Unsupported {
                field: "/transport",
                reason: format!(
                    "device {} has the transport batch, and the kernel fails the requests of such a device while it is quiesced; per-io can be quiesced",
                    self.id()
                ),
            });
        }
        Ok(self.info.flags.require(Features::QUIESCE)?)
    }

    /// After a quiesce that was too late: waits for the last request, however long it takes, and serves
    /// again.
    ///
    /// # Errors
    /// The driver's; the device is quiesced then, if its queues have ended.
    pub fn take_back(&self) -> Result<(), DeviceError> {
        let mut life = self.life();
        // Somebody else may have come first.
        if life.removed || self.shown_state() != DeviceState::Quiescing {
            return Ok(());
        }
        self.end_quiescing(&mut life)?;
        self.recover(&mut life)
    }

    /// Serves again a device that is quiesced or stopped; a stopped one gets its block device back.
    ///
    /// # Errors
    /// The driver's; the device is as it was. `EEXIST` while a client still has the old block device open.
    pub fn resume(&self) -> Result<(), DeviceError> {
        let mut life = self.life();
        match self.settled(&life)? {
            DeviceState::Live => return Ok(()),
            DeviceState::Quiesced => self.recover(&mut life)?,
            _ if self.config.driver == Driver::Nbd => self.serve_nbd(&mut life)?,
            _ => {
                // An older driver takes no second FETCH of a tag: EINVAL on 6.12, EBUSY on 7.2, where it was
                // tried. That of 7.3 does, and is known by its newest flag.
                Features::probe()?.require(Features::IO_DESC_SIZE)?;
                self.serve(&mut life, How::Start)?;
            }
        }
        self.report(EventKind::DeviceResumed, None);
        Ok(())
    }

    fn recover(&self, life: &mut Life) -> Result<(), DeviceError> {
        control::start_recovery(self.id(), PATIENCE)?;
        self.serve(life, How::Recover)
    }

    /// A queue has failed. A device that outlives its daemon outlives that as well: it is quiesced from then
    /// on. Returns whether it is; otherwise it is to be removed.
    ///
    /// # Errors
    /// The driver's.
    pub fn survive_failure(&self) -> Result<bool, DeviceError> {
        let mut life = self.life();
        if !self.config.recovery.outlives_daemon() || !life.any_failed() {
            return Ok(self.config.recovery.outlives_daemon());
        }
        if let Some(threads) = life.threads.take() {
            threads.join();
        }
        self.closed()?;
        Ok(true)
    }

    /// Removes the device. What is parked must have been let go by [`Device::heal`]; blocks until the
    /// last request has been answered. A second caller waits for the first; after an error it can be
    /// tried again.
    ///
    /// # Errors
    /// The driver's.
    pub fn delete(&self) -> Result<(), DeviceError> {
        let mut life = self.life();
        if life.removed {
            return Ok(());
        }
        let id = self.id();
        match self.config.driver {
            Driver::Nbd => life.link.end(true),
            Driver::Ublk => gone_is_fine(control::stop(id))?,
        }
        if let Some(threads) = life.threads.take() {
            threads.join();
        }
        if self.config.driver == Driver::Ublk {
            gone_is_fine(control::delete(id))?;
        }
        life.removed = true;
        if let Some(kept) = life.plan.source.kept() {
            kept.remove();
        }
        self.report(EventKind::DeviceDeleted, None);
        self.forget()
    }

    /// The queues have ended: the kernel notices, and the block device stays.
    fn closed(&self) -> Result<(), DeviceError> {
        let state = control::wait_until_closed(self.id(), PATIENCE)?;
        if state == Some(ublk::DeviceState::Live) {
            return Err(self.conflict("has no queues any more, and the kernel has not noticed"));
        }
        self.set_state(DeviceState::Quiesced);
        self.report(EventKind::DeviceQuiesced, None);
        Ok(())
    }

    fn end_quiescing(&self, life: &mut Life) -> Result<(), DeviceError> {
        if let Some(threads) = life.threads.take() {
            threads.join();
        }
        self.closed()
    }

    /// What it is, once it is neither here nor there: live, quiesced or stopped.
    fn settled(&self, life: &Life) -> Result<DeviceState, DeviceError> {
        if life.removed || self.is_closing() {
            return Err(self.conflict("is being removed"));
        }
        if life.any_failed() {
            return Err(self.conflict("has failed and is being removed"));
        }
        match self.shown_state() {
            DeviceState::Quiescing => Err(self.conflict(
                "is still being quiesced; it is live again when its backing has answered",
            )),
            settled => Ok(settled),
        }
    }

    fn conflict(&self, text: &str) -> DeviceError {
        DeviceError::Conflict(format!("device {} {text}", self.id()))
    }
}

/// Removing what is gone already is no error.
fn gone_is_fine(result: Result<(), ublk::Error>) -> Result<(), ublk::Error> {
    match result {
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}
