#!/usr/bin/env python3
"""Makes a tiny Qwen3 model with random weights, which vLLM serves on a processor in real time, and a LoRA adapter of it.

    make_tiny_model.py MODEL_FOLDER LORA_FOLDER

Nothing is downloaded; the same bytes every time. What it writes is nonsense in readable characters. Its chat template
treats `enable_thinking` as Qwen3's does, so that settings of an alias show in `usage.prompt_tokens`.
Needs torch, safetensors and tokenizers, as an environment with vLLM has them.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD, POSITIONS = 64, 2, 2, 1, 32, 128, 2048
END_OF_TEXT, START, END = SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = ["<think>", "</think>"]

# What the tokenizer learns its words from.
TEXT = """Hello, what is the capital of France? The capital of France is Paris.
How are you today? One two three four five six seven eight nine ten.
The quick brown fox jumps over the lazy dog, and the gateway forwards what the engine says.
system user assistant role content message model token name arguments function
Every engine has its house, and every house has many engines; nobody asks what they are for.""".split("\n")

TEMPLATE = """{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}{{- message.content }}
{%- else %}{%- for part in message.content %}{{- part.text }}{%- endfor %}{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""


def write(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def make_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in MARKS])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": END_OF_TEXT,
            "additional_special_tokens": [START, END],
            "clean_up_tokenization_spaces": False,
            "model_max_length": POSITIONS,
            "chat_template": TEMPLATE,
        },
    )
    return [tokenizer.id_to_token(at) for at in range(tokenizer.get_vocab_size())]


def shapes():
    """Name -> shape of the weights of one layer."""
    queries, keys = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    return {
        "input_layernorm": (HIDDEN,),
        "post_attention_layernorm": (HIDDEN,),
        "self_attn.q_norm": (HEAD_DIM,),
        "self_attn.k_norm": (HEAD_DIM,),
        "self_attn.q_proj": (queries, HIDDEN),
        "self_attn.k_proj": (keys, HIDDEN),
        "self_attn.v_proj": (keys, HIDDEN),
        "self_attn.o_proj": (HIDDEN, queries),
        "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
        "mlp.up_proj": (FEED_FORWARD, HIDDEN),
        "mlp.down_proj": (HIDDEN, FEED_FORWARD),
    }


def make_weights(folder, vocabulary):
    random = torch.Generator().manual_seed(7)

    def weight(shape):
        # Norms are vectors of ones.
        value = torch.ones(shape) if len(shape) == 1 else torch.randn(shape, generator=random) * 0.2
        return value.to(torch.bfloat16)

    weights = {"model.embed_tokens.weight": weight((len(vocabulary), HIDDEN)), "model.norm.weight": weight((HIDDEN,))}
    for layer in range(LAYERS):
        for name, shape in shapes().items():
            weights[f"model.layers.{layer}.{name}.weight"] = weight(shape)
    head = weight((len(vocabulary), HIDDEN))
    for at, token in enumerate(vocabulary):
        # A row of zeros is never a likely token: only printable text, and the end, are written ("\u0120" is a blank).
        readable = all(c == "\u0120" or " " < c <= "~" for c in token) and token not in SPECIAL + MARKS
        if not readable and token != END:
            head[at] = 0
    weights["lm_head.weight"] = head
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def make_model(folder):
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = make_tokenizer(folder)
    make_weights(folder, vocabulary)
    end, padding = vocabulary.index(END), vocabulary.index(END_OF_TEXT)
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "torch_dtype": "bfloat16",
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "max_position_embeddings": POSITIONS,
        "tie_word_embeddings": False,
        "vocab_size": len(vocabulary),
        "eos_token_id": end,
        "pad_token_id": padding,
    }
    write(folder / "config.json", config)
    write(
        folder / "generation_config.json",
        {"eos_token_id": [end, padding], "pad_token_id": padding, "do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20},
    )


def make_lora(folder, base):
    folder.mkdir(parents=True, exist_ok=True)
    random, rank, weights = torch.Generator().manual_seed(8), 4, {}
    targets = ["q_proj", "v_proj"]
    for layer in range(LAYERS):
        for target in targets:
            rows = shapes()[f"self_attn.{target}"][0]
            name = f"base_model.model.model.layers.{layer}.self_attn.{target}"
            weights[f"{name}.lora_A.weight"] = torch.randn(rank, HIDDEN, generator=random) * 0.5
            weights[f"{name}.lora_B.weight"] = torch.randn(rows, rank, generator=random) * 0.5
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    write(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": str(base),
            "r": rank,
            "lora_alpha": 2 * rank,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": targets,
        },
    )


if __name__ == "__main__":
    model, lora = map(pathlib.Path, sys.argv[1:3])
    make_model(model)
    make_lora(lora, model)
    print(f"a model in {model} and an adapter of it in {lora}")
