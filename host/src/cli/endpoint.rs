//! `endpoint`: where events go.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write as _};

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::argument::{self, Rate, Schedule, Success, Text, Transform};
use super::client::{Client, Connection, segment};
use super::delivery::Attempt;
use super::json;
use super::screen::{Paint, one_line, say};
use super::statistics::{self, Span};
use super::table::Table;
use crate::signature::SignatureScheme;
use crate::terms::AutoDisable;
use crate::terms::BodyForm;
use crate::time::format_span;

mod secret;

const PATH: &str = "/v1/endpoints";

/// Manage endpoints: where events go, and how
#[derive(Debug, clap::Args)]
pub struct Endpoint {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create an endpoint; prints its signing secret, this once
    Add(Box<Add>),
    /// List all endpoints
    List,
    /// Show one
    Show(Name),
    /// How it fares: deliveries, answer times, its queue
    Stats(Stats),
    /// Send it one test event, and show what came back; it is counted nowhere
    Test(Test),
    /// Change it: what is left out of the patch stays, and null takes away
    #[command(visible_alias = "update")]
    Patch(Patch),
    /// Deliver again, beginning with what waits
    Enable(Enable),
    /// Keep its events waiting
    Disable(Name),
    /// Rotate its signing secret
    Secret(secret::Secret),
    /// Delete it: what waits is cancelled, its secrets are erased
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct Name {
    /// Id or name
    endpoint: String,
}

#[derive(Debug, clap::Args)]
struct Patch {
    /// Id or name
    endpoint: String,
    /// A merge patch (RFC 7396): `{"timeout":"5s","headers":{"X-Shop":null}}`
    #[arg(long, value_parser = Text::parse, value_name = "JSON|@FILE|-")]
    data: Text,
}

#[derive(Debug, clap::Args)]
struct Stats {
    /// Id or name
    endpoint: String,
    #[command(flatten)]
    span: Span,
}

#[derive(Debug, clap::Args)]
struct Enable {
    /// Id or name
    endpoint: String,
    /// What becomes of what has waited: deliver or skip
    #[arg(long, value_name = "deliver|skip", default_value = "deliver")]
    waiting: Waiting,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Waiting {
    Deliver,
    Skip,
}

#[derive(Debug, clap::Args)]
struct Test {
    /// Id or name
    endpoint: String,
    /// An event type [default: the first that the endpoint names]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// The payload [default: a sample]
    #[arg(long, value_parser = Text::parse, value_name = "JSON|@FILE|-")]
    data: Option<Text>,
}

/// The body of `POST /v1/endpoints/{id}/test`.
#[derive(Serialize)]
struct TestEvent<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// Id or name
    endpoint: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("auth").args(["bearer", "basic"]))]
