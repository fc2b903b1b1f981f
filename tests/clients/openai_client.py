"""Drives a gateway with the official `openai` package, as its users do."""

import time

import openai

import shared

HELLO = [{"role": "user", "content": "How are you today?"}]


def client(args, **options):
    return openai.OpenAI(
        base_url=args.gateway + "/v1",
        api_key="sk-caller",
        max_retries=0,
        timeout=60,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        **options,
    )


def models_are_listed(args):
    """models.list has the model and its alias, with the engine's context length"""
    cards = {card.id: card for card in client(args).models.list()}
    assert {args.model, args.short} <= set(cards), cards
    for name in (args.model, args.short):
        assert cards[name].max_model_len == 512, cards[name]
        assert cards[name].object == "model" and cards[name].created > 0, cards[name]
    return ", ".join(cards)


def a_model_is_retrieved(args):
    """models.retrieve finds a model and an alias, and no other"""
    api = client(args)
    for name in (args.model, args.short):
        assert api.models.retrieve(name).id == name
    error = shared.refused(openai.NotFoundError, lambda: api.models.retrieve("no-such-model"))
    assert error.code == "model_not_found", error.body


def chat_answers(args):
    """a plain chat answer, with usage"""
    answer = client(args).chat.completions.create(
        model=args.model, messages=HELLO, max_tokens=12, extra_body={"ignore_eos": True}
    )
    assert answer.object == "chat.completion" and answer.choices[0].message.role == "assistant", answer
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "length", answer
    assert answer.usage.completion_tokens == 12, answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12, answer.usage
    return f"{answer.usage.prompt_tokens} + {answer.usage.completion_tokens} tokens"


def chat_streams(args):
    """a streamed chat answer: one chunk after another, and usage only when asked for"""
    for include in (True, False):
        options = {"stream_options": {"include_usage": True}} if include else {}
        stream = client(args).chat.completions.create(
            model=args.model, messages=HELLO, max_tokens=24, stream=True, extra_body={"ignore_eos": True}, **options
        )
        text, finish, usage, arrivals = "", None, None, []
        for chunk in stream:
            assert chunk.object == "chat.completion.chunk", chunk
            if chunk.choices:
                arrivals.append(time.monotonic())
                text += chunk.choices[0].delta.content or ""
                finish = chunk.choices[0].finish_reason or finish
            usage = chunk.usage or usage
        assert text and finish == "length", (text, finish)
        assert (usage is not None) == include, usage
        if include:
            assert usage.completion_tokens == 24, usage
        assert len(arrivals) > 5, f"only {len(arrivals)} chunks"
        spread = arrivals[-1] - arrivals[0]
        assert spread > 0.02, f"{len(arrivals)} chunks within {spread * 1000:.1f} ms: something holds them back"
    return f"{len(arrivals)} chunks over {spread * 1000:.0f} ms"


def several_choices_and_token_ids(args):
    """fields that are vLLM's or rarely used arrive there"""
    answer = client(args).chat.completions.create(
        model=args.model, messages=HELLO, max_tokens=4, n=2, seed=1, extra_body={"return_token_ids": True, "ignore_eos": True}
    )
    assert [choice.index for choice in answer.choices] == [0, 1], answer
    assert len(answer.choices[0].token_ids) == 4, answer
    assert answer.prompt_token_ids, answer


def an_alias_applies_its_settings(args):
    """the alias forbids thinking, whatever the caller says, and caps max_tokens"""
    api, wish = client(args), {"chat_template_kwargs": {"enable_thinking": True}, "ignore_eos": True}
    plain = api.chat.completions.create(model=args.model, messages=HELLO, max_tokens=20, extra_body=wish)
    short = api.chat.completions.create(model=args.short, messages=HELLO, max_tokens=20, extra_body=wish)
    assert (plain.usage.completion_tokens, short.usage.completion_tokens) == (20, 8), (plain.usage, short.usage)
    added = short.usage.prompt_tokens - plain.usage.prompt_tokens
    assert added == 6, f"the empty thought of a prompt without thinking has 6 tokens; {added} were added"
    return f"{plain.usage.prompt_tokens} -> {short.usage.prompt_tokens} prompt tokens, 20 -> 8 completion tokens"


def completions_answer(args):
    """completions, plain and streamed"""
    api = client(args)
    answer = api.completions.create(model=args.model, prompt="One two", max_tokens=6, extra_body={"ignore_eos": True})
    assert answer.object == "text_completion" and answer.usage.completion_tokens == 6, answer
    stream = api.completions.create(
        model=args.model, prompt="One two", max_tokens=6, stream=True, extra_body={"ignore_eos": True}
    )
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices)


