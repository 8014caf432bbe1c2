//! An endpoint that hangs for 29 s, beside one that answers.

use std::time::Instant;

use serde_json::json;

use crate::Effort;
use crate::child::Ground;
use crate::producer::{Producer, Template};
use crate::receiver::{HANGING, Receiver};
use crate::table;

/// Events a second for each of the two.
const RATE: u32 = 50;

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let origin = Instant::now();
    let (receiver, producer) = (Receiver::start(origin)?, Producer::new(origin)?);
    let host = ground.host("neighbour")?;
    for (name, path) in [("healthy", "/healthy"), ("hanging", HANGING)] {
        let url = receiver.url(path);
        let events = [format!("{name}.event")];
        producer
            .endpoint(host.address, &json!({"name": name, "url": url, "events": events, "timeout": "30s"}))?;
    }
    let (healthy, hanging) = (Template::new("healthy.event")?, Template::new("hanging.event")?);
    let mut rows = vec![vec!["healthy endpoint".to_owned(), "p50 / p99 ms".to_owned()]];
    for (name, templates) in
        [("alone", vec![healthy.clone()]), ("beside one that hangs", vec![healthy, hanging])]
    {
        let before = receiver.arrived();
        let posted = producer.open_loop(host.address, &templates, RATE, effort.time * 2)?;
        receiver.wait_for(before + posted)?;
        rows.push(vec![name.to_owned(), receiver.take_spread().words()]);
    }
    table::print("A receiver that hangs 29 s, 50 events/s to each", &rows);
    Ok(())
}
