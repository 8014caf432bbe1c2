//! A disk in memory that does what disks may do: forget what was not synced, tear it into sectors, fail, fill up.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// A disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

/// What is left, beside what was synced, of the changes made since.
#[derive(Debug, Clone, Copy)]
pub enum Survivors {
    Nothing,
    All,
    /// Sectors and lengths by the fall of a coin that this number seeds.
    Some(u64),
}

#[derive(Debug, Default)]
struct Platter {
    /// As of the last sync.
    synced: Vec<u8>,
    /// Since then, in their order.
    changes: Vec<Change>,
    /// What a reader sees.
    live: Vec<u8>,
    syncs: u64,
    operations: u64,
    cut_at_sync: Option<u64>,
    fail_at_operation: Option<u64>,
    /// Bytes from the start that can be written to.
    room: Option<u64>,
    dead: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Length(usize),
    Write { offset: usize, data: Vec<u8> },
}

impl Disk {
    /// The power fails during the `n`th sync from now, counted from 1. From then on every operation fails.
    pub fn cut_at_sync(&self, n: u64) {
        let mut platter = self.platter();
        platter.cut_at_sync = Some(platter.syncs + n);
    }

    /// The `n`th write, change of length or sync from now fails, counted from 1; a write halfway through.
    pub fn fail_at_operation(&self, n: u64) {
        let mut platter = self.platter();
        platter.fail_at_operation = Some(platter.operations + n);
    }

    /// From now on only the first so many bytes can be written to; `None`: all.
    pub fn limit(&self, room: Option<u64>) {
        self.platter().room = room;
    }

    pub fn size(&self) -> u64 {
        self.platter().live.len() as u64
    }

    /// Whether the power has failed.
    pub fn is_cut(&self) -> bool {
        self.platter().dead
    }

    /// Whether [`Disk::fail_at_operation`] has come to pass.
    pub fn has_failed(&self) -> bool {
        let platter = self.platter();
        platter.fail_at_operation.is_some_and(|n| platter.operations >= n)
    }

    /// What is on the disk when the power comes back.
    pub fn after_power_cut(&self, survivors: Survivors) -> Self {
        let platter = self.platter();
        let mut live = platter.synced.clone();
        let mut coin = Coin::new(survivors);
        for change in &platter.changes {
            change.apply(&mut live, &mut coin);
        }
        Self(Arc::new(Mutex::new(Platter { synced: live.clone(), live, ..Platter::default() })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platter {
    fn check_power(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts an operation; whether it is to fail.
    fn fails(&mut self) -> bool {
        self.operations += 1;
        self.fail_at_operation == Some(self.operations)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live, &mut Coin::new(Survivors::All));
        self.changes.push(change);
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>, coin: &mut Coin) {
        match self {
            Change::Length(length) => {
                if coin.keeps() {
                    image.resize(*length, 0);
                }
            }
            Change::Write { offset, data } => {
                let mut offset = *offset;
                let mut rest = data.as_slice();
                while !rest.is_empty() {
                    let (sector, behind) = rest.split_at((SECTOR - offset % SECTOR).min(rest.len()));
                    if coin.keeps() {
                        overwrite(image, offset, sector);
                    }
                    offset += sector.len();
                    rest = behind;
                }
            }
        }
    }
}

fn overwrite(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

/// Says of each part whether it survives.
struct Coin {
    survivors: Survivors,
    state: u64,
}

impl Coin {
    fn new(survivors: Survivors) -> Self {
        let state = if let Survivors::Some(seed) = survivors { seed } else { 0 };
        Self { survivors, state }
    }

    fn keeps(&mut self) -> bool {
        match self.survivors {
            Survivors::Nothing => false,
            Survivors::All => true,
            Survivors::Some(_) => self.next() & 1 == 1,
        }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let platter = self.platter();
        platter.check_power()?;
        Ok(platter.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter();
        platter.check_power()?;
        let offset = place(offset)?;
        let found = offset.checked_add(out.len()).and_then(|end| platter.live.get(offset..end));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.platter();
        platter.check_power()?;
        if platter.fails() {
            return Err(io::Error::other("the disk does not want to"));
        }
        platter.change(Change::Length(place(len)?));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter();
        platter.check_power()?;
        platter.syncs += 1;
        if platter.cut_at_sync == Some(platter.syncs) {
            platter.dead = true;
            return platter.check_power();
        }
        if platter.fails() {
            return Err(io::Error::other("the disk does not want to"));
        }
        platter.synced = platter.live.clone();
        platter.changes.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.platter();
        platter.check_power()?;
        let start = place(offset)?;
        let room = platter.room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
        if platter.fails() {
            platter.change(Change::Write { offset: start, data: data[..data.len() / 2].to_vec() });
            return Err(io::Error::other("the disk does not want to"));
        }
        if start.checked_add(data.len()).is_none_or(|end| end > room) {
            let fits = room.saturating_sub(start).min(data.len());
            platter.change(Change::Write { offset: start, data: data[..fits].to_vec() });
            return Err(io::ErrorKind::StorageFull.into());
        }
        platter.change(Change::Write { offset: start, data: data.to_vec() });
        Ok(())
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &Disk) -> Vec<u8> {
        let mut bytes = vec![0; disk.size() as usize];
        disk.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_synced_survives_and_the_rest_as_said() {
        let disk = Disk::default();
        disk.write(0, &[1; 2_048]).unwrap();
        disk.sync_data().unwrap();
        disk.write(256, &[2; 1_024]).unwrap();
        disk.set_len(4_096).unwrap();
        disk.cut_at_sync(1);
        assert!(disk.sync_data().is_err() && disk.is_cut() && disk.len().is_err());
        assert_eq!(read(&disk.after_power_cut(Survivors::Nothing)), [1; 2_048]);
        let all = read(&disk.after_power_cut(Survivors::All));
        assert_eq!((all.len(), all[255], all[256], all[1_279], all[1_280]), (4_096, 1, 2, 2, 1));
        let torn = (0..100).map(|seed| read(&disk.after_power_cut(Survivors::Some(seed))));
        let partly = |image: &Vec<u8>| image[511] != image[512];
        assert!(torn.into_iter().any(|image| partly(&image)));
    }

    #[test]
    fn it_fills_up_and_fails_when_told() {
        let disk = Disk::default();
        disk.limit(Some(1_000));
        assert_eq!(disk.write(0, &[1; 2_000]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.limit(None);
        disk.fail_at_operation(2);
        disk.write(0, &[3; 2_000]).unwrap();
        assert!(!disk.has_failed() && disk.sync_data().is_err() && disk.has_failed());
        disk.sync_data().unwrap();
        assert_eq!(read(&disk.after_power_cut(Survivors::Nothing)), [3; 2_000]);
    }
}