def embeddings_answer(args):
    """embeddings, as floats and as the package's own base64"""
    api = client(args)
    answer = api.embeddings.create(model=args.embed, input=["one", "two"])
    assert [item.index for item in answer.data] == [0, 1] and answer.usage.prompt_tokens > 0, answer
    floats = api.embeddings.create(model=args.embed, input="one", encoding_format="float")
    assert len(floats.data[0].embedding) == len(answer.data[0].embedding) > 1
    assert all(abs(a - b) < 1e-5 for a, b in zip(floats.data[0].embedding, answer.data[0].embedding))
    return f"{len(floats.data[0].embedding)} dimensions"


def responses_answer(args):
    """the Responses API"""
    answer = client(args).responses.create(model=args.model, input="How are you today?", max_output_tokens=16)
    assert answer.object == "response" and answer.status in ("completed", "incomplete"), answer
    assert answer.usage.input_tokens > 0 and 0 < answer.usage.output_tokens <= 16, answer.usage
    return f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens"


def responses_stream(args):
    """the Responses API, streamed: the events come in their order and the last one carries all"""
    events = list(
        client(args).responses.create(model=args.model, input="How are you?", max_output_tokens=16, stream=True)
    )
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] in ("response.completed", "response.incomplete"), kinds
    assert any(kind.endswith(".delta") for kind in kinds), kinds
    assert [event.sequence_number for event in events] == list(range(len(events))), events
    assert events[-1].response.usage.output_tokens > 0, events[-1]
    return f"{len(events)} events"


WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather somewhere.",
    "parameters": shared.PLACE,
    "strict": True,
}
QUESTION = {"role": "user", "content": "What is the weather in Paris?"}


def chat_calls_tools(args):
    """a function call, by name and required, whole and streamed, and the conversation that goes on from it"""
    api = client(args)
    function = {key: value for key, value in WEATHER.items() if key != "type"}
    asked = {
        "model": args.model,
        "messages": [QUESTION],
        "tools": [{"type": "function", "function": function}],
        "parallel_tool_calls": False,
        "max_tokens": 64,
    }
    deltas = []
    by_name = {"type": "function", "function": {"name": "get_weather"}}
    # OpenAI's API says `stop` of a call that was asked for by name.
    for choice, reason in ((by_name, "stop"), ("required", "tool_calls")):
        answer = api.chat.completions.create(**asked, tool_choice=choice).choices[0]
        assert answer.finish_reason == reason and len(answer.message.tool_calls) == 1, answer
        call = answer.message.tool_calls[0]
        assert (call.type, call.function.name) == ("function", "get_weather") and call.id, answer
        shared.is_a_place(call.function.arguments)
        chunks = [
            chunk.choices[0]
            for chunk in api.chat.completions.create(**asked, tool_choice=choice, stream=True)
            if chunk.choices
        ]
        parts = [part for chunk in chunks for part in chunk.delta.tool_calls or []]
        assert {part.index for part in parts} == {0} and [part.id for part in parts if part.id] == [parts[0].id], parts
        assert "".join(part.function.name or "" for part in parts) == "get_weather", parts
        arguments = [part.function.arguments for part in parts if part.function.arguments]
        shared.is_a_place("".join(arguments))
        assert len(arguments) > 1, f"all arguments came at once: {arguments}"
        assert not any(chunk.delta.content for chunk in chunks), chunks
        assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == [reason], chunks
        deltas.append(len(arguments))

    def further(result):
        message = {"role": "assistant", "content": None, "tool_calls": [call.to_dict()]}
        told = {"role": "tool", "tool_call_id": call.id, "content": result}
        answer = api.chat.completions.create(
            **asked | {"messages": [QUESTION, message, told]}, tool_choice="none", extra_body={"ignore_eos": True}
        )
        assert not answer.choices[0].message.tool_calls and answer.choices[0].message.content, answer
        return answer.usage.prompt_tokens

    return f"{deltas[0]} and {deltas[1]} deltas, {shared.reaches_the_model(further)}"


