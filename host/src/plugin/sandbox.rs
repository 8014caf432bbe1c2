//! The world as a plugin sees it: WASI with nothing behind it.
//!
//! No environment, arguments, files or sockets. Both clocks stand still at the event's timestamp, and
//! randomness comes from the call's seed, so that the same call gives the same bytes on every host.
//!
//! Invariant: nothing here ever waits. Time does not pass, so a sleep is over at once, standard input is at
//! its end, output is always ready, and no socket can be made. A guest is therefore either running, and the
//! meter counts its ticks, or done.

use std::convert::Infallible;
use std::time::Duration;

use crate::time::Timestamp;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{self, DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::journal::{Journal, Stream};

/// Most bytes of randomness in one request.
const RANDOM_AT_ONCE: u64 = 64 << 10;
/// Most resources (streams, pollables) that an instance holds at once.
const RESOURCES: usize = 256;
/// Most bytes that a guest prints at once.
const PRINT_AT_ONCE: usize = 64 << 10;

/// Built when the plugin first asks for it, which most plugins never do.
pub(super) struct Sandbox {
    now: Duration,
    seed: [u8; 32],
    journal: Journal,
    table: ResourceTable,
    wasi: Option<WasiCtx>,
}

impl Sandbox {
    pub fn new(now: Timestamp, seed: [u8; 32], journal: Journal) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self { now: since_epoch(now), seed, journal, table, wasi: None }
    }

    pub fn view(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| wasi(self.now, self.seed, &self.journal));
        WasiCtxView { ctx, table: &mut self.table }
    }

    fn clock(&mut self) -> StillClock<'_> {
        StillClock { now: nanoseconds(self.now), table: &mut self.table }
    }
}

/// Anything that holds a sandbox can be the data of a store.
pub(super) trait HasSandbox: WasiView + 'static {
    fn sandbox(&mut self) -> &mut Sandbox;
}

pub(super) fn add_to_linker<T: HasSandbox>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<T, StillClockData>(linker, |data| data.sandbox().clock())?;
    linker.allow_shadowing(false);
    Ok(())
}

fn wasi(now: Duration, seed: [u8; 32], journal: &Journal) -> WasiCtx {
    WasiCtx::builder()
        .stdout(Printer(journal.clone(), Stream::Stdout))
        .stderr(Printer(journal.clone(), Stream::Stderr))
        .wall_clock(StillAt(now))
        .monotonic_clock(StillAt(now))
        .insecure_random_seed(first_half(&Seeded::new(seed, "insecure-seed").block(0)))
        .insecure_random(Seeded::new(seed, "insecure"))
        .secure_random(Seeded::new(seed, "secure"))
        .max_random_size(RANDOM_AT_ONCE)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// Before 1970 there is no time here.
fn since_epoch(now: Timestamp) -> Duration {
    now.since(Timestamp::ZERO)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

struct StillAt(Duration);

impl HostWallClock for StillAt {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for StillAt {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        nanoseconds(self.0)
    }
}

/// A monotonic clock on which every wait is over: waiting for real time would make the verdict depend on it,
/// and keep a slot from other calls.
struct StillClock<'a> {
    now: u64,
    table: &'a mut ResourceTable,
}

struct StillClockData;

impl HasData for StillClockData {
    type Data<'a> = StillClock<'a>;
}

impl monotonic_clock::Host for StillClock<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let over = self.table.push(Over)?;
        p2::subscribe(self.table, over)
    }

    fn subscribe_duration(&mut self, _duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let over = self.table.push(Over)?;
        p2::subscribe(self.table, over)
    }
}

struct Over;

#[async_trait::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}

/// Random bytes from SHA-256 in counter mode: unlike a library's generator it gives the same bytes after
/// every upgrade.
struct Seeded {
    key: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Seeded {
    fn new(seed: [u8; 32], purpose: &str) -> Self {
        let key = Sha256::new().chain_update(seed).chain_update(purpose).finalize();
        Self { key: key.into(), counter: 0, block: [0; 32], used: 32 }
    }

    fn block(&self, number: u64) -> [u8; 32] {
        let block = Sha256::new().chain_update(self.key).chain_update(number.to_le_bytes());
        block.finalize().into()
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            self.block = self.block(self.counter);
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }
}

impl rand::TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        target.fill_with(|| self.byte());
        Ok(())
    }
}

fn first_half(block: &[u8; 32]) -> u128 {
    let (half, _) = block.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    u128::from_le_bytes(*half)
}

/// Standard output and standard error, into the journal. Takes everything, so that a guest never fails
/// because it printed too much; the journal decides what it keeps.
#[derive(Clone)]
struct Printer(Journal, Stream);

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    /// Asked for by WASI 0.3 alone, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.print(self.1, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PRINT_AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    /// Known answers: a plugin that draws randomness keeps its bytes over upgrades of the host.
    #[test]
    fn randomness_is_the_seed_and_nothing_else() {
        let draw = |seed, purpose| Seeded::new([seed; 32], purpose).next_u64();
        assert_eq!(draw(1, "secure"), draw(1, "secure"));
        assert_ne!(draw(1, "secure"), draw(2, "secure"));
        assert_ne!(draw(1, "secure"), draw(1, "insecure"));

        let mut drawn = [0; 40];
        Seeded::new([7; 32], "secure").fill_bytes(&mut drawn);
        let key = Sha256::new().chain_update([7; 32]).chain_update("secure").finalize();
        let block = Sha256::new().chain_update(key).chain_update([0; 8]).finalize();
        assert_eq!(drawn[..32], block[..]);
    }

    #[test]
    fn time_before_1970_is_1970() {
        assert_eq!(since_epoch(Timestamp::from_secs(-5)), Duration::ZERO);
        assert_eq!(since_epoch(Timestamp::from_secs(5)), Duration::from_secs(5));
    }
}
