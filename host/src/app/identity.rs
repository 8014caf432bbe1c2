//! As whom a host appears to the others on its database: the same after each start on the same data directory, so that
//! one that was killed need not be missed first.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use tracing::warn;

use crate::id::HostId;
use crate::time::Timestamp;

const FILE: &str = "host.id";

/// A name that no other process has, for as long as this is kept.
#[derive(Debug)]
pub struct Identity {
    pub host: HostId,
    /// Locked: whoever had the name before is gone.
    _file: Option<File>,
}

impl Identity {
    /// The one of the data directory; a new one where another process has that, or it cannot be read.
    pub fn of(data_dir: &Path, now: Timestamp) -> Self {
        let new = HostId::mint(now, rand::random());
        match open(&data_dir.join(FILE), new) {
            Ok(Some((host, file))) => Self { host, _file: Some(file) },
            Ok(None) => Self { host: new, _file: None },
            Err(error) => {
                warn!(%error, folder = %data_dir.display(), "the name of this host cannot be kept there");
                Self { host: new, _file: None }
            }
        }
    }
}

/// `None` where another process has it.
fn open(path: &Path, new: HostId) -> io::Result<Option<(HostId, File)>> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if let Ok(host) = text.trim().parse() {
        return Ok(Some((host, file)));
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{new}")?;
    file.sync_all()?;
    Ok(Some((new, file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_process_s_at_a_time_and_stays() {
        let folder = std::env::temp_dir().join(format!("hookwright-identity-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder).unwrap();
        let now = Timestamp::from_secs(1);
        let first = Identity::of(&folder, now);
        let beside = Identity::of(&folder, now);
        assert_ne!(first.host, beside.host);
        let name = first.host;
        drop(first);
        assert_eq!(Identity::of(&folder, now).host, name);
        std::fs::write(folder.join(FILE), "damaged").unwrap();
        assert_ne!(Identity::of(&folder, now).host, name);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
