//! Tests of answers, between a client and a server of HTTP/2.

use futures::FutureExt;
use h2::RecvStream;

use super::super::testing::{Exchange, exchange};
use super::*;

fn head() -> HttpTask {
    let mut head = ResponseHeader::build(200, None).expect("a head");
    for (name, value) in [("connection", "close"), ("keep-alive", "1"), ("transfer-encoding", "chunked"), ("x", "y")] {
        head.insert_header(name, value).expect("valid");
    }
    HttpTask::Header(Box::new(head), false)
}

fn interim(status: u16) -> HttpTask {
    HttpTask::Header(Box::new(ResponseHeader::build(status, None).expect("a head")), false)
}

fn piece(size: usize, end: bool) -> HttpTask {
    HttpTask::Body(Some(Bytes::from(vec![b'x'; size])), end)
}

async fn write(answer: &mut Answer, tasks: impl IntoIterator<Item = HttpTask>) -> Result<bool> {
    tasks.into_iter().for_each(|task| answer.queue(task));
    answer.flush().await
}

/// The bytes of a body, and how it ended.
async fn read(mut body: RecvStream) -> (usize, std::result::Result<Option<HeaderMap>, h2::Error>) {
    let mut size = 0;
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => {
                size += piece.len();
                body.flow_control().release_capacity(piece.len()).expect("room");
            }
            Err(error) => return (size, Err(error)),
        }
    }
    (size, body.trailers().await)
}

#[tokio::test]
async fn an_answer_has_its_time_and_nothing_of_a_connection_and_ends_with_its_trailers() {
    let Exchange { answer, response, .. } = exchange(1 << 20).await;
    let mut answer = Answer::new(answer);
    let trailers: HeaderMap = [(HeaderName::from_static("t"), "1".parse().expect("a value"))].into_iter().collect();
    let tasks = [head(), piece(3, false), piece(0, false), HttpTask::Trailer(Some(Box::new(trailers))), HttpTask::Done];
    assert!(write(&mut answer, tasks).await.expect("written"));
    let response = response.await.expect("answered");
    let mut names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["date", "x"]);
    let (size, trailers) = read(response.into_body()).await;
    assert_eq!((size, answer.sent(), trailers.expect("whole").expect("trailers")["t"] == "1"), (3, 3, true));
    assert!(write(&mut answer, [head(), piece(9, true)]).await.expect("nothing happens"), "it has ended");
    answer.abandon();
}

#[tokio::test]
async fn only_100_is_told_before_an_answer_and_nothing_behind_its_head() {
    let Exchange { answer, mut response, .. } = exchange(1 << 20).await;
    let mut answer = Answer::new(answer);
    write(&mut answer, [interim(103), interim(101), interim(100), head(), interim(100)]).await.expect("written");
    let told = poll_fn(|cx| response.poll_informational(cx)).await.expect("told").expect("told");
    assert_eq!(told.status(), 100);
    assert!(poll_fn(|cx| response.poll_informational(cx)).await.is_none());
    assert_eq!(response.await.expect("answered").status(), 200);
    assert_eq!(answer.head().expect("written").status, 200);
}

#[tokio::test]
async fn what_was_dropped_while_it_was_written_goes_on_where_it_stopped() {
    let Exchange { answer, response, .. } = exchange(1000).await;
    let mut answer = Answer::new(answer);
    [head(), piece(2500, false), piece(700, false), piece(0, true)].into_iter().for_each(|task| answer.queue(task));
    assert!(answer.flush().now_or_never().is_none());
    assert!(answer.has_queued() && answer.sent() <= 1000);
    let mut body = response.await.expect("answered").into_body();
    let mut size = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.expect("whole");
        size += piece.len();
        body.flow_control().release_capacity(piece.len()).expect("room");
        for _ in 0..3 {
            let _ = answer.flush().now_or_never();
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((size, answer.sent(), answer.has_queued()), (3200, 3200, false));
}

#[tokio::test(start_paused = true)]
async fn a_client_has_its_time_for_each_piece() {
    let Exchange { answer, response, .. } = exchange(1000).await;
    let mut answer = Answer::new(answer);
    answer.set_patience(Some(Duration::from_secs(60)));
    write(&mut answer, [head(), piece(1000, false)]).await.expect("there is room");
    answer.queue(piece(1, true));
    let since = tokio::time::Instant::now();
    // Whoever waits meanwhile for something else, too, does not begin anew.
    for _ in 0..3 {
        let dropped = tokio::time::timeout(Duration::from_secs(15), answer.flush()).await;
        assert!(dropped.is_err());
    }
    let late = answer.flush().await.expect_err("in vain");
    assert_eq!((late.etype(), since.elapsed()), (&ErrorType::WriteTimedout, Duration::from_secs(60)));
    drop(answer);
    let (size, end) = read(response.await.expect("answered").into_body()).await;
    assert_eq!((size, end.expect_err("torn").reason()), (1000, Some(Reason::CANCEL)));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_and_told_nothing() {
    for is_begun in [false, true] {
        let Exchange { answer, mut request, .. } = exchange(1000).await;
        let mut answer = Answer::new(answer);
        if is_begun {
            write(&mut answer, [head(), piece(1000, false)]).await.expect("written");
            answer.queue(piece(1, true));
            assert!(answer.flush().now_or_never().is_none());
        }
        request.send_reset(Reason::CANCEL);
        assert_eq!(answer.left().await.expect("a reason"), Reason::CANCEL);
        let task = if is_begun { HttpTask::Done } else { interim(100) };
        assert_eq!(write(&mut answer, [task]).await.expect_err("for nobody").etype(), &ErrorType::H2Error);
    }
}

#[tokio::test]
async fn an_answer_that_is_given_up_does_not_look_whole() {
    let Exchange { answer, response, .. } = exchange(1000).await;
    let mut answer = Answer::new(answer);
    write(&mut answer, [head()]).await.expect("written");
    let response = response.await.expect("answered");
    answer.abandon();
    let (_, end) = read(response.into_body()).await;
    assert_eq!(end.expect_err("torn").reason(), Some(Reason::INTERNAL_ERROR));
}
