//! `demo --preset`: what `init` and `apply` make of a host, with every event of the catalogue sent through it.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Live, Sample, scheme};
use crate::cli::apply::description::Description;
use crate::cli::apply::plan::Plan;
use crate::cli::client::{Answer, Client, segment};
use crate::cli::endpoint::Shown as Endpoint;
use crate::cli::preset::Preset;
use crate::receiver::Receiver;
use crate::time::{Clock as _, SystemClock};

const ENDPOINTS: &str = "/v1/endpoints";
const EVENT_TYPES: &str = "/v1/event-types";
/// What stands for the credentials that the environment would hold.
const CREDENTIAL: &str = "a-token-of-the-demo";

#[derive(Deserialize)]
struct Listed {
    name: String,
}

#[derive(Deserialize)]
struct Described {
    samples: Vec<Box<RawValue>>,
}

/// The preset's endpoints, or that of a customer where it has none, at the receiver; and a sample of each event type.
pub async fn follow(
    preset: Preset,
    client: &Client,
    receiver: &Receiver,
) -> anyhow::Result<(Vec<Live>, Vec<Sample>)> {
    let (_, catalogue) = preset.split();
    let description = Description::parse(&catalogue, stand_in)?;
    Plan::make(client, &description, false).await?.carry_out(client, |_, _| Ok(())).await?;
    if description.endpoints.is_empty() {
        let customer = json!({"name": "customer", "url": receiver.url("/customer"), "events": ["*"]});
        client.post(ENDPOINTS, customer.to_string()).await?;
    }
    let mut live = Vec::new();
    for endpoint in client.all::<Endpoint>(ENDPOINTS).await? {
        live.push(connected(client, receiver, endpoint).await?);
    }
    Ok((live, samples(client).await?))
}

/// Addresses are the receiver's, once the endpoints are there.
fn stand_in(variable: &str) -> Option<String> {
    (!variable.ends_with("_URL")).then(|| CREDENTIAL.to_owned())
}

/// Points the endpoint at a path of the receiver for itself, which gets to know its secret.
async fn connected(client: &Client, receiver: &Receiver, endpoint: Endpoint) -> anyhow::Result<Live> {
    let name: String = endpoint.name.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-");
    let (at, path) = (format!("{ENDPOINTS}/{}", segment(&endpoint.id)), format!("/{name}"));
    let change = json!({"url": receiver.url(&path), "enabled": true});
    client.patch(&at, change.to_string()).await?;
    let rotated: Answer =
        client.post(&format!("{at}/secret/rotate"), r#"{"overlap":"0s"}"#.to_owned()).await?;
    let said: Value = rotated.read()?;
    let about = match said["events"].as_array().map(Vec::as_slice) {
        Some([Value::String(only)]) if only != "*" => format!("the channel of {only}"),
        _ => "an endpoint as a customer makes it".to_owned(),
    };
    Ok(Live { about, ..Live::of(rotated.read()?, scheme(said.get("signature"))?, &path, receiver)? })
}

async fn samples(client: &Client) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for Listed { name } in client.all(EVENT_TYPES).await? {
        let described: Described =
            client.get(&format!("{EVENT_TYPES}/{}", segment(&name)), &[]).await?.read()?;
        let Some(sample) = described.samples.first() else { continue };
        samples.push(Sample {
            event_type: name.into(),
            timestamp: SystemClock.now().to_string().into(),
            payload: sample.get().to_owned().into(),
        });
    }
    Ok(samples)
}