#[command(group = ArgGroup::new("retries").args(["retry", "every"]))]
struct Add {
    name: String,
    url: String,
    /// Event types: `*`, `invoice.*` or `invoice.paid`; may be repeated
    #[arg(long, required = true, value_name = "TYPE")]
    event: Vec<String>,
    /// Only events of these channels; may be repeated
    #[arg(long)]
    channel: Vec<String>,
    /// The version of the payloads' shape that it gets [default: the newest]
    // Not `--version`, which tells the program's own.
    #[arg(long, value_name = "NAME")]
    api_version: Option<String>,
    /// A plugin of the chain, with its configuration; may be repeated, in order
    #[arg(long, value_name = "PLUGIN[=JSON|=@FILE]", value_parser = Transform::parse)]
    transform: Vec<Transform>,
    /// as-is, or ecmascript: JSON as JSON.stringify(JSON.parse(body)) gives it [default: as-is]
    #[arg(long, value_name = "FORM", value_parser = BodyForm::parse)]
    body: Option<BodyForm>,
    /// standard, standard-asymmetric, hmac:HEADER or hmac:HEADER:PREFIX [default: standard]
    #[arg(long, value_parser = argument::signature)]
    signature: Option<SignatureScheme>,
    /// A signing secret of your own; otherwise the server makes one
    #[arg(long, value_name = "TEXT|@FILE|-", value_parser = Text::parse)]
    secret: Option<Text>,
    /// Send `Authorization: Bearer`; @file and - keep the token out of the process list
    #[arg(long, value_name = "TOKEN|@FILE|-", value_parser = Text::parse)]
    bearer: Option<Text>,
    /// Send `Authorization: Basic`
    #[arg(long, value_name = "USER:PASSWORD|@FILE|-", value_parser = Text::parse)]
    basic: Option<Text>,
    /// A header of your own; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = argument::pair)]
    header: Vec<(String, String)>,
    /// Pauses before the retries, such as 1m,5m,30m; none for a single attempt
    #[arg(long, value_name = "SPANS", value_parser = argument::schedule)]
    retry: Option<Schedule>,
    /// Retry at this pace until it lands
    #[arg(long, value_name = "SPAN", value_parser = argument::span)]
    every: Option<std::time::Duration>,
    /// With --every: give up after so long
    #[arg(long = "for", value_name = "SPAN", requires = "every", value_parser = argument::span)]
    lasting: Option<std::time::Duration>,
    /// For a whole attempt
    #[arg(long, value_name = "SPAN", value_parser = argument::span)]
    timeout: Option<std::time::Duration>,
    /// 2xx, or the statuses that mean success [default: 2xx]
    #[arg(long, value_name = "2xx|STATUSES", value_parser = argument::success)]
    success: Option<Success>,
    /// At most so many requests in so long, such as 10/1s
    #[arg(long, value_name = "N/SPAN", value_parser = argument::rate)]
    rate: Option<Rate>,
    /// Most requests at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Disable it when it fails: off, after N failures in a row, after a span of failing, or both [default: 5d]
    #[arg(long, value_name = "off|N|SPAN|N,SPAN", value_parser = argument::auto_disable)]
    auto_disable: Option<AutoDisable>,
    /// Deliver one at a time, in the order of acceptance; one that fails keeps the others waiting
    #[arg(long)]
    ordered: bool,
    /// With --ordered: one that has been tried so often steps aside
    #[arg(long, value_name = "N", requires = "ordered")]
    park_after: Option<u32>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Whose events [default: default]
    #[arg(long)]
    tenant: Option<String>,
    /// Keep events waiting until it is enabled
    #[arg(long)]
    disabled: bool,
}

/// The body of `POST /v1/endpoints`.
#[derive(Debug, Default, Serialize)]
struct NewEndpoint<'a> {
    name: &'a str,
    url: &'a str,
    events: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    channels: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    /// Left out where none is given, so that the tenant's or the host's chain holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transforms: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Scheme<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<Codes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_disable: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
    enabled: bool,
}

#[derive(Debug, Serialize)]
struct Link {
    plugin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "scheme")]
