//! How much room the disk has left. Where it runs low, nothing new is taken on: what was accepted still has to be
//! settled.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};

#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// Fewest bytes that have to be free.
    floor: u64,
    low: AtomicBool,
}

impl Disk {
    pub fn new(folder: PathBuf, floor: u64) -> Self {
        let disk = Self { folder, floor, low: AtomicBool::new(false) };
        disk.look();
        disk
    }

    /// As of the last look.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Looks again. A disk that does not say counts as roomy: the store will find out.
    pub fn look(&self) {
        let free = match rustix::fs::statvfs(&self.folder) {
            Ok(said) => said.f_bavail.saturating_mul(said.f_frsize),
            Err(_) => return self.note(false, u64::MAX),
        };
        self.note(free < self.floor, free);
    }

    fn note(&self, low: bool, free: u64) {
        match (self.low.swap(low, Ordering::Relaxed), low) {
            (false, true) => {
                warn!(free, floor = self.floor, "the disk runs low: events are refused (ingest.disk_floor)")
            }
            (true, false) => info!(free, "the disk has room again: events are taken on"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_its_floor() {
        let here = std::env::temp_dir();
        assert!(!Disk::new(here.clone(), 1).is_low());
        assert!(Disk::new(here, u64::MAX).is_low());
        assert!(!Disk::new("/no/such/folder".into(), u64::MAX).is_low());
    }
}
