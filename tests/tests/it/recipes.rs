//! The recipes, through the command line and the real host: each is applied as it stands, and its receiver gets what
//! the service behind it would.

use std::fmt::Display;
use std::process::{Command, Output, Stdio};

use hookwright::receiver::{Arrival, Signature};
use hookwright_tests::harness::{Mailbox, runtime, seed, until};
use hookwright_tests::process::{Api, KEY, Launch, Process};
use http::Method;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");

/// A host whose recipes all lead to one receiver.
struct Kitchen {
    host: Process,
    receiver: Mailbox,
    folder: tempfile::TempDir,
}

impl Kitchen {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        seed(&data);
        Self { host: Launch::new(BINARY, &data).start(), receiver: Mailbox::open().await, folder }
    }

    /// Makes the host what the recipe says, with the receiver in the service's place.
    fn apply(&self, recipe: &str) -> String {
        let output = self.run(&["apply", "--recipe", recipe, "--yes"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{recipe}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(words).stdin(Stdio::null()).env("HOOKWRIGHT_KEY", KEY);
        command.env("HOOKWRIGHT_URL", format!("http://{}", self.host.address()));
        let url = self.receiver.url("/service");
        for name in [
            "AUDIT_URL",
            "CRM_URL",
            "ELT_TRIGGER_URL",
            "FEISHU_WEBHOOK_URL",
            "JIRA_ISSUE_URL",
            "MAKE_HOOK_URL",
            "SHEETS_SCRIPT_URL",
            "SLACK_WEBHOOK_URL",
            "ZAPIER_HOOK_URL",
        ] {
            command.env(name, &url);
        }
        for (name, value) in [
            ("AUDIT_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("ELT_TOKEN", "elt-token"),
            ("FEISHU_SECRET", "feishu-secret"),
            ("HUBSPOT_TOKEN", "hubspot-token"),
            ("JIRA_PROJECT", "OPS"),
            ("JIRA_TOKEN", "jira-token"),
            ("JIRA_USER", "ops@example.com"),
        ] {
            command.env(name, value);
        }
        command.output().expect("the binary runs")
    }

    fn api(&self) -> Api {
        self.host.api()
    }

    /// What the service gets for an event, which then is delivered.
    async fn served(&mut self, event_type: &str, payload: impl Display) -> Arrival {
        let posted = self.post(event_type, &payload).await;
        let arrival = self.receiver.next().await;
        assert_eq!(self.ended(&posted).await, "delivered", "{payload}");
        arrival
    }

    async fn filtered(&self, event_type: &str, payload: impl Display) {
        let posted = self.post(event_type, &payload).await;
        assert_eq!(self.ended(&posted).await, "filtered", "{payload}");
    }

    async fn post(&self, event_type: &str, payload: impl Display) -> String {
        let event =
            format!(r#"{{"type":"{event_type}","timestamp":"2026-03-22T08:30:00Z","payload":{payload}}}"#);
        let posted = self.api().expect(Method::POST, "/v1/events", &event, 202).await;
        posted["id"].as_str().expect("an id").to_owned()
    }

    /// The state in which its one delivery ends.
    async fn ended(&self, event: &str) -> String {
        let path = format!("/v1/events/{event}");
        until("its delivery ends", async || {
            let event = self.api().expect(Method::GET, &path, "", 200).await;
            let state = event["deliveries"][0]["state"].as_str().unwrap_or_default().to_owned();
            (state != "pending").then_some(state)
        })
        .await
    }
}

fn play(scene: impl AsyncFnOnce(&mut Kitchen)) {
    runtime().block_on(async {
        let mut kitchen = Kitchen::open().await;
        scene(&mut kitchen).await;
    });
}

fn body(arrival: &Arrival) -> Value {
    serde_json::from_slice(&arrival.body).expect("JSON")
}

/// The page's own sample, to the byte: the order of its custom fields counts.
fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/samples/recordengine/document.exported.json");
    std::fs::read_to_string(path).expect("a sample")
}

/// Where the sample leads.
const DOC_URL: &str = "https://yourinstance.recordengine.ai/api/document/42/view";

const LEAD: &str = r#"{"leadId":"clx1","name":"John Doe","email":"john@example.com","source":"lead-tool","sessionId":"rkt_abc123"}"#;

fn lead() -> Value {
    serde_json::from_str(LEAD).expect("JSON")
}

#[test]
fn k15_contract_to_slack() {
    play(async |kitchen| {
        kitchen.apply("contract-to-slack");
        let file = json!({"filename": "contract_acme.pdf", "pages": 12, "summary": "Two years, <Acme>.", "url": "https://app.example.com/files/1"});
        let message = body(&kitchen.served("file.ingested", &file).await);
        assert_eq!(message["text"], "New contract: contract_acme.pdf");
        let text = message.to_string();
        assert!(text.contains("Two years, &lt;Acme&gt;."), "{text}");
        assert!(text.contains("<https://app.example.com/files/1|Open the contract>"), "{text}");
        kitchen.filtered("file.ingested", &json!({"filename": "holiday.jpg"})).await;
    });
}

#[test]
fn k15_insight_to_jira() {
    play(async |kitchen| {
        kitchen.apply("insight-to-jira");
        kitchen.receiver.answer(201);
        let insight = json!({"insight_id": "ins_5", "record_id": "rec_8", "title": "Renewal due", "severity": "high", "text": "Unless it is cancelled."});
        let arrival = kitchen.served("ai.insight.generated", &insight).await;
        assert_eq!(arrival.header("authorization"), Some("Basic b3BzQGV4YW1wbGUuY29tOmppcmEtdG9rZW4="));
        let fields = &body(&arrival)["fields"];
        assert_eq!(fields["project"], json!({"key": "OPS"}));
        assert_eq!(fields["summary"], "Renewal due");
        assert!(fields["description"].to_string().contains("Unless it is cancelled."), "{fields}");
        let id = arrival.header("webhook-id").expect("an id");
        assert_eq!(fields["labels"], json!(["ai-insight", id]));
        kitchen.filtered("ai.insight.generated", &json!({"title": "Nothing much", "severity": "low"})).await;
    });
}

#[test]
fn k15_sync_to_elt() {
    play(async |kitchen| {
        kitchen.apply("sync-to-elt");
        let sync = json!({"sync_id": "syn_77", "records": 1240, "failed": 0});
        let arrival = kitchen.served("sync.completed", &sync).await;
        assert_eq!(arrival.header("authorization"), Some("Bearer elt-token"));
        assert_eq!(body(&arrival), sync);
        kitchen.filtered("sync.completed", &json!({"sync_id": "syn_78", "failed": 3})).await;
    });
}

#[test]
fn k15_sensitive_to_audit() {
    play(async |kitchen| {
        kitchen.apply("sensitive-to-audit");
        let scheme = hookwright::signature::SignatureScheme::Standard;
        kitchen.receiver.expect("/service", scheme, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let record = json!({"id": "rec_1", "type": "contract", "status": "signed"});
        let arrival = kitchen.served("record.updated", &record).await;
        assert_eq!(arrival.signature, Signature::Verified, "{arrival:?}");
        assert_eq!(body(&arrival), record);
        kitchen.filtered("record.created", &json!({"id": "rec_2", "type": "note"})).await;
    });
}

/// Nested where Make can read it as JSON, flat as columns, and the same columns where a document has fewer fields.
#[test]
fn e5_flat_columns() {
    play(async |kitchen| {
        kitchen.apply("document-to-make");
        let full = kitchen.served("document.exported", document()).await;
        let columns = body(&full);
        assert_eq!(columns["custom_01"], "PO-2026-099");
        assert_eq!(columns["custom_02"], "Finance Manager");
        assert_eq!(columns["custom_20"], Value::Null);
        assert_eq!(columns["document.custom_fields.PO Number"], "PO-2026-099");
        assert!(
            columns.as_object().expect("flat").values().all(|value| !value.is_object() && !value.is_array())
        );
        let bare = json!({"document": {"id": 7, "filename": "bare.pdf"}});
        let bare = body(&kitchen.served("document.exported", &bare).await);
        for key in ["custom_01", "custom_20", "document.doc_url", "document.total_amount"] {
            assert_eq!(bare.get(key), Some(&Value::Null), "{key}: {bare}");
        }
    });
}

/// The link as a column, and in a message.
#[test]
fn e6_deep_link() {
    play(async |kitchen| {
        kitchen.apply("document-to-slack");
        let message = body(&kitchen.served("document.exported", document()).await).to_string();
        assert!(message.contains(&format!("<{DOC_URL}|Open the document>")), "{message}");
    });
    play(async |kitchen| {
        kitchen.apply("document-to-make");
        let columns = body(&kitchen.served("document.exported", document()).await);
        assert_eq!(columns["document.doc_url"], DOC_URL);
    });
}

#[test]
fn e7_feishu() {
    play(async |kitchen| {
        kitchen.apply("document-to-feishu");
        kitchen.receiver.say_first([(200, r#"{"code":0,"msg":"success"}"#)]);
        let message = body(&kitchen.served("document.exported", document()).await);
        assert_eq!(message["msg_type"], "interactive");
        assert!(message["sign"].is_string() && message["timestamp"].is_string(), "{message}");
        assert!(message.to_string().contains("INV-2026-0042"), "{message}");
    });
}

#[test]
fn e7_google_sheets() {
    play(async |kitchen| {
        kitchen.apply("document-to-sheets");
        // As Apps Script does once the script has run.
        let to = "https://script.googleusercontent.com/macros/echo?user_content_key=x";
        kitchen.receiver.answer_first_with(302, "location", to);
        let rows = body(&kitchen.served("document.exported", document()).await);
        assert_eq!(rows["sheet"], "Documents");
        assert_eq!(rows["rows"].as_array().map(Vec::len), Some(1), "{rows}");
        assert_eq!(rows["rows"][0][1], "INV-2026-0042");
    });
}

#[test]
fn e7_slack() {
    play(async |kitchen| {
        kitchen.apply("document-to-slack");
        let message = body(&kitchen.served("document.exported", document()).await);
        assert_eq!(message["text"], "Invoice INV-2026-0042 from Acme Supplies Ltd");
    });
}

#[test]
fn t7_leads() {
    play(async |kitchen| {
        kitchen.apply("lead-to-zapier");
        assert_eq!(body(&kitchen.served("lead.captured", &lead()).await), lead());
    });
    play(async |kitchen| {
        kitchen.apply("lead-to-make");
        let columns = body(&kitchen.served("lead.captured", &json!({"leadId": "clx1"})).await);
        assert_eq!(columns["email"], Value::Null, "a column that is always there: {columns}");
        assert_eq!(columns["leadId"], "clx1");
    });
    play(async |kitchen| {
        kitchen.apply("lead-to-crm");
        let arrival = kitchen.served("lead.captured", &lead()).await;
        assert_eq!(arrival.header("authorization"), Some("Bearer hubspot-token"));
        let expected = json!({"email": "john@example.com", "firstname": "John Doe", "hs_lead_status": "NEW", "lifecyclestage": "lead"});
        assert_eq!(body(&arrival)["properties"], expected);
        kitchen.filtered("lead.captured", &json!({"leadId": "clx2", "name": "No address"})).await;
    });
}

#[test]
fn a_recipe_is_listed_shown_and_applied_once() {
    play(async |kitchen| {
        let listed = kitchen.run(&["recipe", "list", "--json"]);
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
        let names =
            listed["recipes"].as_array().expect("a list").iter().map(|recipe| recipe["name"].as_str());
        let names: Vec<&str> = names.map(|name| name.expect("a name")).collect();
        for name in &names {
            let said = kitchen.apply(name);
            assert!(said.contains("+ endpoint"), "{name}: {said}");
            assert!(
                said.contains("shown this once: whsec_") != (*name == "sensitive-to-audit"),
                "{name}: {said}"
            );
            assert_eq!(kitchen.apply(name).trim(), "Nothing to change.", "{name}");
        }
        let file = kitchen.folder.path().join("mine.toml").display().to_string();
        assert!(kitchen.run(&["recipe", "show", names[0], "-o", &file]).status.success());
        assert!(
            !kitchen.run(&["recipe", "show", names[0], "-o", &file]).status.success(),
            "it overwrites nothing"
        );
        assert!(kitchen.run(&["apply", "-f", &file, "--dry-run"]).status.success());
    });
}
