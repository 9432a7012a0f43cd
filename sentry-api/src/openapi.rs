//! The HTTP API's description in the form of OpenAPI 3.1, made from the [`shape`](crate::shape)s themselves.
//! <https://spec.openapis.org/oas/v3.1.1.html>

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::error::{ErrorBody, ErrorKind};
use crate::query::{AuditQuery, ExplainQuery, HistoryQuery, StatusQuery, WhyQuery};
use crate::shape::{
    Acknowledgement, ApproveRequest, Audit, Documents, EmptyRequest, Event, History, RerunRequest,
    Show, Status, SuspendRequest, SuspensionAcknowledgement, TriggerRequest, Why,
};
use crate::words::{ClosedList as _, WATCH, Word};

/// Where schemas that others refer to stand.
const SCHEMAS: &str = "/components/schemas";

/// The description of everything below `/api/v1`, as a server answers it at `/api/v1/openapi.json`.
#[must_use]
pub fn description() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = SCHEMAS.into();
    settings.meta_schema = None;
    settings.transforms.push(Box::new(RecursiveTransform(without_links)));
    let mut paths = Paths { schemas: settings.into_generator(), paths: Map::new() };
    paths.questions();
    paths.requests();
    let error = paths.schemas.subschema_for::<ErrorBody>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sentry",
            "version": crate::VERSION.to_string(),
            "description": "The same answers as the command line, in the same JSON. Keys may be \
                            added; clients must \
                            ignore keys they don't know.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths.paths,
        "components": {
            "schemas": paths.schemas.take_definitions(true),
            "responses": errors(&error),
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of `server` in sentry.yaml that may read, or trigger, which is \
                                everything.",
            }},
        },
    })
}

/// Links of Rust's documentation lead nowhere here: their names stay.
fn without_links(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace("[`", "`").replace("`]", "`");
    }
}

/// One answer for each status that an error can have.
fn errors(body: &Schema) -> Map<String, Value> {
    let mut kinds: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for kind in ErrorKind::all().map(Word::Known) {
        kinds.entry(kind.http_status()).or_default().push(format!("`{kind}`"));
    }
    let answer = |(status, kinds): (u16, Vec<String>)| {
        let content = json!({"application/json": {"schema": body}});
        let text = format!("Error: {}.", kinds.join(", "));
        (format!("error{status}"), json!({"description": text, "content": content}))
    };
    kinds.into_iter().map(answer).collect()
}

/// One route: what it is called, and what it does.
#[derive(Clone, Copy)]
struct Route<'a> {
    path: &'a str,
    name: &'a str,
    summary: &'a str,
    /// The statuses of its errors, beside those that every route has.
    errors: &'a [u16],
}

/// Every route may answer with these: a question that can't be meant, no token, a wrong token, no such thing, another
/// agent or more than one thing of that name, too many questions at a time, a state that can't be read.
const ERRORS: &[u16] = &[400, 401, 403, 404, 409, 429, 500, 503];
/// Those that ask forge or cluster may answer with these as well.
const FAR_ERRORS: &[u16] = &[422, 502];

