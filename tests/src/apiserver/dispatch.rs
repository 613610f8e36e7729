//! From a request to its answer.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

use super::{
    ApiServer, Inner, Settings, State,
    answer::{Failure, Reply, object, text},
    call::{Call, Target},
    discovery, eviction,
    faults::{Action, plain},
    fixtures::LOG,
    form::Form,
    resource::{PODS, Resource},
    rights,
    store::Key,
    verbs::{self, DeleteOptions},
    watch,
};

/// How a request came in.
#[derive(Clone)]
pub(super) enum Via {
    /// Through [`ApiServer::client`].
    Memory,
    /// Through an endpoint, with its readiness and whether the client showed a certificate of our CA.
    Endpoint { ready: Arc<AtomicBool>, known_client: bool },
}

impl ApiServer {
    /// Answers one request. An error is a connection that could not be made or that broke.
    pub(super) async fn handle<B>(self, request: Request<B>, via: Via) -> io::Result<Reply>
    where
        B: http_body::Body + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let call = Call::new(parts, body);
        if !self.inner.lock().settings.reachable {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused (ordered by the test)"));
        }
        let (place, strike) = {
            let mut state = self.inner.lock();
            (state.log.add(&call), state.faults.strike(&call))
        };
        let mut reply = match strike {
            Some(Action::Refuse) => {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    "connection refused (ordered by the test)",
                ));
            }
            Some(Action::Hang) => std::future::pending().await,
            Some(Action::LoseAnswer) => {
                drop(self.answer(&call, &via));
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the answer was lost (ordered by the test)",
                ));
            }
            Some(Action::Fail(failure)) => failure.reply(),
            Some(Action::Text { code, words, retry_after }) => plain(code, words, retry_after),
            Some(Action::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                self.answer(&call, &via)
            }
            Some(Action::AnswerLate(duration)) => {
                let reply = self.answer(&call, &via);
                tokio::time::sleep(duration).await;
                reply
            }
            None => self.answer(&call, &via),
        };
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&self.inner.clock.now());
        if let Some(date) = date.ok().and_then(|date| header::HeaderValue::try_from(date).ok()) {
            reply.headers_mut().insert(header::DATE, date);
        }
        self.inner.lock().log.answered(place, reply.status().as_u16());
        Ok(reply)
    }

    fn answer(&self, call: &Call, via: &Via) -> Reply {
        if let Some(failure) = rights::refusal(call, &self.inner.lock().settings.forbidden) {
            return failure.reply();
        }
        let (ready, known_client) = match via {
            Via::Memory => (true, true),
            Via::Endpoint { ready, known_client } => (ready.load(Ordering::Relaxed), *known_client),
        };
        if let Some(reply) = discovery::health(call, ready) {
            return reply;
        }
        if !known_client {
            let message = format!("forbidden: User \"system:anonymous\" cannot {} path \"{}\"", verb(call), call.path);
            return Failure::new(403, "Forbidden", message).reply();
        }
        let answer = match call.target() {
            Target::Other => {
                let Settings { git_version, forbidden, .. } = self.inner.lock().settings.clone();
                if let Some(review) = rights::review(call, &forbidden) {
                    return review;
                }
                return discovery::answer(call, &git_version).unwrap_or_else(|| text(404, "404 page not found\n"));
            }
            Target::Collection { resource, namespace } => on_collection(&self.inner, call, resource, namespace),
            Target::Object { resource, namespace, name, subresource } => {
                let key = Key::new(resource, &namespace, &name);
                on_object(&self.inner, call, &key, subresource.as_deref())
            }
        };
        answer.unwrap_or_else(|failure| failure.reply())
    }
}

fn verb(call: &Call) -> String {
    call.method.as_str().to_lowercase()
}

fn in_form(server: &Inner, call: &Call, resource: &'static Resource, code: u16, value: &Value) -> Reply {
    object(code, &*Form::of(call).render(resource, value, server.clock.now()))
}

fn on_collection(
    server: &Arc<Inner>,
    call: &Call,
    resource: &'static Resource,
    namespace: Option<String>,
) -> Result<Reply, Failure> {
    match call.method {
        Method::GET if call.flag("watch") => watch::open(server, resource, namespace, call, Form::of(call)),
        Method::GET => {
            let mut state = server.lock();
            let State { store, snapshots, .. } = &mut *state;
            let page = verbs::list(store, snapshots, resource, namespace.as_deref(), call)?;
            drop(state);
            Ok(match Form::of(call) {
                Form::Whole => object(200, &page),
                form => object(200, &*form.render(resource, &page.to_value(), server.clock.now())),
            })
        }
        Method::POST if resource.namespaced == namespace.is_some() => {
            let (body, writer) = (call.json()?, call.writer()?);
            let namespace = namespace.unwrap_or_default();
            let created = server.write(|state| verbs::create(&mut state.store, resource, &namespace, body, writer))?;
            Ok(in_form(server, call, resource, 201, &created))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

fn on_object(server: &Arc<Inner>, call: &Call, key: &Key, subresource: Option<&str>) -> Result<Reply, Failure> {
    match subresource {
        None => {}
        Some("status") if key.resource.status => {}
        Some("eviction") if key.resource == PODS && call.method == Method::POST => {
            let (body, dry_run) = (call.json()?, call.dry_run()?);
            let pod = eviction::pod(&key.namespace, &key.name);
            let status = server.write(|state| eviction::evict(&mut state.store, &pod, &body, dry_run))?;
            return Ok(object(201, &status));
        }
        Some("log") if key.resource == PODS && call.method == Method::GET => {
            let pod = verbs::get(&server.lock().store, key)?;
            return Ok(text(200, pod["metadata"]["annotations"][LOG].as_str().unwrap_or_default()));
        }
        Some(_) => return Err(Failure::new(404, "NotFound", "the server could not find the requested resource")),
    }
    match call.method {
        Method::GET => {
            let found = verbs::get(&server.lock().store, key)?;
            Ok(in_form(server, call, key.resource, 200, &found))
        }
        Method::PUT => {
            let (body, writer) = (call.json()?, call.writer()?);
            let (stored, created) = server.write(|state| {
                let created = state.store.get(key).is_none();
                (verbs::update(&mut state.store, key, subresource, body, writer), created)
            });
            Ok(in_form(server, call, key.resource, if created { 201 } else { 200 }, &*stored?))
        }
        Method::PATCH => {
            let (body, writer) = (call.json()?, call.writer()?);
            let kind = call.header(header::CONTENT_TYPE);
            let stored = server.write(|state| verbs::patch(&mut state.store, key, subresource, kind, &body, writer))?;
            Ok(in_form(server, call, key.resource, 200, &stored))
        }
        Method::DELETE if subresource.is_none() => {
            let mut options = call.json()?;
            if let Some(grace) = call.parameter("gracePeriodSeconds").and_then(|grace| grace.parse::<i64>().ok()) {
                options = if options.is_object() { options } else { json!({}) };
                options["gracePeriodSeconds"] = grace.into();
            }
            if let Some(policy) = call.parameter("propagationPolicy") {
                options = if options.is_object() { options } else { json!({}) };
                options["propagationPolicy"] = policy.into();
            }
            let options = DeleteOptions::parse(&options, call.dry_run()?)?;
            let answer = server.write(|state| verbs::delete(&mut state.store, key, &options))?;
            Ok(object(200, &answer))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}
