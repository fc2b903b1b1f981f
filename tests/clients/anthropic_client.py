"""Drives a gateway's /v1/messages with the official `anthropic` package."""

import anthropic

import shared

HELLO = [{"role": "user", "content": "How are you today?"}]


def client(args):
    return anthropic.Anthropic(
        base_url=args.gateway,
        api_key="sk-caller",
        max_retries=0,
        timeout=60,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
    )


def a_message_is_answered(args):
    """a plain message, with usage"""
    answer = client(args).messages.create(model=args.model, max_tokens=12, messages=HELLO)
    assert answer.type == "message" and answer.role == "assistant", answer
    assert answer.usage.input_tokens > 0 and 0 < answer.usage.output_tokens <= 12, answer.usage
    assert answer.stop_reason in ("end_turn", "max_tokens"), answer
    return f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens"


def a_message_streams(args):
    """a streamed message: the package puts the events together to a whole"""
    with client(args).messages.stream(model=args.model, max_tokens=12, messages=HELLO) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_message()
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
    assert whole.usage.output_tokens > 0 and whole.stop_reason, whole
    return f"{len(kinds)} events"


def an_alias_applies_its_settings(args):
    """the alias caps max_tokens"""
    answer = client(args).messages.create(model=args.short, max_tokens=64, messages=HELLO)
    assert answer.usage.output_tokens <= 8, answer.usage


def tokens_are_counted(args):
    """count_tokens"""
    count = client(args).messages.count_tokens(model=args.model, messages=HELLO)
    assert count.input_tokens > 0, count
    return f"{count.input_tokens} tokens"


WEATHER = {"name": "get_weather", "description": "The weather somewhere.", "input_schema": shared.PLACE}


def tools_are_called(args):
    """a tool call, by name and as any, whole and streamed, and the conversation that goes on from it"""
    api = client(args)
    asked = {
        "model": args.model,
        "max_tokens": 64,
        "system": [{"type": "text", "text": "Be brief."}],
        "tools": [WEATHER],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is the weather in Paris?"}]}],
    }
    counts = []
    for choice in ({"type": "tool", "name": "get_weather"}, {"type": "any"}):
        choice["disable_parallel_tool_use"] = True
        answer = api.messages.create(**asked, tool_choice=choice)
        content = shared.without_thoughts(answer.content)
        assert [block.type for block in content] == ["tool_use"] and answer.stop_reason == "tool_use", answer
        call = content[0]
        assert call.name == "get_weather" and call.id, answer
        shared.is_a_place(call.input)
        with api.messages.stream(**asked, tool_choice=choice) as stream:
            events = list(stream)
            whole = stream.get_final_message()
        parts = [event.partial_json for event in events if event.type == "input_json" and event.partial_json]
        content = shared.without_thoughts(whole.content)
        assert shared.is_a_place("".join(parts)) == content[0].input, (parts, whole)
        assert len(parts) > 1, f"all of the input came at once: {parts}"
        assert [block.type for block in content] == ["tool_use"] and whole.stop_reason == "tool_use", whole
        assert content[0].name == "get_weather" and content[0].id, whole
        counts.append(len(parts))

    def further(result):
        told = {"type": "tool_result", "tool_use_id": call.id, "content": result}
        conversation = [
            *asked["messages"],
            {"role": "assistant", "content": [block.to_dict() for block in answer.content]},
            {"role": "user", "content": [told]},
        ]
        more = {"messages": conversation, "tool_choice": {"type": "none"}}
        answered = api.messages.create(**asked | more, extra_body={"temperature": 0})
        assert [block.type for block in answered.content][-1:] == ["text"] and answered.content[-1].text, answered
        return answered.usage.input_tokens

    return f"{counts[0]} and {counts[1]} deltas, {shared.reaches_the_model(further)}"


def thinking_and_text_stream(args):
    """what is streamed is what the whole message says: thinking first, then text"""
    messages = [{"role": "user", "content": shared.PONDER}]
    asked = {"model": args.model, "max_tokens": 60, "messages": messages, "extra_body": shared.BUDGET}
    with client(args).messages.stream(**asked) as stream:
        events = list(stream)
        whole = stream.get_final_message()
    text = "".join(event.text for event in events if event.type == "text")
    thought = "".join(event.thinking for event in events if event.type == "thinking")
    kinds = [block.type for block in whole.content]
    assert kinds == (["thinking", "text"] if args.reasoning else ["text"]), whole
    assert text == whole.content[-1].text and text, whole
    if args.reasoning:
        assert thought == whole.content[0].thinking and thought, whole
    order = [event.type for event in events if event.type in ("text", "thinking")]
    assert order == sorted(order, reverse=True), order
    return f"{len(text)} characters, {len(thought)} of thinking"


def an_unknown_model_is_not_found(args):
    """NotFoundError in Anthropic's shape"""
    error = shared.refused(
        anthropic.NotFoundError,
        lambda: client(args).messages.create(model="no-such-model", max_tokens=5, messages=HELLO),
    )
    assert error.status_code == 404 and error.body["type"] == "error", error.body
    assert error.body["error"]["type"] == "not_found_error", error.body
    return error.body["error"]["message"]


def a_model_without_an_engine_is_overloaded(args):
    """503 in Anthropic's shape, for a model that exists and cannot answer now"""
    error = shared.refused(
        anthropic.InternalServerError,
        lambda: client(args).messages.create(model=args.down, max_tokens=5, messages=HELLO),
    )
    assert error.status_code == 503 and error.body["error"]["type"] == "overloaded_error", error.body


if __name__ == "__main__":
    args = shared.arguments(__doc__)
    checks = [
        a_message_is_answered,
        a_message_streams,
        an_alias_applies_its_settings,
        tokens_are_counted,
        an_unknown_model_is_not_found,
    ]
    if args.translated:
        checks.append(thinking_and_text_stream)
    if args.tools:
        checks.append(tools_are_called)
    if args.down:
        checks.append(a_model_without_an_engine_is_overloaded)
    print(f"anthropic {anthropic.__version__}")
    shared.run(checks, args)
