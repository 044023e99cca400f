//! A handler made of a closure.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use sealwire::core::ErrorCode;
use sealwire::core::exchange::ReceivedRequest;
use sealwire::server::{Handler, Reply};

pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Reply, ErrorCode>> + Send>>;

/// A handler made of a closure, for every gateway that starts with it.
#[derive(Clone)]
pub(crate) struct TestHandler(Arc<dyn Fn(ReceivedRequest) -> Answering + Send + Sync>);

impl TestHandler {
    pub(crate) fn new(
        answer: impl Fn(ReceivedRequest) -> Answering + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(answer))
    }
}

impl Handler for TestHandler {
    async fn handle(&self, request: ReceivedRequest) -> Result<Reply, ErrorCode> {
        (self.0)(request).await
    }
}

/// A handler of a closure that answers at once.
pub(crate) fn at_once(
    answer: impl Fn(ReceivedRequest) -> Result<Reply, ErrorCode> + Send + Sync + 'static,
) -> TestHandler {
    TestHandler::new(move |request| Box::pin(ready(answer(request))))
}
