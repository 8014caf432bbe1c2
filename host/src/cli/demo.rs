//! `demo`: the product in a minute, on real payloads. A host and a receiver on this machine, endpoints that
//! reshape, filter and sign, and every request as the receiver got it.

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use self::stage::Stage;
use super::client::{Client, Page};
use super::delivery::Shown as Delivery;
use super::endpoint::Shown as Endpoint;
use super::event::{self, NewEvent};
use super::preset::Preset;
use super::screen::{Paint, indented, one_line, say, wrapped};
use super::table::Table;
use super::{argument, listen, signals};
use crate::receiver::{Arrival, Expected, Receiver, Signature};
use crate::signature::SignatureScheme;
use crate::time::{Clock as _, SystemClock, Timestamp};

mod preset;
mod stage;

/// For all that is posted to arrive.
const LIMIT: Duration = Duration::from_secs(30);
/// Of a line of text, without its margin.
const WIDTH: usize = 90;
/// Between two looks at the delivery log.
const PAUSE: Duration = Duration::from_millis(20);

/// See it work: real payloads, filtered, reshaped, signed, delivered and verified on this machine
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// End when everything arrived: with 0, or with 1 where something did not
    #[arg(long)]
    once: bool,
    /// Show a known system: its events, as its preset shapes and signs them
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
}

/// An endpoint of the demo, and what is to become of its events.
#[derive(Debug, Deserialize)]
struct Flow {
    about: String,
    /// The state that its deliveries end in.
    ends: String,
    /// As for `POST /v1/endpoints`; the URL is put in.
    endpoint: Map<String, Value>,
}

/// A flow whose endpoint is there.
struct Live {
    about: String,
    ends: String,
    id: String,
    name: String,
    chain: String,
    /// The header with the signature, in lower case.
    signed_in: String,
}

#[derive(Debug, Clone)]
struct Sample {
    event_type: Cow<'static, str>,
    timestamp: Cow<'static, str>,
    payload: Cow<'static, str>,
}

impl Sample {
    const fn new(event_type: &'static str, timestamp: &'static str, payload: &'static str) -> Self {
        Self {
            event_type: Cow::Borrowed(event_type),
            timestamp: Cow::Borrowed(timestamp),
            payload: Cow::Borrowed(payload),
        }
    }
}

const FLOWS: &str = include_str!("../../demo/flows.json");

/// In the order in which they are posted. The times are those of the payloads.
const SAMPLES: [Sample; 4] = [
    Sample::new(
        "document.exported",
        "2026-03-22T08:30:00Z",
        include_str!("../../demo/document.exported.json"),
    ),
    Sample::new("contact.created", "2026-03-22T08:30:00Z", include_str!("../../demo/contact.created.json")),
    Sample::new("lead.captured", "2026-03-26T15:30:00Z", include_str!("../../demo/lead.captured.json")),
    Sample::new(
        "payment.succeeded",
        "2026-03-24T11:05:42Z",
        include_str!("../../demo/payment.succeeded.json"),
    ),
];

/// What came of one delivery.
struct Ending {
    delivery: Delivery,
    /// From the post to the last byte of the request.
    after: Option<Duration>,
    as_promised: bool,
}

impl Demo {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let shutdown = signals::shutdown().context("signals cannot be listened to")?;
        tokio::pin!(shutdown);
        let mut stage = Stage::set_up(self.preset).await?;
        let result = tokio::select! {
            result = perform(&mut stage, self.preset) => result,
            () = &mut shutdown => Ok(ExitCode::FAILURE),
            () = tokio::time::sleep(LIMIT) => Err(late()),
        };
        let result = match result {
            Ok(code) if !self.once && code == ExitCode::SUCCESS => {
                say(&stage.invitation())?;
                listen::print_arrivals(&mut stage.receiver, shutdown).await.map(|()| code)
            }
            result => result,
        };
        let end = stage.tear_down().await;
        result.and_then(|code| end.map(|()| code))
    }
}

fn late() -> anyhow::Error {
    anyhow::anyhow!("not everything had arrived after {} seconds", LIMIT.as_secs())
}