struct Paths {
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Paths {
    fn questions(&mut self) {
        let near = |path, name, summary| Route { path, name, summary, errors: &[] };
        self.ask::<StatusQuery, Status>(near(
            "/status",
            "status",
            "Per branch: what was seen, what was delivered and what comes next.",
        ));
        self.ask::<WhyQuery, Why>(near(
            "/why/{commit}",
            "why",
            "Why a commit of A was delivered, or why not.",
        ));
        self.ask::<HistoryQuery, History>(near(
            "/deliveries",
            "history",
            "Deliveries, newest first.",
        ));
        self.ask::<(), Show>(near("/deliveries/{id}", "show", "One delivery."));
        self.ask::<AuditQuery, Audit>(near("/audit", "audit", "Who asked for what, newest first."));
        self.ask::<(), Acknowledgement>(near(
            "/triggers/{trigger}",
            "triggerState",
            "The state of a trigger.",
        ));
        self.ask::<ExplainQuery, Documents>(Route {
            path: "/explain",
            name: "explain",
            summary: "What would happen to each document of B. Nothing is written anywhere.",
            errors: FAR_ERRORS,
        });
        self.ask::<(), Event>(Route {
            path: "/events",
            name: "events",
            summary: "A stream of server-sent events, each with one such object as its data.",
            errors: &[],
        });
        let answer = &mut self.paths["/events"]["get"]["responses"]["200"]["content"];
        let event = answer["application/json"]["schema"].take();
        // A stream is no JSON: what each of its events holds is told beside it.
        *answer = json!({"text/event-stream": {"schema": {"type": "string"}, "x-event": event}});
    }

    fn requests(&mut self) {
        let route = |path, name, summary| Route { path, name, summary, errors: &[] };
        self.request::<TriggerRequest, Acknowledgement>(
            route(
                "/trigger",
                "trigger",
                "Requests a delivery; acknowledged once the request is stored.",
            ),
            true,
        );
        self.request::<EmptyRequest, Acknowledgement>(
            route(
                "/deliveries/{id}/retry",
                "retry",
                "Requests another attempt of a failed or parked delivery; nothing that ran runs \
                 twice.",
            ),
            true,
        );
        self.request::<EmptyRequest, Acknowledgement>(
            route(
                "/deliveries/{id}/cancel",
                "cancel",
                "Requests the end of a delivery: nothing more of it is started, and its runs are \
                 cancelled.",
            ),
            true,
        );
        self.request::<RerunRequest, Acknowledgement>(
            route(
                "/deliveries/{id}/rerun",
                "rerun",
                "Requests new runs of an earlier delivery's commits.",
            ),
            true,
        );
        self.request::<ApproveRequest, Acknowledgement>(
            route(
                "/watches/{name}/pulls/{number}/approve",
                "approve",
                "Approves the head of a fork's pull request: a delivery is made of exactly that. The token must have the \
                 right `approve`.",
            ),
            true,
        );
        self.request::<SuspendRequest, SuspensionAcknowledgement>(
            route("/watches/{name}/suspend", "suspend", "Suspends a watch: it starts nothing new."),
            false,
        );
        self.request::<EmptyRequest, SuspensionAcknowledgement>(
            route("/watches/{name}/resume", "resume", "Ends a suspension."),
            false,
        );
    }

    /// A route that is asked by GET, with the fields of `Q` as its query.
    fn ask<Q: JsonSchema, A: JsonSchema>(&mut self, route: Route) {
        let mut parameters = in_path(route.path);
        let query = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Q>();
        parameters.extend(in_query(&query));
        self.add::<A>("get", route, &parameters, None);
    }

    /// A route that is sent a `B` by POST; no body at all is `{}`.
    fn request<B: JsonSchema, A: JsonSchema>(&mut self, route: Route, repeats: bool) {
        let mut parameters = in_path(route.path);
        if repeats {
            parameters.push(json!({
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A request that reuses a key returns the earlier request.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$"},
            }));
        }
        let schema = self.schemas.subschema_for::<B>();
        let body = json!({"required": false, "content": {"application/json": {"schema": schema}}});
        self.add::<A>("post", route, &parameters, Some(body));
    }

    fn add<A: JsonSchema>(
        &mut self,
        method: &str,
        route: Route,
        parameters: &[Value],
        body: Option<Value>,
    ) {
        let answer = self.schemas.subschema_for::<A>();
        let content = json!({"application/json": {"schema": answer}});
        let mut responses = Map::new();
        responses.insert("200".into(), json!({"description": "The answer.", "content": content}));
        for status in ERRORS.iter().chain(route.errors) {
            let place = format!("#/components/responses/error{status}");
            responses.insert(status.to_string(), json!({"$ref": place}));
        }
        let mut operation = json!({
            "operationId": route.name,
            "summary": route.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        self.paths.entry(route.path).or_insert_with(|| json!({}))[method] = operation;
    }
}

/// The parameters that stand in a path.
fn in_path(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let (about, schema) = match name {
            "commit" => (
                "The commit of A, or its first 7 or more digits.",
                json!({"type": "string", "pattern": "^[0-9a-fA-F]{7,64}$"}),
            ),
            "id" => (
                "The delivery's id, or its first 4 or more characters.",
                json!({"type": "string", "pattern": "^[0-9a-hjkmnp-tv-zA-HJKMNP-TV-Z]{4,26}$"}),
            ),
            "number" => (
                "The pull request's number.",
                json!({"type": "string", "pattern": "^[1-9][0-9]{0,18}$"}),
            ),
            "trigger" => (
                "The trigger's id.",
                json!({"type": "string", "pattern": "^[0-9a-hjkmnp-tv-z]{26}$"}),
            ),
            _ => ("The watch.", json!({"type": "string", "pattern": WATCH})),
        };
        json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
    };
    names.map(parameter).collect()
}

/// The fields of a query, each a parameter.
fn in_query(query: &Schema) -> Vec<Value> {
    let Some(Value::Object(fields)) = query.get("properties") else { return Vec::new() };
    let parameter = |(name, field): (&String, &Value)| {
        let mut schema = field.clone();
        let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        // A field that may be left out has no word for nothing in a query.
        if let Some(Value::Array(types)) = schema.get("type") {
            schema["type"] = types[0].clone();
        }
        json!({"name": name, "in": "query", "description": about, "schema": schema})
    };
    fields.iter().map(parameter).collect()
}
