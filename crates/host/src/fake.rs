//! A machine for tests: its clock is set, its disk is as full as wanted, its commands only pretend.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camino::Utf8Path;
use jiff::{Timestamp, ToSpan as _};

use crate::net::{
    Announced, BoxFuture, Get, Network, NetworkError, Page, Pings, Resolver, ServerTime, Signed,
    TlsQuestion,
};
use crate::route::Routes;
use crate::{
    Command, CommandError, DiskError, FolderTrial, Host, KernelLine, LookError, Mount, Output,
    Power, Process, Sleep, Space, System, UsbBus,
};

/// What a fake command answers.
pub type Answer = Box<dyn Fn(&Command) -> Result<Output, CommandError> + Send + Sync>;

/// A machine for tests.
pub struct FakeHost {
    state: Mutex<State>,
    answer: Answer,
}

struct State {
    now: Timestamp,
    space: Space,
    random: u64,
    commands: Vec<Command>,
}

impl FakeHost {
    /// Makes a machine whose clock stands at `now` and whose disk has 100 GB free.
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: Mutex::new(State {
                now,
                space: Space { free: 100_000_000_000, total: 200_000_000_000 },
                random: 0,
                commands: Vec::new(),
            }),
            answer: Box::new(|_| Ok(Output { status: Some(0), ..Output::default() })),
        }
    }

    /// Sets what commands answer; without it they all succeed and say nothing.
    #[must_use]
    pub fn answering(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    /// Moves the clock on.
    pub fn advance(&self, seconds: i64) {
        let mut state = self.state();
        state.now = state.now.checked_add(seconds.seconds()).unwrap_or(Timestamp::MAX);
    }

    /// Sets the room on the disk.
    pub fn set_space(&self, space: Space) {
        self.state().space = space;
    }

    /// Returns the commands that were run, in order.
    pub fn commands(&self) -> Vec<Command> {
        self.state().commands.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FakeHost {
    /// Makes a machine in November 2026.
    fn default() -> Self {
        Self::new(Timestamp::from_second(1_795_000_000).expect("a fixed date"))
    }
}

impl Host for FakeHost {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn space(&self, _path: &Utf8Path) -> Result<Space, DiskError> {
        Ok(self.state().space)
    }

    fn free_files(&self, _path: &Utf8Path) -> Result<Option<u64>, DiskError> {
        Ok(None)
    }

    fn host_name(&self) -> String {
        "harbour".to_owned()
    }

    fn user_name(&self) -> String {
        "sailor".to_owned()
    }

    fn run(&self, command: &Command) -> Result<Output, CommandError> {
        self.state().commands.push(command.clone());
        (self.answer)(command)
    }

    /// Fills with a sequence that is the same in every run and never repeats.
    fn random(&self, bytes: &mut [u8]) {
        let mut state = self.state();
        for byte in bytes {
            // SplitMix64: good enough to look random, and the same everywhere.
            state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z ^ (z >> 31)).to_le_bytes()[0];
        }
    }

    fn usb(&self) -> Result<UsbBus, LookError> {
        Ok(UsbBus::default())
    }

    fn kernel_log(&self) -> Result<Vec<KernelLine>, LookError> {
        Ok(Vec::new())
    }

    fn processes(&self) -> Result<Vec<Process>, LookError> {
        Ok(Vec::new())
    }

    fn mounts(&self) -> Result<Vec<Mount>, LookError> {
        let path = "/".into();
        Ok(vec![Mount { path, kind: "ext4".into(), source: "/dev/sda1".into(), read_only: false }])
    }

    fn try_folder(&self, _path: &Utf8Path) -> FolderTrial {
        FolderTrial::good()
    }

    fn sleep(&self) -> Result<Sleep, LookError> {
        Ok(Sleep::HeldOff)
    }

    fn power(&self) -> Result<Power, LookError> {
        Ok(Power::Mains)
    }

    fn virtual_machine(&self) -> Result<bool, LookError> {
        Ok(false)
    }

    fn system(&self) -> System {
        System { name: "linux".to_owned(), version: None }
    }

    fn proxy(&self) -> Option<String> {
        None
    }

    fn network(&self) -> &dyn Network {
        &NoNetwork
    }
}

/// The network of a machine for tests: there is none.
struct NoNetwork;

impl Network for NoNetwork {
    fn routes(&self) -> Result<Routes, LookError> {
        Err(LookError::Offline)
    }

    fn resolve<'a>(
        &'a self,
        _name: &'a str,
        _resolver: Resolver,
        _limit: Duration,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, NetworkError>> {
        Box::pin(async { Err(NetworkError::Offline) })
    }

    fn connect(
        &self,
        _address: SocketAddr,
        _limit: Duration,
    ) -> BoxFuture<'_, Result<Duration, NetworkError>> {
        Box::pin(async { Err(NetworkError::Offline) })
    }

    fn shake<'a>(
        &'a self,
        _question: &'a TlsQuestion,
    ) -> BoxFuture<'a, Result<Signed, NetworkError>> {
        Box::pin(async { Err(NetworkError::Offline) })
    }

    fn get<'a>(&'a self, _get: &'a Get) -> BoxFuture<'a, Result<Page, NetworkError>> {
        Box::pin(async { Err(NetworkError::Offline) })
    }

    fn time<'a>(
        &'a self,
        _server: &'a str,
        _limit: Duration,
    ) -> BoxFuture<'a, Result<ServerTime, NetworkError>> {
        Box::pin(async { Err(NetworkError::Offline) })
    }

    fn ping(&self, _address: IpAddr, _limit: Duration) -> BoxFuture<'_, Result<Pings, LookError>> {
        Box::pin(async { Err(LookError::Offline) })
    }

    fn announced<'a>(
        &'a self,
        _address: &'a str,
        _limit: Duration,
    ) -> BoxFuture<'a, Result<Announced, NetworkError>> {
        Box::pin(async { Err(NetworkError::Offline) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_until_it_is_moved() {
        let host = FakeHost::default();
        let before = host.now();
        assert_eq!(host.now(), before);
        host.advance(90);
        assert_eq!(host.now().as_second(), before.as_second() + 90);
    }

    #[test]
    fn commands_are_remembered_and_answered() {
        let host = FakeHost::default()
            .answering(Box::new(|_| Ok(Output { status: Some(3), ..Output::default() })));
        let command = Command::new("notify").argument("done");
        assert_eq!(host.run(&command).unwrap().status, Some(3));
        assert_eq!(host.commands(), [command]);
    }

    #[test]
    fn the_disk_is_as_full_as_wanted() {
        let host = FakeHost::default();
        host.set_space(Space { free: 5, total: 10 });
        assert_eq!(host.free_bytes(Utf8Path::new("/anywhere")).unwrap(), 5);
    }
}
