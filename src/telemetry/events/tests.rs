//! Who hears of what, and when.

use std::time::Duration;

use tokio::time::Instant;

use super::kept::{BATCH, MOST};
use super::*;
use crate::api::{EngineState, Event, EventKind};

fn event(engine: u64) -> Event {
    Event::Engine { engine: engine.to_string(), model: "m".into(), state: EngineState::Ready }
}

fn numbers(heard: Option<Heard>) -> Vec<u64> {
    match heard {
        Some(Heard::Events(events)) => events.iter().map(|event| event.number).collect(),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_listener_hears_each_event_once_and_goes_on_where_it_was() {
    let bus = EventBus::numbered_from(100);
    bus.publish(&event(1));
    let mut stream = bus.listen(None);
    assert!(bus.is_heard());
    bus.publish(&event(2));
    bus.publish(&event(3));
    let Some(Heard::Events(events)) = stream.next().await else { unreachable!("there are events") };
    assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [102, 103]);
    let json = serde_json::to_string(&event(2)).expect("JSON");
    assert_eq!(
        (events[0].kind, &*events[0].message),
        (EventKind::Engine, format!("id: 102\ndata: {json}\n\n").as_bytes())
    );
    let place = stream.place();
    drop(stream);
    assert!(!bus.is_heard());
    bus.publish(&event(4));
    assert_eq!(numbers(bus.listen(Some(place)).next().await), [104]);
    assert_eq!(numbers(bus.listen(Some(100)).next().await), [101, 102, 103, 104]);
    bus.close();
    assert_eq!(bus.listen(None).next().await, None);
}

#[tokio::test]
async fn a_listener_that_is_too_slow_loses_its_place_and_is_told_and_nobody_waits_for_it() {
    let bus = EventBus::numbered_from(0);
    let mut slow = bus.listen(None);
    let most = u64::try_from(MOST).expect("fits");
    (0..=most).for_each(|number| bus.publish(&event(number)));
    assert_eq!(slow.next().await, Some(Heard::Lost));
    bus.publish(&event(0));
    assert_eq!(numbers(slow.next().await), [most + 2], "it goes on from then");
    for unknown in [0, most + 3, u64::MAX] {
        assert_eq!(bus.listen(Some(unknown)).next().await, Some(Heard::Lost), "{unknown}");
    }
}

#[tokio::test]
async fn many_events_are_taken_in_pieces_and_large_ones_are_kept_in_small_number() {
    let bus = EventBus::numbered_from(0);
    (0..1000).for_each(|number| bus.publish(&event(number)));
    let mut stream = bus.listen(Some(500));
    assert_eq!(numbers(stream.next().await).len(), BATCH);
    assert_eq!(numbers(stream.next().await).len(), 500 - BATCH);
    let large = Event::Engine { engine: "x".repeat(1 << 20), model: "m".into(), state: EngineState::Ready };
    (0..9).for_each(|_| bus.publish(&large));
    assert_eq!(bus.kept_events(), 3);
    assert_eq!(stream.next().await, Some(Heard::Lost));
    (0..2).for_each(|_| bus.publish(&large));
    assert_eq!(numbers(stream.next().await), [1010], "one that is too large comes alone");
    assert_eq!(numbers(stream.next().await), [1011]);
}

#[test]
fn what_was_true_is_true_until_a_change_or_until_what_came_since_is_gone() {
    let bus = EventBus::numbered_from(10);
    let pass = || bus.publish(&Event::Log { lines: Vec::new() });
    assert!(bus.is_unchanged_since(10));
    pass();
    assert!(bus.is_unchanged_since(10) && bus.is_unchanged_since(bus.newest()));
    bus.publish(&event(1));
    assert!(!bus.is_unchanged_since(11) && bus.is_unchanged_since(12), "engines do something else since");
    assert!(!bus.is_unchanged_since(13), "it has not happened yet");
    (0..MOST).for_each(|_| pass());
    assert!(bus.is_unchanged_since(12));
    pass();
    assert!(!bus.is_unchanged_since(12) && bus.is_unchanged_since(13), "one of those since is not kept any more");
}

#[tokio::test]
async fn the_end_of_the_bus_is_heard_by_who_waits() {
    let bus = EventBus::default();
    let mut stream = bus.listen(None);
    let waiting = tokio::spawn(async move { stream.next().await });
    tokio::task::yield_now().await;
    bus.close();
    assert_eq!(waiting.await.expect("heard"), None);
}

fn lines() -> Event {
    Event::Log { lines: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_urgent_waits_a_moment_and_each_listener_has_its_own() {
    let bus = EventBus::numbered_from(0);
    let mut streams: Vec<EventStream> = (0..8).map(|_| bus.listen(None)).collect();
    (0..2).for_each(|_| bus.publish(&lines()));
    let since = Instant::now();
    let hearing = streams.iter_mut().map(async |stream| (numbers(stream.next().await), since.elapsed()));
    let heard = futures::future::join_all(hearing).await;
    assert!(heard.iter().all(|(numbers, _)| *numbers == [1, 2]), "{heard:?}");
    let mut times: Vec<Duration> = heard.into_iter().map(|(_, time)| time).collect();
    times.sort_unstable();
    let apart = times.windows(2).all(|two| two[1] - two[0] > Duration::from_millis(15));
    assert!(apart && times[7] < Duration::from_millis(252), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_heard_at_once_with_all_that_waited_before_it() {
    let bus = EventBus::numbered_from(0);
    let mut stream = bus.listen(None);
    let began = Instant::now();
    bus.publish(&lines());
    let waiting = tokio::spawn(async move { (numbers(stream.next().await), stream) });
    tokio::task::yield_now().await;
    bus.publish(&event(1));
    let (heard, mut stream) = waiting.await.expect("heard");
    assert_eq!((heard, began.elapsed()), (vec![1, 2], Duration::ZERO));
    // So is what comes in such numbers that it would not be kept for long.
    let many = Event::Log { lines: vec![line(&"x".repeat(1 << 10)); 64] };
    (0..8).for_each(|_| bus.publish(&many));
    let mut heard = Vec::new();
    while heard.last() != Some(&10) {
        heard.extend(numbers(stream.next().await));
    }
    assert_eq!((heard.len(), began.elapsed()), (8, Duration::ZERO));
    bus.publish(&lines());
    bus.close();
    assert_eq!((numbers(stream.next().await), began.elapsed()), (vec![11], Duration::ZERO));
    assert_eq!(stream.next().await, None);
}

fn line(text: &str) -> crate::api::LogLine {
    crate::api::LogLine { from: "gateway".into(), time: None, level: None, text: text.into() }
}
