//! What an endpoint loses by a neighbour whose plugin means harm, and whether 10,000 failing calls leave memory behind.
//!
//! In each figure events come for two endpoints: a healthy one, as many as it can take or half of that, and one that is
//! never delivered, of a fixed rate. Of the second the plugin drops all in the rounds that count as the base, and in the
//! others, in turn with them, it does harm.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::Method;
use serde_json::json;

use crate::Effort;
use crate::child::{Ground, Server};
use crate::producer::{Producer, Template};
use crate::receiver::Receiver;
use crate::table::{self, Spread, count};

/// Events a second for the neighbour.
const RATE: u32 = 100;
const PRODUCERS: usize = 16;
/// What is still under way when a round has ended: calls take as long as they may, a second.
const SETTLE: Duration = Duration::from_millis(1_500);
/// Pairs of a round with the harm and one without it right before; what they come to differs by a quarter from pair to pair
/// where the machine is busy, so the one in the middle counts.
const PAIRS: usize = 5;
/// How long 10,000 calls may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A plugin that means harm, what it is told, and what it is given.
struct Guest {
    name: &'static str,
    plugin: &'static str,
    habit: &'static str,
    payload: usize,
}

const fn habit(name: &'static str, habit: &'static str) -> Guest {
    Guest { name, plugin: "hostile", habit, payload: 0 }
}

static GUESTS: [Guest; 9] = [
    habit("loops", "spin-on-events"),
    habit("eats memory at once", "eat-memory"),
    habit("eats memory slowly", "nibble-memory"),
    habit("overflows its stack", "recurse"),
    habit("hands back 100 MB", "large"),
    habit("logs a million lines", "log-flood"),
    habit("panics", "panic"),
    habit("fails", "fail"),
    Guest { name: "traps in its allocator", plugin: "stingy", habit: "x", payload: 70_000 },
];
/// Those that `--quick` shows.
const QUICK: [usize; 2] = [0, 6];
/// Those that are called 10,000 times: calls that end at once.
const REPEATED: [usize; 4] = [3, 6, 7, 8];

struct Table<'b> {
    ground: &'b Ground,
    receiver: Receiver,
    producer: Producer,
    origin: Instant,
}

/// What arrived at the healthy endpoint.
struct Seen {
    arrived: u64,
    time: Duration,
    took: Spread,
}

/// Beside every guest, or the one of this name.
pub fn measure(ground: &Ground, effort: Effort, guest: Option<&str>) -> anyhow::Result<()> {
    let origin = Instant::now();
    let (receiver, producer) = (Receiver::start(origin)?, Producer::new(origin)?);
    let table = Table { ground, receiver, producer, origin };
    let guests: Vec<&Guest> = match guest {
        Some(name) => GUESTS.iter().filter(|guest| guest.name == name).collect(),
        None if effort.rounds > 1 => GUESTS.iter().collect(),
        None => QUICK.iter().map(|place| &GUESTS[*place]).collect(),
    };
    anyhow::ensure!(!guests.is_empty(), "there is no such guest");
    table.neighbours(effort, &guests)?;
    if guest.is_some() {
        return Ok(());
    }
    table.memory(if effort.rounds > 1 { 10_000 } else { 400 })
}

