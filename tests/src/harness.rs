//! A small language for tests of the whole: a real host with real plugins, a real client, a real receiver.
//!
//! Nothing here sleeps for luck. A test waits for what the receiver gets ([`Mailbox::next`]) or for what the API says
//! ([`World::outcome`], [`World::until`]), each with a bound; a test that fails shows every delivery with its attempts.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hookwright::config::Config;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

mod clock;
mod mailbox;
mod site;
mod web;
mod world;

pub use clock::ShiftClock;
pub use mailbox::Mailbox;
pub use site::{Heard, Said, Site};
pub use web::{Answer, Web};
pub use world::{Endpoint, Posted, World, seed};

/// How long a test waits for anything at the most.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Plays a scene on a host with its settings as in production, but for a port of its own and an open loopback.
pub fn play(scene: impl AsyncFnOnce(&mut World)) {
    Stage::default().play(scene);
}

/// `postgres`: the scenes play in a database, but for those that name another store.
pub const STORE: &str = "HOOKWRIGHT_TEST_STORE";

/// Plays a scene on each of the stores that a host has to itself; or on the one that [`STORE`] names.
pub fn on_each_store(scene: impl AsyncFn(&mut World)) {
    Stage::default().play(&scene);
    if std::env::var_os(STORE).is_none() {
        Stage::default().in_memory().play(&scene);
    }
}

/// Plays a scene on each of the stores that a host has to itself: there it has a plugins folder.
pub fn on_each_own_store(scene: impl AsyncFn(&mut World)) {
    Stage::default().in_a_file().play(&scene);
    Stage::default().in_memory().play(&scene);
}

/// Between two looks at the API.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

type Change = Box<dyn FnOnce(&mut Config)>;

/// What a host is started with.
#[derive(Default)]
pub struct Stage {
    changes: Vec<Change>,
    store: Kept,
}

/// Where everything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    File,
    Memory,
    Postgres,
}

impl Default for Kept {
    fn default() -> Self {
        let Some(asked) = std::env::var_os(STORE) else { return Kept::File };
        assert_eq!(asked, "postgres", "{STORE} names no store that all scenes play on");
        Kept::Postgres
    }
}

impl Stage {
    /// Changes settings before the start.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Config) + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Everything is in a file.
    #[must_use]
    pub fn in_a_file(mut self) -> Self {
        self.store = Kept::File;
        self
    }

    /// Everything lives in memory.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.store = Kept::Memory;
        self
    }

    /// Everything is in a database of its own.
    #[must_use]
    pub fn in_postgres(mut self) -> Self {
        self.store = Kept::Postgres;
        self
    }

    /// # Panics
    ///
    /// Where the scene does, after showing the world as it was then.
    pub fn play(self, scene: impl AsyncFnOnce(&mut World)) {
        if self.store == Kept::Postgres && !crate::postgres::is_there() {
            return;
        }
        let runtime = runtime();
        let ended = runtime.block_on(async {
            let mut world = World::open(self.changes, self.store).await;
            let ended = caught(pin!(scene(&mut world))).await;
            if ended.is_err() {
                eprintln!("{}", world.report().await);
            }
            world.close().await;
            ended
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        if let Err(panic) = ended {
            resume_unwind(panic);
        }
    }
}

/// Looks again and again until there is something to see.
///
/// # Panics
///
/// Where there is nothing to see for too long.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited for {PATIENCE:?}, and not: {what}");
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// For tests that start hosts themselves.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn caught(mut future: Pin<&mut impl Future<Output = ()>>) -> Result<(), Box<dyn Any + Send>> {
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
