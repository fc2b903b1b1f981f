"""Drives a gateway's /v1/messages with the official `anthropic` package."""

import anthropic

import house as shared

HELLO = [{"role": "user", "content": "How are you today?"}]


def client(house):
    return anthropic.Anthropic(
        base_url=house.gateway,
        api_key="sk-caller",
        max_retries=0,
        timeout=60,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
    )


def a_message_is_answered(house):
    """a plain message, with usage"""
    answer = client(house).messages.create(model=house.model, max_tokens=12, messages=HELLO)
    assert answer.type == "message" and answer.role == "assistant", answer
    assert answer.usage.input_tokens > 0 and 0 < answer.usage.output_tokens <= 12, answer.usage
    assert answer.stop_reason in ("end_turn", "max_tokens"), answer
    return f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens"


def a_message_streams(house):
    """a streamed message: the package puts the events together to a whole"""
    with client(house).messages.stream(model=house.model, max_tokens=12, messages=HELLO) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_message()
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
    assert whole.usage.output_tokens > 0 and whole.stop_reason, whole
    return f"{len(kinds)} events"


def an_alias_applies_its_settings(house):
    """the alias caps max_tokens"""
    answer = client(house).messages.create(model=house.short, max_tokens=64, messages=HELLO)
    assert answer.usage.output_tokens <= 8, answer.usage


def tokens_are_counted(house):
    """count_tokens"""
    count = client(house).messages.count_tokens(model=house.model, messages=HELLO)
    assert count.input_tokens > 0, count
    return f"{count.input_tokens} tokens"


def an_unknown_model_is_not_found(house):
    """NotFoundError in Anthropic's shape"""
    error = shared.refused(
        anthropic.NotFoundError,
        lambda: client(house).messages.create(model="no-such-model", max_tokens=5, messages=HELLO),
    )
    assert error.status_code == 404 and error.body["type"] == "error", error.body
    assert error.body["error"]["type"] == "not_found_error", error.body
    return error.body["error"]["message"]


def a_model_without_an_engine_is_overloaded(house):
    """503 in Anthropic's shape, for a model that exists and cannot answer now"""
    error = shared.refused(
        anthropic.InternalServerError,
        lambda: client(house).messages.create(model=house.down, max_tokens=5, messages=HELLO),
    )
    assert error.status_code == 503 and error.body["error"]["type"] == "overloaded_error", error.body


if __name__ == "__main__":
    house = shared.arguments(__doc__)
    checks = [
        a_message_is_answered,
        a_message_streams,
        an_alias_applies_its_settings,
        tokens_are_counted,
        an_unknown_model_is_not_found,
    ]
    if house.down:
        checks.append(a_model_without_an_engine_is_overloaded)
    print(f"anthropic {anthropic.__version__}")
    shared.run(checks, house)