/// Creates the endpoints, posts the samples and shows what comes of them.
async fn perform(stage: &mut Stage, preset: Option<Preset>) -> anyhow::Result<ExitCode> {
    let paint = Paint::stdout();
    say(&stage.opening(paint))?;
    let (flows, samples) = match preset {
        None => (create(&stage.client, &stage.receiver).await?, SAMPLES.to_vec()),
        Some(preset) => preset::follow(preset, &stage.client, &stage.receiver).await?,
    };
    if let Some(first) = samples.first().filter(|_| preset.is_some()) {
        stage.invite_with(&first.event_type);
    }
    let mut table = Table::new(["EVENT", "ENDPOINT", "CHAIN", "SIGNED IN", "RESULT", "AFTER"]);
    let mut kept = true;
    for sample in &samples {
        for (flow, ending) in play(stage, &flows, sample, paint).await? {
            kept &= ending.as_promised;
            table.row(ending.row(flow, sample));
        }
    }
    say(&format!("\n{}\n\n{table}", paint.bold("All flows")))?;
    if !kept {
        eprintln!("error: not every flow ended as it should have");
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Each flow's endpoint, with a path of the receiver for itself that knows its secret.
async fn create(client: &Client, receiver: &Receiver) -> anyhow::Result<Vec<Live>> {
    let flows: Vec<Flow> = serde_json::from_str(FLOWS)?;
    let mut live = Vec::with_capacity(flows.len());
    for Flow { about, ends, mut endpoint } in flows {
        let scheme = scheme(endpoint.get("signature"))?;
        let path = format!("/{}", endpoint.get("name").and_then(Value::as_str).unwrap_or_default());
        endpoint.insert("url".to_owned(), receiver.url(&path).into());
        let created: Endpoint =
            client.post("/v1/endpoints", serde_json::to_string(&endpoint)?).await?.read()?;
        live.push(Live { about, ends, ..Live::of(created, scheme, &path, receiver)? });
    }
    Ok(live)
}

impl Live {
    /// An endpoint that was just made or given a new secret, which the receiver is told for its path.
    fn of(
        endpoint: Endpoint,
        scheme: SignatureScheme,
        path: &str,
        receiver: &Receiver,
    ) -> anyhow::Result<Self> {
        let key = endpoint.key().context("the endpoint came without its secret")?;
        let key = scheme.read_key(key)?;
        let signed_in = match &scheme {
            SignatureScheme::Standard | SignatureScheme::StandardAsymmetric => {
                crate::message::WEBHOOK_SIGNATURE.to_owned()
            }
            SignatureScheme::HmacSha256 { header, .. } => header.to_ascii_lowercase(),
        };
        receiver.expect(Some(path), Expected { scheme, key });
        let (about, ends, chain) = (String::new(), "delivered".to_owned(), endpoint.chain());
        Ok(Self { about, ends, id: endpoint.id, name: endpoint.name, chain, signed_in })
    }
}

/// Reads a signature as `POST /v1/endpoints` takes it.
fn scheme(signature: Option<&Value>) -> anyhow::Result<SignatureScheme> {
    let Some(signature) = signature else { return Ok(SignatureScheme::Standard) };
    let text = |name: &str| signature.get(name).and_then(Value::as_str).unwrap_or_default();
    let written = match text("scheme") {
        "hmac-sha256" => format!("hmac:{}:{}", text("header"), text("prefix")),
        other => other.to_owned(),
    };
    argument::signature(&written).map_err(anyhow::Error::msg)
}

/// Posts one event, and shows its deliveries once each has come to its end.
async fn play<'f>(
    stage: &mut Stage,
    flows: &'f [Live],
    sample: &Sample,
    paint: Paint,
) -> anyhow::Result<Vec<(&'f Live, Ending)>> {
    let posted = SystemClock.now();
    let payload: &RawValue = serde_json::from_str(&sample.payload)?;
    let event = NewEvent::new(&sample.event_type, payload).at(&sample.timestamp);
    let accepted = event::post(&stage.client, &event).await?;
    let deliveries = settled(&stage.client, &accepted.id, accepted.deliveries as usize).await?;
    let arrivals = arrived(&mut stage.receiver, &deliveries).await;
    let title = format!("{}  {}", paint.bold(&sample.event_type), paint.dim(&accepted.id));
    say(&format!("\n{title}"))?;
    let mut endings = Vec::with_capacity(deliveries.len());
    for flow in flows {
        for delivery in deliveries.iter().filter(|delivery| delivery.endpoint == flow.id) {
            let arrival = arrivals.iter().find(|arrival| is_of(arrival, delivery));
            say(&scene(flow, delivery, arrival, paint))?;
            endings.push((flow, Ending::of(flow, delivery.clone(), arrival, posted)));
        }
    }
    Ok(endings)
}

/// The event's deliveries, once all are in a final state. The caller bounds the wait.
async fn settled(client: &Client, event: &str, expected: usize) -> anyhow::Result<Vec<Delivery>> {
    if expected == 0 {
        bail!("no endpoint took event {event}");
    }
    loop {
        let page: Page<Delivery> =
            client.get("/v1/deliveries", &[("event", event.to_owned())]).await?.read()?;
        if page.items.len() == expected && page.items.iter().all(|delivery| delivery.state != "pending") {
            return Ok(page.items);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The requests of those that were delivered.
async fn arrived(receiver: &mut Receiver, deliveries: &[Delivery]) -> Vec<Arrival> {
    let mut arrivals: Vec<Arrival> = Vec::new();
    let is_missing = |delivery: &&Delivery, arrivals: &[Arrival]| {
        delivery.state == "delivered" && !arrivals.iter().any(|arrival| is_of(arrival, delivery))
    };
    while deliveries.iter().any(|delivery| is_missing(&delivery, &arrivals)) {
        arrivals.push(receiver.next().await);
    }
    arrivals
}

fn is_of(arrival: &Arrival, delivery: &Delivery) -> bool {
    arrival.header(crate::message::WEBHOOK_ID) == Some(&delivery.webhook_id)
}

/// One delivery: the request, or the reason why there was none.
fn scene(flow: &Live, delivery: &Delivery, arrival: Option<&Arrival>, paint: Paint) -> String {
    let title = format!("{} {}", paint.bold("->"), paint.bold(&flow.name));
    let chain = if flow.chain == "-" { "no plugin" } else { &flow.chain };
    let mut text = format!("\n  {title}  {chain}: {}\n", flow.about);
    let Some(arrival) = arrival else {
        let reason = delivery.reason.as_deref().unwrap_or("no reason is known");
        text += &format!("     {}\n", paint.odd(&delivery.state));
        return text + &indented("     ", &wrapped(&one_line(reason), WIDTH));
    };
    let request = format!("{} {}", arrival.method, arrival.path_and_query);
    text += &format!("     {request}  {}\n", listen::verdict(&arrival.signature, paint));
    for (name, value) in arrival.headers.iter().filter(|(name, _)| is_of_interest(name, flow)) {
        text += &format!("     {}: {}\n", paint.dim(name), one_line(value));
    }
    text + "\n" + &indented("     ", &listen::body(arrival))
}

fn is_of_interest(name: &str, flow: &Live) -> bool {
    name == flow.signed_in
        || name.starts_with("webhook-")
        || ["content-type", "authorization"].contains(&name)
}

impl Ending {
    fn of(flow: &Live, delivery: Delivery, arrival: Option<&Arrival>, posted: Timestamp) -> Self {
        let is_verified = arrival.is_some_and(|arrival| arrival.signature == Signature::Verified);
        let as_promised = delivery.state == flow.ends && is_verified == (flow.ends == "delivered");
        Self { delivery, after: arrival.map(|arrival| arrival.at.since(posted)), as_promised }
    }

    fn row(&self, flow: &Live, sample: &Sample) -> [String; 6] {
        let state = self.delivery.state.as_str();
        let result = match (self.as_promised, state) {
            (true, "delivered") => "delivered, verified".to_owned(),
            (true, state) => format!("{state}, as it should be"),
            (false, state) => format!("{state}: WRONG"),
        };
        let after = self.after.map(|after| format!("{:.1} ms", after.as_secs_f64() * 1_000.0));
        let signed_in = if self.after.is_some() { flow.signed_in.clone() } else { "-".to_owned() };
        let event = sample.event_type.to_string();
        [event, flow.name.clone(), flow.chain.clone(), signed_in, result, after.unwrap_or("-".to_owned())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_sound() {
        for sample in &SAMPLES {
            assert!(serde_json::from_str::<&RawValue>(&sample.payload).is_ok(), "{}", sample.event_type);
            assert!(Timestamp::parse(&sample.timestamp).is_ok(), "{}", sample.event_type);
        }
        let flows: Vec<Flow> = serde_json::from_str(FLOWS).expect("flows");
        let schemes: Vec<_> = flows.iter().map(|flow| scheme(flow.endpoint.get("signature"))).collect();
        assert!(schemes.iter().all(Result::is_ok), "{schemes:?}");
        assert!(flows.iter().any(|flow| flow.ends == "filtered"));
    }

    #[test]
    fn a_promise_is_kept_with_a_verified_signature_only() {
        let flow = |ends: &str| Live {
            about: String::new(),
            ends: ends.into(),
            id: "ep_1".into(),
            name: "crm".into(),
            chain: "-".into(),
            signed_in: "webhook-signature".into(),
        };
        let delivery = |state: &str| {
            let text = format!(
                r#"{{"id":"dlv_1","event":"evt_1","endpoint":"ep_1","type":"a.b","webhook_id":"msg_1",
                "state":"{state}","attempts":1,"created_at":"2026-03-22T08:30:00Z"}}"#
            );
            serde_json::from_str::<Delivery>(&text).expect("a delivery")
        };
        let arrival = |signature| Arrival {
            at: Timestamp::from_secs(1),
            method: "POST".into(),
            path_and_query: "/crm".into(),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            signature,
            status: 200,
        };
        let kept = |ends: &str, state: &str, arrival: Option<Arrival>| {
            Ending::of(&flow(ends), delivery(state), arrival.as_ref(), Timestamp::ZERO).as_promised
        };
        assert!(kept("delivered", "delivered", Some(arrival(Signature::Verified))));
        assert!(!kept("delivered", "delivered", Some(arrival(Signature::Unchecked))));
        assert!(!kept("delivered", "delivered", None));
        assert!(!kept("delivered", "failed", None));
        assert!(kept("filtered", "filtered", None));
        assert!(!kept("filtered", "delivered", Some(arrival(Signature::Verified))));
    }
}
