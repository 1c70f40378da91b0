//! The admin API, `/admin/v1`: everything that an operator reads and changes, on its own listener and on the local socket.
//!
//! One table names every route with the scope that it needs. A change is stored, audited and in force before it is answered.
//!
//! | path under `/admin/v1` | methods |
//! |---|---|
//! | `/status`, `/client-address` | GET |
//! | `/users`, `/users/{username}` | GET POST, GET PATCH DELETE |
//! | `/clients`, `/clients/{client}` | GET POST, GET PATCH DELETE |
//! | `/clients/{client}/signing-keys`, `/clients/{client}/api-keys` | GET POST |
//! | `/signing-keys`, `/signing-keys/{id}` | GET, GET PATCH DELETE |
//! | `/signing-keys/{id}/secrets`, `/signing-keys/{id}/secrets/{secret}` | POST, DELETE |
//! | `/api-keys`, `/api-keys/{id}` | GET, GET PATCH DELETE |
//! | `/admin-keys`, `/admin-keys/{id}` | GET POST, GET PATCH DELETE |
//! | `/sessions`, `/sessions/{id}` | GET, DELETE |
//! | `/allow-lists`, `/allow-lists/{list}` | GET POST, GET DELETE |
//! | `/allow-lists/{list}/entries`, `/allow-lists/{list}/entries/{id}` | GET POST, GET PUT PATCH DELETE |
//! | `/decisions`, `/decisions/{request_id}` | GET |
//! | `/explain` | POST |
//! | `/audit` | GET |

mod about;
mod admin_keys;
mod allow_lists;
mod api_keys;
mod audit;
mod call;
mod clients;
mod decisions;
mod entries;
mod guard;
mod sessions;
mod signing_keys;
mod users;

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::routing::{MethodFilter, on};
use countersign_core::code::Code;
use countersign_core::directory::AdminScope;
use countersign_core::id::RequestId;
use http::{Request, Response};

pub use guard::Peer;

use crate::control::{Control, to_the_end};
use call::{Answer, Call, Failure};

/// One route. Every member must be said: a route without a scope does not compile.
struct Route {
    method: MethodFilter,
    path: &'static str,
    scope: AdminScope,
    act: Act,
}

/// What a route does.
type Act = fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send>>;

/// Writes the table: method, path, scope, function.
macro_rules! routes {
    ($($method:ident $path:literal $scope:ident $act:path;)*) => {
        &[$(Route {
            method: MethodFilter::$method,
            path: concat!("/admin/v1", $path),
            scope: AdminScope::$scope,
            act: |call| Box::pin($act(call)),
        },)*]
    };
}

const ROUTES: &[Route] = routes! {
    GET "/status" Read about::status;
    GET "/client-address" Read about::client_address;
    GET "/users" Read users::list;
    POST "/users" Users users::add;
    GET "/users/{username}" Read users::read;
    PATCH "/users/{username}" Users users::change;
    DELETE "/users/{username}" Users users::remove;
    GET "/sessions" Read sessions::list;
    DELETE "/sessions/{id}" Users sessions::end;
    GET "/clients" Read clients::list;
    POST "/clients" Clients clients::add;
    GET "/clients/{client}" Read clients::read;
    PATCH "/clients/{client}" Clients clients::change;
    DELETE "/clients/{client}" Clients clients::remove;
    GET "/clients/{client}/signing-keys" Read signing_keys::list_of_client;
    POST "/clients/{client}/signing-keys" Clients signing_keys::add;
    GET "/clients/{client}/api-keys" Read api_keys::list_of_client;
    POST "/clients/{client}/api-keys" Clients api_keys::add;
    GET "/signing-keys" Read signing_keys::list;
    GET "/signing-keys/{id}" Read signing_keys::read;
    PATCH "/signing-keys/{id}" Clients signing_keys::change;
    DELETE "/signing-keys/{id}" Clients signing_keys::remove;
    POST "/signing-keys/{id}/secrets" Clients signing_keys::add_secret;
    DELETE "/signing-keys/{id}/secrets/{secret}" Clients signing_keys::remove_secret;
    GET "/api-keys" Read api_keys::list;
    GET "/api-keys/{id}" Read api_keys::read;
    PATCH "/api-keys/{id}" Clients api_keys::change;
    DELETE "/api-keys/{id}" Clients api_keys::remove;
    GET "/admin-keys" Read admin_keys::list;
    POST "/admin-keys" AdminKeys admin_keys::add;
    GET "/admin-keys/{id}" Read admin_keys::read;
    PATCH "/admin-keys/{id}" AdminKeys admin_keys::change;
    DELETE "/admin-keys/{id}" AdminKeys admin_keys::remove;
    GET "/allow-lists" Read allow_lists::list;
    POST "/allow-lists" AllowLists allow_lists::add;
    GET "/allow-lists/{list}" Read allow_lists::read;
    DELETE "/allow-lists/{list}" AllowLists allow_lists::remove;
    GET "/allow-lists/{list}/entries" Read entries::list;
    POST "/allow-lists/{list}/entries" AllowLists entries::add;
    GET "/allow-lists/{list}/entries/{id}" Read entries::read;
    PUT "/allow-lists/{list}/entries/{id}" AllowLists entries::replace;
    PATCH "/allow-lists/{list}/entries/{id}" AllowLists entries::patch;
    DELETE "/allow-lists/{list}/entries/{id}" AllowLists entries::remove;
    GET "/decisions" Read decisions::list;
    GET "/decisions/{request_id}" Clients decisions::read;
    POST "/explain" Clients decisions::explain_given;
    GET "/audit" Read audit::list;
};

/// Routes the admin API. Whoever serves it puts the [`Peer`] into each request's extensions.
pub fn router(control: Arc<Control>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let serve = move |State(control): State<Arc<Control>>, params: RawPathParams, request: Request<Body>| async move {
            let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            serve(control, route, params, request).await
        };
        router = router.route(route.path, on(route.method, serve));
    }
    router.method_not_allowed_fallback(wrong_method).fallback(no_such_path).with_state(control)
}

/// One request, from its head to its answer.
async fn serve(control: Arc<Control>, route: &'static Route, params: Vec<(String, String)>, request: Request<Body>) -> Response<Body> {
    let id = request_id(&control);
    let outcome = async {
        let (head, body) = request.into_parts();
        let peer = guard::peer(&head)?;
        guard::refuse_browsers_of_others(&head, peer)?;
        let caller = guard::find_caller(&control, &head, peer)?;
        caller.may(route.scope)?;
        let call = Call::read(control, id.clone(), peer, caller, params, head, body).await?;
        to_the_end((route.act)(call)).await?
    };
    match outcome.await {
        Ok(answer) => answer.render(&id),
        Err(failure) => failure.render(&id),
    }
}

async fn wrong_method(State(control): State<Arc<Control>>) -> Response<Body> {
    Failure::from(Code::MethodNotAllowed).render(&request_id(&control))
}

async fn no_such_path(State(control): State<Arc<Control>>) -> Response<Body> {
    Failure::from(Code::NotFound).render(&request_id(&control))
}

/// A new id. Without randomness all requests have the same one, which is better than none.
fn request_id(control: &Control) -> RequestId {
    RequestId::new(control.fresh().unwrap_or(countersign_core::fresh::Fresh::new([0; 10])))
}

#[cfg(test)]
mod tests;
