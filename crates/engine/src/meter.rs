//! Counts bytes and files and tells the progress, at most ten times a second.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::event::{Event, Progress};
use crate::job::Context;
use crate::stage::Stage;

/// The least time between two events.
const PAUSE_MS: i64 = 100;
/// The rate is that of the last seconds.
const WINDOW_MS: i64 = 5000;

/// Counts and tells.
pub(crate) struct Meter {
    ctx: Context,
    progress: Progress,
    started: Timestamp,
    told: Option<Timestamp>,
    window: VecDeque<(Timestamp, u64)>,
}

impl Meter {
    /// Starts to count; `total` is files and bytes, where known.
    pub(crate) fn new(ctx: &Context, stage: Stage, total: Option<(u64, u64)>) -> Self {
        let progress = Progress {
            stage,
            bytes: 0,
            files: 0,
            bytes_total: total.map(|(_, bytes)| bytes),
            files_total: total.map(|(files, _)| files),
            rate: 0,
            seconds_left: None,
            percent: None,
        };
        Self {
            ctx: ctx.clone(),
            progress,
            started: ctx.host.now(),
            told: None,
            window: VecDeque::new(),
        }
    }

    /// Returns the bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.progress.bytes
    }

    /// Returns the files so far.
    pub(crate) fn files(&self) -> u64 {
        self.progress.files
    }

    /// Adds bytes.
    pub(crate) fn bytes_more(&mut self, more: u64) {
        self.progress.bytes += more;
        self.tell(false);
    }

    /// Adds files.
    pub(crate) fn files_more(&mut self, more: u64) {
        self.progress.files += more;
    }

    /// Sets everything at once.
    pub(crate) fn set(&mut self, bytes: u64, files: u64, percent: Option<f64>) {
        self.progress.bytes = bytes;
        self.progress.files = files;
        self.progress.percent = percent;
        self.progress.seconds_left = self.by_percent();
        self.tell(false);
    }

    /// Sets the bytes done and to be done.
    pub(crate) fn set_bytes(&mut self, bytes: u64, total: u64) {
        self.progress.bytes = bytes;
        self.progress.bytes_total = (total > 0).then_some(total);
        self.tell(false);
    }

    /// Tells the last state.
    pub(crate) fn finish(&mut self) {
        self.tell(true);
    }

    /// The device foresees how long it will take and tells how much of that is over.
    fn by_percent(&self) -> Option<u64> {
        let percent = self.progress.percent.filter(|percent| (3.0..=100.0).contains(percent))?;
        let elapsed = self.ctx.host.now().duration_since(self.started).as_secs_f64();
        let left = (elapsed * (100.0 - percent) / percent).clamp(0.0, 1e9);
        std::time::Duration::try_from_secs_f64(left).ok().map(|left| left.as_secs())
    }

    fn tell(&mut self, last: bool) {
        let now = self.ctx.host.now();
        let since = |then: Timestamp| now.duration_since(then).as_millis();
        if !last && self.told.is_some_and(|told| since(told) < PAUSE_MS.into()) {
            return;
        }
        self.told = Some(now);
        self.window.push_back((now, self.progress.bytes));
        while self.window.len() > 2
            && self.window.front().is_some_and(|(then, _)| since(*then) > WINDOW_MS.into())
        {
            self.window.pop_front();
        }
        if let Some((then, bytes)) = self.window.front() {
            let elapsed = u64::try_from(since(*then)).unwrap_or(0);
            if elapsed >= 200 {
                self.progress.rate =
                    self.progress.bytes.saturating_sub(*bytes).saturating_mul(1000) / elapsed;
            }
        }
        match self.progress.bytes_total {
            Some(total) if self.progress.rate > 0 => {
                self.progress.seconds_left =
                    Some(total.saturating_sub(self.progress.bytes) / self.progress.rate);
            }
            _ => {}
        }
        self.ctx.events.tell(Event::Progress(self.progress.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use lifeboat_host::fake::FakeHost;

    use super::*;
    use crate::event::EventSink;

    #[test]
    fn tells_seldom_and_with_rate_and_time_left() {
        let host = Arc::new(FakeHost::default());
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let sink = EventSink::new(move |event| {
            if let Event::Progress(progress) = event {
                heard.lock().unwrap().push(progress);
            }
        });
        let mut meter =
            Meter::new(&Context::new(host.clone(), sink), Stage::Transfer, Some((2, 10_000)));
        for _ in 0..100 {
            meter.bytes_more(10);
        }
        assert_eq!(told.lock().unwrap().len(), 1);
        host.advance(2);
        meter.bytes_more(1000);
        let last = told.lock().unwrap().last().cloned().unwrap();
        assert_eq!((last.bytes, last.rate, last.seconds_left), (2000, 995, Some(8)));
    }
}