enum Scheme<'a> {
    #[serde(rename = "standard")]
    Standard,
    #[serde(rename = "standard-asymmetric")]
    StandardAsymmetric,
    #[serde(rename = "hmac-sha256")]
    HmacSha256 { header: &'a str, prefix: &'a str },
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Auth {
    Bearer { token: String },
    Basic { username: String, password: String },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Retry {
    Once {
        attempts: u32,
    },
    Schedule {
        schedule: Vec<String>,
    },
    Every {
        every: String,
        #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
        lasting: Option<String>,
    },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Codes<'a> {
    Any(&'static str),
    Only(&'a [u16]),
}

#[derive(Debug, Serialize)]
#[serde(tag = "head", rename_all = "lowercase")]
enum Order {
    Wait,
    Park { after: u32 },
}

#[derive(Debug, Serialize)]
struct RateLimit {
    requests: u32,
    per: String,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
pub struct Shown {
    pub id: String,
    pub name: String,
    url: String,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    transforms: Vec<ShownLink>,
    /// `active`, `failing` or `disabled`
    status: String,
    success_rate: Option<f64>,
    last_delivery_at: Option<String>,
    /// The one that it is pinned to.
    version: Option<String>,
    /// There once, in the answer to its creation or to a rotation.
    pub secret: Option<String>,
    /// Newest first.
    #[serde(default)]
    secrets: Vec<ShownSecret>,
}

#[derive(Debug, Deserialize)]
struct ShownSecret {
    fingerprint: String,
    header: String,
    public_key: Option<String>,
    until: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ShownLink {
    plugin: String,
}

impl Shown {
    /// The plugins in their order.
    pub fn chain(&self) -> String {
        let plugins: Vec<&str> = self.transforms.iter().map(|link| link.plugin.as_str()).collect();
        if plugins.is_empty() { "-".to_owned() } else { plugins.join(" > ") }
    }

    /// What a receiver checks signatures with: the secret where it was just made, otherwise the public key.
    pub fn key(&self) -> Option<&str> {
        self.secret.as_deref().or(self.secrets.first()?.public_key.as_deref())
    }
}

impl Endpoint {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let json = self.connection.json;
        match self.action {
            Action::Add(add) => add.run(&client, json).await,
            Action::List => list(&client, json).await,
            Action::Show(Name { endpoint }) => show(&client, &endpoint).await,
            Action::Stats(Stats { endpoint, span }) => {
                statistics::of_endpoint(&client, &endpoint, &span, json).await
            }
            Action::Test(test) => test.run(&client, json).await,
            Action::Patch(patch) => patch.run(&client, json).await,
            Action::Enable(Enable { endpoint, waiting }) => {
                let body = match waiting {
                    Waiting::Deliver => r#"{"enabled":true,"waiting":"deliver"}"#,
                    Waiting::Skip => r#"{"enabled":true,"waiting":"skip"}"#,
                };
                set_enabled(&client, &endpoint, body, json).await
            }
            Action::Disable(Name { endpoint }) => {
                set_enabled(&client, &endpoint, r#"{"enabled":false}"#, json).await
            }
            Action::Secret(secret) => secret.run(&client, json).await,
            Action::Delete(delete) => delete.run(&client, json).await,
        }
    }
}

impl Add {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.post(PATH, serde_json::to_string(&self.body()?)?).await?;
        if json {
            return answer.print();
        }
        let created: Shown = answer.read()?;
        say(&format!("Created {}  {}", created.id, one_line(&created.name)))?;
        secret::say_key(&created)
    }

    fn body(&self) -> anyhow::Result<NewEndpoint<'_>> {
        Ok(NewEndpoint {
            name: &self.name,
            url: &self.url,
            events: &self.event,
            channels: &self.channel,
            description: self.description.as_deref(),
            tenant: self.tenant.as_deref(),
            version: self.api_version.as_deref(),
            transforms: self.transform.iter().map(link).collect::<anyhow::Result<_>>()?,
            body: self.body.map(BodyForm::word),
            signature: self.signature.as_ref().map(scheme),
            secret: self.secret.as_ref().map(secret::read).transpose()?,
            auth: self.auth()?,
            headers: self.header.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            retry: self.retries(),
            timeout: self.timeout.map(format_span),
            success: self.success.as_ref().map(codes),
            rate_limit: self
                .rate
                .map(|rate| RateLimit { requests: rate.requests, per: format_span(rate.per) }),
            concurrency: self.concurrency,
            auto_disable: self.auto_disable.map(patience),
            order: self.ordered.then(|| self.park_after.map_or(Order::Wait, |after| Order::Park { after })),
            enabled: !self.disabled,
        })
    }

    fn auth(&self) -> anyhow::Result<Option<Auth>> {
        if let Some(token) = &self.bearer {
            return Ok(Some(Auth::Bearer { token: token.read()?.trim_end().to_owned() }));
        }
        let Some(basic) = &self.basic else { return Ok(None) };
        let text = basic.read()?;
        let (username, password) =
            text.trim_end().split_once(':').context("--basic is not of the form USER:PASSWORD")?;
        Ok(Some(Auth::Basic { username: username.to_owned(), password: password.to_owned() }))
    }

    fn retries(&self) -> Option<Retry> {
        let every = self
            .every
            .map(|every| Retry::Every { every: format_span(every), lasting: self.lasting.map(format_span) });
        every.or_else(|| {
            self.retry.as_ref().map(|schedule| match argument::spans(schedule) {
                spans if spans.is_empty() => Retry::Once { attempts: 1 },
                schedule => Retry::Schedule { schedule },
            })
        })
    }
}

fn link(transform: &Transform) -> anyhow::Result<Link> {
    let plugin = transform.plugin.clone();
    let read = |text: &Text| {
        let json = text.read()?;
        RawValue::from_string(json.trim().to_owned())
            .with_context(|| format!("the configuration of `{plugin}` is not JSON"))
    };
    let config = transform.config.as_ref().map(read).transpose()?;
    Ok(Link { plugin, config })
}

fn scheme(signature: &SignatureScheme) -> Scheme<'_> {
    match signature {
        SignatureScheme::Standard => Scheme::Standard,
        SignatureScheme::StandardAsymmetric => Scheme::StandardAsymmetric,
        SignatureScheme::HmacSha256 { header, prefix } => Scheme::HmacSha256 { header, prefix },
    }
}

fn codes(success: &Success) -> Codes<'_> {
    match success {
        Success::Any2xx => Codes::Any("2xx"),
        Success::Only(codes) => Codes::Only(codes),
    }
}

fn patience(policy: AutoDisable) -> serde_json::Value {
    let after = policy.after.map(format_span);
    match (policy.after_failures, after) {
        (None, None) => "off".into(),
        (Some(failures), None) => serde_json::json!({"failures": failures}),
        (None, Some(after)) => serde_json::json!({"after": after}),
        (Some(failures), Some(after)) => serde_json::json!({"failures": failures, "after": after}),
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    if json {
        let all: Vec<Box<RawValue>> = client.all(PATH).await?;
        return Ok(say(&serde_json::to_string(&all)?)?);
    }
    let endpoints: Vec<Shown> = client.all(PATH).await?;
    if endpoints.is_empty() {
        eprintln!("No endpoints yet.\nhint: hookwright endpoint add NAME URL --event '*'");
        return Ok(());
    }
    let mut table =
        Table::new(["ID", "NAME", "STATUS", "SUCCESS", "LAST DELIVERY", "VERSION", "EVENTS", "CHAIN", "URL"]);
    for endpoint in endpoints {
        let rate = endpoint.success_rate.map(|rate| format!("{:.1} %", rate * 100.0)).unwrap_or_default();
        let last = endpoint.last_delivery_at.clone().unwrap_or_default();
        let (events, chain) = (endpoint.events.join(","), endpoint.chain());
        let version = endpoint.version.unwrap_or_else(|| "-".to_owned());
        let Shown { id, name, status, url, .. } = endpoint;
        table.row([id, name, status, rate, last, version, events, chain, url]);
    }
    Ok(say(&table.to_string())?)
}

/// An endpoint is shown as the API shows it, laid out: all of it matters to whoever asks for one.
async fn show(client: &Client, endpoint: &str) -> anyhow::Result<()> {
    let answer = client.get(&path(client, endpoint).await?, &[]).await?;
    Ok(say(&json::pretty(&answer.text).unwrap_or(answer.text))?)
}

async fn set_enabled(client: &Client, endpoint: &str, body: &str, json: bool) -> anyhow::Result<()> {
    let answer = client.patch(&path(client, endpoint).await?, body.to_owned()).await?;
    if json {
        return answer.print();
    }
    let shown: Shown = answer.read()?;
    let state = if shown.status == "disabled" { "Disabled" } else { "Enabled" };
    Ok(say(&format!("{state} {}  {}", shown.id, one_line(&shown.name)))?)
}

impl Patch {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.patch(&path(client, &self.endpoint).await?, self.data.read()?).await?;
        if json {
            return answer.print();
        }
        let shown: Shown = answer.read()?;
        Ok(say(&format!("Changed {}  {}", shown.id, one_line(&shown.name)))?)
    }
}

impl Test {
    /// # Errors
    ///
    /// Where the event did not arrive too, once it is shown.
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let payload = self.data.as_ref().map(Text::read).transpose()?;
        let payload = payload.map(|text| RawValue::from_string(text.trim().to_owned()));
        let payload = payload.transpose().context("--data is not JSON")?;
        let event = TestEvent { event_type: self.event_type.as_deref(), payload };
        let path = format!("{}/test", path(client, &self.endpoint).await?);
        let answer = client.post(&path, serde_json::to_string(&event)?).await?;
        let attempt: Attempt = answer.read()?;
        if json {
            answer.print()?;
        } else {
            say(&attempt.shown(Paint::stdout()))?;
        }
        anyhow::ensure!(attempt.arrived(), "the test event did not arrive");
        Ok(())
    }
}

