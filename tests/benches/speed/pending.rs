//! Many deliveries that wait: what they take up, how soon a host is back with them, and how fast they go out.

use std::time::Instant;

use anyhow::Context as _;
use http::Method;
use serde_json::json;

use crate::Effort;
use crate::child::Ground;
use crate::producer::{Producer, Template};
use crate::receiver::Receiver;
use crate::table::{self, count};

const TYPE: &str = "document.exported";
const NAME: &str = "pending";

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let origin = Instant::now();
    let (receiver, producer) = (Receiver::start(origin)?, Producer::new(origin)?);
    let host = ground.host(NAME)?;
    let endpoint = json!({"name": NAME, "url": receiver.url("/"), "events": [TYPE], "enabled": false});
    let path = format!("/v1/endpoints/{}", producer.endpoint(host.address, &endpoint)?);
    let start = Instant::now();
    producer.batches(host.address, &Template::new(TYPE)?, effort.pending)?;
    let accepted = effort.pending as f64 / start.elapsed().as_secs_f64();
    let (resident, peak) = (host.resident()?, host.peak()?);
    host.stop()?;

    let start = Instant::now();
    let host = ground.host(NAME)?;
    let back = start.elapsed();
    // Killed.
    drop(host);
    let start = Instant::now();
    let host = ground.host(NAME)?;
    let back_from_kill = start.elapsed();
    let resident_again = host.resident()?;
    let (cpu, start, before) = (host.cpu_time()?, Instant::now(), receiver.arrived());
    producer.call(host.address, Method::PATCH, &path, &json!({"enabled": true}))?;
    receiver.wait_for(before + effort.pending as u64)?;
    let drained = effort.pending as f64 / receiver.last().saturating_duration_since(start).as_secs_f64();
    let cpu = host.cpu_time()?.checked_sub(cpu).context("a process gave time back")?;
    let row = |what: &str, figure: String| vec![what.to_owned(), figure];
    table::print(
        &format!("{} deliveries that wait", count(effort.pending as f64)),
        &[
            row("what", "figure".to_owned()),
            row("accepted in batches of 1,000, events/s", count(accepted)),
            row("resident with them, MiB (peak)", format!("{resident:.0} ({peak:.0})")),
            row("start with them until it listens, ms", format!("{:.0}", back.as_secs_f64() * 1e3)),
            row("the same after a kill, ms", format!("{:.0}", back_from_kill.as_secs_f64() * 1e3)),
            row("resident after that start, MiB", format!("{resident_again:.0}")),
            row("sent once the endpoint is enabled, deliveries/s", count(drained)),
            row(
                "host CPU us/delivery then",
                format!("{:.1}", cpu.as_secs_f64() * 1e6 / effort.pending as f64),
            ),
            row("peak while they go out, MiB", format!("{:.0}", host.peak()?)),
        ],
    );
    Ok(())
}
