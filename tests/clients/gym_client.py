"""Drives an alias that goes by NeMo Gym's rules with the official `openai` and `anthropic` packages, as Gym's agents do."""

import anthropic
import openai

import shared

HELLO = [{"role": "user", "content": "How are you today?"}]


def openai_client(args):
    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=args.gateway + "/v1", api_key="x", max_retries=0, timeout=60, http_client=http)


def anthropic_client(args):
    http = anthropic.DefaultHttpxClient(trust_env=False)
    return anthropic.Anthropic(base_url=args.gateway, api_key="x", max_retries=0, timeout=60, http_client=http)


def chat_answers_and_streams(args):
    """chat: what is streamed is what is answered, with the thinking wrapped"""
    api = openai_client(args)
    answer = api.chat.completions.create(model="whatever", messages=HELLO, max_tokens=24)
    text = answer.choices[0].message.content
    assert text, answer
    chunks = list(api.chat.completions.create(model="whatever", messages=HELLO, max_tokens=24, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed.startswith("<think>") == text.startswith("<think>") and streamed, (text, streamed)
    return f"{len(text)} characters"


def responses_answer_and_stream(args):
    """responses: whole and streamed"""
    api = openai_client(args)
    answer = api.responses.create(model="whatever", input="How are you?", max_output_tokens=24)
    assert answer.output and answer.status in ("completed", "incomplete"), answer
    events = list(api.responses.create(model="whatever", input="How are you?", max_output_tokens=24, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert [item.type for item in events[-1].response.output] == [item.type for item in answer.output], kinds


def messages_answer_and_stream(args):
    """messages: whole and streamed"""
    api = anthropic_client(args)
    answer = api.messages.create(model="whatever", max_tokens=24, messages=HELLO)
    assert answer.content and answer.stop_reason, answer
    with api.messages.stream(model="whatever", max_tokens=24, messages=HELLO) as stream:
        whole = stream.get_final_message()
    assert [block.type for block in whole.content] == [block.type for block in answer.content], whole


def chat_wraps_its_reasoning(args):
    """chat: what the engine tells as reasoning is wrapped, whole and streamed"""
    asked = {"messages": [{"role": "user", "content": shared.PONDER}], "max_tokens": 40}
    asked |= {"model": "whatever", "extra_body": shared.BUDGET}
    api = openai_client(args)
    text = api.chat.completions.create(**asked).choices[0].message.content
    chunks = list(api.chat.completions.create(**asked, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed == text, (streamed, text)
    thought, closed, said = text.partition("</think>")
    assert thought.startswith("<think>") and len(thought) > len("<think>") and closed and said, text
    return f"{len(said)} characters, {len(thought)} of thinking"


def chat_calls_tools(args):
    """chat: a function call, whole and streamed, and the conversation that goes on from it"""
    api = openai_client(args)
    question = {"role": "user", "content": "What is the weather in Paris?"}
    function = {"name": "get_weather", "parameters": shared.PLACE, "strict": True}
    asked = {"model": "whatever", "messages": [question], "tools": [{"type": "function", "function": function}]}
    asked |= {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}, "max_tokens": 64}
    answer = api.chat.completions.create(**asked)
    calls = answer.choices[0].message.tool_calls
    assert len(calls) == 1 and calls[0].function.name == "get_weather" and calls[0].id, answer
    shared.is_a_place(calls[0].function.arguments)
    chunks = list(api.chat.completions.create(**asked, stream=True))
    parts = [part.function for chunk in chunks if chunk.choices for part in chunk.choices[0].delta.tool_calls or []]
    assert "".join(part.name or "" for part in parts) == "get_weather", parts
    shared.is_a_place("".join(part.arguments or "" for part in parts))

    def further(result):
        called = {"role": "assistant", "content": None, "tool_calls": [calls[0].to_dict()]}
        told = {"role": "tool", "tool_call_id": calls[0].id, "content": result}
        more = {"messages": [question, called, told], "tool_choice": "none", "max_tokens": 8}
        return api.chat.completions.create(**asked | more).usage.prompt_tokens

    return shared.reaches_the_model(further)


def responses_call_tools(args):
    """responses: a function call, whole and streamed, and the conversation that goes on from it"""
    api = openai_client(args)
    question = {"role": "user", "content": "What is the weather in Paris?"}
    function = {"type": "function", "name": "get_weather", "parameters": shared.PLACE, "strict": True}
    asked = {"model": "whatever", "input": [question], "tools": [function], "max_output_tokens": 64}
    asked["tool_choice"] = {"type": "function", "name": "get_weather"}
    answer = api.responses.create(**asked)
    output = shared.without_thoughts(answer.output)
    assert [item.type for item in output] == ["function_call"], answer
    call = output[0]
    assert call.name == "get_weather" and call.call_id, answer
    shared.is_a_place(call.arguments)
    events = list(api.responses.create(**asked, stream=True))
    # Gym's streams tell items when they are whole.
    done = [event.item for event in events if event.type == "response.output_item.done"]
    calls = shared.without_thoughts(done)
    assert [item.name for item in calls] == ["get_weather"] and done == events[-1].response.output, events
    shared.is_a_place(calls[0].arguments)

    def further(result):
        told = {"type": "function_call_output", "call_id": call.call_id, "output": result}
        more = {"input": [question, call.to_dict(), told], "tool_choice": "none", "max_output_tokens": 8}
        return api.responses.create(**asked | more).usage.input_tokens

    return shared.reaches_the_model(further)


def messages_call_tools(args):
    """messages: a tool call, whole and streamed, and the conversation that goes on from it"""
    api = anthropic_client(args)
    question = {"role": "user", "content": "What is the weather in Paris?"}
    asked = {"model": "whatever", "max_tokens": 64, "messages": [question]}
    asked["tools"] = [{"name": "get_weather", "description": "The weather.", "input_schema": shared.PLACE}]
    asked["tool_choice"] = {"type": "tool", "name": "get_weather"}
    answer = api.messages.create(**asked)
    content = shared.without_thoughts(answer.content)
    assert [block.type for block in content] == ["tool_use"] and answer.stop_reason == "tool_use", answer
    call = content[0]
    assert call.name == "get_weather" and call.id, answer
    shared.is_a_place(call.input)
    with api.messages.stream(**asked) as stream:
        parts = [event.partial_json for event in stream if event.type == "input_json"]
        whole = stream.get_final_message()
    content = shared.without_thoughts(whole.content)
    assert [block.type for block in content] == ["tool_use"] and whole.stop_reason == "tool_use", whole
    assert shared.is_a_place("".join(parts)) == content[0].input, (parts, whole)

    def further(result):
        told = {"type": "tool_result", "tool_use_id": call.id, "content": result}
        said = [{"role": "assistant", "content": [call.to_dict()]}, {"role": "user", "content": [told]}]
        more = {"messages": [question, *said], "tool_choice": {"type": "none"}, "max_tokens": 8}
        return api.messages.create(**asked | more).usage.input_tokens

    return shared.reaches_the_model(further)


if __name__ == "__main__":
    args = shared.arguments(__doc__)
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}")
    checks = [chat_answers_and_streams, responses_answer_and_stream, messages_answer_and_stream]
    if args.reasoning:
        checks.append(chat_wraps_its_reasoning)
    if args.tools:
        checks += [chat_calls_tools, responses_call_tools, messages_call_tools]
    shared.run(checks, args)