impl Delete {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let id = find(client, &self.endpoint).await?;
        if !self.yes && !confirmed(&format!("Delete {id}? What waits for it is cancelled. [y/N] "))? {
            bail!("nothing was deleted");
        }
        client.delete(&format!("{PATH}/{}", segment(&id))).await?;
        if json { Ok(()) } else { Ok(say(&format!("Deleted {id}"))?) }
    }
}

/// Asks on a terminal. Where there is none, nobody can have agreed.
pub fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask on\nhint: agree with `--yes`");
    }
    let mut err = io::stderr().lock();
    err.write_all(question.as_bytes())?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn path(client: &Client, endpoint: &str) -> anyhow::Result<String> {
    Ok(format!("{PATH}/{}", segment(&find(client, endpoint).await?)))
}

/// The id of an endpoint that is named by its id or its name.
pub async fn find(client: &Client, endpoint: &str) -> anyhow::Result<String> {
    if endpoint.starts_with(crate::id::EndpointId::PREFIX) {
        return Ok(endpoint.to_owned());
    }
    let all: Vec<Shown> = client.all(PATH).await?;
    let mut named = all.into_iter().filter(|other| other.name == endpoint);
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only.id),
        (Some(_), Some(_)) => bail!("several endpoints are named `{endpoint}`; say which one by its id"),
        (None, _) => bail!("there is no endpoint named `{endpoint}`\nhint: hookwright endpoint list"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    fn body(line: &[&str]) -> String {
        let line =
            Line::try_parse_from(["add", "crm", "https://example.com"].iter().chain(line)).expect("a line");
        serde_json::to_string(&line.add.body().expect("a body")).expect("JSON")
    }

    #[test]
    fn what_is_not_said_is_left_to_the_server() {
        assert_eq!(
            body(&["--event", "*"]),
            r#"{"name":"crm","url":"https://example.com","events":["*"],"enabled":true}"#
        );
    }

    #[test]
    fn everything_that_can_be_said() {
        let text = body(&[
            "--event=invoice.*",
            "--event=a.b",
            "--channel=eu",
            "--api-version=2026-03",
            "--transform=flatten",
            r#"--transform=filter={"keep":{"path":"n","gte":12345678901234567890.10}}"#,
            "--body=ecmascript",
            "--signature=hmac:X-RevKeen-Signature:sha256=",
            "--secret=an-own-secret-text",
            "--basic=user:pass:word",
            "--header=X-A=1",
            "--every=10s",
            "--for=72h",
            "--timeout=10s",
            "--success=200,201",
            "--rate=1/1s",
            "--concurrency=4",
            "--auto-disable=10",
            "--ordered",
            "--park-after=3",
            "--disabled",
        ]);
        let expected = concat!(
            r#"{"name":"crm","url":"https://example.com","events":["invoice.*","a.b"],"channels":["eu"],"#,
            r#""version":"2026-03","transforms":[{"plugin":"flatten"},{"plugin":"filter","config":{"keep":{"path":"n","gte":12345678901234567890.10}}}],"#,
            r#""body":"ecmascript","signature":{"scheme":"hmac-sha256","header":"X-RevKeen-Signature","prefix":"sha256="},"#,
            r#""secret":"an-own-secret-text","#,
            r#""auth":{"type":"basic","username":"user","password":"pass:word"},"headers":{"X-A":"1"},"#,
            r#""retry":{"every":"10s","for":"3d"},"timeout":"10s","success":[200,201],"#,
            r#""rate_limit":{"requests":1,"per":"1s"},"concurrency":4,"auto_disable":{"failures":10},"order":{"head":"park","after":3},"enabled":false}"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn forms_of_retrying() {
        assert!(body(&["--event=*", "--retry=1m,5m"]).contains(r#""retry":{"schedule":["1m","5m"]}"#));
        assert!(body(&["--event=*", "--retry=none"]).contains(r#""retry":{"attempts":1}"#));
        assert!(body(&["--event=*", "--every=10s"]).contains(r#""retry":{"every":"10s"}"#));
        assert!(body(&["--event=*", "--bearer=t"]).contains(r#""auth":{"type":"bearer","token":"t"}"#));
    }
}
