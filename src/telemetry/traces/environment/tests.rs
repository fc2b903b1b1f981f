//! What the variables mean.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, String> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    TraceSettings::from_env(&lookup).map_err(|error| error.to_string())
}

fn traced(more: &[(&str, &str)]) -> TraceSettings {
    let endpoint = (ENDPOINT, "http://collector:4318/");
    read(&[&[endpoint], more].concat()).expect("valid").expect("traced")
}

#[test]
fn nothing_is_traced_unless_the_variables_say_so() {
    let on = (ENDPOINT, "http://c:1");
    for variables in [
        &[][..],
        &[(ENDPOINT, " ")],
        &[on, ("OTEL_SDK_DISABLED", "TRUE")],
        &[on, ("OTEL_TRACES_EXPORTER", "none"), (SAMPLER, "nonsense")],
        &[(SAMPLER, "nonsense"), ("OTEL_SERVICE_NAME", "x")],
    ] {
        assert_eq!(read(variables), Ok(None), "{variables:?}");
    }
    for variables in [&[on][..], &[(TRACES_ENDPOINT, "http://c:1")], &[("OTEL_TRACES_EXPORTER", "otlp")]] {
        assert!(read(variables).expect("valid").is_some(), "{variables:?}");
    }
}

#[test]
fn defaults_are_those_of_the_specification() {
    let settings = traced(&[]);
    assert_eq!((settings.endpoint.as_str(), settings.protocol), ("http://collector:4318/v1/traces", Protocol::Http));
    assert_eq!((settings.service.as_str(), settings.timeout.as_secs()), ("enginehouse", 10));
    assert_eq!(settings.sampler, Sampler { follows_parent: true, share: Share::All });
    let Batch { delay, timeout, queue, size } = settings.batch;
    assert_eq!((delay.as_secs(), timeout.as_secs(), queue, size), (5, 30, 2048, 512));
    let grpc = read(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert_eq!(grpc.expect("valid").expect("traced").endpoint, "http://localhost:4317");
}

#[test]
fn what_is_for_traces_wins_and_is_taken_as_it_is() {
    let settings = traced(&[
        (TRACES_ENDPOINT, "https://vendor.example/otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20k,x-a=b"),
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other, deployment.environment.name=a%2Cb"),
        (SAMPLER, "parentbased_traceidratio"),
        (SAMPLER_ARG, "0.25"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
    ]);
    assert_eq!((settings.endpoint.as_str(), settings.protocol), ("https://vendor.example/otlp", Protocol::Http));
    assert_eq!(settings.service, "edge");
    assert_eq!(settings.resource, [("deployment.environment.name".to_owned(), "a,b".to_owned())]);
    assert_eq!(settings.sampler, Sampler { follows_parent: true, share: Share::Ratio(0.25) });
    assert_eq!((settings.batch.queue, settings.batch.size), (100, 100));
}

#[test]
fn a_wrong_value_is_named_with_what_it_could_be_and_secrets_are_not_shown() {
    for (name, value, says) in [
        ("OTEL_SDK_DISABLED", "yes", "true, false"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp, none"),
        (TRACES_ENDPOINT, "collector:4317", "http://localhost:4318"),
        (TRACES_ENDPOINT, "ftp://collector", "http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf, grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip, none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "above 0"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a", "name=value"),
        (SAMPLER, "jaeger_remote", "parentbased_traceidratio"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "above 0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "2048 at most"),
    ] {
        let why = read(&[(ENDPOINT, "http://c:1"), (name, value)]).expect_err(name);
        assert!(why.contains(name) && why.contains(value) && why.contains(says), "{why}");
    }
    for headers in ["s3cret", "a b=s3cret", "a=s3cret%0a"] {
        let why = read(&[(ENDPOINT, "http://c:1"), ("OTEL_EXPORTER_OTLP_HEADERS", headers)]).expect_err(headers);
        assert!(why.contains("OTEL_EXPORTER_OTLP_HEADERS") && !why.contains("s3cret"), "{why}");
    }
    let ratio = read(&[(ENDPOINT, "http://c:1"), (SAMPLER, "traceidratio"), (SAMPLER_ARG, "2")]);
    assert!(ratio.expect_err("wrong").contains("from 0 to 1"));
}
