//! What is kept of requests, and for how long; who hears of them.

use super::super::store::MOST;
use super::*;
use crate::config::Config;
use crate::telemetry::Record;
use crate::telemetry::events::Heard;
use crate::telemetry::record::testing::record;

fn collector() -> (Collector, RequestSink, IntCounter) {
    let lost = IntCounter::new("lost", "Lost.").expect("a counter");
    let (collector, sink) = Collector::new(EventBus::default(), lost.clone());
    (collector, sink, lost)
}

fn collect(collector: &Collector) {
    let terms = collector.history.lock().requests.terms().clone();
    collector.add(entries(collector.ended(), &terms));
}

fn kept(history: &RequestHistory) -> usize {
    history.lock().requests.records().count()
}

fn config(aliases: &str) -> Config {
    let yaml = format!("models: {{ m: {{ source: m }} }}\naliases: {{ {aliases} }}\n");
    crate::config::parse(&yaml, &|_| None).expect("a configuration")
}

/// A request of `alias` in `config` ends.
fn end(sink: &RequestSink, config: &Config, alias: &str, id: &str) {
    let alias = config.aliases.iter().find(|one| &*one.name == alias).expect("an alias");
    let captured = alias.capture.as_ref().map(|terms| {
        let mut captured = sink.capture(&alias.name, terms, format!("asked {id}").as_bytes());
        captured.add(b"answered");
        captured
    });
    sink.take(&Record { id, alias: Some(&alias.name), ..record() }, captured);
}

fn body(history: &RequestHistory, id: &str) -> Option<String> {
    history.find(id)?.request_body?.text
}

fn ids(history: &RequestHistory, filter: &RequestFilter, most: usize) -> Vec<String> {
    history.newest(filter, most).into_iter().map(|request| request.id).collect()
}

#[test]
fn the_newest_are_kept_and_found() {
    let (collector, sink, _) = collector();
    let history = collector.history();
    for round in 0..3 {
        for number in 0..1500 {
            sink.take(&Record { id: &format!("{round}-{number}"), ..record() }, None);
        }
        collect(&collector);
    }
    assert_eq!(kept(&history), MOST);
    assert_eq!(ids(&history, &RequestFilter::default(), 2), ["2-1499", "2-1498"]);
    assert!(history.find("1-1400").is_some() && history.find("0-1").is_none());
    assert_eq!(history.newest(&RequestFilter::default(), usize::MAX).last().map(|it| it.id.as_str()), Some("1-1000"));
}

#[test]
fn more_than_are_kept_at_once_leave_the_newest() {
    let (collector, sink, lost) = collector();
    for number in 0..5000 {
        sink.take(&Record { id: &number.to_string(), ..record() }, None);
    }
    collect(&collector);
    assert_eq!(lost.get(), 5000 - 4096);
    assert_eq!(ids(&collector.history(), &RequestFilter::default(), 1), ["4095"]);
    assert_eq!(kept(&collector.history()), MOST);
}

#[test]
fn a_filter_leaves_what_fits_in_everything() {
    let (collector, sink, _) = collector();
    sink.take(&Record { id: "good", alias: Some("a"), ..record() }, None);
    sink.take(&Record { id: "refused", status: 400, caller: None, ..record() }, None);
    sink.take(&Record { id: "cut", error: Some("engine_died"), engine: Some("m/1"), ..record() }, None);
    collect(&collector);
    let found = |filter: RequestFilter| ids(&collector.history(), &filter, 10);
    let own = |text: &str| Some(text.to_owned());
    assert_eq!(found(RequestFilter { alias: own("a"), ..RequestFilter::default() }), ["good"]);
    assert_eq!(found(RequestFilter { failed: Some(true), ..RequestFilter::default() }), ["cut", "refused"]);
    assert_eq!(found(RequestFilter { failed: Some(false), ..RequestFilter::default() }), ["good"]);
    assert_eq!(found(RequestFilter { status: Some(400), ..RequestFilter::default() }), ["refused"]);
    assert_eq!(found(RequestFilter { caller: own("bot"), ..RequestFilter::default() }), ["cut", "good"]);
    assert_eq!(found(RequestFilter { engine: own("m/1"), model: own("m"), ..RequestFilter::default() }), ["cut"]);
    assert_eq!(found(RequestFilter { model: own("x"), ..RequestFilter::default() }), Vec::<String>::new());
}

#[test]
fn bodies_are_kept_of_the_newest_of_their_alias_however_many_others_come() {
    let (collector, sink, _) = collector();
    let (history, config) =
        (collector.history(), config("x: { model: m, capture: { requests: 2 } }, y: { model: x }, z: { model: m }"));
    history.keep_bodies(&config.aliases);
    for id in ["x1", "x2", "x3"] {
        end(&sink, &config, "x", id);
    }
    collect(&collector);
    assert_eq!((body(&history, "x1"), body(&history, "x2").as_deref()), (None, Some("asked x2")));
    end(&sink, &config, "y", "y1");
    end(&sink, &config, "z", "z1");
    end(&sink, &config, "x", "x4");
    collect(&collector);
    let found = ["x2", "x3", "x4", "y1", "z1"].map(|id| body(&history, id).is_some());
    assert_eq!(found, [false, true, true, true, false], "{history:?}");
    for number in 0..2 * MOST {
        sink.take(&Record { id: &number.to_string(), ..record() }, None);
    }
    collect(&collector);
    assert_eq!(kept(&history), MOST + 3, "those with bodies stay");
    assert!(history.find("z1").is_none() && body(&history, "x3").is_some());
    assert!(history.newest(&RequestFilter::default(), MOST + 3).iter().all(|one| one.request_body.is_none()));
    end(&sink, &config, "x", "x5");
    collect(&collector);
    assert_eq!((kept(&history), history.find("x3")), (MOST + 2, None));
}

#[test]
fn what_was_kept_by_other_terms_is_forgotten() {
    let (collector, sink, _) = collector();
    let of = |capture: &str| config(&format!("x: {{ model: m, {capture} }}, y: {{ model: m, capture: {{}} }}"));
    let (history, first) = (collector.history(), of("capture: {}"));
    history.keep_bodies(&first.aliases);
    end(&sink, &first, "x", "x1");
    end(&sink, &first, "y", "y1");
    collect(&collector);
    history.keep_bodies(&of("capture: { requests: 20 }, hidden: true").aliases);
    assert!(body(&history, "x1").is_some(), "the same terms");
    end(&sink, &first, "x", "x2");
    history.keep_bodies(&of("capture: { mask: [user] }").aliases);
    collect(&collector);
    assert_eq!((body(&history, "x1"), body(&history, "x2")), (None, None), "the second was under way");
    assert!(history.find("x2").is_some() && body(&history, "y1").is_some());
    history.keep_bodies(&config("").aliases);
    assert_eq!(body(&history, "y1"), None);
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_of_requests_in_few_events() {
    let (collector, sink, _) = collector();
    sink.take(&record(), None);
    collect(&collector);
    let mut stream = collector.events.listen(None);
    (0..100).for_each(|_| sink.take(&record(), None));
    collect(&collector);
    let Some(Heard::Events(events)) = stream.next().await else { unreachable!("there are some") };
    let counts: Vec<usize> = events
        .iter()
        .map(|event| {
            let text = std::str::from_utf8(&event.message).expect("a text");
            let json = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("a message");
            match serde_json::from_str(json).expect("an event") {
                Event::Requests { requests } => requests.len(),
                other => unreachable!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(counts, [64, 36], "nobody heard of the first one");
}
