//! Deliveries: their rate and cost when producers never pause, and how long one takes when there is little to do.
//!
//! A saturation figure counts from the first post to the last receipt, so nothing that was accepted and left lying
//! makes it look better. All figures are taken in turns, so that what else the machine does hits all alike.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Effort;
use crate::child::{Ground, Server};
use crate::producer::{Producer, Template};
use crate::receiver::Receiver;
use crate::table::{self, Spread, count};

/// Producers that post as fast as they are answered.
const PRODUCERS: [usize; 2] = [16, 64];
/// Events a second where the host has time.
const RATE: u32 = 100;
const FAN_OUT: usize = 10;
const TYPE: &str = "document.exported";

struct Contender {
    name: &'static str,
    server: Server,
    /// Deliveries of each event.
    fan_out: usize,
    /// One for each of [`PRODUCERS`].
    saturated: [Load; PRODUCERS.len()],
    quiet: Spread,
}

/// What was measured under load, in all rounds together.
#[derive(Default)]
struct Load {
    deliveries: u64,
    time: Duration,
    accepting: Duration,
    cpu: Duration,
    took: Vec<Spread>,
}

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let origin = Instant::now();
    let (receiver, producer) = (Receiver::start(origin)?, Producer::new(origin)?);
    let template = Template::new(TYPE)?;
    let mut contenders = contenders(ground, &receiver, &producer)?;
    for contender in &mut contenders {
        contender.saturate(&receiver, &producer, &template, 16, effort.time / 10)?;
    }
    for _ in 0..effort.rounds {
        for (index, producers) in PRODUCERS.into_iter().enumerate() {
            for contender in &mut contenders {
                let load = contender.saturate(
                    &receiver,
                    &producer,
                    &template,
                    producers,
                    effort.time / effort.rounds,
                )?;
                contender.saturated[index].add(load);
            }
        }
    }
    for contender in &mut contenders {
        let before = receiver.arrived();
        let posted = producer.open_loop(
            contender.server.address,
            std::slice::from_ref(&template),
            RATE,
            effort.time,
        )?;
        receiver.wait_for(before + posted * contender.fan_out as u64)?;
        contender.quiet = receiver.take_spread();
    }
    print(&contenders)
}

fn contenders(ground: &Ground, receiver: &Receiver, producer: &Producer) -> anyhow::Result<Vec<Contender>> {
    let new = |name, server, fan_out| Contender {
        name,
        server,
        fan_out,
        saturated: Default::default(),
        quiet: Spread::default(),
    };
    let keeps =
        json!([{"plugin": "filter", "config": {"keep": {"path": "document.total_amount", "gte": 1}}}]);
    let hosts = [
        ("(b) durable", json!([]), 1),
        ("(c) flatten", json!([{"plugin": "flatten", "config": {}}]), 1),
        ("(d) filter", keeps, 1),
        ("(e) fan-out 10", json!([]), FAN_OUT),
    ];
    let mut contenders = vec![new("(a) bare relay", Server::relay(receiver.address)?, 1)];
    for (name, transforms, fan_out) in hosts {
        let server = ground.host(&name[1..2])?;
        for number in 0..fan_out {
            producer.endpoint(server.address, &endpoint(receiver, number, &transforms))?;
        }
        contenders.push(new(name, server, fan_out));
    }
    Ok(contenders)
}

fn endpoint(receiver: &Receiver, number: usize, transforms: &Value) -> Value {
    json!({
        "name": format!("receiver-{number}"),
        "url": receiver.url(&format!("/{number}")),
        "events": [TYPE],
        "transforms": transforms,
    })
}

impl Contender {
    fn saturate(
        &self,
        receiver: &Receiver,
        producer: &Producer,
        template: &Template,
        producers: usize,
        time: Duration,
    ) -> anyhow::Result<Load> {
        let (before, cpu, start) = (receiver.arrived(), self.server.cpu_time()?, Instant::now());
        let accepted = producer.closed_loop(self.server.address, template, producers, time)?;
        let accepting = start.elapsed();
        let deliveries = accepted * self.fan_out as u64;
        receiver.wait_for(before + deliveries)?;
        Ok(Load {
            deliveries,
            time: receiver.last().saturating_duration_since(start),
            accepting,
            cpu: self.server.cpu_time()?.saturating_sub(cpu),
            took: vec![receiver.take_spread()],
        })
    }

    /// The rate, the better of the two.
    fn best(&self) -> f64 {
        self.saturated.iter().map(Load::rate).fold(0.0, f64::max)
    }
}

impl Load {
    fn add(&mut self, other: Load) {
        self.deliveries += other.deliveries;
        self.time += other.time;
        self.accepting += other.accepting;
        self.cpu += other.cpu;
        self.took.extend(other.took);
    }

    fn rate(&self) -> f64 {
        self.deliveries as f64 / self.time.as_secs_f64().max(1e-9)
    }

    fn micros_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.deliveries as f64).max(1.0)
    }

    /// Of the median round.
    fn took(&self) -> String {
        let mut rounds: Vec<&Spread> = self.took.iter().collect();
        rounds.sort_by_key(|spread| spread.quantile(0.5));
        rounds.get(rounds.len() / 2).map(|spread| spread.words()).unwrap_or_default()
    }
}

fn print(contenders: &[Contender]) -> anyhow::Result<()> {
    let ceiling = contenders.first().map_or(1.0, Contender::best);
    let mut rows = vec![words([
        "what",
        "producers",
        "deliveries/s",
        "of (a)",
        "accepted/s",
        "host CPU us/delivery",
        "p50 / p99 ms",
        "at 100/s: p50 / p99 ms",
        "peak MiB",
    ])];
    for contender in contenders {
        for (producers, load) in PRODUCERS.iter().zip(&contender.saturated) {
            let accepted = load.deliveries as f64 / contender.fan_out as f64;
            rows.push(vec![
                contender.name.to_owned(),
                producers.to_string(),
                count(load.rate()),
                format!("{:.2}", load.rate() / ceiling),
                count(accepted / load.accepting.as_secs_f64().max(1e-9)),
                format!("{:.1}", load.micros_each()),
                load.took(),
                contender.quiet.words(),
                format!("{:.0}", contender.server.peak()?),
            ]);
        }
    }
    table::print("Deliveries of 1 KiB, from post to receipt (log: info, to a file)", &rows);
    Ok(())
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
