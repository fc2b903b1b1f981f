"""Drives an alias that goes by NeMo Gym's rules with the official `openai` and `anthropic` packages, as Gym's agents do."""

import anthropic
import openai

import house as shared

HELLO = [{"role": "user", "content": "How are you today?"}]


def openai_client(house):
    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=house.gateway + "/v1", api_key="x", max_retries=0, timeout=60, http_client=http)


def anthropic_client(house):
    http = anthropic.DefaultHttpxClient(trust_env=False)
    return anthropic.Anthropic(base_url=house.gateway, api_key="x", max_retries=0, timeout=60, http_client=http)


def chat_answers_and_streams(house):
    """chat: what is streamed is what is answered, with the thinking wrapped"""
    api = openai_client(house)
    answer = api.chat.completions.create(model="whatever", messages=HELLO, max_tokens=24)
    text = answer.choices[0].message.content
    assert text, answer
    chunks = list(api.chat.completions.create(model="whatever", messages=HELLO, max_tokens=24, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed.startswith("<think>") == text.startswith("<think>") and streamed, (text, streamed)
    return f"{len(text)} characters"


def responses_answer_and_stream(house):
    """responses: whole and streamed"""
    api = openai_client(house)
    answer = api.responses.create(model="whatever", input="How are you?", max_output_tokens=24)
    assert answer.output and answer.status in ("completed", "incomplete"), answer
    events = list(api.responses.create(model="whatever", input="How are you?", max_output_tokens=24, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert [item.type for item in events[-1].response.output] == [item.type for item in answer.output], kinds


def messages_answer_and_stream(house):
    """messages: whole and streamed"""
    api = anthropic_client(house)
    answer = api.messages.create(model="whatever", max_tokens=24, messages=HELLO)
    assert answer.content and answer.stop_reason, answer
    with api.messages.stream(model="whatever", max_tokens=24, messages=HELLO) as stream:
        whole = stream.get_final_message()
    assert [block.type for block in whole.content] == [block.type for block in answer.content], whole


if __name__ == "__main__":
    house = shared.arguments(__doc__)
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}")
    shared.run([chat_answers_and_streams, responses_answer_and_stream, messages_answer_and_stream], house)