impl Table<'_> {
    fn neighbours(&self, effort: Effort, guests: &[&Guest]) -> anyhow::Result<()> {
        let host = self.host("hostile")?;
        let healthy = json!({"name": "healthy", "url": self.receiver.url("/"), "events": ["healthy"]});
        self.producer.endpoint(host.address, &healthy)?;
        let healthy = Template::new("healthy")?;
        let time = if effort.rounds > 1 { effort.time / 5 } else { effort.time / 2 };
        self.saturated(host.address, &healthy, time)?;
        let paced = self.saturated(host.address, &healthy, time)?.rate() / 2.0;
        let words =
            ["the neighbour", "saturated/s", "of the base", "paced/s", "of the base", "p50 / p99 ms", "base"];
        let mut rows = vec![words.map(str::to_owned).to_vec()];
        for guest in guests {
            let mut pairs = Vec::new();
            for _ in 0..if effort.rounds > 1 { PAIRS } else { 1 } {
                let round = |harm| self.round(&host, guest, harm, &healthy, paced as u32, time);
                pairs.push([round(false)?, round(true)?]);
            }
            let of_base = |part: usize| {
                let ratios = pairs.iter().map(|[base, harmed]| harmed[part].rate() / base[part].rate());
                let mut ratios: Vec<f64> = ratios.collect();
                ratios.sort_by(f64::total_cmp);
                let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
                format!("{:.2} ({least:.2} to {most:.2})", ratios[ratios.len() / 2])
            };
            let [_, [saturated, slow]] = &pairs[pairs.len() - 1];
            rows.push(vec![
                guest.name.to_owned(),
                count(saturated.rate()),
                of_base(0),
                count(slow.rate()),
                of_base(1),
                slow.took.words(),
                pairs[pairs.len() - 1][0][1].took.words(),
            ]);
        }
        table::print("A healthy endpoint beside one whose plugin means harm, 100 events/s to that", &rows);
        Ok(())
    }

    /// At saturation, and at the pace.
    fn round(
        &self,
        host: &Server,
        guest: &Guest,
        harm: bool,
        healthy: &Template,
        pace: u32,
        time: Duration,
    ) -> anyhow::Result<[Seen; 2]> {
        let neighbour = self.neighbour(host.address, guest, harm)?;
        let template = guest.template()?;
        let (origin, address) = (self.origin, host.address);
        let seen = thread::scope(|scope| {
            let feeding = scope.spawn(move || {
                let producer = Producer::new(origin)?;
                producer.open_loop(address, std::slice::from_ref(&template), RATE, time * 2)
            });
            let seen = [self.saturated(address, healthy, time)?, self.paced(address, healthy, pace, time)?];
            feeding.join().map_err(|_| anyhow::anyhow!("the neighbour's producer panicked"))??;
            anyhow::Ok(seen)
        })?;
        let path = format!("/v1/endpoints/{neighbour}");
        self.producer.call(address, Method::PATCH, &path, &json!({"enabled": false}))?;
        if harm {
            thread::park_timeout(SETTLE);
        }
        Ok(seen)
    }

    fn saturated(&self, to: SocketAddr, template: &Template, time: Duration) -> anyhow::Result<Seen> {
        let (before, start) = (self.receiver.arrived(), Instant::now());
        let posted = self.producer.closed_loop(to, template, PRODUCERS, time)?;
        self.seen(before, posted, start)
    }

    fn paced(&self, to: SocketAddr, template: &Template, pace: u32, time: Duration) -> anyhow::Result<Seen> {
        let (before, start) = (self.receiver.arrived(), Instant::now());
        let posted = self.producer.open_loop(to, std::slice::from_ref(template), pace.max(1), time)?;
        self.seen(before, posted, start)
    }

    fn seen(&self, before: u64, posted: u64, start: Instant) -> anyhow::Result<Seen> {
        self.receiver.wait_for(before + posted)?;
        let time = self.receiver.last().saturating_duration_since(start);
        Ok(Seen { arrived: posted, time, took: self.receiver.take_spread() })
    }

    /// Resident memory around calls that all fail, after as many to warm up.
    fn memory(&self, calls: usize) -> anyhow::Result<()> {
        let host = self.host("failing")?;
        let words = ["the plugin", "failing calls", "MiB before", "after"];
        let mut rows = vec![words.map(str::to_owned).to_vec()];
        // What a host keeps for its work grows with the first ones: pages of its file, rows, room of its allocator.
        for place in REPEATED {
            self.fail(&host, &GUESTS[place], calls)?;
        }
        for place in REPEATED {
            let guest = &GUESTS[place];
            let before = host.resident()?;
            self.fail(&host, guest, calls)?;
            let (before, after) = (format!("{before:.1}"), format!("{:.1}", host.resident()?));
            rows.push(vec![guest.name.to_owned(), calls.to_string(), before, after]);
        }
        table::print("Resident memory of a host whose plugins fail", &rows);
        Ok(())
    }

    fn fail(&self, host: &Server, guest: &Guest, calls: usize) -> anyhow::Result<()> {
        let neighbour = self.neighbour(host.address, guest, true)?;
        self.producer.batches(host.address, &guest.template()?, calls)?;
        let pending = format!("/v1/deliveries?endpoint={neighbour}&state=pending&limit=1");
        let start = Instant::now();
        loop {
            let page = self.producer.call(host.address, Method::GET, &pending, &json!(null))?;
            if page["items"].as_array().context("a list")?.is_empty() && page["next"].is_null() {
                break;
            }
            anyhow::ensure!(start.elapsed() < PATIENCE, "{} calls did not end", guest.name);
            thread::park_timeout(Duration::from_millis(20));
        }
        let path = format!("/v1/endpoints/{neighbour}");
        self.producer.call(host.address, Method::PATCH, &path, &json!({"enabled": false}))?;
        Ok(())
    }

    /// An endpoint that nothing ever arrives at.
    fn neighbour(&self, to: SocketAddr, guest: &Guest, harm: bool) -> anyhow::Result<String> {
        let (plugin, config) =
            if harm { (guest.plugin, json!(guest.habit)) } else { ("hostile", json!("drop")) };
        let spec = json!({
            "name": guest.name,
            "url": "http://127.0.0.1:9/",
            "events": [guest.event_type()],
            "transforms": [{"plugin": plugin, "config": config, "on_failure": "fail"}],
        });
        let id = self.producer.endpoint(to, &spec)?;
        Ok(id)
    }

    fn host(&self, name: &str) -> anyhow::Result<Server> {
        let folder = self.ground.path().join(name).join("plugins");
        fs::create_dir_all(&folder)?;
        fs::copy(env!("GUEST_HOSTILE"), folder.join("hostile.wasm"))?;
        fs::copy(env!("GUEST_STINGY"), folder.join("stingy.wasm"))?;
        self.ground.host(name)
    }
}

impl Guest {
    fn event_type(&self) -> String {
        self.habit.to_owned()
    }

    fn template(&self) -> anyhow::Result<Template> {
        match self.payload {
            0 => Template::new(&self.event_type()),
            size => Template::large(&self.event_type(), size),
        }
    }
}

impl Seen {
    fn rate(&self) -> f64 {
        self.arrived as f64 / self.time.as_secs_f64().max(1e-9)
    }
}
