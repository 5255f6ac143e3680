//! The cables: which phones are plugged in, under which number, and who wants to hear of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// What happens at the sockets of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A phone was plugged in and got this number.
    Attached {
        /// The number of this plugging.
        mux_id: u32,
    },
    /// A phone was pulled out.
    Detached {
        /// The number it had.
        mux_id: u32,
    },
    /// A host saved the pair record of a phone that is plugged in.
    Paired {
        /// Its number.
        mux_id: u32,
    },
}

/// Gives out numbers and tells everybody.
#[derive(Debug)]
pub struct Hub {
    next: AtomicU32,
    events: broadcast::Sender<BusEvent>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { next: AtomicU32::new(1), events: broadcast::Sender::new(1024) }
    }
}

impl Hub {
    /// Hears of everything from now on.
    pub fn listen(&self) -> broadcast::Receiver<BusEvent> {
        self.events.subscribe()
    }

    /// Tells everybody; nobody listening is fine.
    pub fn tell(&self, event: BusEvent) {
        drop(self.events.send(event));
    }
}

/// One plugging of one phone: its number, and what ends when the cable is pulled.
#[derive(Debug, Clone)]
pub struct Plugged {
    /// The number the mux gave; another one after the next plugging.
    pub mux_id: u32,
    /// Cancelled when the cable is pulled: every connection through it ends.
    pub pulled: CancellationToken,
}

/// The cable of one phone.
#[derive(Debug)]
pub struct Cable {
    hub: Arc<Hub>,
    plugged: Mutex<Option<Plugged>>,
}

impl Cable {
    /// A cable that is not plugged in yet.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, plugged: Mutex::new(None) }
    }

    /// Returns the present plugging.
    pub fn plugged(&self) -> Option<Plugged> {
        self.lock().clone()
    }

    /// Plugs it in; the number changes with each plugging. False when it was in already.
    pub fn plug(&self) -> bool {
        let mut plugged = self.lock();
        if plugged.is_some() {
            return false;
        }
        let mux_id = self.hub.next.fetch_add(1, Ordering::Relaxed);
        *plugged = Some(Plugged { mux_id, pulled: CancellationToken::new() });
        self.hub.tell(BusEvent::Attached { mux_id });
        true
    }

    /// Pulls it out: every connection breaks. False when it was out already.
    pub fn unplug(&self) -> bool {
        let Some(plugged) = self.lock().take() else { return false };
        plugged.pulled.cancel();
        self.hub.tell(BusEvent::Detached { mux_id: plugged.mux_id });
        true
    }

    /// Tells that the pair record of this phone was saved.
    pub fn paired(&self) {
        if let Some(plugged) = self.plugged() {
            self.hub.tell(BusEvent::Paired { mux_id: plugged.mux_id });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Plugged>> {
        self.plugged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