def responses_call_tools(args):
    """a function call, by name and required, whole and streamed, and the conversation that goes on from it"""
    api = client(args)
    asked = {
        "model": args.model,
        "input": QUESTION["content"],
        "instructions": "Be brief.",
        "tools": [WEATHER],
        "parallel_tool_calls": False,
        "max_output_tokens": 64,
    }
    counts = []
    for choice in ({"type": "function", "name": "get_weather"}, "required"):
        answer = api.responses.create(**asked, tool_choice=choice)
        output = shared.without_thoughts(answer.output)
        assert [item.type for item in output] == ["function_call"] and answer.status == "completed", answer
        call = output[0]
        assert call.name == "get_weather" and call.call_id, answer
        shared.is_a_place(call.arguments)
        with api.responses.stream(**asked, tool_choice=choice) as stream:
            events = list(stream)
            whole = stream.get_final_response()
        assert [event.sequence_number for event in events] == list(range(len(events))), events
        output = shared.without_thoughts(whole.output)
        assert [item.type for item in output] == ["function_call"] and whole.status == "completed", whole
        assert (output[0].name, bool(output[0].call_id)) == ("get_weather", True), whole
        deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
        done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
        assert ["".join(deltas)] == done == [output[0].arguments], events
        shared.is_a_place(done[0])
        assert len(deltas) > 1, f"all arguments came at once: {deltas}"
        counts.append(len(deltas))

    def further(result):
        told = {"type": "function_call_output", "call_id": call.call_id, "output": result}
        answer = api.responses.create(
            **asked | {"input": [QUESTION, call.to_dict(), told]}, tool_choice="none", temperature=0
        )
        assert [item.type for item in answer.output][-1:] == ["message"] and answer.output_text, answer
        return answer.usage.input_tokens

    return f"{counts[0]} and {counts[1]} deltas, {shared.reaches_the_model(further)}"


def chat_streams_reasoning(args):
    """chat: reasoning is told apart from text, whole and streamed"""
    api = client(args)
    asked = {"model": args.model, "messages": [{"role": "user", "content": shared.PONDER}], "max_tokens": 40}
    message = api.chat.completions.create(**asked, extra_body=shared.BUDGET).choices[0].message
    assert message.reasoning and message.content, message
    deltas = [
        chunk.choices[0].delta
        for chunk in api.chat.completions.create(**asked, extra_body=shared.BUDGET, stream=True)
        if chunk.choices
    ]
    kinds = ["text" if delta.content else "thought" for delta in deltas if delta.content or getattr(delta, "reasoning", "")]
    assert sorted(kinds, reverse=True) == kinds and len(set(kinds)) == 2, kinds
    text = "".join(delta.content or "" for delta in deltas)
    thought = "".join(getattr(delta, "reasoning", None) or "" for delta in deltas)
    assert (thought, text) == (message.reasoning, message.content), (message, thought, text)
    return f"{len(text)} characters, {len(thought)} of reasoning"


def responses_stream_text_and_reasoning(args):
    """what is streamed is what the whole answer says: reasoning first, then text"""
    asked = {"max_output_tokens": 60, "stream": True, "extra_body": shared.BUDGET}
    events = list(client(args).responses.create(model=args.model, input=shared.PONDER, **asked))
    # A model that does not know when to stop ends at its limit: incomplete.
    whole = events[-1].response
    assert events[-1].type in ("response.completed", "response.incomplete"), events[-1]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    thought = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
    assert text == whole.output_text and text, whole
    kinds = [item.type for item in whole.output]
    assert kinds == (["reasoning", "message"] if args.reasoning else ["message"]), whole
    if args.reasoning:
        assert thought == "".join(part.text for part in whole.output[0].content) and thought, whole
    order = [event.output_index for event in events if event.type.endswith("_text.delta")]
    assert order == sorted(order), order
    return f"{len(text)} characters, {len(thought)} of reasoning"


def what_no_engine_can_do_is_refused(args):
    """hosted tools and stored conversations are refused by name"""
    api = client(args)
    forced = {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}
    for wrong in (forced, {"previous_response_id": "resp_1"}):
        error = shared.refused(
            openai.BadRequestError, lambda: api.responses.create(model=args.model, input="Hi", **wrong)
        )
        assert error.body["message"], error.body


def azures_client_finds_its_deployments(args):
    """a deployment of Azure's client is an alias or a model"""
    api = openai.AzureOpenAI(
        azure_endpoint=args.gateway,
        api_key="sk-caller",
        api_version="2024-10-21",
        max_retries=0,
        timeout=60,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )
    for name in (args.model, args.short):
        answer = api.chat.completions.create(model=name, messages=HELLO, max_tokens=5)
        assert answer.model == name and answer.usage.completion_tokens > 0, answer
        pieces = list(api.completions.create(model=name, prompt="How are you?", max_tokens=5, stream=True))
        assert pieces and pieces[0].model == name, pieces
    error = shared.refused(
        openai.NotFoundError, lambda: api.chat.completions.create(model="no-such-model", messages=HELLO)
    )
    assert error.code == "model_not_found", error.body


def an_unknown_model_is_not_found(args):
    """NotFoundError with code, param, a message that helps, and a request id; streamed or not"""
    wrong = args.model[:-1] + "zz"
    for stream in (False, True):
        error = shared.refused(
            openai.NotFoundError,
            lambda: client(args).chat.completions.create(model=wrong, messages=HELLO, stream=stream),
        )
        assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model"), error.body
        assert error.type == "not_found_error" and f"`{wrong}` does not exist" in error.body["message"], error.body
        assert error.request_id, error.response.headers
    return error.body["message"]


def bad_json_is_a_bad_request(args):
    """BadRequestError of the gateway for a body that is no JSON"""
    for body in (b'{"model": "' + args.model.encode() + b'", "messages": [', b"hello", b"[]"):
        error = shared.refused(
            openai.BadRequestError,
            lambda: client(args).post(
                "/chat/completions",
                cast_to=object,
                content=body,
                options={"headers": {"content-type": "application/json"}},
            ),
        )
        assert error.type == "invalid_request_error" and error.code and error.body["message"], error.body
    return error.code


def too_long_a_prompt_is_the_engines_refusal(args):
    """BadRequestError in the engine's own words; streamed or not"""
    long = [{"role": "user", "content": "word " * 3000}]
    for stream in (False, True):
        error = shared.refused(
            openai.BadRequestError,
            lambda: client(args).chat.completions.create(model=args.model, messages=long, stream=stream),
        )
        assert "maximum context length is 512 tokens" in error.body["message"], error.body
        assert (error.body["type"], error.body["code"]) == ("BadRequestError", 400), error.body
    return error.body["message"]


def a_model_without_an_engine_is_unavailable(args):
    """503 with Retry-After for a model that exists and cannot answer now; streamed or not"""
    for stream in (False, True):
        error = shared.refused(
            openai.InternalServerError,
            lambda: client(args).chat.completions.create(model=args.down, messages=HELLO, stream=stream),
        )
        assert isinstance(error, openai.APIStatusError) and error.status_code == 503, error
        assert error.type == "service_unavailable_error" and args.down in error.body["message"], error.body
        assert int(error.response.headers["retry-after"]) > 0, error.response.headers
    return error.body["message"]


def leaving_a_stream_ends_the_work(args):
    """the engine stops when the caller closes a stream that has hundreds of tokens to go"""
    made = shared.gauge(args.engine, "vllm:generation_tokens_total")
    stream = client(args).chat.completions.create(
        model=args.model, messages=HELLO, max_tokens=450, stream=True, extra_body={"ignore_eos": True}
    )
    for _, _chunk in zip(range(3), stream):
        pass
    assert shared.gauge(args.engine, "vllm:num_requests_running") == 1, "the engine is not working on it"
    stream.close()
    took = shared.idle_within(args.engine, 1)
    made = shared.gauge(args.engine, "vllm:generation_tokens_total") - made
    assert made < 440, f"{made:.0f} tokens of 450 were made: it was not stopped"
    return f"idle after {took * 1000:.0f} ms and {made:.0f} of 450 tokens"


def the_async_client_talks_in_parallel(args):
    """twenty streams of one asynchronous client at once, each whole"""
    import asyncio

    async def one(api):
        stream = await api.chat.completions.create(
            model=args.model, messages=HELLO, max_tokens=8, stream=True, extra_body={"ignore_eos": True},
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage.completion_tokens == 8, chunks[-1]

    async def all_of_them():
        async with openai.AsyncOpenAI(
            base_url=args.gateway + "/v1", api_key="sk-caller", max_retries=0, timeout=60,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
        ) as api:
            await asyncio.gather(*(one(api) for _ in range(20)))

    asyncio.run(all_of_them())


CHECKS = [
    models_are_listed,
    a_model_is_retrieved,
    chat_answers,
    chat_streams,
    several_choices_and_token_ids,
    chat_calls_tools,
    an_alias_applies_its_settings,
    completions_answer,
    responses_answer,
    responses_stream,
    azures_client_finds_its_deployments,
    an_unknown_model_is_not_found,
    bad_json_is_a_bad_request,
    too_long_a_prompt_is_the_engines_refusal,
    leaving_a_stream_ends_the_work,
    the_async_client_talks_in_parallel,
]

if __name__ == "__main__":
    args = shared.arguments(__doc__)
    checks = list(CHECKS)
    if args.translated:
        checks += [responses_stream_text_and_reasoning, what_no_engine_can_do_is_refused]
    if args.reasoning:
        checks.append(chat_streams_reasoning)
    if args.tools:
        checks.append(responses_call_tools)
    if args.embed:
        checks.append(embeddings_answer)
    if args.down:
        checks.append(a_model_without_an_engine_is_unavailable)
    print(f"openai {openai.__version__}")
    shared.run(checks, args)
